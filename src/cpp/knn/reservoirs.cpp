#include "knn/reservoirs.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <stdexcept>
#include <utility>

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

Reservoirs::Reservoirs(std::size_t num_rows, std::size_t k, const PairFilter& filter,
                       const ExactRanking& ranking)
    : k_(k),
      capacity_(std::min(std::max<std::size_t>(4 * k, 64), num_rows)),
      filter_(filter),
      ranking_(ranking),
      candidates_(new Candidate[num_rows * capacity_]),
      sizes_(num_rows),
      thresholds_(round_up_to_panel(num_rows), kInfinity) {
  std::fill_n(thresholds_.begin(), num_rows, -kInfinity);
}

void Reservoirs::tighten(std::size_t row) {
  if (sizes_[row] < k_) {
    return;
  }
  static thread_local std::vector<float> lowers;
  Candidate* begin = candidates_.get() + row * capacity_;
  Candidate* end = begin + sizes_[row];
  lowers.clear();
  const double slack = filter_.slack(row);
  for (const Candidate* other = begin; other != end; ++other) {
    const double width = 2.0 * (slack + filter_.slack(static_cast<std::size_t>(other->place)));
    lowers.push_back(round_down(other->upper - width));
  }
  const auto kth = lowers.begin() + static_cast<std::ptrdiff_t>(k_ - 1);
  std::nth_element(lowers.begin(), kth, lowers.end(), std::greater<>());
  const float threshold = std::max(thresholds_[row], *kth);
  thresholds_[row] = threshold;
  end = std::remove_if(begin, end, [=](const Candidate& other) { return other.upper < threshold; });
  sizes_[row] = static_cast<std::uint32_t>(end - begin);
}

void Reservoirs::settle(std::size_t row) {
  Candidate* begin = candidates_.get() + row * capacity_;
  std::vector<std::pair<RankedNeighbour, std::int32_t>> ranked;
  for (const Candidate* other = begin; other != begin + sizes_[row]; ++other) {
    const auto place = static_cast<std::size_t>(other->place);
    ranked.emplace_back(ranking_.rank(row, place), other->place);
  }
  std::nth_element(ranked.begin(), ranked.begin() + static_cast<std::ptrdiff_t>(k_ - 1),
                   ranked.end(),
                   [](const auto& x, const auto& y) { return ranks_before(x.first, y.first); });
  thresholds_[row] = std::max(thresholds_[row], round_down(ranked[k_ - 1].first.similarity));
  for (std::size_t i = 0; i < k_; ++i) {
    const auto exact = static_cast<float>(ranked[i].first.similarity);
    begin[i] = {std::nextafter(exact, kInfinity), ranked[i].second};
  }
  sizes_[row] = static_cast<std::uint32_t>(k_);
}

void Reservoirs::finish(std::size_t row, std::vector<RankedNeighbour>& nearest) {
  tighten(row);
  rank(row, nearest);
}

void Reservoirs::rank(std::size_t row, std::vector<RankedNeighbour>& nearest) const {
  nearest.clear();
  const Candidate* candidates = candidates_.get() + row * capacity_;
  for (std::size_t place = 0; place < sizes_[row]; ++place) {
    nearest.push_back(ranking_.rank(row, static_cast<std::size_t>(candidates[place].place)));
  }
  if (nearest.size() < k_) {  // the bound is wrong, or the rows were changed during the search
    throw std::logic_error("k-NN search: a row is left with fewer than k candidates");
  }
  std::partial_sort(nearest.begin(), nearest.begin() + static_cast<std::ptrdiff_t>(k_),
                    nearest.end(), ranks_before);
  nearest.resize(k_);
}

}  // namespace ds2fast::knn
