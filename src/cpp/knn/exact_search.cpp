#include "knn/exact_search.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <vector>

#include "core/parallel_for.hpp"
#include "knn/blocks.hpp"
#include "knn/copies.hpp"
#include "knn/exact_ranking.hpp"
#include "knn/first_thresholds.hpp"
#include "knn/near_first.hpp"
#include "knn/pair_filter.hpp"
#include "knn/pair_schedule.hpp"
#include "knn/quantised_rows.hpp"
#include "knn/reservoirs.hpp"

namespace ds2fast::knn {
namespace {

// Two blocks at a time are worked on: their codes and candidates should stay in a core's
// second-level cache, which is 1 MiB or more where products of bytes are fast.
constexpr std::size_t kBlockBytes = 320 << 10;
constexpr std::size_t kMaxBlockPanels = 12;
constexpr std::size_t kMinBlockPanels = 2;

Blocks choose_blocks(std::size_t num_rows, std::size_t depth, std::size_t num_threads) {
  const std::size_t num_panels = (num_rows + simd::kPanelRows - 1) / simd::kPanelRows;
  const std::size_t that_fit =
      std::clamp(kBlockBytes / (simd::kPanelRows * depth), kMinBlockPanels, kMaxBlockPanels);
  // Fewer where the blocks would be too few to keep all threads busy.
  const std::size_t that_share = std::max<std::size_t>(num_panels / (4 * num_threads), 1);
  return {num_panels, std::min(that_fit, that_share)};
}

/// What one worker writes to.
struct Worker {
  explicit Worker(std::size_t depth) : desk(depth) {}
  Hits hits;
  ExactRanking::Desk desk;
};

using Workers = std::vector<std::unique_ptr<Worker>>;

Workers make_workers(std::size_t num_threads, std::size_t depth) {
  Workers workers(num_threads);
  for (auto& worker : workers) {
    worker = std::make_unique<Worker>(depth);
  }
  return workers;
}

/// Finds the pairs of panels that pass and pushes them into the reservoirs of both sides.
class TileDriver {
 public:
  TileDriver(const PairFilter& filter, std::size_t num_rows, Reservoirs& reservoirs)
      : filter_(filter), num_rows_(num_rows), reservoirs_(reservoirs) {
    none_.fill(std::numeric_limits<float>::infinity());
  }

  /// All pairs of panels of two blocks, [a, a_end) and [b, b_end); each once where they are the
  /// same.
  void multiply_blocks(std::size_t a, std::size_t a_end, std::size_t b, std::size_t b_end,
                       Worker& worker) const {
    for (std::size_t p = a; p < a_end; ++p) {
      for (std::size_t q = a == b ? p : b; q < b_end; ++q) {
        multiply_panels(p, q, worker);
      }
    }
  }

 private:
  void multiply_panels(std::size_t p, std::size_t q, Worker& worker) const {
    Hits& hits = worker.hits;
    const std::size_t first_row = p * simd::kPanelRows;
    const std::size_t first_column = q * simd::kPanelRows;
    // A panel with itself holds each pair twice, so its rows alone see all.
    const float* column_thresholds = p == q ? none_.data() : reservoirs_.thresholds(first_column);
    filter_.find(p, q, reservoirs_.thresholds(first_row), column_thresholds, hits);
    for (std::size_t i = 0; i < hits.count; ++i) {
      const std::size_t row = first_row + hits.codes[i] / simd::kPanelRows;
      const std::size_t column = first_column + hits.codes[i] % simd::kPanelRows;
      offer(row, column, hits.bounds[i], worker.desk);
      if (p != q) {
        offer(column, row, hits.bounds[i], worker.desk);
      }
    }
  }

  void offer(std::size_t row, std::size_t other, Bounds bounds, ExactRanking::Desk& desk) const {
    // Rows that fill up the last panel have a threshold of infinity, but are met as `other`.
    if (bounds.upper >= *reservoirs_.thresholds(row) && row != other && other < num_rows_) {
      reservoirs_.push(row, static_cast<std::int32_t>(other), bounds, desk);
    }
  }

  const PairFilter& filter_;
  std::size_t num_rows_;
  Reservoirs& reservoirs_;
  std::array<float, simd::kPanelRows> none_;
};

void multiply_all_pairs(const TileDriver& driver, const Blocks& blocks, Workers& workers,
                        Monitor& monitor) {
  PairSchedule schedule(blocks.count());
  parallel_for(schedule.num_pairs(), workers.size(), monitor, [&](std::size_t, std::size_t worker) {
    const PairSchedule::Lease lease = schedule.acquire();
    const PairSchedule::Pair pair = lease.pair();
    driver.multiply_blocks(blocks.begin(pair.a), blocks.end(pair.a), blocks.begin(pair.b),
                           blocks.end(pair.b), *workers[worker]);
  });
}

/// Where a row's results go.
struct Results {
  MatrixView<std::int32_t> ids;
  MatrixView<float> similarities;

  void set(std::size_t row, std::size_t place, std::int32_t id, float similarity) const {
    ids.row(row)[place] = id;
    similarities.row(row)[place] = similarity;
  }
};

void rank_candidates(Reservoirs& reservoirs, const ExactRanking& ranking, std::size_t num_rows,
                     Workers& workers, Monitor& monitor, const Results& results) {
  constexpr std::size_t kChunk = 256;
  parallel_chunks(num_rows, kChunk, workers.size(), monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t worker) {
                    ExactRanking::Desk& desk = workers[worker]->desk;
                    for (std::size_t place = begin; place < end; ++place) {
                      reservoirs.finish(place, desk);
                      const auto row = static_cast<std::size_t>(ranking.row_at(place));
                      for (std::size_t i = 0; i < desk.nearest.size(); ++i) {
                        results.set(row, i, desk.nearest[i].id,
                                    static_cast<float>(desk.nearest[i].similarity));
                      }
                    }
                  });
}

}  // namespace

void exact_search(const RowSource& rows, VectorView<const double> norms, std::size_t num_threads,
                  Monitor& monitor, MatrixView<std::int32_t> ids, MatrixView<float> similarities) {
  // Pairs of blocks as if no row had copies: how many have is not known before the first poll.
  const std::size_t total = choose_blocks(rows.num_rows(), rows.depth(), num_threads).num_pairs();
  PhaseMonitor packing(monitor, 0, 0, total + 1);
  PhaseMonitor multiplying(monitor, 0, total, total + 1);
  PhaseMonitor ranking_candidates(monitor, total, 0, total + 1);
  Copies copies = find_copies(rows, norms, ids.cols, packing);
  const std::size_t num_rows = copies.searched.size();
  const Blocks blocks = choose_blocks(num_rows, rows.depth(), num_threads);
  order_near_first(rows, norms, num_threads, packing, copies.searched);
  const VectorView<const std::int32_t> order{copies.searched.data(), num_rows};
  auto quantised = std::make_unique<const QuantisedRows>(rows, norms, order, num_threads, packing);
  const ExactRanking ranking(rows, norms, order);
  Reservoirs reservoirs(num_rows, ids.cols, rows.depth(), quantised->depth(), ranking,
                        rows.kernels());
  raise_first_thresholds(*quantised, rows.kernels(), ids.cols, num_threads, packing, reservoirs);
  Workers workers = make_workers(std::min(num_threads, blocks.num_pairs()), rows.depth());
  const PairFilter filter(*quantised, rows.kernels());
  multiply_all_pairs(TileDriver(filter, num_rows, reservoirs), blocks, workers, multiplying);
  quantised.reset();  // the results take its place in memory
  const Results results{ids, similarities};
  rank_candidates(reservoirs, ranking, num_rows, workers, ranking_candidates, results);
  fill_in_copies(copies, ranking, ids, similarities);
  monitor.poll(total + 1, total + 1);
}

}  // namespace ds2fast::knn
