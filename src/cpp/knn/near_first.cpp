#include "knn/near_first.hpp"

#include <algorithm>
#include <numeric>

#include "core/parallel_for.hpp"
#include "knn/packed_rows.hpp"

namespace ds2fast::knn {
namespace {

constexpr std::size_t kRowsPerLeader = 512;
constexpr std::size_t kMaxLeaders = 1536;  // bounds the share of the work that finding groups takes

/// For each row, the number of its most similar leader.
std::vector<std::int32_t> nearest_leaders(MatrixView<const float> rows,
                                          VectorView<const double> norms, const PackedRows& leaders,
                                          std::size_t num_leaders, std::size_t num_threads,
                                          const simd::KernelTable& kernels, Monitor& monitor) {
  std::vector<std::int32_t> nearest(rows.rows);
  parallel_chunks(rows.rows, simd::kPanelRows, num_threads, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t) {
                    std::vector<std::int32_t> members(end - begin);
                    std::iota(members.begin(), members.end(), static_cast<std::int32_t>(begin));
                    std::vector<float> panel(simd::kPanelRows * rows.cols);
                    pack_panel(rows, norms, members.data(), members.size(), panel.data());
                    std::vector<float> products(simd::kTileSize);
                    std::vector<float> best(members.size(), -2.0F);
                    for (std::size_t group = 0; group < leaders.num_panels(); ++group) {
                      kernels.tile_products(panel.data(), leaders.panel(group), rows.cols,
                                            products.data());
                      const std::size_t first = group * simd::kPanelRows;
                      const std::size_t count = std::min(simd::kPanelRows, num_leaders - first);
                      for (std::size_t r = 0; r < members.size(); ++r) {
                        const float* line = products.data() + r * simd::kPanelRows;
                        const float* top = std::max_element(line, line + count);
                        if (*top > best[r]) {
                          best[r] = *top;
                          nearest[begin + r] = static_cast<std::int32_t>(first + (top - line));
                        }
                      }
                    }
                  });
  return nearest;
}

}  // namespace

std::vector<std::int32_t> near_first_order(MatrixView<const float> rows,
                                           VectorView<const double> norms, std::size_t num_threads,
                                           const simd::KernelTable& kernels, Monitor& monitor) {
  std::vector<std::int32_t> order(rows.rows);
  std::iota(order.begin(), order.end(), 0);
  const std::size_t num_leaders = std::min(rows.rows / kRowsPerLeader, kMaxLeaders);
  if (num_leaders < 2) {
    return order;
  }
  std::vector<std::int32_t> leader_rows(num_leaders);
  for (std::size_t i = 0; i < num_leaders; ++i) {
    leader_rows[i] = static_cast<std::int32_t>(i * rows.rows / num_leaders);
  }
  const PackedRows leaders(rows, norms, {leader_rows.data(), num_leaders}, num_threads, monitor);
  const std::vector<std::int32_t> nearest =
      nearest_leaders(rows, norms, leaders, num_leaders, num_threads, kernels, monitor);
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t x, std::int32_t y) {
    return nearest[static_cast<std::size_t>(x)] < nearest[static_cast<std::size_t>(y)];
  });
  return order;
}

}  // namespace ds2fast::knn
