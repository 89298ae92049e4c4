// The encoder's int8 products for AVX-512 VNNI; all else is the AVX-512 unit's.

#include <immintrin.h>

#define DS2FAST_LANES 16
#include "simd/encoder_loops.hpp"

namespace ds2fast::simd {
namespace {

constexpr std::size_t kGroup = 4;

// sum += u * s, four unsigned by signed bytes a lane. As an intrinsic, GCC 12 copies and spills the
// accumulators.
__attribute__((always_inline)) inline void add_groups(__m512i& sum, __m512i u, __m512i s) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(u), "v"(s));
}

__attribute__((always_inline)) inline __m512i broadcast_group(const std::uint8_t* from) {
  std::int32_t group;
  __builtin_memcpy(&group, from, sizeof group);
  return _mm512_set1_epi32(group);
}

// A function of its own, so that its accumulators stay in registers.
__attribute__((noinline)) void byte_products(const std::uint8_t* rows, std::size_t depth,
                                             const std::int8_t* panel, std::int32_t* products) {
  __m512i sum[kBlockRows][3];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kBlockRows; ++r) {
    sum[r][0] = _mm512_setzero_si512();
    sum[r][1] = _mm512_setzero_si512();
    sum[r][2] = _mm512_setzero_si512();
  }
  for (std::size_t k = 0; k < depth; k += kGroup) {
    const std::int8_t* column = panel + k * kPanelColumns;
    const __m512i first = _mm512_loadu_si512(column);
    const __m512i second = _mm512_loadu_si512(column + 64);
    const __m512i third = _mm512_loadu_si512(column + 128);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kBlockRows; ++r) {
      const __m512i value = broadcast_group(rows + r * depth + k);
      add_groups(sum[r][0], value, first);
      add_groups(sum[r][1], value, second);
      add_groups(sum[r][2], value, third);
    }
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kBlockRows; ++r) {
    _mm512_storeu_si512(products + r * kPanelColumns, sum[r][0]);
    _mm512_storeu_si512(products + r * kPanelColumns + 16, sum[r][1]);
    _mm512_storeu_si512(products + r * kPanelColumns + 32, sum[r][2]);
  }
}

void prepare(const float* rows, std::size_t num_rows, std::size_t depth,
             const PreparedRows& prepared) {
  prepare_codes(rows, num_rows, depth, prepared, 0, [](std::uint8_t* to, Ints codes) {
    const __m128i bytes = _mm512_cvtepi32_epi8(reinterpret_cast<__m512i>(codes));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
  });
}

void multiply(const PreparedRows& rows, const PanelView& weights, ProductSize size, Finish finish,
              float* output) {
  multiply_codes(rows, weights, size, finish, output, byte_products);
}

}  // namespace

ProductKernels avx512_vnni_products() {
  return {&prepare, &multiply};
}

}  // namespace ds2fast::simd
