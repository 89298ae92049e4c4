#include "knn/pair_filter.hpp"

#include <cmath>
#include <limits>

namespace ds2fast::knn {

void PairFilter::find(std::size_t row_panel, std::size_t column_panel, const float* row_thresholds,
                      const float* column_thresholds, Hits& hits) const {
  const simd::CodeBounds rows = quantised_.bounds(row_panel);
  const simd::CodeBounds columns = quantised_.bounds(column_panel);
  const float* row_slacks = quantised_.slacks(row_panel);
  const float* column_slacks = quantised_.slacks(column_panel);
  kernels_.codes.products(quantised_.panel(row_panel), quantised_.code_sums(row_panel),
                          quantised_.panel(column_panel), quantised_.depth(), hits.products.data());
  hits.count = kernels_.scan_codes(hits.products.data(), rows, columns, row_thresholds,
                                   column_thresholds, hits.codes.data());
  for (std::size_t i = 0; i < hits.count; ++i) {
    const std::size_t r = hits.codes[i] / simd::kPanelRows;
    const std::size_t c = hits.codes[i] % simd::kPanelRows;
    const float upper =
        static_cast<float>(hits.products[hits.codes[i]]) * (rows.scales[r] * columns.scales[c]) +
        (rows.offsets[r] + columns.offsets[c]);
    // What float32 rounds here lies within the slacks.
    hits.bounds[i] = {upper - 2.0F * (row_slacks[r] + column_slacks[c]), upper};
  }
}

}  // namespace ds2fast::knn
