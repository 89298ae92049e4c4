#pragma once

#include <cstddef>
#include <cstdint>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"

namespace ds2fast::transition {

/// Counts the scores of (a row, its 1st, its 2nd rated neighbour) over the rows that have all
/// three. An unrated neighbour is skipped and the next rated one takes its place. The orders 2 and
/// 1 of the method are the sums of this table over its last and its last two views.
///
/// Layout: `levels` (N) has values in [-1, num_levels), -1 for unrated; `indices` (N, k) row
/// numbers in [0, N); `counts` (K, K, K) row-major, overwritten. Integers, so threads do not change
/// the result.
void count_agreement(VectorView<const std::int8_t> levels, MatrixView<const std::int32_t> indices,
                     std::size_t num_levels, VectorView<std::int64_t> counts,
                     std::size_t num_threads, Monitor& monitor);

}  // namespace ds2fast::transition
