#include "peaks.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace ds2fast::bench {
namespace {

PeakLoops peaks_of(simd::Level level) {
  switch (level) {
#if defined(DS2FAST_AVX2_PEAKS)
    case simd::Level::kAvx2:
      return avx2_peaks();
    case simd::Level::kAvx512:
      return avx512_peaks();
    case simd::Level::kAvx512Vnni:
      return avx512_vnni_peaks();
#endif
#if defined(DS2FAST_AVX_VNNI_PEAKS)
    case simd::Level::kAvxVnni:
      return avx_vnni_peaks();
#endif
#if defined(DS2FAST_NEON_DOT_PEAKS)
    case simd::Level::kNeonDot:
      return neon_dot_peaks();
#endif
#if defined(DS2FAST_NEON_I8MM_PEAKS)
    case simd::Level::kNeonI8mm:
      return neon_i8mm_peaks();
#endif
    default:
      return baseline_peaks();
  }
}

void append(std::vector<PeakLoop>& peaks, PeakLoops more) {
  peaks.insert(peaks.end(), more.first, more.first + more.count);
}

}  // namespace

std::vector<PeakLoop> available_peaks() {
  std::vector<PeakLoop> peaks;
  bool has_avx512 = false;
  for (const simd::Level level : simd::available_levels()) {
    append(peaks, peaks_of(level));
    has_avx512 = has_avx512 || level == simd::Level::kAvx512;
  }
#if defined(DS2FAST_AVX512_BF16_PEAKS)
  if (has_avx512 && simd::has_avx512_bf16()) {
    append(peaks, avx512_bf16_peaks());
  }
#else
  static_cast<void>(has_avx512);
#endif
  return peaks;
}

std::string_view int8_instruction(simd::Level level) {
  // The last loop of a level is that of its int8 unit.
  const PeakLoops peaks = peaks_of(level);
  return peaks.count == 0 ? "" : peaks.first[peaks.count - 1].instruction;
}

const void* peak_operands() {
  static const auto operands = [] {
    std::array<std::uint16_t, kOperandBytes / 2> halves{};
    std::uint32_t state = 1;
    for (std::uint16_t& half : halves) {
      state = state * 1664525U + 1013904223U;
      half = static_cast<std::uint16_t>(0x3F80U + (state >> 25U));
    }
    return halves;
  }();
  return operands.data();
}

}  // namespace ds2fast::bench
