#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "knn/exact_ranking.hpp"

namespace ds2fast::knn {

/// Per row, the candidates that may still be among its k nearest, and the approximate similarity
/// that a further candidate must reach.
///
/// Approximate similarities lie within `error_bound` of the exact ones. If the k-th best
/// approximate one is s, then k rows are at least s - error_bound similar, so whatever is
/// approximately less than s - 2 error_bound cannot be a neighbour: dropping it loses nothing. Rows
/// are independent of each other; two threads may work on different rows at once.
class Reservoirs {
 public:
  Reservoirs(std::size_t num_rows, std::size_t k, double error_bound, const ExactRanking& ranking);

  /// Thresholds of rows [first, first + 48); rows past the last one have +infinity.
  const float* thresholds(std::size_t first) const { return thresholds_.data() + first; }

  void push(std::size_t row, std::int32_t id, float similarity) {
    Candidate* candidates = candidates_.data() + row * capacity_;
    candidates[sizes_[row]++] = {similarity, id};
    if (sizes_[row] == capacity_) {
      tighten(row);
    }
  }

  /// The exact k nearest of a row, best first, into `nearest` (at least k candidates were pushed).
  void finish(std::size_t row, std::vector<RankedNeighbour>& nearest) const;

 private:
  struct Candidate {
    float similarity;
    std::int32_t id;
  };

  void tighten(std::size_t row);
  void settle(std::size_t row);

  std::size_t k_;
  std::size_t capacity_;
  double error_bound_;
  const ExactRanking& ranking_;
  std::vector<Candidate> candidates_;
  std::vector<std::uint32_t> sizes_;
  std::vector<float> thresholds_;
};

}  // namespace ds2fast::knn
