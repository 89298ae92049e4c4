#include "knn/leader_tree.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>

#include "core/parallel_for.hpp"
#include "core/sampling_keys.hpp"

namespace ds2fast::knn {
namespace {

using Places = std::vector<std::int32_t>;

/// Places [begin, end) of the order, and what its draws depend on.
struct Node {
  std::size_t begin;
  std::size_t end;
  std::uint64_t seed;

  std::size_t size() const { return end - begin; }
};

/// What one worker compares with.
struct Desk {
  Desk(const CodeRows& rows, const simd::KernelTable& kernels)
      : panel(rows, simd::kPanelRows, kernels) {}
  CodePanels panel;
  alignas(64) std::int32_t products[simd::kTileSize];
};

/// The leaders of a node, drawn from its rows.
Places draw_leaders(const Places& order, const Node& node, std::size_t count) {
  const SamplingKeys keys(node.seed, 0);
  Places leaders(count);
  for (std::size_t i = 0; i < count; ++i) {
    leaders[i] = order[node.begin + keys(i) % node.size()];
  }
  return leaders;
}

/// Writes the most similar leader of each of up to 48 rows, the first of equals.
void find_nearest(const CodeRows& rows, const CodePanels& leaders, const std::int32_t* places,
                  std::size_t count, Desk& desk, std::int32_t* nearest) {
  float best[simd::kPanelRows];
  std::fill_n(best, simd::kPanelRows, -std::numeric_limits<float>::infinity());
  desk.panel.fill(places, count);
  for (std::size_t q = 0; q < leaders.num_panels(); ++q) {
    desk.panel.multiply(0, leaders, q, desk.products);
    const simd::CodeBounds columns = leaders.bounds(q);
    const std::size_t num_columns = leaders.rows_in(q);
    for (std::size_t r = 0; r < count; ++r) {
      const float scale = rows.scales[places[r]];
      const std::int32_t* line = desk.products + r * simd::kPanelRows;
      float similarities[simd::kPanelRows];
      for (std::size_t c = 0; c < simd::kPanelRows; ++c) {
        similarities[c] =
            static_cast<float>(line[c]) * (scale * columns.scales[c]) + columns.offsets[c];
      }
      const float* top = std::max_element(similarities, similarities + num_columns);
      if (*top > best[r]) {
        best[r] = *top;
        nearest[r] = static_cast<std::int32_t>(q * simd::kPanelRows) +
                     static_cast<std::int32_t>(top - similarities);
      }
    }
  }
}

class Grower {
 public:
  Grower(const CodeRows& rows, const TreeShape& shape, const simd::KernelTable& kernels)
      : rows_(rows), shape_(shape), kernels_(kernels), order_(rows.num_rows()), moved_(order_) {
    std::iota(order_.begin(), order_.end(), 0);
  }

  /// Cuts a node once; what is not to be cut further goes to `leaves`.
  std::vector<Node> cut(const Node& node, std::size_t num_threads, Monitor& monitor,
                        std::vector<Node>& leaves) {
    if (node.size() <= shape_.leaf_rows) {
      leaves.push_back(node);
      return {};
    }
    const std::size_t wanted = 2 * node.size() / shape_.leaf_rows;
    const std::size_t count = std::clamp<std::size_t>(wanted, 2, shape_.fan_out);
    const std::vector<std::size_t> ends = sort_by_leader(node, count, num_threads, monitor);
    std::vector<Node> parts = join_small(node, ends);
    if (parts.size() == 1) {  // rows that leaders cannot tell apart
      cut_evenly(node, leaves);
      return {};
    }
    return parts;
  }

  /// Cuts a node to its leaves.
  void cut_all(const Node& node, Monitor& monitor, std::vector<Node>& leaves) {
    std::vector<Node> open{node};
    while (!open.empty()) {
      const Node next = open.back();
      open.pop_back();
      const std::vector<Node> parts = cut(next, 1, monitor, leaves);
      open.insert(open.end(), parts.rbegin(), parts.rend());
    }
  }

  Places take_order() { return std::move(order_); }

 private:
  /// Sorts a node's rows by leader, each leader's in their order; where each leader's end.
  std::vector<std::size_t> sort_by_leader(const Node& node, std::size_t count,
                                          std::size_t num_threads, Monitor& monitor) {
    CodePanels leaders(rows_, count, kernels_);
    leaders.fill(draw_leaders(order_, node, count).data(), count);
    Places nearest(node.size());
    constexpr std::size_t kChunk = 64 * simd::kPanelRows;
    parallel_chunks(node.size(), kChunk, num_threads, monitor,
                    [&](std::size_t begin, std::size_t end, std::size_t) {
                      const auto desk = std::make_unique<Desk>(rows_, kernels_);
                      for (std::size_t i = begin; i < end; i += simd::kPanelRows) {
                        find_nearest(rows_, leaders, order_.data() + node.begin + i,
                                     std::min(simd::kPanelRows, end - i), *desk,
                                     nearest.data() + i);
                      }
                    });
    std::vector<std::size_t> ends(count + 1);
    for (const std::int32_t leader : nearest) {
      ++ends[static_cast<std::size_t>(leader) + 1];
    }
    std::partial_sum(ends.begin(), ends.end(), ends.begin());
    for (std::size_t i = 0; i < node.size(); ++i) {  // ends of those before become those up to it
      moved_[node.begin + ends[static_cast<std::size_t>(nearest[i])]++] = order_[node.begin + i];
    }
    std::copy_n(moved_.begin() + static_cast<std::ptrdiff_t>(node.begin), node.size(),
                order_.begin() + static_cast<std::ptrdiff_t>(node.begin));
    ends.pop_back();
    return ends;
  }

  /// Leaders' groups as nodes; consecutive ones are one while they fit a leaf, or are too small.
  std::vector<Node> join_small(const Node& node, const std::vector<std::size_t>& ends) const {
    std::vector<Node> parts;
    std::size_t begin = 0;
    for (const std::size_t end : ends) {
      if (end == begin) {
        continue;
      }
      const bool fits =
          !parts.empty() && node.begin + end - parts.back().begin <= shape_.leaf_rows * 3 / 4;
      const bool is_small = end - begin < shape_.least_rows;
      const bool follows_small = !parts.empty() && parts.back().size() < shape_.least_rows;
      if (fits || follows_small || (is_small && !parts.empty())) {
        parts.back().end = node.begin + end;
      } else {
        const std::uint64_t number = parts.size() + 1;
        parts.push_back({node.begin + begin, node.begin + end,
                         SamplingKeys(node.seed, static_cast<std::size_t>(number))(0)});
      }
      begin = end;
    }
    if (parts.size() > 1 && parts.back().size() < shape_.least_rows) {
      parts[parts.size() - 2].end = parts.back().end;
      parts.pop_back();
    }
    return parts;
  }

  void cut_evenly(const Node& node, std::vector<Node>& leaves) const {
    const std::size_t count = (node.size() + shape_.leaf_rows - 1) / shape_.leaf_rows;
    for (std::size_t i = 0; i < count; ++i) {
      leaves.push_back(
          {node.begin + i * node.size() / count, node.begin + (i + 1) * node.size() / count, 0});
    }
  }

  const CodeRows& rows_;
  TreeShape shape_;
  const simd::KernelTable& kernels_;
  Places order_;
  Places moved_;
};

}  // namespace

LeaderTree grow_tree(const CodeRows& rows, const TreeShape& shape, std::uint64_t seed,
                     const simd::KernelTable& kernels, std::size_t num_threads, Monitor& monitor) {
  Grower grower(rows, shape, kernels);
  PhaseMonitor cutting_once(monitor, 0, rows.num_rows() / 2, rows.num_rows());
  PhaseMonitor cutting_parts(monitor, rows.num_rows() / 2, rows.num_rows() - rows.num_rows() / 2,
                             rows.num_rows());
  std::vector<Node> leaves;
  const Node root{0, rows.num_rows(), SamplingKeys(seed, 0)(0)};
  const std::vector<Node> parts = grower.cut(root, num_threads, cutting_once, leaves);
  std::vector<std::vector<Node>> leaves_of(parts.size());
  parallel_for(parts.size(), num_threads, cutting_parts, [&](std::size_t i, std::size_t) {
    SilentMonitor silent;  // the thread that called is told of the parts
    grower.cut_all(parts[i], silent, leaves_of[i]);
  });
  for (const std::vector<Node>& some : leaves_of) {
    leaves.insert(leaves.end(), some.begin(), some.end());
  }
  LeaderTree tree{grower.take_order(), {0}};
  for (const Node& leaf : leaves) {
    tree.bounds.push_back(static_cast<std::int64_t>(leaf.end));
  }
  return tree;
}

}  // namespace ds2fast::knn
