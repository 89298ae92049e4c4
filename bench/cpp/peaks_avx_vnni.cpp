// Peak of AVX-VNNI (256-bit, VEX).

#include "asm_loop.hpp"
#include "peak_loop.hpp"

namespace ds2fast::bench {
namespace {

#define MULTIPLY_ADD(n) "%{vex%} vpdpbusd %%ymm13, %%ymm12, %%ymm" #n "\n\t"
#define CLEAR(n) "vpxor %%ymm" #n ", %%ymm" #n ", %%ymm" #n "\n\t"
#define BEFORE \
  "vmovups (%[operands]), %%ymm12\n\tvmovups 64(%[operands]), %%ymm13\n\t" DS2FAST_FOR_12(CLEAR)

void multiply_add(std::size_t iterations, const void* operands) {
  DS2FAST_ASM_LOOP(BEFORE, DS2FAST_FOR_12(MULTIPLY_ADD), "vzeroupper");
}

constexpr PeakLoop kPeaks[] = {{"vpdpbusd ymm", 12 * 32, &multiply_add}};

}  // namespace

PeakLoops avx_vnni_peaks() {
  return {kPeaks, 1};
}

}  // namespace ds2fast::bench
