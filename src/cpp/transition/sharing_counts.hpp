#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"

namespace ds2fast::transition {

/// Rated rows and their independent neighbours (neighbours/independent.hpp) by similarity bin.
///
/// Layout: `levels` (N) in [-1, num_levels), -1 for unrated; `ids` (N, width) row numbers of rated
/// rows, -1 after the last of a row; `bins` (N, width) in [0, num_bins), by ascending similarity;
/// `is_copy` (N), 1 for rows that are not counted as centres.
struct BinnedNeighbours {
  VectorView<const std::int8_t> levels;
  MatrixView<const std::int32_t> ids;
  MatrixView<const std::uint8_t> bins;
  VectorView<const std::uint8_t> is_copy;
  std::size_t num_levels;
  std::size_t num_bins;

  bool is_centre(std::size_t row) const { return levels[row] >= 0 && is_copy[row] == 0; }
  std::size_t num_neighbours(std::size_t row) const;
};

/// Unordered pairs of bins.
constexpr std::size_t num_bin_pairs(std::size_t num_bins) {
  return num_bins * (num_bins + 1) / 2;
}

/// Cells of a (P, K, K, K) table of triples: P pairs of bins, K levels.
constexpr std::size_t num_triple_cells(std::size_t num_levels, std::size_t num_bins) {
  return num_bin_pairs(num_bins) * num_levels * num_levels * num_levels;
}

/// Counts the levels (a, b, c) of each centre with every pair of its neighbours by the pair's bins:
/// `counts` (P, K, K, K) row-major, overwritten. A pair's neighbours are turned so that the first
/// has the lower bin (of equal bins: so that it is the nearer one); pair (x, y), x <= y, has place
/// x * B - x * (x - 1) / 2 + y - x. Integers, so threads do not change the result.
void count_sharing(const BinnedNeighbours& rows, VectorView<std::int64_t> counts,
                   std::size_t num_threads, Monitor& monitor);

/// Counts the levels (a, d) of each centre with each of its neighbours by bin: `counts` (B, K, K)
/// row-major, overwritten.
void count_pairs(const BinnedNeighbours& rows, VectorView<std::int64_t> counts,
                 std::size_t num_threads, Monitor& monitor);

/// The triples of count_sharing in the order of the rows, each as its cell's number: made once,
/// counted many times with other weights of the rows.
class TripleList {
 public:
  /// Several weightings are counted at a time: a cell's weights lie side by side.
  static constexpr std::size_t kLanes = 8;

  explicit TripleList(const BinnedNeighbours& rows);

  /// Centres with two neighbours or more.
  std::size_t num_centres() const { return centres_.size(); }
  std::size_t num_triples() const { return cells_.size(); }

  /// Adds up 1 + e(centre) + e(first) + e(second) over the triples of each cell, where e is +1 or
  /// -1: in weighting `lane`, bit `lane` of `signs` (N) is set for +1. Weights that are added, not
  /// multiplied, give a row's ratings the influence on the table that they have (to first order).
  /// `sums` (cells, kLanes), overwritten; exact.
  void count(VectorView<const std::uint8_t> signs, std::vector<std::int32_t>& sums) const;

 private:
  struct Centre {
    std::uint32_t row;
    std::uint32_t num_neighbours;
  };

  MatrixView<const std::int32_t> ids_;
  std::size_t num_cells_;
  std::vector<Centre> centres_;
  std::vector<std::uint32_t> cells_;
};

}  // namespace ds2fast::transition
