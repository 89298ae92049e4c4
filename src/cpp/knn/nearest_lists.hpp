#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"

namespace ds2fast::knn {

/// The nearest of n rows as far as they are known: ids (n, k) and similarities (n, k), best first,
/// ties by the smaller id; kNobody and kNowhere where there are fewer than k. Owns nothing.
template <typename Id, typename Similarity>
struct NearestListsOf {
  MatrixView<Id> ids;
  MatrixView<Similarity> similarities;

  std::size_t num_rows() const { return ids.rows; }
  std::size_t k() const { return ids.cols; }
};

using NearestLists = NearestListsOf<std::int32_t, double>;
using ConstNearestLists = NearestListsOf<const std::int32_t, const double>;

constexpr std::int32_t kNobody = -1;
constexpr double kNowhere = -std::numeric_limits<double>::infinity();

/// Leaves nobody in a row's list from `place` on.
void end_list(const NearestLists& lists, std::size_t row, std::size_t place);

/// The k best of two lists of each row; a neighbour that is in both counts once. All are of one
/// shape; `merged` may be one of them.
void merge_lists(const ConstNearestLists& x, const ConstNearestLists& y, std::size_t num_threads,
                 Monitor& monitor, const NearestLists& merged);

}  // namespace ds2fast::knn
