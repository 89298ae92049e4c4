#include "knn/exact_ranking.hpp"

#include <algorithm>
#include <functional>

namespace ds2fast::knn {
namespace {

/// Asks for the first lines of a row; the processor follows them by itself.
void prefetch(const std::byte* row, std::size_t size) {
  constexpr std::size_t kLine = 64;
  constexpr std::size_t kLines = 32;
  for (std::size_t at = 0; at < std::min(size, kLines * kLine); at += kLine) {
    __builtin_prefetch(row + at);
  }
}

/// Adds to a heap of at most k that has the last in rank on top.
void keep_best(const RankedNeighbour& other, std::size_t k, std::vector<RankedNeighbour>& heap) {
  if (heap.size() == k) {
    if (!ranks_before(other, heap.front())) {
      return;
    }
    std::pop_heap(heap.begin(), heap.end(), ranks_before);
    heap.pop_back();
  }
  heap.push_back(other);
  std::push_heap(heap.begin(), heap.end(), ranks_before);
}

}  // namespace

ExactRanking::Desk::Desk(std::size_t depth) : row(depth) {
  for (std::vector<float>& other : others) {
    other.resize(depth);
  }
}

/// Similarities of a row, whose values are given too, and up to kDotsAtOnce others.
void ExactRanking::compare(std::size_t row, const float* values, const std::int32_t* others,
                           std::size_t count, Desk& desk, double* similarities) const {
  const float* other_values[simd::kDotsAtOnce];
  double dots[simd::kDotsAtOnce];
  for (std::size_t i = 0; i < simd::kDotsAtOnce; ++i) {
    const auto other = static_cast<std::size_t>(others[std::min(i, count - 1)]);
    other_values[i] = rows_.read(other, desk.others[i].data());
  }
  rows_.kernels().exact_dots(values, other_values, rows_.depth(), dots);
  for (std::size_t i = 0; i < count; ++i) {
    similarities[i] = dots[i] / (norms_[row] * norms_[static_cast<std::size_t>(others[i])]);
  }
}

void ExactRanking::rank(std::size_t place, std::size_t k, Desk& desk) const {
  const auto row = static_cast<std::size_t>(order_[place]);
  const float* values = rows_.read(row, desk.row.data());
  std::vector<Candidate>& candidates = desk.candidates;
  std::vector<RankedNeighbour>& nearest = desk.nearest;  // a heap, the last in rank on top
  nearest.clear();
  // The likeliest first, so that the others' bounds soon fall short.
  std::sort(candidates.begin(), candidates.end(), std::greater<>());
  for (std::size_t first = 0; first < candidates.size(); first += simd::kDotsAtOnce) {
    if (nearest.size() == k && candidates[first].upper() < nearest.front().similarity) {
      break;
    }
    const std::size_t count = std::min(simd::kDotsAtOnce, candidates.size() - first);
    std::int32_t others[2 * simd::kDotsAtOnce];
    const std::size_t with_next = std::min(2 * simd::kDotsAtOnce, candidates.size() - first);
    for (std::size_t i = 0; i < with_next; ++i) {
      others[i] = order_[static_cast<std::size_t>(candidates[first + i].place())];
    }
    for (std::size_t i = count; i < with_next; ++i) {
      prefetch(rows_.bytes(static_cast<std::size_t>(others[i])), rows_.row_bytes());
    }
    double similarities[simd::kDotsAtOnce];
    compare(row, values, others, count, desk, similarities);
    for (std::size_t i = 0; i < count; ++i) {
      keep_best({similarities[i], others[i], candidates[first + i].place()}, k, nearest);
    }
  }
  std::sort_heap(nearest.begin(), nearest.end(), ranks_before);
}

void ExactRanking::rank_rows(std::int32_t row, const std::vector<std::int32_t>& others,
                             Desk& desk) const {
  const auto index = static_cast<std::size_t>(row);
  const float* values = rows_.read(index, desk.row.data());
  desk.nearest.clear();
  for (const std::int32_t other : others) {
    double similarity;
    compare(index, values, &other, 1, desk, &similarity);
    desk.nearest.push_back({similarity, other, -1});
  }
  std::sort(desk.nearest.begin(), desk.nearest.end(), ranks_before);
}

}  // namespace ds2fast::knn
