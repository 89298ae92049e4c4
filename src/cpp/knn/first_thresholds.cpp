#include "knn/first_thresholds.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/parallel_for.hpp"
#include "core/round_up.hpp"
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

  /// Of row panel p and column panel q, from column `first_column` on.
  void fill(std::size_t p, std::size_t q, std::size_t first_column) {
    kernels_.codes.products(quantised_.panel(p), quantised_.code_sums(p), quantised_.panel(q),
                            quantised_.depth(), products_.data());
    const simd::CodeBounds rows = quantised_.bounds(p);
    const simd::CodeBounds columns = quantised_.bounds(q);
    float row_offsets[simd::kPanelRows];
    float column_offsets[simd::kPanelRows];
    for (std::size_t i = 0; i < simd::kPanelRows; ++i) {
      // What float32 rounds here lies within the slacks.
      row_offsets[i] = rows.offsets[i] - 2.0F * quantised_.slacks(p)[i];
      column_offsets[i] = columns.offsets[i] - 2.0F * quantised_.slacks(q)[i];
    }
    kernels_.lower_steps(products_.data(), {rows.scales, row_offsets},
                         {columns.scales, column_offsets}, num_columns_,
                         steps_.data() + first_column);
  }

  std::int16_t kth_largest(std::size_t r, std::size_t k) const {
    return kernels_.kth_largest(steps_.data() + r * num_columns_, num_columns_, k);
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

/// Does the rows of panels `among` by what they are to those of panels `others`.
void raise_among(PanelRange among, PanelRange others, std::size_t k, LowerBounds& lowers,
                 Reservoirs& reservoirs) {
  const std::size_t first_place = others.begin * simd::kPanelRows;
  const std::size_t last_place = others.end * simd::kPanelRows;
  for (std::size_t p = among.begin; p < among.end; ++p) {
    for (std::size_t q = others.begin; q < others.end; ++q) {
      lowers.fill(p, q, q * simd::kPanelRows - first_place);
    }
    const std::size_t first_row = p * simd::kPanelRows;
    for (std::size_t r = 0; r < simd::kPanelRows && reservoirs.is_row(first_row + r); ++r) {
      for (std::size_t place = first_place; place < last_place; ++place) {
        if (place == first_row + r || !reservoirs.is_row(place)) {
          lowers.leave_out(r, place - first_place);
        }
      }
      const std::int16_t kth = lowers.kth_largest(r, k);
      if (kth != kLeastStep) {
        reservoirs.raise_threshold(first_row + r, step_value(kth));
      }
    }
  }
}

// Most of the rows around one leader; more where k asks for them.
std::size_t panels_around(std::size_t k) {
  return std::clamp<std::size_t>(4 * k / simd::kPanelRows, 8, 64);
}

/// As many panels of a side as are looked at, around the same share of it as `begin` is of `size`.
PanelRange counterpart(std::size_t begin, std::size_t size, PanelRange side, std::size_t wanted) {
  const std::size_t count = std::min(wanted, side.size());
  const std::size_t first = std::min(begin * side.size() / size, side.size() - count);
  return {side.begin + first, side.begin + first + count};
}

}  // namespace

void raise_first_thresholds(const QuantisedRows& quantised, const simd::KernelTable& kernels,
                            std::size_t k, std::size_t num_threads, Monitor& monitor,
                            Reservoirs& reservoirs) {
  const std::size_t num_panels =
      round_up_to(reservoirs.num_rows(), simd::kPanelRows) / simd::kPanelRows;
  parallel_chunks(num_panels, panels_around(k), num_threads, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t) {
                    LowerBounds lowers(quantised, kernels, (end - begin) * simd::kPanelRows);
                    raise_among({begin, end}, {begin, end}, k, lowers, reservoirs);
                  });
}

void raise_thresholds_across(const QuantisedRows& quantised, const simd::KernelTable& kernels,
                             std::size_t k, std::size_t num_threads, Monitor& monitor,
                             PanelRange among, PanelRange others, Reservoirs& reservoirs) {
  const std::size_t around = panels_around(k);
  parallel_chunks(among.size(), around, num_threads, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t) {
                    const PanelRange near = counterpart(begin, among.size(), others, around);
                    LowerBounds lowers(quantised, kernels, near.size() * simd::kPanelRows);
                    raise_among({among.begin + begin, among.begin + end}, near, k, lowers,
                                reservoirs);
                  });
}

}  // namespace ds2fast::knn
