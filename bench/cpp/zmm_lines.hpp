#pragma once

// What the loops over 512-bit registers share: 24 accumulators, operands in 24 and 25.

#include "asm_loop.hpp"

#define DS2FAST_CLEAR_ZMM(n) "vpxord %%zmm" #n ", %%zmm" #n ", %%zmm" #n "\n\t"
#define DS2FAST_BEFORE_ZMM               \
  "vmovdqu32 (%[operands]), %%zmm24\n\t" \
  "vmovdqu32 64(%[operands]), %%zmm25\n\t" DS2FAST_FOR_24(DS2FAST_CLEAR_ZMM)
