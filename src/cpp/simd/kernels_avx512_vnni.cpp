// int8 products for AVX-512 VNNI; all else is the AVX-512 unit's.

#include <immintrin.h>

#include "simd/kernel_table.hpp"

namespace ds2fast::simd {
namespace {

constexpr std::size_t kRows = 8;
constexpr std::size_t kGroup = 4;
constexpr std::size_t kGroupSize = kPanelRows * kGroup;

// sum += u * s, four unsigned by signed bytes a lane. As an intrinsic, GCC 12 copies and spills the
// accumulators.
__attribute__((always_inline)) inline void add_groups(__m512i& sum, __m512i u, __m512i s) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(u), "v"(s));
}

__attribute__((always_inline)) inline __m512i broadcast_group(const std::int8_t* from) {
  std::int32_t group;
  __builtin_memcpy(&group, from, sizeof group);
  return _mm512_set1_epi32(group);
}

// A function of its own, so that its accumulators stay in registers.
__attribute__((noinline)) void eight_rows(const std::int8_t* rows, const std::int32_t* code_sums,
                                          const std::int8_t* columns, std::size_t num_groups,
                                          std::int32_t* products) {
  // One factor must be unsigned: the columns, as code + 128. What that adds is taken off
  // beforehand.
  const __m512i to_unsigned = _mm512_set1_epi8(static_cast<char>(0x80));
  __m512i sum[kRows][3];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRows; ++r) {
    const __m512i start = _mm512_set1_epi32(-128 * code_sums[r]);
    sum[r][0] = start;
    sum[r][1] = start;
    sum[r][2] = start;
  }
  for (std::size_t group = 0; group < num_groups; ++group) {
    const std::int8_t* column = columns + group * kGroupSize;
    const __m512i first = _mm512_xor_si512(_mm512_loadu_si512(column), to_unsigned);
    const __m512i second = _mm512_xor_si512(_mm512_loadu_si512(column + 64), to_unsigned);
    const __m512i third = _mm512_xor_si512(_mm512_loadu_si512(column + 128), to_unsigned);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kRows; ++r) {
      const __m512i value = broadcast_group(rows + group * kGroupSize + r * kGroup);
      add_groups(sum[r][0], first, value);
      add_groups(sum[r][1], second, value);
      add_groups(sum[r][2], third, value);
    }
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRows; ++r) {
    _mm512_storeu_si512(products + r * kPanelRows, sum[r][0]);
    _mm512_storeu_si512(products + r * kPanelRows + 16, sum[r][1]);
    _mm512_storeu_si512(products + r * kPanelRows + 32, sum[r][2]);
  }
}

void code_products(const std::int8_t* rows, const std::int32_t* code_sums,
                   const std::int8_t* columns, std::size_t depth, std::int32_t* products) {
  for (std::size_t r = 0; r < kPanelRows; r += kRows) {
    eight_rows(rows + r * kGroup, code_sums + r, columns, depth / kGroup,
               products + r * kPanelRows);
  }
}

}  // namespace

CodeKernel avx512_vnni_codes() {
  return {{kGroup, 127}, &code_products};
}

}  // namespace ds2fast::simd
