#include "knn/leaf_join.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <vector>

#include "core/parallel_for.hpp"
#include "core/round_up.hpp"

namespace ds2fast::knn {
namespace {

/// The filter of pairs rounds otherwise at some levels: it is asked for a little more, and what
/// passes is compared again. Similarities of codes are below 8, their roundings below 2^-20.
constexpr float kFilterRoom = 0x1p-18F;

/// A leaf's rows and lists, side by side. One worker's own.
class Bench {
 public:
  Bench(const CodeRows& rows, std::size_t most, std::size_t width, const simd::KernelTable& kernels)
      : rows_(rows),
        kernels_(kernels),
        width_(width),
        panels_(rows, most, kernels),
        entries_(most * width),
        similarities_(most * width),
        thresholds_(round_up_to(most, simd::kPanelRows)) {}

  void load(const std::int32_t* places, std::size_t count, const ConstNeighbourLists& from) {
    panels_.fill(places, count);
    std::fill(thresholds_.begin(), thresholds_.end(), std::numeric_limits<float>::infinity());
    for (std::size_t i = 0; i < count; ++i) {
      const auto place = static_cast<std::size_t>(places[i]);
      std::copy_n(from.entries.row(place), width_, entries_.data() + i * width_);
      std::copy_n(from.similarities.row(place), width_, similarities_.data() + i * width_);
      lower(i);
    }
  }

  void join() {
    for (std::size_t p = 0; p < panels_.num_panels(); ++p) {
      for (std::size_t q = p; q < panels_.num_panels(); ++q) {
        multiply(p, q);
      }
    }
  }

  void store(std::size_t i, const NeighbourLists& to, std::size_t row) const {
    std::copy_n(entries_.data() + i * width_, width_, to.entries.row(row));
    std::copy_n(similarities_.data() + i * width_, width_, to.similarities.row(row));
  }

 private:
  void multiply(std::size_t p, std::size_t q) {
    panels_.multiply(p, panels_, q, products_.data());
    const std::size_t first_row = p * simd::kPanelRows;
    const std::size_t first_column = q * simd::kPanelRows;
    const std::size_t count = kernels_.scan_codes(products_.data(), panels_.bounds(p),
                                                  panels_.bounds(q), thresholds_.data() + first_row,
                                                  thresholds_.data() + first_column, codes_.data());
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t row = first_row + codes_[i] / simd::kPanelRows;
      const std::size_t column = first_column + codes_[i] % simd::kPanelRows;
      if (row < column && column < panels_.count()) {
        meet(row, column, products_[codes_[i]]);
      }
    }
  }

  void meet(std::size_t row, std::size_t column, std::int32_t product) {
    const auto x = static_cast<std::size_t>(panels_.place(row));
    const auto y = static_cast<std::size_t>(panels_.place(column));
    const float similarity = code_similarity(rows_, x, y, product);
    offer(row, static_cast<std::uint32_t>(y), similarity);
    offer(column, static_cast<std::uint32_t>(x), similarity);
  }

  void offer(std::size_t i, std::uint32_t place, float similarity) {
    if (list(i).offer(place, similarity)) {
      lower(i);
    }
  }

  ListRow list(std::size_t i) {
    return {entries_.data() + i * width_, similarities_.data() + i * width_, width_};
  }
  void lower(std::size_t i) { thresholds_[i] = list(i).worst() - kFilterRoom; }

  const CodeRows& rows_;
  const simd::KernelTable& kernels_;
  std::size_t width_;
  CodePanels panels_;
  std::vector<std::uint32_t> entries_;
  std::vector<float> similarities_;
  std::vector<float> thresholds_;
  alignas(64) std::array<std::int32_t, simd::kTileSize> products_;
  std::array<std::uint32_t, simd::kTileSize> codes_;
};

std::size_t largest_leaf(const Leaves& leaves) {
  std::int64_t most = 0;
  for (std::size_t leaf = 0; leaf < leaves.count(); ++leaf) {
    most = std::max(most, leaves.bounds[leaf + 1] - leaves.bounds[leaf]);
  }
  return static_cast<std::size_t>(most);
}

}  // namespace

void join_leaves(const CodeRows& rows, const Leaves& leaves, const ConstNeighbourLists& from,
                 const NeighbourLists& to, JoinedTo joined_to, const simd::KernelTable& kernels,
                 std::size_t num_threads, Monitor& monitor) {
  const std::size_t most = largest_leaf(leaves);
  std::vector<std::unique_ptr<Bench>> benches(num_threads);
  parallel_for(leaves.count(), num_threads, monitor, [&](std::size_t leaf, std::size_t worker) {
    auto& bench = benches[worker];
    if (!bench) {
      bench = std::make_unique<Bench>(rows, most, from.width(), kernels);
    }
    const auto begin = static_cast<std::size_t>(leaves.bounds[leaf]);
    const auto end = static_cast<std::size_t>(leaves.bounds[leaf + 1]);
    bench->load(leaves.order.data + begin, end - begin, from);
    bench->join();
    for (std::size_t i = begin; i < end; ++i) {
      const std::size_t row = joined_to == JoinedTo::kPlace
                                  ? static_cast<std::size_t>(leaves.order[i])
                                  : i - static_cast<std::size_t>(leaves.bounds[0]);
      bench->store(i - begin, to, row);
    }
  });
}

}  // namespace ds2fast::knn
