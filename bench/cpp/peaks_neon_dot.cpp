// Peak of the arm64 dot product instructions.

#include "asm_loop.hpp"
#include "peak_loop.hpp"

namespace ds2fast::bench {
namespace {

#define MULTIPLY_ADD(n) "sdot v" #n ".4s, v24.16b, v25.16b\n\t"
#define CLEAR(n) "movi v" #n ".4s, #0\n\t"
#define BEFORE "ldr q24, [%[operands]]\n\tldr q25, [%[operands], #64]\n\t" DS2FAST_FOR_24(CLEAR)

void multiply_add(std::size_t iterations, const void* operands) {
  DS2FAST_ASM_LOOP(BEFORE, DS2FAST_FOR_24(MULTIPLY_ADD), "");
}

constexpr PeakLoop kPeaks[] = {{"sdot", 24 * 16, &multiply_add}};

}  // namespace

PeakLoops neon_dot_peaks() {
  return {kPeaks, 1};
}

}  // namespace ds2fast::bench
