#include "knn/code_filter.hpp"

namespace ds2fast::knn {

void CodeFilter::find(std::size_t row_panel, std::size_t column_panel, const float* row_thresholds,
                      const float* column_thresholds, Hits& hits) const {
  const simd::CodeBounds rows = quantised_.bounds(row_panel);
  const simd::CodeBounds columns = quantised_.bounds(column_panel);
  kernels_.code_products(quantised_.panel(row_panel), quantised_.code_sums(row_panel),
                         quantised_.panel(column_panel), quantised_.depth(),
                         hits.code_products.data());
  hits.count = kernels_.scan_codes(hits.code_products.data(), rows, columns, row_thresholds,
                                   column_thresholds, hits.codes.data());
  for (std::size_t i = 0; i < hits.count; ++i) {
    const std::size_t r = hits.codes[i] / simd::kPanelRows;
    const std::size_t c = hits.codes[i] % simd::kPanelRows;
    hits.uppers[i] = static_cast<float>(hits.code_products[hits.codes[i]]) *
                         (rows.scales[r] * columns.scales[c]) +
                     (rows.offsets[r] + columns.offsets[c]);
  }
}

}  // namespace ds2fast::knn
