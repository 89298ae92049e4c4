#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"
#include "simd/kernel_table.hpp"

namespace ds2fast::knn {

/// Euclidean norms of the rows in float64, by simd::ExactDot: the same bits at every level. A row
/// that holds NaN or infinity gets a norm that is not finite, a zero row 0.
void row_norms(MatrixView<const float> rows, std::size_t num_threads,
               const simd::KernelTable& kernels, Monitor& monitor, VectorView<double> norms);

/// Writes 48 rows, scaled to norm 1 (each value rounded once to float32), as a panel for
/// simd::TileProducts: rows members[0], members[1], ...; zero rows fill up what `count` leaves.
void pack_panel(MatrixView<const float> rows, VectorView<const double> norms,
                const std::int32_t* members, std::size_t count, float* panel);

/// The rows, in the order given, scaled to norm 1 (each value rounded once to float32) in panels of
/// 48, as simd::TileProducts reads them; the last panel is filled up with zero rows.
class PackedRows {
 public:
  PackedRows(MatrixView<const float> rows, VectorView<const double> norms,
             VectorView<const std::int32_t> order, std::size_t num_threads, Monitor& monitor);

  const float* panel(std::size_t index) const {
    return values_.get() + index * simd::kPanelRows * depth_;
  }
  std::size_t num_panels() const { return num_panels_; }
  std::size_t depth() const { return depth_; }

  /// No product of two packed rows by simd::TileProducts is farther than this from the cosine of
  /// the rows.
  double error_bound() const;

 private:
  std::size_t depth_;
  std::size_t num_panels_;
  std::unique_ptr<float[]> values_;  // each panel is set by the task that packs it
};

}  // namespace ds2fast::knn
