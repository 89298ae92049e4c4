#include "knn/packed_rows.hpp"

#include <algorithm>
#include <cmath>

#include "core/parallel_for.hpp"

namespace ds2fast::knn {

void row_norms(MatrixView<const float> rows, std::size_t num_threads,
               const simd::KernelTable& kernels, Monitor& monitor, VectorView<double> norms) {
  constexpr std::size_t kChunk = 1024;
  parallel_chunks(rows.rows, kChunk, num_threads, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t) {
                    for (std::size_t n = begin; n < end; ++n) {
                      const float* row = rows.row(n);
                      norms[n] = std::sqrt(kernels.exact_dot(row, row, rows.cols));
                    }
                  });
}

void pack_panel(MatrixView<const float> rows, VectorView<const double> norms,
                const std::int32_t* members, std::size_t count, float* panel) {
  std::fill_n(panel, simd::kPanelRows * rows.cols, 0.0F);
  for (std::size_t r = 0; r < count; ++r) {
    const auto n = static_cast<std::size_t>(members[r]);
    const float* row = rows.row(n);
    const double norm = norms[n];
    for (std::size_t k = 0; k < rows.cols; ++k) {
      panel[k * simd::kPanelRows + r] = static_cast<float>(static_cast<double>(row[k]) / norm);
    }
  }
}

PackedRows::PackedRows(MatrixView<const float> rows, VectorView<const double> norms,
                       VectorView<const std::int32_t> order, std::size_t num_threads,
                       Monitor& monitor)
    : depth_(rows.cols),
      num_panels_((order.size + simd::kPanelRows - 1) / simd::kPanelRows),
      values_(new float[num_panels_ * simd::kPanelRows * depth_]) {
  parallel_for(num_panels_, num_threads, monitor, [&](std::size_t index, std::size_t) {
    const std::size_t first = index * simd::kPanelRows;
    const std::size_t count = std::min(simd::kPanelRows, order.size - first);
    pack_panel(rows, norms, order.data + first, count,
               values_.get() + index * simd::kPanelRows * depth_);
  });
}

double PackedRows::error_bound() const {
  // u = 2^-24. The float32 sum: depth * u / (1 - depth * u) times the norms of the packed rows;
  // packing rounds each value by at most u of itself, twice a product: 2u; the float64 norm and dot
  // add less than 2^-40, and underflow less than depth * 2^-125. Two more u cover these, and what
  // the norms, up to 1 + u, add to the sum's part, which is at most 2^-8 for a depth up to 2^16.
  const double unit = std::ldexp(1.0, -24);
  const auto depth = static_cast<double>(depth_);
  return (depth / (1.0 - depth * unit) + 4.0) * unit;
}

}  // namespace ds2fast::knn
