#include "selection/dual_sort.hpp"

#include <algorithm>

#include "core/paced_poll.hpp"

namespace ds2fast::selection {
namespace {

constexpr std::size_t kChunk = std::size_t{1} << 17;  // sorted in some 20 ms

struct Key {
  double score;
  double long_tail;
  std::int64_t row;
};

bool before(const Key& x, const Key& y) {
  if (x.score != y.score) {
    return x.score > y.score;
  }
  if (x.long_tail != y.long_tail) {
    return x.long_tail > y.long_tail;
  }
  return x.row < y.row;
}

std::vector<Key> rated_keys(VectorView<const double> scores, VectorView<const double> long_tail) {
  std::vector<Key> keys;
  keys.reserve(scores.size);
  for (std::size_t n = 0; n < scores.size; ++n) {
    if (scores[n] >= 0.0) {  // false for NaN
      keys.push_back({scores[n], long_tail[n], static_cast<std::int64_t>(n)});
    }
  }
  return keys;
}

/// std::sort in pieces between which the monitor can stop it.
void sort_watched(std::vector<Key>& keys, PacedPoll& poll) {
  const auto at = [&](std::size_t place) {
    return keys.begin() + static_cast<std::ptrdiff_t>(std::min(place, keys.size()));
  };
  for (std::size_t begin = 0; begin < keys.size(); begin += kChunk) {
    std::sort(at(begin), at(begin + kChunk), before);
    poll(begin, keys.size());
  }
  for (std::size_t width = kChunk; width < keys.size(); width *= 2) {
    for (std::size_t begin = 0; begin + width < keys.size(); begin += 2 * width) {
      std::inplace_merge(at(begin), at(begin + width), at(begin + 2 * width), before);
      poll(begin, keys.size());
    }
  }
}

}  // namespace

std::vector<std::int64_t> dual_sort(VectorView<const double> scores,
                                    VectorView<const double> long_tail, std::size_t count,
                                    Monitor& monitor) {
  PacedPoll poll(monitor);
  std::vector<Key> keys = rated_keys(scores, long_tail);
  if (count < keys.size()) {
    std::nth_element(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(count), keys.end(),
                     before);
    keys.resize(count);
  }
  sort_watched(keys, poll);
  std::vector<std::int64_t> rows(keys.size());
  std::transform(keys.begin(), keys.end(), rows.begin(), [](const Key& key) { return key.row; });
  poll.finish(rows.size());
  return rows;
}

}  // namespace ds2fast::selection
