#include "knn/leaf_join.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <vector>

#include "core/aligned_array.hpp"
#include "core/parallel_for.hpp"
#include "core/round_up.hpp"
#include "knn/bound_steps.hpp"

namespace ds2fast::knn {
namespace {

/// The filter of pairs rounds otherwise at some levels: it is asked for a little more, and what
/// passes is compared again. Similarities of codes are below 8, their roundings below 2^-20.
constexpr float kFilterRoom = 0x1p-18F;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// A leaf's rows and lists, side by side. One worker's own.
class Bench {
 public:
  Bench(const CodeRows& rows, std::size_t most, std::size_t width, const simd::KernelTable& kernels)
      : kernels_(kernels),
        width_(width),
        panels_(rows, most, kernels),
        entries_(most * width),
        similarities_(most * width),
        thresholds_(round_up_to(most, simd::kPanelRows)),
        products_(AlignedArray<std::int32_t>::unset(thresholds_.size() * simd::kPanelRows)),
        steps_(AlignedArray<std::int16_t>::unset(thresholds_.size() * simd::kPanelRows)) {
    nobody_.fill(kInfinity);
  }

  void load(const std::int32_t* places, std::size_t count, const ConstNeighbourLists& from) {
    panels_.fill(places, count);
    std::fill(thresholds_.begin(), thresholds_.end(), kInfinity);
    are_empty_ = true;
    for (std::size_t i = 0; i < count; ++i) {
      const auto place = static_cast<std::size_t>(places[i]);
      std::copy_n(from.entries.row(place), width_, entries_.data() + i * width_);
      std::copy_n(from.similarities.row(place), width_, similarities_.data() + i * width_);
      thresholds_[i] = -kInfinity;
      lower(i);
      are_empty_ = are_empty_ && place_of(*list(i).entries) == kNoPlace;
    }
  }

  void join() {
    for (std::size_t p = 0; p < panels_.num_panels(); ++p) {
      if (are_empty_) {
        fill_lists(p);
      } else {
        meet_from(p);
      }
    }
  }

  void store(std::size_t i, const NeighbourLists& to, std::size_t row) const {
    std::copy_n(entries_.data() + i * width_, width_, to.entries.row(row));
    std::copy_n(similarities_.data() + i * width_, width_, to.similarities.row(row));
  }

 private:
  /// Rows of panel p and those behind them: each pair once, for both.
  void meet_from(std::size_t p) {
    for (std::size_t q = p; q < panels_.num_panels(); ++q) {
      panels_.multiply(p, panels_, q, products_.data());
      for_hits(p, q, products_.data(), thresholds_.data() + q * simd::kPanelRows,
               [&](std::size_t row, std::size_t column, std::int32_t product) {
                 if (row < column) {
                   const float similarity = panels_.similarity(row, column, product);
                   offer(row, column, similarity);
                   offer(column, row, similarity);
                 }
               });
    }
  }

  /// Rows of panel p and all others, for the rows alone. Nearly all pairs would be taken into empty
  /// lists only to be dropped; all of a row's products tell first which of them will stay.
  void fill_lists(std::size_t p) {
    for (std::size_t q = 0; q < panels_.num_panels(); ++q) {
      panels_.multiply(p, panels_, q, tile(q));
      kernels_.lower_steps(tile(q), panels_.bounds(p), panels_.bounds(q), num_columns(),
                           steps_.data() + q * simd::kPanelRows);
    }
    for (std::size_t r = 0; r < panels_.rows_in(p); ++r) {
      raise(p * simd::kPanelRows + r, steps_.data() + r * num_columns());
    }
    for (std::size_t q = 0; q < panels_.num_panels(); ++q) {
      for_hits(p, q, tile(q), nobody_.data(),
               [&](std::size_t row, std::size_t column, std::int32_t product) {
                 if (row != column) {
                   offer(row, column, panels_.similarity(row, column, product));
                 }
               });
    }
  }

  /// Lets row i take what is as near as the last that will stay, by lower bounds of all.
  void raise(std::size_t i, std::int16_t* steps) {
    steps[i] = kLeastStep;
    std::fill(steps + panels_.count(), steps + num_columns(), kLeastStep);
    const std::int16_t last = kernels_.kth_largest(steps, num_columns(), width_);
    if (last != kLeastStep) {
      thresholds_[i] = step_value(last) - kFilterRoom;
    }
  }

  /// meet(row, column, product) for what reaches the threshold of one of them.
  template <typename Meet>
  void for_hits(std::size_t p, std::size_t q, const std::int32_t* products,
                const float* column_thresholds, const Meet& meet) {
    const std::size_t first_row = p * simd::kPanelRows;
    const std::size_t first_column = q * simd::kPanelRows;
    const std::size_t count =
        kernels_.scan_codes(products, panels_.bounds(p), panels_.bounds(q),
                            thresholds_.data() + first_row, column_thresholds, codes_.data());
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t row = first_row + codes_[i] / simd::kPanelRows;
      const std::size_t column = first_column + codes_[i] % simd::kPanelRows;
      if (row < panels_.count() && column < panels_.count()) {
        meet(row, column, products[codes_[i]]);
      }
    }
  }

  void offer(std::size_t i, std::size_t other, float similarity) {
    if (list(i).offer(static_cast<std::uint32_t>(panels_.place(other)), similarity)) {
      lower(i);
    }
  }

  std::size_t num_columns() const { return panels_.num_panels() * simd::kPanelRows; }
  std::int32_t* tile(std::size_t q) { return products_.data() + q * simd::kTileSize; }
  ListRow list(std::size_t i) {
    return {entries_.data() + i * width_, similarities_.data() + i * width_, width_};
  }
  /// Of a list that is not full yet, the last place has -infinity.
  void lower(std::size_t i) {
    thresholds_[i] = std::max(thresholds_[i], list(i).worst() - kFilterRoom);
  }

  const simd::KernelTable& kernels_;
  std::size_t width_;
  CodePanels panels_;
  std::vector<std::uint32_t> entries_;
  std::vector<float> similarities_;
  std::vector<float> thresholds_;
  bool are_empty_ = true;
  AlignedArray<std::int32_t> products_;  ///< of a panel and all
  AlignedArray<std::int16_t> steps_;     ///< the same as lower bounds
  std::array<float, simd::kPanelRows> nobody_;
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
