#include "knn/first_thresholds.hpp"

#include <cstdint>
#include <vector>

#include "core/parallel_for.hpp"
#include "knn/bound_steps.hpp"

namespace ds2fast::knn {
namespace {

/// Lower bounds of the cosines of a panel's rows and all rows of a block.
class LowerBounds {
 public:
  LowerBounds(const QuantisedRows& quantised, const simd::KernelTable& kernels,
              std::size_t num_columns)
      : quantised_(quantised),
        kernels_(kernels),
        num_columns_(num_columns),
        products_(simd::kTileSize),
        steps_(simd::kPanelRows * num_columns) {}

  const std::int16_t* row(std::size_t r) const { return steps_.data() + r * num_columns_; }

  /// Of row panel p and column panel q, from column `first_column` on.
  void fill(std::size_t p, std::size_t q, std::size_t first_column) {
    kernels_.codes.products(quantised_.panel(p), quantised_.code_sums(p), quantised_.panel(q),
                            quantised_.depth(), products_.data());
    const simd::CodeBounds rows = quantised_.bounds(p);
    const simd::CodeBounds columns = quantised_.bounds(q);
    const float* row_slacks = quantised_.slacks(p);
    const float* column_slacks = quantised_.slacks(q);
    for (std::size_t r = 0; r < simd::kPanelRows; ++r) {
      const std::int32_t* products = products_.data() + r * simd::kPanelRows;
      std::int16_t* steps = steps_.data() + r * num_columns_ + first_column;
      const float row_offset = rows.offsets[r] - 2.0F * row_slacks[r];
      for (std::size_t c = 0; c < simd::kPanelRows; ++c) {
        const float offset = columns.offsets[c] - 2.0F * column_slacks[c];
        // The slacks hold more than what these operations round.
        steps[c] =
            step_below(static_cast<float>(products[c]) * (rows.scales[r] * columns.scales[c]) +
                       (row_offset + offset));
      }
    }
  }

  void leave_out(std::size_t r, std::size_t column) {
    steps_[r * num_columns_ + column] = kLeastStep;
  }

 private:
  const QuantisedRows& quantised_;
  const simd::KernelTable& kernels_;
  std::size_t num_columns_;
  std::vector<std::int32_t> products_;
  std::vector<std::int16_t> steps_;
};

/// Does the rows of panels [begin, end) by what they are to each other.
void raise_among(std::size_t begin, std::size_t end, std::size_t k, LowerBounds& lowers,
                 Reservoirs& reservoirs) {
  const std::size_t first_place = begin * simd::kPanelRows;
  const std::size_t last_place = end * simd::kPanelRows;
  for (std::size_t p = begin; p < end; ++p) {
    for (std::size_t q = begin; q < end; ++q) {
      lowers.fill(p, q, q * simd::kPanelRows - first_place);
    }
    const std::size_t first_row = p * simd::kPanelRows;
    for (std::size_t r = 0; r < simd::kPanelRows && first_row + r < reservoirs.num_rows(); ++r) {
      lowers.leave_out(r, first_row + r - first_place);
      for (std::size_t place = reservoirs.num_rows(); place < last_place; ++place) {
        lowers.leave_out(r, place - first_place);  // it only fills up the last panel
      }
      const std::int16_t kth = kth_largest(lowers.row(r), last_place - first_place, k);
      if (kth != kLeastStep) {
        reservoirs.raise_threshold(first_row + r, step_value(kth));
      }
    }
  }
}

}  // namespace

void raise_first_thresholds(const QuantisedRows& quantised, const simd::KernelTable& kernels,
                            std::size_t k, std::size_t num_threads, Monitor& monitor,
                            Reservoirs& reservoirs) {
  constexpr std::size_t kPanels = 8;  // 768 rows: some more than lie around one leader
  const std::size_t num_panels = (reservoirs.num_rows() + simd::kPanelRows - 1) / simd::kPanelRows;
  parallel_chunks(num_panels, kPanels, num_threads, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t) {
                    LowerBounds lowers(quantised, kernels, (end - begin) * simd::kPanelRows);
                    raise_among(begin, end, k, lowers, reservoirs);
                  });
}

}  // namespace ds2fast::knn
