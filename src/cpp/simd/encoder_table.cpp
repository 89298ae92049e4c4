#include "simd/encoder_kernels.hpp"
#include "simd/level.hpp"

namespace ds2fast::simd {
namespace {

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
