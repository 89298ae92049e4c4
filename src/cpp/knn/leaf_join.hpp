#pragma once

#include <cstddef>
#include <cstdint>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"
#include "knn/code_rows.hpp"
#include "knn/neighbour_lists.hpp"

namespace ds2fast::knn {

/// Leaves of a tree: places order[bounds[i]], ..., before bounds[i + 1].
struct Leaves {
  VectorView<const std::int32_t> order;
  VectorView<const std::int64_t> bounds;

  std::size_t count() const { return bounds.size - 1; }
};

/// Where the list of the row at order[i] goes.
enum class JoinedTo {
  kPlace,     ///< to row order[i]; what is read may then be what is written
  kPosition,  ///< to row i - bounds[0]
};

/// Offers each row all others of its leaf, each pair multiplied once; twice where all lists of a
/// leaf are empty, and a row's products tell first what will stay.
void join_leaves(const CodeRows& rows, const Leaves& leaves, const ConstNeighbourLists& from,
                 const NeighbourLists& to, JoinedTo joined_to, const simd::KernelTable& kernels,
                 std::size_t num_threads, Monitor& monitor);

}  // namespace ds2fast::knn
