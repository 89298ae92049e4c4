// Peaks of AVX-512 (F, BW).

#include "peak_loop.hpp"
#include "zmm_lines.hpp"

namespace ds2fast::bench {
namespace {

#define MULTIPLY_ADD(n) "vfmadd231ps %%zmm25, %%zmm24, %%zmm" #n "\n\t"
#define MULTIPLY_ADD_WORDS(n)              \
  "vpmaddwd %%zmm25, %%zmm24, %%zmm28\n\t" \
  "vpaddd %%zmm28, %%zmm" #n ", %%zmm" #n "\n\t"
// As the AVX-512 unit without VNNI multiplies bytes: two sums of two products in int16, then four
// in int32.
#define MULTIPLY_ADD_BYTES(n)                \
  "vpmaddubsw %%zmm25, %%zmm24, %%zmm28\n\t" \
  "vpmaddubsw %%zmm24, %%zmm25, %%zmm29\n\t" \
  "vpaddw %%zmm29, %%zmm28, %%zmm28\n\t"     \
  "vpmaddwd %%zmm25, %%zmm28, %%zmm28\n\t"   \
  "vpaddd %%zmm28, %%zmm" #n ", %%zmm" #n "\n\t"

void multiply_add(std::size_t iterations, const void* operands) {
  DS2FAST_ASM_LOOP(DS2FAST_BEFORE_ZMM, DS2FAST_FOR_24(MULTIPLY_ADD), "vzeroupper");
}

void multiply_add_words(std::size_t iterations, const void* operands) {
  DS2FAST_ASM_LOOP(DS2FAST_BEFORE_ZMM, DS2FAST_FOR_24(MULTIPLY_ADD_WORDS), "vzeroupper");
}

void multiply_add_bytes(std::size_t iterations, const void* operands) {
  DS2FAST_ASM_LOOP(DS2FAST_BEFORE_ZMM, DS2FAST_FOR_24(MULTIPLY_ADD_BYTES), "vzeroupper");
}

constexpr PeakLoop kPeaks[] = {
    {"vfmadd231ps zmm", 24 * 16, &multiply_add},
    {"vpmaddwd + vpaddd zmm", 24 * 32, &multiply_add_words},
    {"vpmaddubsw mix zmm", 24 * 128, &multiply_add_bytes},
};

}  // namespace

PeakLoops avx512_peaks() {
  return {kPeaks, 3};
}

}  // namespace ds2fast::bench
