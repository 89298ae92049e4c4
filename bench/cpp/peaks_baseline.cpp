// Peaks of the target's baseline: SSE2 on x86-64, NEON on arm64, none known elsewhere.

#include "asm_loop.hpp"
#include "peak_loop.hpp"

namespace ds2fast::bench {
namespace {

#if defined(__x86_64__)

// Two-operand instructions overwrite a factor: the copy, which any such loop needs, is part of it.
#define MULTIPLY_ADD(n) \
  "movaps %%xmm12, %%xmm14\n\tmulps %%xmm13, %%xmm14\n\taddps %%xmm14, %%xmm" #n "\n\t"
#define MULTIPLY_ADD_WORDS(n) \
  "movdqa %%xmm12, %%xmm14\n\tpmaddwd %%xmm13, %%xmm14\n\tpaddd %%xmm14, %%xmm" #n "\n\t"
#define CLEAR(n) "pxor %%xmm" #n ", %%xmm" #n "\n\t"
#define BEFORE \
  "movups (%[operands]), %%xmm12\n\tmovups 64(%[operands]), %%xmm13\n\t" DS2FAST_FOR_12(CLEAR)

void multiply_add(std::size_t iterations, const void* operands) {
  DS2FAST_ASM_LOOP(BEFORE, DS2FAST_FOR_12(MULTIPLY_ADD), "");
}

void multiply_add_words(std::size_t iterations, const void* operands) {
  DS2FAST_ASM_LOOP(BEFORE, DS2FAST_FOR_12(MULTIPLY_ADD_WORDS), "");
}

constexpr PeakLoop kPeaks[] = {
    {"mulps + addps xmm", 12 * 4, &multiply_add},
    {"pmaddwd + paddd xmm", 12 * 8, &multiply_add_words},
};
constexpr PeakLoops kFound{kPeaks, 2};

#elif defined(__aarch64__)

#define MULTIPLY_ADD(n) "fmla v" #n ".4s, v24.4s, v25.4s\n\t"
#define MULTIPLY_ADD_BYTES(n)        \
  "smull v28.8h, v24.8b, v25.8b\n\t" \
  "smlal v28.8h, v25.8b, v24.8b\n\t" \
  "sadalp v" #n ".4s, v28.8h\n\t"
#define CLEAR(n) "movi v" #n ".4s, #0\n\t"
#define BEFORE "ldr q24, [%[operands]]\n\tldr q25, [%[operands], #64]\n\t" DS2FAST_FOR_24(CLEAR)

void multiply_add(std::size_t iterations, const void* operands) {
  DS2FAST_ASM_LOOP(BEFORE, DS2FAST_FOR_24(MULTIPLY_ADD), "");
}

void multiply_add_bytes(std::size_t iterations, const void* operands) {
  DS2FAST_ASM_LOOP(BEFORE, DS2FAST_FOR_24(MULTIPLY_ADD_BYTES), "");
}

constexpr PeakLoop kPeaks[] = {
    {"fmla 4s", 24 * 4, &multiply_add},
    {"smull + smlal + sadalp", 24 * 16, &multiply_add_bytes},
};
constexpr PeakLoops kFound{kPeaks, 2};

#else

constexpr PeakLoops kFound{nullptr, 0};

#endif

}  // namespace

PeakLoops baseline_peaks() {
  return kFound;
}

}  // namespace ds2fast::bench
