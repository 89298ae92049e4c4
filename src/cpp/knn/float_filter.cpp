#include "knn/float_filter.hpp"

#include <array>
#include <cmath>
#include <limits>

namespace ds2fast::knn {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

using Thresholds = std::array<float, simd::kPanelRows>;

/// What a product must reach so that its upper bound, `margin` above it, may reach the threshold.
Thresholds lower_by(const float* thresholds, float margin) {
  Thresholds lowered;
  for (std::size_t i = 0; i < simd::kPanelRows; ++i) {
    lowered[i] = std::nextafter(thresholds[i] - margin, -kInfinity);
  }
  return lowered;
}

}  // namespace

FloatFilter::FloatFilter(const PackedRows& packed, const simd::KernelTable& kernels)
    : packed_(packed),
      kernels_(kernels),
      slack_(std::nextafter(static_cast<float>(0.5 * packed.error_bound()), kInfinity)) {}

void FloatFilter::find(std::size_t row_panel, std::size_t column_panel, const float* row_thresholds,
                       const float* column_thresholds, Hits& hits) const {
  const float margin = 2.0F * slack_;
  const Thresholds rows = lower_by(row_thresholds, margin);
  const Thresholds columns = lower_by(column_thresholds, margin);
  kernels_.tile_products(packed_.panel(row_panel), packed_.panel(column_panel), packed_.depth(),
                         hits.products.data());
  hits.count =
      kernels_.scan_tile(hits.products.data(), rows.data(), columns.data(), hits.codes.data());
  for (std::size_t i = 0; i < hits.count; ++i) {
    hits.uppers[i] = std::nextafter(hits.products[hits.codes[i]] + margin, kInfinity);
  }
}

}  // namespace ds2fast::knn
