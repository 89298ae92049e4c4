// Peak of AVX-512 BF16.

#include "peak_loop.hpp"
#include "zmm_lines.hpp"

namespace ds2fast::bench {
namespace {

#define MULTIPLY_ADD(n) "vdpbf16ps %%zmm25, %%zmm24, %%zmm" #n "\n\t"

void multiply_add(std::size_t iterations, const void* operands) {
  DS2FAST_ASM_LOOP(DS2FAST_BEFORE_ZMM, DS2FAST_FOR_24(MULTIPLY_ADD), "vzeroupper");
}

constexpr PeakLoop kPeaks[] = {{"vdpbf16ps zmm", 24 * 32, &multiply_add}};

}  // namespace

PeakLoops avx512_bf16_peaks() {
  return {kPeaks, 1};
}

}  // namespace ds2fast::bench
