#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "knn/exact_ranking.hpp"
#include "knn/pair_filter.hpp"

namespace ds2fast::knn {

/// Per row, the candidates that may still be among its k nearest, and the upper bound that a
/// further candidate must reach.
///
/// Each candidate comes with an upper bound of its cosine; the lower bound is that minus twice the
/// slacks of both rows. k rows are at least as similar as the k-th best lower bound, so a pair
/// whose upper bound is less cannot be a neighbour: dropping it loses nothing. Rows are independent
/// of each other; two threads may work on different rows at once.
class Reservoirs {
 public:
  Reservoirs(std::size_t num_rows, std::size_t k, const PairFilter& filter,
             const ExactRanking& ranking);

  /// Thresholds of rows [first, first + 48); rows past the last one have +infinity.
  const float* thresholds(std::size_t first) const { return thresholds_.data() + first; }

  void push(std::size_t row, std::int32_t place, float upper) {
    Candidate* candidates = candidates_.get() + row * capacity_;
    candidates[sizes_[row]++] = {upper, place};
    if (sizes_[row] == capacity_) {
      tighten(row);
      // Ties, exact or nearly so: only the exact similarities tell which ones stay.
      if (sizes_[row] > capacity_ / 2) {
        settle(row);
      }
    }
  }

  /// The exact k nearest of a row, best first, into `nearest` (at least k candidates were pushed).
  void finish(std::size_t row, std::vector<RankedNeighbour>& nearest);

 private:
  struct Candidate {
    float upper;
    std::int32_t place;
  };

  void tighten(std::size_t row);
  void settle(std::size_t row);
  void rank(std::size_t row, std::vector<RankedNeighbour>& nearest) const;

  std::size_t k_;
  std::size_t capacity_;
  const PairFilter& filter_;
  const ExactRanking& ranking_;
  std::unique_ptr<Candidate[]> candidates_;  // left unset: pushing sets what is read
  std::vector<std::uint32_t> sizes_;
  std::vector<float> thresholds_;
};

}  // namespace ds2fast::knn
