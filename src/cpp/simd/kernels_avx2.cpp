// Kernels for AVX2 with FMA and F16C. No library code beyond intrinsics: what is inlined here must
// not be shared.

#include <immintrin.h>

#include "simd/bound_loops.hpp"
#include "simd/code_loops.hpp"
#include "simd/kernel_table.hpp"

namespace ds2fast::simd {
namespace {

constexpr std::size_t kRows = 6;
constexpr std::size_t kColumns = 16;
constexpr std::size_t kDepthBlock = 128;

void add_products(const float* rows, const float* columns, std::size_t depth, float* products) {
  __m256 sum[kRows][2];
#pragma GCC unroll 6
  for (std::size_t r = 0; r < kRows; ++r) {
    sum[r][0] = _mm256_loadu_ps(products + r * kPanelRows);
    sum[r][1] = _mm256_loadu_ps(products + r * kPanelRows + 8);
  }
  for (std::size_t k = 0; k < depth; ++k) {
    const __m256 low = _mm256_loadu_ps(columns + k * kPanelRows);
    const __m256 high = _mm256_loadu_ps(columns + k * kPanelRows + 8);
#pragma GCC unroll 6
    for (std::size_t r = 0; r < kRows; ++r) {
      const __m256 value = _mm256_broadcast_ss(rows + k * kPanelRows + r);
      sum[r][0] = _mm256_fmadd_ps(value, low, sum[r][0]);
      sum[r][1] = _mm256_fmadd_ps(value, high, sum[r][1]);
    }
  }
#pragma GCC unroll 6
  for (std::size_t r = 0; r < kRows; ++r) {
    _mm256_storeu_ps(products + r * kPanelRows, sum[r][0]);
    _mm256_storeu_ps(products + r * kPanelRows + 8, sum[r][1]);
  }
}

void tile_products(const float* rows, const float* columns, std::size_t depth, float* products) {
  for (std::size_t i = 0; i < kTileSize; i += 8) {
    _mm256_storeu_ps(products + i, _mm256_setzero_ps());
  }
  for (std::size_t k = 0; k < depth; k += kDepthBlock) {
    const std::size_t block = depth - k < kDepthBlock ? depth - k : kDepthBlock;
    const float* block_rows = rows + k * kPanelRows;
    const float* block_columns = columns + k * kPanelRows;
    for (std::size_t c = 0; c < kPanelRows; c += kColumns) {
      for (std::size_t r = 0; r < kPanelRows; r += kRows) {
        add_products(block_rows + r, block_columns + c, block, products + r * kPanelRows + c);
      }
    }
  }
}

// Sums of two products of bytes must fit int16, and here two such sums: 4 * 127 * 63 < 2^15.
constexpr std::int32_t kLargestCode = 63;
constexpr std::size_t kGroup = 4;
constexpr std::size_t kGroupSize = kPanelRows * kGroup;
constexpr std::size_t kCodeRows = 8;

__attribute__((always_inline)) inline __m256i broadcast_group(const std::int8_t* from) {
  std::int32_t group;
  __builtin_memcpy(&group, from, sizeof group);
  return _mm256_set1_epi32(group);
}

/// 8 rows by 8 columns. One factor must be unsigned: the columns, as code + 64. What that adds is
/// taken off beforehand.
void code_products_of(const std::int8_t* rows, const std::int32_t* code_sums,
                      const std::int8_t* columns, std::size_t num_groups, std::int32_t* products) {
  const __m256i to_unsigned = _mm256_set1_epi8(64);
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sum[kCodeRows];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kCodeRows; ++r) {
    sum[r] = _mm256_set1_epi32(-64 * code_sums[r]);
  }
  std::size_t group = 0;
  for (; group + 2 <= num_groups; group += 2) {
    const std::int8_t* row = rows + group * kGroupSize;
    const auto* column = reinterpret_cast<const __m256i*>(columns + group * kGroupSize);
    const auto* next_column = reinterpret_cast<const __m256i*>(columns + (group + 1) * kGroupSize);
    const __m256i first = _mm256_add_epi8(_mm256_loadu_si256(column), to_unsigned);
    const __m256i second = _mm256_add_epi8(_mm256_loadu_si256(next_column), to_unsigned);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kCodeRows; ++r) {
      const __m256i product = _mm256_add_epi16(
          _mm256_maddubs_epi16(first, broadcast_group(row + r * kGroup)),
          _mm256_maddubs_epi16(second, broadcast_group(row + kGroupSize + r * kGroup)));
      sum[r] = _mm256_add_epi32(sum[r], _mm256_madd_epi16(product, ones));
    }
  }
  if (group < num_groups) {
    const auto* column = reinterpret_cast<const __m256i*>(columns + group * kGroupSize);
    const __m256i last = _mm256_add_epi8(_mm256_loadu_si256(column), to_unsigned);
    for (std::size_t r = 0; r < kCodeRows; ++r) {
      const __m256i value = broadcast_group(rows + group * kGroupSize + r * kGroup);
      const __m256i product = _mm256_maddubs_epi16(last, value);
      sum[r] = _mm256_add_epi32(sum[r], _mm256_madd_epi16(product, ones));
    }
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kCodeRows; ++r) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(products + r * kPanelRows), sum[r]);
  }
}

void code_products(const std::int8_t* rows, const std::int32_t* code_sums,
                   const std::int8_t* columns, std::size_t depth, std::int32_t* products) {
  for (std::size_t c = 0; c < kPanelRows; c += 8) {
    for (std::size_t r = 0; r < kPanelRows; r += kCodeRows) {
      code_products_of(rows + r * kGroup, code_sums + r, columns + c * kGroup, depth / kGroup,
                       products + r * kPanelRows + c);
    }
  }
}

std::size_t scan_codes(const std::int32_t* products, CodeBounds rows, CodeBounds columns,
                       const float* row_thresholds, const float* column_thresholds,
                       std::uint32_t* codes) {
  std::size_t count = 0;
  for (std::size_t r = 0; r < kPanelRows; ++r) {
    const __m256 row_scale = _mm256_broadcast_ss(rows.scales + r);
    const __m256 row_offset = _mm256_broadcast_ss(rows.offsets + r);
    const __m256 row_threshold = _mm256_broadcast_ss(row_thresholds + r);
    std::uint64_t hits = 0;
#pragma GCC unroll 6
    for (std::size_t c = 0; c < kPanelRows; c += 8) {
      const __m256 product = _mm256_cvtepi32_ps(
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(products + r * kPanelRows + c)));
      const __m256 scale = _mm256_mul_ps(row_scale, _mm256_loadu_ps(columns.scales + c));
      const __m256 offset = _mm256_add_ps(row_offset, _mm256_loadu_ps(columns.offsets + c));
      const __m256 bound = _mm256_fmadd_ps(product, scale, offset);
      // A bound passes if it reaches the lower one of its two thresholds.
      const __m256 threshold = _mm256_min_ps(row_threshold, _mm256_loadu_ps(column_thresholds + c));
      const __m256 passed = _mm256_cmp_ps(bound, threshold, _CMP_GE_OQ);
      hits |= static_cast<std::uint64_t>(static_cast<unsigned>(_mm256_movemask_ps(passed))) << c;
    }
    for (; hits != 0; hits &= hits - 1) {
      codes[count++] = static_cast<std::uint32_t>(r * kPanelRows) +
                       static_cast<std::uint32_t>(__builtin_ctzll(hits));
    }
  }
  return count;
}

__m256d widen(__m128 values) {
  return _mm256_cvtps_pd(values);
}

/// The first `count` of four values, zeros behind them.
__m128 load_some(const float* from, std::size_t count) {
  const __m128i lane = _mm_set_epi32(3, 2, 1, 0);
  const __m128i mask = _mm_cmpgt_epi32(_mm_set1_epi32(static_cast<int>(count)), lane);
  return _mm_maskload_ps(from, mask);
}

double exact_dot(const float* x, const float* y, std::size_t depth) {
  __m256d sum[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(),
                    _mm256_setzero_pd()};
  std::size_t k = 0;
  for (; k + 16 <= depth; k += 16) {
#pragma GCC unroll 4
    for (std::size_t part = 0; part < 4; ++part) {
      const std::size_t at = k + 4 * part;
      sum[part] =
          _mm256_fmadd_pd(widen(_mm_loadu_ps(x + at)), widen(_mm_loadu_ps(y + at)), sum[part]);
    }
  }
  for (std::size_t part = 0; k < depth; ++part, k += 4) {
    const std::size_t count = depth - k;
    sum[part] =
        _mm256_fmadd_pd(widen(load_some(x + k, count)), widen(load_some(y + k, count)), sum[part]);
  }
  // Products are exact, so adding one is rounded once with or without a fused multiply-add.
  const __m256d four = _mm256_add_pd(_mm256_add_pd(sum[0], sum[2]), _mm256_add_pd(sum[1], sum[3]));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

void exact_dots(const float* x, const float* const* others, std::size_t depth, double* dots) {
  for (std::size_t i = 0; i < kDotsAtOnce; ++i) {
    dots[i] = exact_dot(x, others[i], depth);
  }
}

void widen_halves(const std::uint16_t* halves, std::size_t count, float* values) {
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m128i eight = _mm_loadu_si128(reinterpret_cast<const __m128i*>(halves + i));
    _mm256_storeu_ps(values + i, _mm256_cvtph_ps(eight));
  }
  for (; i < count; ++i) {
    values[i] = _cvtsh_ss(halves[i]);
  }
}

}  // namespace

const KernelTable& avx2_kernels() {
  static constexpr KernelTable table{&tile_products, {{kGroup, kLargestCode}, &code_products},
                                     &scan_codes,    &kth_largest,
                                     &lower_steps,   &exact_dot,
                                     &exact_dots,    &code_dots,
                                     &widen_halves};
  return table;
}

}  // namespace ds2fast::simd
