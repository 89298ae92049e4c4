#pragma once

#include "knn/packed_rows.hpp"
#include "knn/pair_filter.hpp"

namespace ds2fast::knn {

/// float32 products of packed rows; the same slack for all rows.
class FloatFilter final : public PairFilter {
 public:
  FloatFilter(const PackedRows& packed, const simd::KernelTable& kernels);

  void find(std::size_t row_panel, std::size_t column_panel, const float* row_thresholds,
            const float* column_thresholds, Hits& hits) const override;
  float slack(std::size_t /*row*/) const override { return slack_; }

 private:
  const PackedRows& packed_;
  const simd::KernelTable& kernels_;
  float slack_;
};

}  // namespace ds2fast::knn
