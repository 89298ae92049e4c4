#include "simd/encoder_kernels.hpp"
#include "simd/level.hpp"

#if defined(DS2FAST_AVX512_BF16_UNIT)
#include <cpuid.h>
#endif

namespace ds2fast::simd {
namespace {

#if defined(DS2FAST_AVX512_BF16_UNIT)
// Asked by CPUID: not every compiler that has these instructions has a name for the question.
bool has_avx512_bf16() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & (1U << 5)) != 0;
}
#endif

#ifdef DS2FAST_X86_UNITS
EncoderKernels avx512_with_bf16() {
  EncoderKernels kernels = avx512_encoder();
#if defined(DS2FAST_AVX512_BF16_UNIT)
  if (has_avx512_bf16()) {
    kernels.bf16 = avx512_bf16_products();
  }
#endif
  return kernels;
}
#endif

[[maybe_unused]] EncoderKernels with_int8(EncoderKernels kernels, ProductKernels int8) {
  kernels.int8 = int8;
  return kernels;
}

}  // namespace

EncoderKernels encoder_kernels(Level level) {
  switch (level) {
#ifdef DS2FAST_X86_UNITS
    case Level::kAvx2:
      return avx2_encoder();
    case Level::kAvx512:
      return avx512_with_bf16();
    case Level::kAvx512Vnni:
      return with_int8(avx512_with_bf16(), avx512_vnni_products());
#endif
#ifdef DS2FAST_AVX_VNNI_UNIT
    case Level::kAvxVnni:
      return with_int8(avx2_encoder(), avx_vnni_products());
#endif
#ifdef DS2FAST_NEON_DOT_UNIT
    case Level::kNeonDot:
    case Level::kNeonI8mm:
      return with_int8(baseline_encoder(), neon_dot_products());
#endif
    default:  // a level without a unit in this build, which available_levels() does not name
      return baseline_encoder();
  }
}

}  // namespace ds2fast::simd
