#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "knn/bound_steps.hpp"
#include "knn/exact_ranking.hpp"
#include "knn/pair_filter.hpp"

namespace ds2fast::knn {

/// Per row, the candidates that may still be among its k nearest, and the upper bound that a
/// further candidate must reach.
///
/// k rows are at least as similar as the k-th best lower bound, so a pair whose upper bound is less
/// cannot be a neighbour: dropping it loses nothing. Kept bounds are int16, in steps of 2^-15 and
/// rounded outwards. Rows are independent of each other; two threads may work on different rows at
/// once.
class Reservoirs {
 public:
  Reservoirs(std::size_t num_rows, std::size_t k, std::size_t depth, std::size_t code_depth,
             const ExactRanking& ranking, const simd::KernelTable& kernels);

  std::size_t num_rows() const { return sizes_.size(); }

  /// Thresholds of rows [first, first + 48); rows past the last one have +infinity.
  const float* thresholds(std::size_t first) const { return thresholds_.data() + first; }

  /// Whether there is a row at this place, rather than what fills up a panel.
  bool is_row(std::size_t place) const {
    return thresholds_[place] < std::numeric_limits<float>::infinity();
  }

  /// Nobody is at this place: it takes no candidates, and is none.
  void leave_empty(std::size_t place) {
    thresholds_[place] = std::numeric_limits<float>::infinity();
  }

  /// At least k rows are known to be as similar as `threshold` to this one.
  void raise_threshold(std::size_t row, float threshold) {
    thresholds_[row] = std::max(thresholds_[row], threshold);
  }

  /// Takes a candidate whose upper bound reaches the threshold.
  void push(std::size_t row, std::int32_t place, Bounds bounds, ExactRanking::Desk& desk) {
    const std::size_t size = sizes_[row]++;
    places_[row * capacity_ + size] = place;
    uppers_[row * capacity_ + size] = step_above(bounds.upper);
    lowers_[row * lowers_stride_ + size] = step_below(bounds.lower);
    if ((size + 1) % pushes_to_tighten_ == 0 || size + 1 == capacity_) {
      make_room(row, desk);
    }
  }

  /// The exact k nearest of a row, best first, into `desk.nearest`: all of its candidates where
  /// they are fewer, but at least `expected`.
  void finish(std::size_t row, std::size_t expected, ExactRanking::Desk& desk);

 private:
  void make_room(std::size_t row, ExactRanking::Desk& desk);
  void tighten(std::size_t row);
  void settle(std::size_t row, ExactRanking::Desk& desk);
  void rank(std::size_t row, ExactRanking::Desk& desk) const;

  std::size_t k_;
  std::size_t capacity_;
  std::size_t pushes_to_tighten_;  ///< more for a larger k: a look takes time as k does
  std::size_t lowers_stride_;      ///< whole vectors, filled up with the least value
  const ExactRanking& ranking_;
  const simd::KernelTable& kernels_;
  std::unique_ptr<std::int32_t[]> places_;  // left unset, as uppers_: pushing sets what is read
  std::unique_ptr<std::int16_t[]> uppers_;
  std::vector<std::int16_t> lowers_;
  std::vector<std::uint32_t> sizes_;
  std::vector<float> thresholds_;
};

}  // namespace ds2fast::knn
