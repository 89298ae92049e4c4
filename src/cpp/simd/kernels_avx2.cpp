// Kernels for AVX2 with FMA. No library code beyond intrinsics: what is inlined here must not be
// shared.

#include <immintrin.h>

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

std::size_t scan_tile(const float* products, const float* row_thresholds,
                      const float* column_thresholds, std::uint32_t* codes) {
  std::size_t count = 0;
  for (std::size_t r = 0; r < kPanelRows; ++r) {
    const float* line = products + r * kPanelRows;
    const __m256 row_threshold = _mm256_broadcast_ss(row_thresholds + r);
    std::uint64_t hits = 0;
#pragma GCC unroll 6
    for (std::size_t c = 0; c < kPanelRows; c += 8) {
      const __m256 value = _mm256_loadu_ps(line + c);
      const __m256 column_threshold = _mm256_loadu_ps(column_thresholds + c);
      const __m256 passed = _mm256_or_ps(_mm256_cmp_ps(value, row_threshold, _CMP_GE_OQ),
                                         _mm256_cmp_ps(value, column_threshold, _CMP_GE_OQ));
      hits |= static_cast<std::uint64_t>(static_cast<unsigned>(_mm256_movemask_ps(passed))) << c;
    }
    for (; hits != 0; hits &= hits - 1) {
      codes[count++] = static_cast<std::uint32_t>(r * kPanelRows) +
                       static_cast<std::uint32_t>(__builtin_ctzll(hits));
    }
  }
  return count;
}

__m256d widen(const float* from) {
  return _mm256_cvtps_pd(_mm_loadu_ps(from));
}

double exact_dot(const float* x, const float* y, std::size_t depth) {
  __m256d sum[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(),
                    _mm256_setzero_pd()};
  std::size_t k = 0;
  for (; k + 16 <= depth; k += 16) {
#pragma GCC unroll 4
    for (std::size_t part = 0; part < 4; ++part) {
      const std::size_t at = k + 4 * part;
      sum[part] = _mm256_fmadd_pd(widen(x + at), widen(y + at), sum[part]);
    }
  }
  alignas(32) double lanes[16];
  for (std::size_t part = 0; part < 4; ++part) {
    _mm256_store_pd(lanes + 4 * part, sum[part]);
  }
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

const KernelTable& avx2_kernels() {
  static constexpr KernelTable table{&tile_products, &scan_tile, &exact_dot};
  return table;
}

}  // namespace ds2fast::simd
