#include "panels.hpp"

#include <algorithm>
#include <random>

namespace ds2fast::bench {
namespace {

constexpr std::size_t kPanelRows = simd::kPanelRows;
constexpr std::size_t kCacheBytes = std::size_t{1} << 19;  // second-level caches hold that or more

}  // namespace

Panels::Panels(const simd::CodeKernel& kernel, std::size_t depth, unsigned seed)
    : kernel_(kernel),
      depth_(depth),
      side_(std::max<std::size_t>(1, kCacheBytes / (2 * kPanelRows * depth))),
      codes_(2 * side_ * kPanelRows * depth),
      code_sums_(2 * side_ * kPanelRows),
      products_(simd::kTileSize) {
  std::mt19937 generator(seed);
  const auto range = static_cast<std::uint32_t>(2 * kernel.format.largest + 1);
  for (std::int8_t& code : codes_) {
    code = static_cast<std::int8_t>(static_cast<std::int32_t>(generator() % range) -
                                    kernel.format.largest);
  }
  for (std::size_t row = 0; row < code_sums_.size(); ++row) {
    const std::int8_t* codes = panel(row / kPanelRows);
    for (std::size_t k = 0; k < depth_; ++k) {
      code_sums_[row] += codes[place(row % kPanelRows, k)];
    }
  }
}

std::size_t Panels::place(std::size_t row, std::size_t k) const {
  const std::size_t group = kernel_.format.group;
  return k / group * kPanelRows * group + row * group + k % group;
}

void Panels::multiply(std::size_t row_panel, std::size_t column_panel) {
  kernel_.products(panel(row_panel), code_sums_.data() + row_panel * kPanelRows,
                   panel(column_panel), depth_, products_.data());
}

void Panels::multiply() {
  for (std::size_t row_panel = 0; row_panel < side_; ++row_panel) {
    for (std::size_t column_panel = side_; column_panel < 2 * side_; ++column_panel) {
      multiply(row_panel, column_panel);
    }
  }
}

std::int64_t Panels::plain_product(std::size_t row_panel, std::size_t r, std::size_t column_panel,
                                   std::size_t c) const {
  std::int64_t sum = 0;
  for (std::size_t k = 0; k < depth_; ++k) {
    sum += std::int64_t{panel(row_panel)[place(r, k)]} * panel(column_panel)[place(c, k)];
  }
  return sum;
}

bool Panels::are_right() {
  const std::size_t step = std::max<std::size_t>(1, (side_ - 1) / 2);
  for (std::size_t row_panel = 0; row_panel < side_; row_panel += step) {
    const std::size_t column_panel = side_ + row_panel;
    multiply(row_panel, column_panel);
    for (std::size_t i = 0; i < simd::kTileSize; ++i) {
      if (products_[i] != plain_product(row_panel, i / kPanelRows, column_panel, i % kPanelRows)) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace ds2fast::bench
