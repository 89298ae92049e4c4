// Kernels for AVX-512 (F, BW, DQ, VL). No library code beyond intrinsics, as in every unit.

#include <immintrin.h>

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

std::size_t scan_tile(const float* products, const float* row_thresholds,
                      const float* column_thresholds, std::uint32_t* codes) {
  const __m512 first_column = _mm512_loadu_ps(column_thresholds);
  const __m512 second_column = _mm512_loadu_ps(column_thresholds + 16);
  const __m512 third_column = _mm512_loadu_ps(column_thresholds + 32);
  std::size_t count = 0;
  for (std::size_t r = 0; r < kPanelRows; ++r) {
    const float* line = products + r * kPanelRows;
    // A product passes if it reaches the lower one of its two thresholds.
    const __m512 row_threshold = _mm512_set1_ps(row_thresholds[r]);
    const __mmask16 first = _mm512_cmp_ps_mask(
        _mm512_loadu_ps(line), _mm512_min_ps(row_threshold, first_column), _CMP_GE_OQ);
    const __mmask16 second = _mm512_cmp_ps_mask(
        _mm512_loadu_ps(line + 16), _mm512_min_ps(row_threshold, second_column), _CMP_GE_OQ);
    const __mmask16 third = _mm512_cmp_ps_mask(
        _mm512_loadu_ps(line + 32), _mm512_min_ps(row_threshold, third_column), _CMP_GE_OQ);
    std::uint64_t hits = static_cast<std::uint64_t>(first) |
                         static_cast<std::uint64_t>(second) << 16 |
                         static_cast<std::uint64_t>(third) << 32;
    for (; hits != 0; hits &= hits - 1) {
      codes[count++] = static_cast<std::uint32_t>(r * kPanelRows) +
                       static_cast<std::uint32_t>(__builtin_ctzll(hits));
    }
  }
  return count;
}

double exact_dot(const float* x, const float* y, std::size_t depth) {
  __m512d low = _mm512_setzero_pd();
  __m512d high = _mm512_setzero_pd();
  std::size_t k = 0;
  for (; k + 16 <= depth; k += 16) {
    low = _mm512_fmadd_pd(_mm512_cvtps_pd(_mm256_loadu_ps(x + k)),
                          _mm512_cvtps_pd(_mm256_loadu_ps(y + k)), low);
    high = _mm512_fmadd_pd(_mm512_cvtps_pd(_mm256_loadu_ps(x + k + 8)),
                           _mm512_cvtps_pd(_mm256_loadu_ps(y + k + 8)), high);
  }
  alignas(64) double lanes[16];
  _mm512_store_pd(lanes, low);
  _mm512_store_pd(lanes + 8, high);
  for (std::size_t lane = 0; k + lane < depth; ++lane) {
    lanes[lane] += static_cast<double>(x[k + lane]) * static_cast<double>(y[k + lane]);
  }
  for (std::size_t width = 8; width > 0; width /= 2) {
    for (std::size_t lane = 0; lane < width; ++lane) {
      lanes[lane] += lanes[lane + width];
    }
  }
  return lanes[0];
}

}  // namespace

const KernelTable& avx512_kernels() {
  static constexpr KernelTable table{&tile_products, &scan_tile, &exact_dot};
  return table;
}

}  // namespace ds2fast::simd
