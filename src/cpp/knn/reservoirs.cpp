#include "knn/reservoirs.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "simd/kernel_table.hpp"

namespace ds2fast::knn {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

float round_down(double value) {
  return std::nextafter(static_cast<float>(value), -kInfinity);
}

std::size_t round_up_to_panel(std::size_t rows) {
  return (rows + simd::kPanelRows - 1) / simd::kPanelRows * simd::kPanelRows;
}

}  // namespace

Reservoirs::Reservoirs(std::size_t num_rows, std::size_t k, double error_bound,
                       const ExactRanking& ranking)
    : k_(k),
      capacity_(std::max<std::size_t>(4 * k, 64)),
      error_bound_(error_bound),
      ranking_(ranking),
      candidates_(num_rows * capacity_),
      sizes_(num_rows),
      thresholds_(round_up_to_panel(num_rows), kInfinity) {
  std::fill_n(thresholds_.begin(), num_rows, -kInfinity);
}

void Reservoirs::tighten(std::size_t row) {
  Candidate* begin = candidates_.data() + row * capacity_;
  Candidate* end = begin + sizes_[row];
  std::nth_element(begin, begin + (k_ - 1), end, [](const Candidate& x, const Candidate& y) {
    return x.similarity > y.similarity;
  });
  const double kth = begin[k_ - 1].similarity;
  const float threshold = std::max(thresholds_[row], round_down(kth - 2.0 * error_bound_));
  thresholds_[row] = threshold;
  end = std::remove_if(begin, end,
                       [=](const Candidate& other) { return other.similarity < threshold; });
  sizes_[row] = static_cast<std::uint32_t>(end - begin);
  // Ties, exact or nearly so: only the exact similarities tell which ones stay.
  if (sizes_[row] > capacity_ / 2) {
    settle(row);
  }
}

void Reservoirs::settle(std::size_t row) {
  std::vector<RankedNeighbour> nearest;
  finish(row, nearest);
  const float threshold = round_down(nearest.back().similarity - error_bound_);
  thresholds_[row] = std::max(thresholds_[row], threshold);
  Candidate* candidates = candidates_.data() + row * capacity_;
  for (std::size_t place = 0; place < k_; ++place) {
    // The exact value, rounded, is as good an approximation as any.
    candidates[place] = {static_cast<float>(nearest[place].similarity), nearest[place].id};
  }
  sizes_[row] = static_cast<std::uint32_t>(k_);
}

void Reservoirs::finish(std::size_t row, std::vector<RankedNeighbour>& nearest) const {
  nearest.clear();
  const Candidate* candidates = candidates_.data() + row * capacity_;
  for (std::size_t place = 0; place < sizes_[row]; ++place) {
    if (candidates[place].similarity >= thresholds_[row]) {
      nearest.push_back(ranking_.rank(row, candidates[place].id));
    }
  }
  if (nearest.size() < k_) {  // the bound is wrong, or the rows were changed during the search
    throw std::logic_error("k-NN search: a row is left with fewer than k candidates");
  }
  std::partial_sort(nearest.begin(), nearest.begin() + static_cast<std::ptrdiff_t>(k_),
                    nearest.end(), ranks_before);
  nearest.resize(k_);
}

}  // namespace ds2fast::knn
