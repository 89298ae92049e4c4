#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace ds2fast::simd {

/// Instruction sets that kernels exist for, of each architecture the slowest first. `kBaseline` is
/// what the compiler's target has anyway: SSE2 on x86-64, NEON on arm64.
enum class Level : int {
  kBaseline,
  kAvx2,
  kAvx512,
  kAvxVnni,
  kAvx512Vnni,
  kNeonDot,
  kNeonI8mm,
};

const char* name(Level level);

/// Levels that this build has kernels for and that the processor and the operating system both run.
std::vector<Level> available_levels();

/// Whether the processor adds products of bfloat16 to AVX-512; to be asked only where a level of
/// AVX-512 is available.
bool has_avx512_bf16();

/// DS2FAST_SIMD names a level that is unknown or cannot run here.
class UnknownLevel : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// The level in use: the last available, or the one that the environment variable DS2FAST_SIMD
/// names. Throws UnknownLevel.
Level active_level();

}  // namespace ds2fast::simd
