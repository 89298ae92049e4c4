// Kernels for AVX-512 (F, BW, DQ, VL). No library code beyond intrinsics, as in every unit.

#include <immintrin.h>

#include "simd/bound_loops.hpp"
#include "simd/code_loops.hpp"
#include "simd/kernel_table.hpp"

namespace ds2fast::simd {
namespace {

constexpr std::size_t kRows = 8;
constexpr std::size_t kDepthBlock = 128;

// A function of its own: inlined next to other code, its 24 accumulators are spilled to memory.
__attribute__((noinline)) void add_products(const float* rows, const float* columns,
                                            std::size_t depth, float* products) {
  __m512 sum[kRows][3];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRows; ++r) {
    sum[r][0] = _mm512_loadu_ps(products + r * kPanelRows);
    sum[r][1] = _mm512_loadu_ps(products + r * kPanelRows + 16);
    sum[r][2] = _mm512_loadu_ps(products + r * kPanelRows + 32);
  }
  for (std::size_t k = 0; k < depth; ++k) {
    const __m512 first = _mm512_loadu_ps(columns + k * kPanelRows);
    const __m512 second = _mm512_loadu_ps(columns + k * kPanelRows + 16);
    const __m512 third = _mm512_loadu_ps(columns + k * kPanelRows + 32);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kRows; ++r) {
      const __m512 value = _mm512_set1_ps(rows[k * kPanelRows + r]);
      sum[r][0] = _mm512_fmadd_ps(value, first, sum[r][0]);
      sum[r][1] = _mm512_fmadd_ps(value, second, sum[r][1]);
      sum[r][2] = _mm512_fmadd_ps(value, third, sum[r][2]);
    }
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRows; ++r) {
    _mm512_storeu_ps(products + r * kPanelRows, sum[r][0]);
    _mm512_storeu_ps(products + r * kPanelRows + 16, sum[r][1]);
    _mm512_storeu_ps(products + r * kPanelRows + 32, sum[r][2]);
  }
}

void tile_products(const float* rows, const float* columns, std::size_t depth, float* products) {
  for (std::size_t i = 0; i < kTileSize; i += 16) {
    _mm512_storeu_ps(products + i, _mm512_setzero_ps());
  }
  for (std::size_t k = 0; k < depth; k += kDepthBlock) {
    const std::size_t block = depth - k < kDepthBlock ? depth - k : kDepthBlock;
    for (std::size_t r = 0; r < kPanelRows; r += kRows) {
      add_products(rows + k * kPanelRows + r, columns + k * kPanelRows, block,
                   products + r * kPanelRows);
    }
  }
}

// Sums of two products of bytes must fit int16, and here two such sums: 4 * 127 * 63 < 2^15.
constexpr std::int32_t kLargestCode = 63;
constexpr std::size_t kGroup = 4;
constexpr std::size_t kGroupSize = kPanelRows * kGroup;
constexpr std::size_t kCodeRows = 16;

__attribute__((always_inline)) inline __m512i broadcast_group(const std::int8_t* from) {
  std::int32_t group;
  __builtin_memcpy(&group, from, sizeof group);
  return _mm512_set1_epi32(group);
}

/// 16 rows by 16 columns. One factor must be unsigned: the columns, as code + 64. What that adds is
/// taken off beforehand.
__attribute__((noinline)) void code_products_of(const std::int8_t* rows,
                                                const std::int32_t* code_sums,
                                                const std::int8_t* columns, std::size_t num_groups,
                                                std::int32_t* products) {
  const __m512i to_unsigned = _mm512_set1_epi8(64);
  const __m512i ones = _mm512_set1_epi16(1);
  __m512i sum[kCodeRows];
#pragma GCC unroll 16
  for (std::size_t r = 0; r < kCodeRows; ++r) {
    sum[r] = _mm512_set1_epi32(-64 * code_sums[r]);
  }
  std::size_t group = 0;
  for (; group + 2 <= num_groups; group += 2) {
    const std::int8_t* row = rows + group * kGroupSize;
    const std::int8_t* column = columns + group * kGroupSize;
    const __m512i first = _mm512_add_epi8(_mm512_loadu_si512(column), to_unsigned);
    const __m512i second = _mm512_add_epi8(_mm512_loadu_si512(column + kGroupSize), to_unsigned);
#pragma GCC unroll 16
    for (std::size_t r = 0; r < kCodeRows; ++r) {
      const __m512i product = _mm512_add_epi16(
          _mm512_maddubs_epi16(first, broadcast_group(row + r * kGroup)),
          _mm512_maddubs_epi16(second, broadcast_group(row + kGroupSize + r * kGroup)));
      sum[r] = _mm512_add_epi32(sum[r], _mm512_madd_epi16(product, ones));
    }
  }
  if (group < num_groups) {
    const __m512i last =
        _mm512_add_epi8(_mm512_loadu_si512(columns + group * kGroupSize), to_unsigned);
#pragma GCC unroll 16
    for (std::size_t r = 0; r < kCodeRows; ++r) {
      const __m512i value = broadcast_group(rows + group * kGroupSize + r * kGroup);
      const __m512i product = _mm512_maddubs_epi16(last, value);
      sum[r] = _mm512_add_epi32(sum[r], _mm512_madd_epi16(product, ones));
    }
  }
#pragma GCC unroll 16
  for (std::size_t r = 0; r < kCodeRows; ++r) {
    _mm512_storeu_si512(products + r * kPanelRows, sum[r]);
  }
}

void code_products(const std::int8_t* rows, const std::int32_t* code_sums,
                   const std::int8_t* columns, std::size_t depth, std::int32_t* products) {
  for (std::size_t c = 0; c < kPanelRows; c += 16) {
    for (std::size_t r = 0; r < kPanelRows; r += kCodeRows) {
      code_products_of(rows + r * kGroup, code_sums + r, columns + c * kGroup, depth / kGroup,
                       products + r * kPanelRows + c);
    }
  }
}

__attribute__((always_inline)) inline __mmask16 passes(const std::int32_t* products,
                                                       __m512 row_scale, __m512 row_offset,
                                                       __m512 row_threshold, __m512 scale,
                                                       __m512 offset, __m512 threshold) {
  const __m512 product = _mm512_cvtepi32_ps(_mm512_loadu_si512(products));
  const __m512 bound =
      _mm512_fmadd_ps(product, _mm512_mul_ps(row_scale, scale), _mm512_add_ps(row_offset, offset));
  return _mm512_cmp_ps_mask(bound, _mm512_min_ps(row_threshold, threshold), _CMP_GE_OQ);
}

std::size_t scan_codes(const std::int32_t* products, CodeBounds rows, CodeBounds columns,
                       const float* row_thresholds, const float* column_thresholds,
                       std::uint32_t* codes) {
  __m512 scale[3];
  __m512 offset[3];
  __m512 threshold[3];
#pragma GCC unroll 3
  for (std::size_t part = 0; part < 3; ++part) {
    scale[part] = _mm512_loadu_ps(columns.scales + 16 * part);
    offset[part] = _mm512_loadu_ps(columns.offsets + 16 * part);
    threshold[part] = _mm512_loadu_ps(column_thresholds + 16 * part);
  }
  std::size_t count = 0;
  for (std::size_t r = 0; r < kPanelRows; ++r) {
    const __m512 row_scale = _mm512_set1_ps(rows.scales[r]);
    const __m512 row_offset = _mm512_set1_ps(rows.offsets[r]);
    const __m512 row_threshold = _mm512_set1_ps(row_thresholds[r]);
    std::uint64_t hits = 0;
#pragma GCC unroll 3
    for (std::size_t part = 0; part < 3; ++part) {
      const __mmask16 passed = passes(products + r * kPanelRows + 16 * part, row_scale, row_offset,
                                      row_threshold, scale[part], offset[part], threshold[part]);
      hits |= static_cast<std::uint64_t>(passed) << (16 * part);
    }
    for (; hits != 0; hits &= hits - 1) {
      codes[count++] = static_cast<std::uint32_t>(r * kPanelRows) +
                       static_cast<std::uint32_t>(__builtin_ctzll(hits));
    }
  }
  return count;
}

/// Lanes l and l + 8, then l + 4, l + 2, l + 1.
__attribute__((always_inline)) inline double fold(__m512d low, __m512d high) {
  const __m512d eight = _mm512_add_pd(low, high);
  const __m256d four =
      _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

/// 16 values as float64, of which `mask` says which are there: zeros for the others.
struct Wide {
  __m512d low;
  __m512d high;
};

__attribute__((always_inline)) inline Wide widen(const float* from, __mmask16 mask) {
  const __m512 values = _mm512_maskz_loadu_ps(mask, from);
  return {_mm512_cvtps_pd(_mm512_castps512_ps256(values)),
          _mm512_cvtps_pd(_mm512_extractf32x8_ps(values, 1))};
}

/// Products are exact, so adding one is rounded once with or without a fused multiply-add.
template <std::size_t kCount>
__attribute__((always_inline)) inline void dots_of(const float* x, const float* const* others,
                                                   std::size_t depth, double* dots) {
  __m512d low[kCount];
  __m512d high[kCount];
#pragma GCC unroll 4
  for (std::size_t i = 0; i < kCount; ++i) {
    low[i] = _mm512_setzero_pd();
    high[i] = _mm512_setzero_pd();
  }
  for (std::size_t k = 0; k < depth; k += 16) {
    const auto mask = static_cast<__mmask16>(depth - k >= 16 ? 0xFFFFU : (1U << (depth - k)) - 1U);
    const Wide value = widen(x + k, mask);
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kCount; ++i) {
      const Wide other = widen(others[i] + k, mask);
      low[i] = _mm512_fmadd_pd(value.low, other.low, low[i]);
      high[i] = _mm512_fmadd_pd(value.high, other.high, high[i]);
    }
  }
#pragma GCC unroll 4
  for (std::size_t i = 0; i < kCount; ++i) {
    dots[i] = fold(low[i], high[i]);
  }
}

double exact_dot(const float* x, const float* y, std::size_t depth) {
  double dot;
  dots_of<1>(x, &y, depth, &dot);
  return dot;
}

void exact_dots(const float* x, const float* const* others, std::size_t depth, double* dots) {
  dots_of<kDotsAtOnce>(x, others, depth, dots);
}

void widen_halves(const std::uint16_t* halves, std::size_t count, float* values) {
  for (std::size_t i = 0; i < count; i += 16) {
    const auto mask = static_cast<__mmask16>(count - i >= 16 ? 0xFFFFU : (1U << (count - i)) - 1U);
    const __m256i sixteen = _mm256_maskz_loadu_epi16(mask, halves + i);
    _mm512_mask_storeu_ps(values + i, mask, _mm512_cvtph_ps(sixteen));
  }
}

}  // namespace

const KernelTable& avx512_kernels() {
  static constexpr KernelTable table{&tile_products, {{kGroup, kLargestCode}, &code_products},
                                     &scan_codes,    &kth_largest,
                                     &lower_steps,   &exact_dot,
                                     &exact_dots,    &code_dots,
                                     &widen_halves};
  return table;
}

}  // namespace ds2fast::simd
