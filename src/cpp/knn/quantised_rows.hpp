#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/aligned_array.hpp"
#include "core/matrix_view.hpp"
#include "core/monitor.hpp"
#include "knn/row_source.hpp"

namespace ds2fast::knn {

/// Unit rows, in the order given, minus their mean as int8 codes with a scale each, in panels as
/// simd::CodeProducts reads them, and what it takes to bound a cosine by a product of codes.
///
/// The offset of a row is its b_x + slack (CodeErrors), so that bounds are upper ones.
class QuantisedRows {
 public:
  QuantisedRows(const RowSource& rows, VectorView<const double> norms,
                VectorView<const std::int32_t> order, std::size_t num_threads, Monitor& monitor);

  std::size_t depth() const { return depth_; }
  const std::int8_t* panel(std::size_t index) const {
    return codes_.data() + index * simd::kPanelRows * depth_;
  }
  const std::int32_t* code_sums(std::size_t panel) const {
    return code_sums_.data() + panel * simd::kPanelRows;
  }
  simd::CodeBounds bounds(std::size_t panel) const {
    return {scales_.data() + panel * simd::kPanelRows, offsets_.data() + panel * simd::kPanelRows};
  }
  /// Of the rows of a panel.
  const float* slacks(std::size_t panel) const { return slacks_.data() + panel * simd::kPanelRows; }

 private:
  std::size_t depth_;  ///< of the codes: that of the rows, rounded up to whole groups
  AlignedArray<std::int8_t> codes_;
  std::vector<std::int32_t> code_sums_;
  std::vector<float> scales_;
  std::vector<float> offsets_;
  std::vector<float> slacks_;
};

}  // namespace ds2fast::knn
