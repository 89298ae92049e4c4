// The encoder's int8 products for AVX-VNNI; all else is the AVX2 unit's.

#include <immintrin.h>

#define DS2FAST_LANES 8
#include "simd/encoder_loops.hpp"

namespace ds2fast::simd {
namespace {

constexpr std::size_t kGroup = 4;
constexpr std::size_t kRows = 4;
constexpr std::size_t kColumns = 24;

__attribute__((always_inline)) inline void add_groups(__m256i& sum, __m256i u, __m256i s) {
  asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(u), "x"(s));
}

__attribute__((always_inline)) inline __m256i broadcast_group(const std::uint8_t* from) {
  std::int32_t group;
  __builtin_memcpy(&group, from, sizeof group);
  return _mm256_set1_epi32(group);
}

__attribute__((always_inline)) inline __m256i load_bytes(const std::int8_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

__attribute__((noinline)) void tile(const std::uint8_t* rows, std::size_t depth,
                                    const std::int8_t* panel, std::int32_t* products) {
  __m256i sum[kRows][3];
#pragma GCC unroll 4
  for (std::size_t r = 0; r < kRows; ++r) {
    sum[r][0] = _mm256_setzero_si256();
    sum[r][1] = _mm256_setzero_si256();
    sum[r][2] = _mm256_setzero_si256();
  }
  for (std::size_t k = 0; k < depth; k += kGroup) {
    const std::int8_t* column = panel + k * kPanelColumns;
    const __m256i first = load_bytes(column);
    const __m256i second = load_bytes(column + 32);
    const __m256i third = load_bytes(column + 64);
#pragma GCC unroll 4
    for (std::size_t r = 0; r < kRows; ++r) {
      const __m256i value = broadcast_group(rows + r * depth + k);
      add_groups(sum[r][0], value, first);
      add_groups(sum[r][1], value, second);
      add_groups(sum[r][2], value, third);
    }
  }
#pragma GCC unroll 4
  for (std::size_t r = 0; r < kRows; ++r) {
    auto* line = reinterpret_cast<__m256i*>(products + r * kPanelColumns);
    _mm256_storeu_si256(line, sum[r][0]);
    _mm256_storeu_si256(line + 1, sum[r][1]);
    _mm256_storeu_si256(line + 2, sum[r][2]);
  }
}

void byte_products(const std::uint8_t* rows, std::size_t depth, const std::int8_t* panel,
                   std::int32_t* products) {
  for (std::size_t c = 0; c < kPanelColumns; c += kColumns) {
    for (std::size_t r = 0; r < kBlockRows; r += kRows) {
      tile(rows + r * depth, depth, panel + c * kGroup, products + r * kPanelColumns + c);
    }
  }
}

void prepare(const float* rows, std::size_t num_rows, std::size_t depth,
             const PreparedRows& prepared) {
  // The lowest byte of each lane, side by side in the lowest four bytes of both halves.
  const __m256i lowest = _mm256_set1_epi32(0x0C080400);
  prepare_codes(rows, num_rows, depth, prepared, 0, [=](std::uint8_t* to, Ints codes) {
    const __m256i halves = _mm256_shuffle_epi8(reinterpret_cast<__m256i>(codes), lowest);
    const int first = _mm256_extract_epi32(halves, 0);
    const int second = _mm256_extract_epi32(halves, 4);
    __builtin_memcpy(to, &first, sizeof first);
    __builtin_memcpy(to + 4, &second, sizeof second);
  });
}

void multiply(const PreparedRows& rows, const PanelView& weights, ProductSize size, Finish finish,
              float* output) {
  multiply_codes(rows, weights, size, finish, output, byte_products);
}

}  // namespace

ProductKernels avx_vnni_products() {
  return {&prepare, &multiply};
}

}  // namespace ds2fast::simd
