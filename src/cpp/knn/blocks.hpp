#pragma once

#include <algorithm>
#include <cstddef>

namespace ds2fast::knn {

/// Where each block of panels begins and ends.
struct Blocks {
  std::size_t num_panels;
  std::size_t panels_each;

  std::size_t count() const { return (num_panels + panels_each - 1) / panels_each; }
  /// Of two blocks, and of one with itself.
  std::size_t num_pairs() const { return count() * (count() + 1) / 2; }
  std::size_t begin(std::size_t block) const { return block * panels_each; }
  std::size_t end(std::size_t block) const {
    return std::min(begin(block) + panels_each, num_panels);
  }
};

}  // namespace ds2fast::knn
