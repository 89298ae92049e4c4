#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "simd/kernel_table.hpp"

namespace ds2fast::knn {

/// The pairs of two panels that passed, and upper bounds of their cosines. One worker's own.
struct Hits {
  std::size_t count = 0;
  std::array<std::uint32_t, simd::kTileSize> codes;  ///< row * 48 + column
  std::array<float, simd::kTileSize> uppers;         ///< of the pair of that code
  alignas(64) std::array<float, simd::kTileSize> products;
  alignas(64) std::array<std::int32_t, simd::kTileSize> code_products;
};

/// Approximates cosines of all pairs of two panels, with a bound that always holds: a cosine lies
/// within [upper - 2 (slack of the one + slack of the other), upper].
class PairFilter {
 public:
  PairFilter() = default;
  PairFilter(const PairFilter&) = delete;
  PairFilter& operator=(const PairFilter&) = delete;
  virtual ~PairFilter() = default;

  /// Pairs whose upper bound reaches the row's or the column's threshold; 48 thresholds each.
  virtual void find(std::size_t row_panel, std::size_t column_panel, const float* row_thresholds,
                    const float* column_thresholds, Hits& hits) const = 0;

  virtual float slack(std::size_t row) const = 0;
};

}  // namespace ds2fast::knn
