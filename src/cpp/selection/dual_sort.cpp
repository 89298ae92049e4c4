#include "selection/dual_sort.hpp"

#include <algorithm>

namespace ds2fast::selection {

std::vector<std::int64_t> dual_sort(VectorView<const double> scores,
                                    VectorView<const double> long_tail, std::size_t count) {
  struct Key {
    double score;
    double long_tail;
    std::int64_t row;
  };
  std::vector<Key> keys;
  keys.reserve(scores.size);
  for (std::size_t n = 0; n < scores.size; ++n) {
    if (scores[n] >= 0.0) {  // false for NaN
      keys.push_back({scores[n], long_tail[n], static_cast<std::int64_t>(n)});
    }
  }
  const auto before = [](const Key& x, const Key& y) {
    if (x.score != y.score) {
      return x.score > y.score;
    }
    if (x.long_tail != y.long_tail) {
      return x.long_tail > y.long_tail;
    }
    return x.row < y.row;
  };
  const auto end = keys.begin() + static_cast<std::ptrdiff_t>(std::min(count, keys.size()));
  std::nth_element(keys.begin(), end, keys.end(), before);
  std::sort(keys.begin(), end, before);
  std::vector<std::int64_t> rows;
  rows.reserve(static_cast<std::size_t>(end - keys.begin()));
  for (auto key = keys.begin(); key != end; ++key) {
    rows.push_back(key->row);
  }
  return rows;
}

}  // namespace ds2fast::selection
