// int8 products for AVX-VNNI (256-bit); all else is the AVX2 unit's.

#include <immintrin.h>

#include "simd/kernel_table.hpp"

namespace ds2fast::simd {
namespace {

constexpr std::size_t kRows = 4;
constexpr std::size_t kColumns = 24;
constexpr std::size_t kGroup = 4;
constexpr std::size_t kGroupSize = kPanelRows * kGroup;

// sum += u * s, four unsigned by signed bytes a lane. As an intrinsic, GCC 12 copies and spills the
// accumulators.
__attribute__((always_inline)) inline void add_groups(__m256i& sum, __m256i u, __m256i s) {
  asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(u), "x"(s));
}

__attribute__((always_inline)) inline __m256i broadcast_group(const std::int8_t* from) {
  std::int32_t group;
  __builtin_memcpy(&group, from, sizeof group);
  return _mm256_set1_epi32(group);
}

/// The column codes of a tile, as unsigned bytes (code + 128), one behind the other.
void to_unsigned(const std::int8_t* codes, std::size_t count, std::int8_t* unsigned_codes) {
  const __m256i bias = _mm256_set1_epi8(static_cast<char>(0x80));
  for (std::size_t i = 0; i < count; i += 32) {
    const __m256i some = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + i));
    _mm256_store_si256(reinterpret_cast<__m256i*>(unsigned_codes + i),
                       _mm256_xor_si256(some, bias));
  }
}

// A function of its own, so that its accumulators stay in registers.
__attribute__((noinline)) void add_products(const std::int8_t* rows, const std::int8_t* columns,
                                            std::size_t num_groups, std::int32_t* products) {
  __m256i sum[kRows][3];
#pragma GCC unroll 4
  for (std::size_t r = 0; r < kRows; ++r) {
    const auto* line = reinterpret_cast<const __m256i*>(products + r * kPanelRows);
    sum[r][0] = _mm256_loadu_si256(line);
    sum[r][1] = _mm256_loadu_si256(line + 1);
    sum[r][2] = _mm256_loadu_si256(line + 2);
  }
  for (std::size_t group = 0; group < num_groups; ++group) {
    const auto* column = reinterpret_cast<const __m256i*>(columns + group * kGroupSize);
    const __m256i first = _mm256_load_si256(column);
    const __m256i second = _mm256_load_si256(column + 1);
    const __m256i third = _mm256_load_si256(column + 2);
#pragma GCC unroll 4
    for (std::size_t r = 0; r < kRows; ++r) {
      const __m256i value = broadcast_group(rows + group * kGroupSize + r * kGroup);
      add_groups(sum[r][0], first, value);
      add_groups(sum[r][1], second, value);
      add_groups(sum[r][2], third, value);
    }
  }
#pragma GCC unroll 4
  for (std::size_t r = 0; r < kRows; ++r) {
    auto* line = reinterpret_cast<__m256i*>(products + r * kPanelRows);
    _mm256_storeu_si256(line, sum[r][0]);
    _mm256_storeu_si256(line + 1, sum[r][1]);
    _mm256_storeu_si256(line + 2, sum[r][2]);
  }
}

constexpr std::size_t kDepthBlock = 512;  // 24 KiB of columns: they stay in the first-level cache

void code_products(const std::int8_t* rows, const std::int32_t* code_sums,
                   const std::int8_t* columns, std::size_t depth, std::int32_t* products) {
  // What the columns' 128 adds is taken off beforehand.
  for (std::size_t r = 0; r < kPanelRows; ++r) {
    for (std::size_t c = 0; c < kPanelRows; c += 8) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(products + r * kPanelRows + c),
                          _mm256_set1_epi32(-128 * code_sums[r]));
    }
  }
  alignas(32) std::int8_t unsigned_columns[kPanelRows * kDepthBlock];
  for (std::size_t k = 0; k < depth; k += kDepthBlock) {
    const std::size_t block = depth - k < kDepthBlock ? depth - k : kDepthBlock;
    to_unsigned(columns + k * kPanelRows, block * kPanelRows, unsigned_columns);
    for (std::size_t c = 0; c < kPanelRows; c += kColumns) {
      for (std::size_t r = 0; r < kPanelRows; r += kRows) {
        add_products(rows + k * kPanelRows + r * kGroup, unsigned_columns + c * kGroup,
                     block / kGroup, products + r * kPanelRows + c);
      }
    }
  }
}

}  // namespace

CodeKernel avx_vnni_codes() {
  return {{kGroup, 127}, &code_products};
}

}  // namespace ds2fast::simd
