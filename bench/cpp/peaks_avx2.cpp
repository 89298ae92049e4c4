// Peaks of AVX2 and FMA.

#include "asm_loop.hpp"
#include "peak_loop.hpp"

namespace ds2fast::bench {
namespace {

#define MULTIPLY_ADD(n) "vfmadd231ps %%ymm13, %%ymm12, %%ymm" #n "\n\t"
#define MULTIPLY_ADD_WORDS(n)              \
  "vpmaddwd %%ymm13, %%ymm12, %%ymm14\n\t" \
  "vpaddd %%ymm14, %%ymm" #n ", %%ymm" #n "\n\t"
// As the AVX2 unit multiplies bytes: two sums of two products in int16, then four in int32.
#define MULTIPLY_ADD_BYTES(n)                \
  "vpmaddubsw %%ymm13, %%ymm12, %%ymm14\n\t" \
  "vpmaddubsw %%ymm12, %%ymm13, %%ymm15\n\t" \
  "vpaddw %%ymm15, %%ymm14, %%ymm14\n\t"     \
  "vpmaddwd %%ymm13, %%ymm14, %%ymm14\n\t"   \
  "vpaddd %%ymm14, %%ymm" #n ", %%ymm" #n "\n\t"
#define CLEAR(n) "vpxor %%ymm" #n ", %%ymm" #n ", %%ymm" #n "\n\t"
#define BEFORE \
  "vmovups (%[operands]), %%ymm12\n\tvmovups 64(%[operands]), %%ymm13\n\t" DS2FAST_FOR_12(CLEAR)

void multiply_add(std::size_t iterations, const void* operands) {
  DS2FAST_ASM_LOOP(BEFORE, DS2FAST_FOR_12(MULTIPLY_ADD), "vzeroupper");
}

void multiply_add_words(std::size_t iterations, const void* operands) {
  DS2FAST_ASM_LOOP(BEFORE, DS2FAST_FOR_12(MULTIPLY_ADD_WORDS), "vzeroupper");
}

void multiply_add_bytes(std::size_t iterations, const void* operands) {
  DS2FAST_ASM_LOOP(BEFORE, DS2FAST_FOR_12(MULTIPLY_ADD_BYTES), "vzeroupper");
}

constexpr PeakLoop kPeaks[] = {
    {"vfmadd231ps ymm", 12 * 8, &multiply_add},
    {"vpmaddwd + vpaddd ymm", 12 * 16, &multiply_add_words},
    {"vpmaddubsw mix ymm", 12 * 64, &multiply_add_bytes},
};

}  // namespace

PeakLoops avx2_peaks() {
  return {kPeaks, 3};
}

}  // namespace ds2fast::bench
