#pragma once

#include <cstddef>
#include <cstdint>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"

namespace ds2fast::neighbours {

/// From this cosine on two rows are copies of each other.
constexpr double kCopySimilarity = 0.999;
/// Neighbours whose similarities to a row differ by no more are copies of each other.
constexpr double kSameSimilarity = 1e-6;

/// The independent neighbours of every row, and which rows repeat an earlier one.
///
/// Layout: `ids` (N, width) int32, nearest first, -1 after the last; `similarities` (N, width)
/// float32, 0 there; `is_copy` (N), 1 where the row's list holds a rated copy of smaller row
/// number. All are overwritten.
struct IndependentNeighbours {
  MatrixView<std::int32_t> ids;
  MatrixView<float> similarities;
  VectorView<std::uint8_t> is_copy;
};

/// Keeps of every row's neighbours (`indices`, `similarities`: (N, k), nearest first) those that
/// are rated, no copy of the row, and no copy of the one kept before: a rater gives copies the same
/// mistake, which looks like agreement. `levels` (N), -1 for unrated; a row need not be rated to
/// have neighbours. Comparisons are of float64 differences, which are exact for near float32
/// values. Rows are independent of each other, so threads do not change the result.
void find_independent(VectorView<const std::int8_t> levels, MatrixView<const std::int32_t> indices,
                      MatrixView<const float> similarities, const IndependentNeighbours& out,
                      std::size_t num_threads, Monitor& monitor);

}  // namespace ds2fast::neighbours
