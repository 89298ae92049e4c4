#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/matrix_view.hpp"
#include "knn/row_source.hpp"

namespace ds2fast::knn {

/// Writes 48 rows, scaled to norm 1 (each value rounded once to float32), as a panel for
/// simd::TileProducts: rows members[0], members[1], ...; zero rows fill up what `count` leaves.
void pack_panel(const RowSource& rows, VectorView<const double> norms, const std::int32_t* members,
                std::size_t count, float* panel);

/// Some of the rows in panels, as pack_panel() makes them.
class PackedRows {
 public:
  PackedRows(const RowSource& rows, VectorView<const double> norms,
             VectorView<const std::int32_t> members);

  const float* panel(std::size_t index) const {
    return values_.get() + index * simd::kPanelRows * depth_;
  }
  std::size_t num_panels() const { return num_panels_; }

 private:
  std::size_t depth_;
  std::size_t num_panels_;
  std::unique_ptr<float[]> values_;
};

}  // namespace ds2fast::knn
