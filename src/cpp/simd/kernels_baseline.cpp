// Kernels for the target's baseline: SSE2 on x86-64, NEON on arm64. The compiler's vector types
// give both.

#include "simd/kernel_table.hpp"

namespace ds2fast::simd {
namespace {

using Float4 = float __attribute__((vector_size(16)));

constexpr std::size_t kRows = 4;
constexpr std::size_t kColumns = 8;
// Values of the panels that a pass over the tile keeps in the first-level cache: 2 * 48 * 128
// floats.
constexpr std::size_t kDepthBlock = 128;

Float4 load(const float* from) {
  Float4 value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}

void store(float* to, Float4 value) {
  __builtin_memcpy(to, &value, sizeof value);
}

void add_products(const float* rows, const float* columns, std::size_t depth, float* products) {
  Float4 sum[kRows][2];
  for (std::size_t r = 0; r < kRows; ++r) {
    sum[r][0] = load(products + r * kPanelRows);
    sum[r][1] = load(products + r * kPanelRows + 4);
  }
  for (std::size_t k = 0; k < depth; ++k) {
    const Float4 low = load(columns + k * kPanelRows);
    const Float4 high = load(columns + k * kPanelRows + 4);
    for (std::size_t r = 0; r < kRows; ++r) {
      const float value = rows[k * kPanelRows + r];
      sum[r][0] += value * low;
      sum[r][1] += value * high;
    }
  }
  for (std::size_t r = 0; r < kRows; ++r) {
    store(products + r * kPanelRows, sum[r][0]);
    store(products + r * kPanelRows + 4, sum[r][1]);
  }
}

void tile_products(const float* rows, const float* columns, std::size_t depth, float* products) {
  for (std::size_t i = 0; i < kTileSize; ++i) {
    products[i] = 0.0F;
  }
  for (std::size_t k = 0; k < depth; k += kDepthBlock) {
    const std::size_t block = depth - k < kDepthBlock ? depth - k : kDepthBlock;
    const float* block_rows = rows + k * kPanelRows;
    const float* block_columns = columns + k * kPanelRows;
    for (std::size_t r = 0; r < kPanelRows; r += kRows) {
      for (std::size_t c = 0; c < kPanelRows; c += kColumns) {
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
    const float threshold = row_thresholds[r];
    for (std::size_t c = 0; c < kPanelRows; ++c) {
      codes[count] = static_cast<std::uint32_t>(r * kPanelRows + c);
      count += static_cast<std::size_t>((line[c] >= threshold) | (line[c] >= column_thresholds[c]));
    }
  }
  return count;
}

double exact_dot(const float* x, const float* y, std::size_t depth) {
  double lanes[16] = {};
  std::size_t k = 0;
  for (; k + 16 <= depth; k += 16) {
    for (std::size_t lane = 0; lane < 16; ++lane) {
      lanes[lane] += static_cast<double>(x[k + lane]) * static_cast<double>(y[k + lane]);
    }
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

const KernelTable& baseline_kernels() {
  static constexpr KernelTable table{&tile_products, &scan_tile, &exact_dot};
  return table;
}

}  // namespace ds2fast::simd
