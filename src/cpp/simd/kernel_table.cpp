#include "simd/kernel_table.hpp"

#include "simd/level.hpp"

namespace ds2fast::simd {
namespace {

[[maybe_unused]] KernelTable with_codes(KernelTable table, CodeKernel codes) {
  table.codes = codes;
  return table;
}

}  // namespace

const KernelTable& kernels(Level level) {
  switch (level) {
#ifdef DS2FAST_X86_UNITS
    case Level::kAvx2:
      return avx2_kernels();
    case Level::kAvx512:
      return avx512_kernels();
    case Level::kAvx512Vnni: {
      static const KernelTable table = with_codes(avx512_kernels(), avx512_vnni_codes());
      return table;
    }
#endif
#ifdef DS2FAST_AVX_VNNI_UNIT
    case Level::kAvxVnni: {
      static const KernelTable table = with_codes(avx2_kernels(), avx_vnni_codes());
      return table;
    }
#endif
#ifdef DS2FAST_NEON_DOT_UNIT
    case Level::kNeonDot: {
      static const KernelTable table = with_codes(baseline_kernels(), neon_dot_codes());
      return table;
    }
#endif
#ifdef DS2FAST_NEON_I8MM_UNIT
    case Level::kNeonI8mm: {
      static const KernelTable table = with_codes(baseline_kernels(), neon_i8mm_codes());
      return table;
    }
#endif
    default:  // a level without a unit in this build, which available_levels() does not name
      return baseline_kernels();
  }
}

}  // namespace ds2fast::simd
