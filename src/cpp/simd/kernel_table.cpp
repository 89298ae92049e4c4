#include "simd/kernel_table.hpp"

#include "simd/level.hpp"

namespace ds2fast::simd {

const KernelTable& kernels(Level level) {
#ifdef DS2FAST_X86_UNITS
  switch (level) {
    case Level::kAvx512Vnni:
      return avx512_vnni_kernels();
    case Level::kAvx512:
      return avx512_kernels();
    case Level::kAvx2:
      return avx2_kernels();
    case Level::kBaseline:
      break;
  }
#else
  static_cast<void>(level);
#endif
  return baseline_kernels();
}

}  // namespace ds2fast::simd
