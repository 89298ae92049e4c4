#pragma once

#include <cstddef>
#include <cstdint>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"
#include "knn/nearest_lists.hpp"
#include "knn/row_source.hpp"

namespace ds2fast::knn {

/// A block of a pool's rows, and where their nearest go.
struct RowBlock {
  const RowSource& rows;           ///< (n, d), in one piece
  VectorView<const double> norms;  ///< (n,) from row_norms()
  std::int32_t first_id;           ///< in the pool, of the block's first row
  NearestLists nearest;            ///< (n, k) ids of the pool, and similarities
};

/// The k nearest of each row of a block among the block's other rows; fewer where it has fewer.
///
/// The lists of all pairs of a pool's blocks, merged, are the pool's exact graph: similarities are
/// the float64 values that exact_search() ranks by.
void search_within(const RowBlock& block, std::size_t num_threads, Monitor& monitor);

/// The k nearest of each row of one block among the rows of another, in both directions: each pair
/// is multiplied once. The blocks have no row in common, and both lists the same k.
///
/// A row's floor is a similarity below which it needs no neighbour, such as that of the k-th one
/// that is known from elsewhere: its list ends before the first that is less similar. Floors are
/// (n,) or empty. The tighter they are, the fewer pairs are left to float64.
/// Memory beyond rows, norms and results, for n rows in both together: at most n (d + 32 k + 112)
/// bytes (d rounded up to whole groups of codes), some 200 d bytes a thread and some megabytes.
void search_between(const RowBlock& left, VectorView<const double> left_floors,
                    const RowBlock& right, VectorView<const double> right_floors,
                    std::size_t num_threads, Monitor& monitor);

}  // namespace ds2fast::knn
