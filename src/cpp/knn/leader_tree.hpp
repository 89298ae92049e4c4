#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/monitor.hpp"
#include "knn/code_rows.hpp"

namespace ds2fast::knn {

/// How a tree is cut.
struct TreeShape {
  std::size_t leaf_rows;   ///< most rows of a leaf
  std::size_t least_rows;  ///< of a leaf; at most half of leaf_rows
  std::size_t fan_out;     ///< most leaders of a node
};

/// Places in groups of near rows, each in one: a leaf is order[bounds[i]], ..., before bounds[i +
/// 1].
struct LeaderTree {
  std::vector<std::int32_t> order;
  std::vector<std::int64_t> bounds;
};

/// Cuts the rows again and again: each goes to the most similar of some rows drawn as leaders,
/// until a group has few enough. Depends on the seed and the codes alone.
LeaderTree grow_tree(const CodeRows& rows, const TreeShape& shape, std::uint64_t seed,
                     const simd::KernelTable& kernels, std::size_t num_threads, Monitor& monitor);

}  // namespace ds2fast::knn
