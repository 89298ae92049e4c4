#include "knn/packed_rows.hpp"

#include <algorithm>
#include <vector>

namespace ds2fast::knn {

void pack_panel(const RowSource& rows, VectorView<const double> norms, const std::int32_t* members,
                std::size_t count, float* panel) {
  std::vector<float> buffer(rows.depth());
  std::fill_n(panel, simd::kPanelRows * rows.depth(), 0.0F);
  for (std::size_t r = 0; r < count; ++r) {
    const auto n = static_cast<std::size_t>(members[r]);
    const float* row = rows.read(n, buffer.data());
    const double inverse = 1.0 / norms[n];
    for (std::size_t k = 0; k < rows.depth(); ++k) {
      panel[k * simd::kPanelRows + r] = static_cast<float>(static_cast<double>(row[k]) * inverse);
    }
  }
}

PackedRows::PackedRows(const RowSource& rows, VectorView<const double> norms,
                       VectorView<const std::int32_t> members)
    : depth_(rows.depth()),
      num_panels_((members.size + simd::kPanelRows - 1) / simd::kPanelRows),
      values_(new float[num_panels_ * simd::kPanelRows * depth_]) {
  for (std::size_t index = 0; index < num_panels_; ++index) {
    const std::size_t first = index * simd::kPanelRows;
    pack_panel(rows, norms, members.data + first, std::min(simd::kPanelRows, members.size - first),
               values_.get() + index * simd::kPanelRows * depth_);
  }
}

}  // namespace ds2fast::knn
