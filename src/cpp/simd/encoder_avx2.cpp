// The encoder's kernels for AVX2 with FMA.

#define DS2FAST_LANES 8
#define DS2FAST_TILE_ROWS 4
#define DS2FAST_TILE_VECTORS 3
#include "simd/encoder_float_loops.hpp"

namespace ds2fast::simd {

EncoderKernels avx2_encoder() {
  return float_encoder();
}

}  // namespace ds2fast::simd
