// The encoder's kernels for AVX-512.

#define DS2FAST_LANES 16
#define DS2FAST_TILE_ROWS 8
#define DS2FAST_TILE_VECTORS 3
#include "simd/encoder_float_loops.hpp"

namespace ds2fast::simd {

EncoderKernels avx512_encoder() {
  return float_encoder();
}

}  // namespace ds2fast::simd
