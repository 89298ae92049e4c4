#include "knn/near_first.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "core/parallel_for.hpp"
#include "knn/packed_rows.hpp"

namespace ds2fast::knn {
namespace {

constexpr std::size_t kRowsPerLeader = 512;
constexpr std::size_t kMaxLeaders = 1536;  // bounds the share of the work that finding groups takes

/// Evenly spaced rows, as panels of float32.
class Leaders {
 public:
  Leaders(const RowSource& rows, VectorView<const double> norms,
          const std::vector<std::int32_t>& ids, std::size_t count)
      : count_(count), packed_(rows, norms, view(choose(ids, count))) {}

  /// For each row of a panel, the number of its most similar leader.
  void find_nearest(const float* panel, std::size_t depth, const simd::KernelTable& kernels,
                    std::size_t num_rows, std::int32_t* nearest) const {
    std::vector<float> products(simd::kTileSize);
    std::vector<float> best(num_rows, -2.0F);
    for (std::size_t group = 0; group < packed_.num_panels(); ++group) {
      kernels.tile_products(panel, packed_.panel(group), depth, products.data());
      const std::size_t first = group * simd::kPanelRows;
      const std::size_t count = std::min(simd::kPanelRows, count_ - first);
      for (std::size_t r = 0; r < num_rows; ++r) {
        const float* line = products.data() + r * simd::kPanelRows;
        const float* top = std::max_element(line, line + count);
        if (*top > best[r]) {
          best[r] = *top;
          nearest[r] = static_cast<std::int32_t>(first + static_cast<std::size_t>(top - line));
        }
      }
    }
  }

 private:
  static std::vector<std::int32_t> choose(const std::vector<std::int32_t>& ids, std::size_t count) {
    std::vector<std::int32_t> chosen(count);
    for (std::size_t i = 0; i < count; ++i) {
      chosen[i] = ids[i * ids.size() / count];
    }
    return chosen;
  }
  static VectorView<const std::int32_t> view(const std::vector<std::int32_t>& ids) {
    return {ids.data(), ids.size()};
  }

  std::size_t count_;
  PackedRows packed_;
};

}  // namespace

void order_near_first(const RowSource& rows, VectorView<const double> norms,
                      std::size_t num_threads, Monitor& monitor, std::vector<std::int32_t>& ids) {
  const std::size_t num_leaders = std::min(ids.size() / kRowsPerLeader, kMaxLeaders);
  if (num_leaders < 2) {
    return;
  }
  const Leaders leaders(rows, norms, ids, num_leaders);
  std::vector<std::pair<std::int32_t, std::int32_t>> grouped(ids.size());  // leader, row
  parallel_chunks(ids.size(), simd::kPanelRows, num_threads, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t) {
                    std::vector<float> panel(simd::kPanelRows * rows.depth());
                    std::vector<std::int32_t> nearest(end - begin);
                    pack_panel(rows, norms, ids.data() + begin, end - begin, panel.data());
                    leaders.find_nearest(panel.data(), rows.depth(), rows.kernels(), end - begin,
                                         nearest.data());
                    for (std::size_t i = begin; i < end; ++i) {
                      grouped[i] = {nearest[i - begin], ids[i]};
                    }
                  });
  std::sort(grouped.begin(), grouped.end());
  std::transform(grouped.begin(), grouped.end(), ids.begin(),
                 [](const auto& member) { return member.second; });
}

}  // namespace ds2fast::knn
