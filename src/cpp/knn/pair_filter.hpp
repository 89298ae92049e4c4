#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "knn/quantised_rows.hpp"
#include "simd/kernel_table.hpp"

namespace ds2fast::knn {

/// What is known of a cosine.
struct Bounds {
  float lower;
  float upper;
};

/// The pairs of two panels that passed, and bounds of their cosines. One worker's own.
struct Hits {
  std::size_t count = 0;
  std::array<std::uint32_t, simd::kTileSize> codes;  ///< row * 48 + column
  std::array<Bounds, simd::kTileSize> bounds;        ///< of the pair of that code
  alignas(64) std::array<std::int32_t, simd::kTileSize> products;
};

/// Finds the pairs of two panels that may matter by int8 products, with bounds that always hold.
class PairFilter {
 public:
  explicit PairFilter(const QuantisedRows& quantised, const simd::KernelTable& kernels)
      : quantised_(quantised), kernels_(kernels) {}

  /// Pairs whose upper bound reaches the row's or the column's threshold; 48 thresholds each.
  void find(std::size_t row_panel, std::size_t column_panel, const float* row_thresholds,
            const float* column_thresholds, Hits& hits) const;

 private:
  const QuantisedRows& quantised_;
  const simd::KernelTable& kernels_;
};

}  // namespace ds2fast::knn
