#pragma once

#include <cstddef>

namespace ds2fast::bench {

/// Bytes that a loop loads into registers before it starts: two operands of 64.
constexpr std::size_t kOperandBytes = 128;

/// A loop over one instruction, or over the mix of a unit, that touches registers only: what the
/// processor can do at best. Its accumulators are independent and enough to hide the latency.
struct PeakLoop {
  const char* instruction;
  std::size_t macs;  ///< multiply-adds of an iteration
  void (*run)(std::size_t iterations, const void* operands);
};

/// Only plain pointers cross into the units, which are compiled for one instruction set each.
struct PeakLoops {
  const PeakLoop* first;
  std::size_t count;
};

PeakLoops baseline_peaks();
PeakLoops avx2_peaks();
PeakLoops avx_vnni_peaks();
PeakLoops avx512_peaks();
PeakLoops avx512_vnni_peaks();
PeakLoops avx512_bf16_peaks();
PeakLoops neon_dot_peaks();
PeakLoops neon_i8mm_peaks();

}  // namespace ds2fast::bench
