#pragma once

#include "knn/pair_filter.hpp"
#include "knn/quantised_rows.hpp"

namespace ds2fast::knn {

/// int8 products of quantised rows, four times the speed of float32 where the processor has them.
class CodeFilter final : public PairFilter {
 public:
  CodeFilter(const QuantisedRows& quantised, const simd::KernelTable& kernels)
      : quantised_(quantised), kernels_(kernels) {}

  void find(std::size_t row_panel, std::size_t column_panel, const float* row_thresholds,
            const float* column_thresholds, Hits& hits) const override;
  float slack(std::size_t row) const override { return quantised_.slack(row); }

 private:
  const QuantisedRows& quantised_;
  const simd::KernelTable& kernels_;
};

}  // namespace ds2fast::knn
