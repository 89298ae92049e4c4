#pragma once

#include <cstddef>
#include <cstdint>

#include "core/matrix_view.hpp"

namespace ds2fast::knn {

/// The highest bit of an entry of a list: it came since the last descent.
constexpr std::uint32_t kIsNew = std::uint32_t{1} << 31;
/// An entry that is none; its similarity is -infinity.
constexpr std::uint32_t kNoPlace = kIsNew - 1;

inline std::uint32_t place_of(std::uint32_t entry) {
  return entry & ~kIsNew;
}

/// The nearest found so far of each row: places, most similar first, ties by the smaller place.
/// What a list holds depends on what was offered, not on the order of it.
template <typename Entry, typename Float>
struct ListsOf {
  MatrixView<Entry> entries;       ///< (M, w)
  MatrixView<Float> similarities;  ///< (M, w)

  std::size_t width() const { return entries.cols; }
};

using NeighbourLists = ListsOf<std::uint32_t, float>;
using ConstNeighbourLists = ListsOf<const std::uint32_t, const float>;

/// One row's list, `width` long.
struct ListRow {
  std::uint32_t* entries;
  float* similarities;
  std::size_t width;

  float worst() const { return similarities[width - 1]; }

  /// Takes a place that is more similar than the last one; not twice. Returns whether it did.
  bool offer(std::uint32_t place, float similarity) const {
    std::size_t at = width;
    while (at > 0 && comes_before(place, similarity, at - 1)) {
      --at;
    }
    if (at == width || (at > 0 && is_same(place, similarity, at - 1))) {
      return false;
    }
    for (std::size_t i = width - 1; i > at; --i) {
      entries[i] = entries[i - 1];
      similarities[i] = similarities[i - 1];
    }
    entries[at] = place | kIsNew;
    similarities[at] = similarity;
    return true;
  }

 private:
  bool comes_before(std::uint32_t place, float similarity, std::size_t other) const {
    return similarity > similarities[other] ||
           (similarity == similarities[other] && place < place_of(entries[other]));
  }
  // A pair has one similarity, so a place that is there lies just before where it would go.
  bool is_same(std::uint32_t place, float similarity, std::size_t other) const {
    return similarity == similarities[other] && place == place_of(entries[other]);
  }
};

}  // namespace ds2fast::knn
