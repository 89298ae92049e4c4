#pragma once

#include <cstddef>
#include <cstdint>

#include "core/monitor.hpp"
#include "knn/code_rows.hpp"
#include "knn/neighbour_lists.hpp"

namespace ds2fast::knn {

/// Offers each row at places [first, first + to.rows) the neighbours of its neighbours, as far as
/// one of the two steps is new: the others were offered in the descent before. Of each list the
/// first `num_heard` count. Writes the list of row `first + i` to row i; entries that were there
/// are new no more. `to` is not `from`. Returns how many entries came.
std::size_t descend(const CodeRows& rows, const ConstNeighbourLists& from, std::size_t first,
                    std::size_t num_heard, const NeighbourLists& to,
                    const simd::KernelTable& kernels, std::size_t num_threads, Monitor& monitor);

}  // namespace ds2fast::knn
