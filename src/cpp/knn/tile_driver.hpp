#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

#include "core/monitor.hpp"
#include "knn/blocks.hpp"
#include "knn/exact_ranking.hpp"
#include "knn/pair_filter.hpp"
#include "knn/reservoirs.hpp"

namespace ds2fast::knn {

/// Blocks of such a size that two of them, worked on at a time, stay in a core's cache.
Blocks choose_blocks(std::size_t num_rows, std::size_t depth, std::size_t num_threads);

/// What one worker writes to.
struct Worker {
  explicit Worker(std::size_t depth) : desk(depth) {}
  Hits hits;
  ExactRanking::Desk desk;
};

using Workers = std::vector<std::unique_ptr<Worker>>;

Workers make_workers(std::size_t num_threads, std::size_t depth);

/// Finds the pairs of panels that pass and pushes them into the reservoirs of both sides.
class TileDriver {
 public:
  TileDriver(const PairFilter& filter, Reservoirs& reservoirs);

  /// All pairs of panels of two blocks, [a, a_end) and [b, b_end); each once where they are the
  /// same.
  void multiply_blocks(std::size_t a, std::size_t a_end, std::size_t b, std::size_t b_end,
                       Worker& worker) const;

 private:
  void multiply_panels(std::size_t p, std::size_t q, Worker& worker) const;
  void offer(std::size_t row, std::size_t other, Bounds bounds, ExactRanking::Desk& desk) const;

  const PairFilter& filter_;
  Reservoirs& reservoirs_;
  std::array<float, simd::kPanelRows> none_;
};

/// All pairs of rows of the blocks.
void multiply_all_pairs(const TileDriver& driver, const Blocks& blocks, Workers& workers,
                        Monitor& monitor);

/// All pairs of a row of the blocks of one side and a row of those of the other, which begins at
/// panel `first_right`.
void multiply_across(const TileDriver& driver, const Blocks& left, const Blocks& right,
                     std::size_t first_right, Workers& workers, Monitor& monitor);

}  // namespace ds2fast::knn
