#include "knn/exact_search.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <vector>

#include "core/parallel_for.hpp"
#include "knn/code_filter.hpp"
#include "knn/exact_ranking.hpp"
#include "knn/float_filter.hpp"
#include "knn/near_first.hpp"
#include "knn/packed_rows.hpp"
#include "knn/pair_schedule.hpp"
#include "knn/reservoirs.hpp"

namespace ds2fast::knn {
namespace {

constexpr std::size_t kMaxBlockPanels = 16;  // 768 rows

/// Panels in a block: fewer where the blocks would be too few to keep all threads busy.
std::size_t choose_block_panels(std::size_t num_panels, std::size_t num_threads) {
  const std::size_t wanted_blocks = 4 * num_threads;
  return std::clamp<std::size_t>(num_panels / wanted_blocks, 1, kMaxBlockPanels);
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
                       Hits& hits) const {
    for (std::size_t p = a; p < a_end; ++p) {
      for (std::size_t q = a == b ? p : b; q < b_end; ++q) {
        multiply_panels(p, q, hits);
      }
    }
  }

 private:
  void multiply_panels(std::size_t p, std::size_t q, Hits& hits) const {
    const std::size_t first_row = p * simd::kPanelRows;
    const std::size_t first_column = q * simd::kPanelRows;
    // A panel with itself holds each pair twice, so its rows alone see all.
    const float* column_thresholds = p == q ? none_.data() : reservoirs_.thresholds(first_column);
    filter_.find(p, q, reservoirs_.thresholds(first_row), column_thresholds, hits);
    for (std::size_t i = 0; i < hits.count; ++i) {
      const std::size_t row = first_row + hits.codes[i] / simd::kPanelRows;
      const std::size_t column = first_column + hits.codes[i] % simd::kPanelRows;
      offer(row, column, hits.uppers[i]);
      if (p != q) {
        offer(column, row, hits.uppers[i]);
      }
    }
  }

  void offer(std::size_t row, std::size_t other, float upper) const {
    // Rows that fill up the last panel have a threshold of infinity, but are met as `other`.
    if (upper >= *reservoirs_.thresholds(row) && row != other && other < num_rows_) {
      reservoirs_.push(row, static_cast<std::int32_t>(other), upper);
    }
  }

  const PairFilter& filter_;
  std::size_t num_rows_;
  Reservoirs& reservoirs_;
  std::array<float, simd::kPanelRows> none_;
};

/// Where each block of panels begins and ends.
struct Blocks {
  std::size_t num_panels;
  std::size_t panels_each;

  std::size_t count() const { return (num_panels + panels_each - 1) / panels_each; }
  std::size_t begin(std::size_t block) const { return block * panels_each; }
  std::size_t end(std::size_t block) const {
    return std::min(begin(block) + panels_each, num_panels);
  }
};

void multiply_all_pairs(const TileDriver& driver, const Blocks& blocks, PairSchedule& schedule,
                        std::size_t num_threads, Monitor& monitor) {
  std::vector<std::unique_ptr<Hits>> hits(num_threads);
  for (auto& own : hits) {
    own = std::make_unique<Hits>();
  }
  parallel_for(schedule.num_pairs(), num_threads, monitor, [&](std::size_t, std::size_t worker) {
    const PairSchedule::Lease lease = schedule.acquire();
    const PairSchedule::Pair pair = lease.pair();
    driver.multiply_blocks(blocks.begin(pair.a), blocks.end(pair.a), blocks.begin(pair.b),
                           blocks.end(pair.b), *hits[worker]);
  });
}

void rank_candidates(Reservoirs& reservoirs, const ExactRanking& ranking, std::size_t num_threads,
                     Monitor& monitor, MatrixView<std::int32_t> ids,
                     MatrixView<float> similarities) {
  constexpr std::size_t kChunk = 256;
  parallel_chunks(ids.rows, kChunk, num_threads, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t) {
                    std::vector<RankedNeighbour> nearest;
                    for (std::size_t place = begin; place < end; ++place) {
                      reservoirs.finish(place, nearest);
                      const auto row = static_cast<std::size_t>(ranking.row_at(place));
                      for (std::size_t i = 0; i < nearest.size(); ++i) {
                        ids.row(row)[i] = nearest[i].id;
                        similarities.row(row)[i] = static_cast<float>(nearest[i].similarity);
                      }
                    }
                  });
}

/// The graph by one filter: multiply all pairs, then rank what is left.
void search_with(const PairFilter& filter, const ExactRanking& ranking, const Blocks& blocks,
                 PairSchedule& schedule, std::size_t num_threads, Monitor& monitor,
                 MatrixView<std::int32_t> ids, MatrixView<float> similarities) {
  const std::size_t total = schedule.num_pairs() + 1;
  using Counts = PhaseMonitor::Counts;
  PhaseMonitor multiplying(monitor, 0, total, Counts::kTasks);
  PhaseMonitor ranking_candidates(monitor, total - 1, total, Counts::kNothing);
  Reservoirs reservoirs(ids.rows, ids.cols, filter, ranking);
  const TileDriver driver(filter, ids.rows, reservoirs);
  multiply_all_pairs(driver, blocks, schedule, num_threads, multiplying);
  rank_candidates(reservoirs, ranking, num_threads, ranking_candidates, ids, similarities);
  monitor.poll(total, total);
}

}  // namespace

void exact_search(MatrixView<const float> rows, VectorView<const double> norms,
                  std::size_t num_threads, const simd::KernelTable& kernels, Monitor& monitor,
                  MatrixView<std::int32_t> ids, MatrixView<float> similarities) {
  const std::size_t num_panels = (rows.rows + simd::kPanelRows - 1) / simd::kPanelRows;
  const Blocks blocks{num_panels, choose_block_panels(num_panels, num_threads)};
  PairSchedule schedule(blocks.count());
  PhaseMonitor packing(monitor, 0, schedule.num_pairs() + 1, PhaseMonitor::Counts::kNothing);
  const std::vector<std::int32_t> order =
      near_first_order(rows, norms, num_threads, kernels, packing);
  const VectorView<const std::int32_t> places{order.data(), order.size()};
  const ExactRanking ranking(rows, norms, places, kernels);
  const auto search = [&](const PairFilter& filter) {
    search_with(filter, ranking, blocks, schedule, num_threads, monitor, ids, similarities);
  };
  if (kernels.code_products != nullptr) {
    const QuantisedRows quantised(rows, norms, places, num_threads, packing);
    search(CodeFilter(quantised, kernels));
  } else {
    const PackedRows packed(rows, norms, places, num_threads, packing);
    search(FloatFilter(packed, kernels));
  }
}

}  // namespace ds2fast::knn
