// The encoder's kernels for what the compiler's target has anyway.

#define DS2FAST_LANES 4
#if defined(__aarch64__)
#define DS2FAST_TILE_ROWS 8
#define DS2FAST_TILE_VECTORS 3
#else
#define DS2FAST_TILE_ROWS 4
#define DS2FAST_TILE_VECTORS 2
#endif
#include "simd/encoder_float_loops.hpp"

namespace ds2fast::simd {

EncoderKernels baseline_encoder() {
  return float_encoder();
}

}  // namespace ds2fast::simd
