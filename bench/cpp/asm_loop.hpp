#pragma once

// The text of a loop in inline assembly, as macros because that text must be one literal.
// Explicit registers: compilers copy and spill the accumulators of such loops in C++.

#define DS2FAST_FOR_12(line) \
  line(0) line(1) line(2) line(3) line(4) line(5) line(6) line(7) line(8) line(9) line(10) line(11)
#define DS2FAST_FOR_24(line)                                                                \
  DS2FAST_FOR_12(line)                                                                      \
  line(12) line(13) line(14) line(15) line(16) line(17) line(18) line(19) line(20) line(21) \
      line(22) line(23)

#if defined(__aarch64__)

#define DS2FAST_COUNT_DOWN "subs %[iterations], %[iterations], #1\n\tb.ne 1b\n\t"
#define DS2FAST_REGISTERS                                                                        \
  "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", \
      "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", \
      "v28", "v29", "v30", "v31"

#else

#define DS2FAST_COUNT_DOWN "sub $1, %[iterations]\n\tjnz 1b\n\t"
#define DS2FAST_LOW_REGISTERS                                                              \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
      "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
#if defined(__AVX512F__)
#define DS2FAST_REGISTERS                                                                        \
  DS2FAST_LOW_REGISTERS, "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", \
      "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31"
#else
#define DS2FAST_REGISTERS DS2FAST_LOW_REGISTERS
#endif

#endif

/// Runs `body` `iterations` times, after `before` and ahead of `after`. `before` reads the operands
/// at %[operands] and clears the accumulators.
#define DS2FAST_ASM_LOOP(before, body, after)                \
  asm volatile(before "1:\n\t" body DS2FAST_COUNT_DOWN after \
               : [iterations] "+r"(iterations)               \
               : [operands] "r"(operands)                    \
               : "cc", "memory", DS2FAST_REGISTERS)
