#include "knn/tile_driver.hpp"

#include <algorithm>
#include <limits>

#include "core/parallel_for.hpp"
#include "knn/pair_schedule.hpp"

namespace ds2fast::knn {
namespace {

// Two blocks at a time are worked on: their codes and candidates should stay in a core's
// second-level cache, which is 1 MiB or more where products of bytes are fast.
constexpr std::size_t kBlockBytes = 320 << 10;
constexpr std::size_t kMaxBlockPanels = 12;
constexpr std::size_t kMinBlockPanels = 2;

}  // namespace

Blocks choose_blocks(std::size_t num_rows, std::size_t depth, std::size_t num_threads) {
  const std::size_t num_panels = (num_rows + simd::kPanelRows - 1) / simd::kPanelRows;
  const std::size_t that_fit =
      std::clamp(kBlockBytes / (simd::kPanelRows * depth), kMinBlockPanels, kMaxBlockPanels);
  // Fewer where the blocks would be too few to keep all threads busy.
  const std::size_t that_share = std::max<std::size_t>(num_panels / (4 * num_threads), 1);
  return {num_panels, std::min(that_fit, that_share)};
}

Workers make_workers(std::size_t num_threads, std::size_t depth) {
  Workers workers(num_threads);
  for (auto& worker : workers) {
    worker = std::make_unique<Worker>(depth);
  }
  return workers;
}

TileDriver::TileDriver(const PairFilter& filter, Reservoirs& reservoirs)
    : filter_(filter), reservoirs_(reservoirs) {
  none_.fill(std::numeric_limits<float>::infinity());
}

void TileDriver::multiply_blocks(std::size_t a, std::size_t a_end, std::size_t b, std::size_t b_end,
                                 Worker& worker) const {
  for (std::size_t p = a; p < a_end; ++p) {
    for (std::size_t q = a == b ? p : b; q < b_end; ++q) {
      multiply_panels(p, q, worker);
    }
  }
}

void TileDriver::multiply_panels(std::size_t p, std::size_t q, Worker& worker) const {
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

inline void TileDriver::offer(std::size_t row, std::size_t other, Bounds bounds,
                              ExactRanking::Desk& desk) const {
  // Places that fill up a last panel take nobody, but are met as `other`.
  if (bounds.upper >= *reservoirs_.thresholds(row) && row != other && reservoirs_.is_row(other)) {
    reservoirs_.push(row, static_cast<std::int32_t>(other), bounds, desk);
  }
}

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

void multiply_across(const TileDriver& driver, const Blocks& left, const Blocks& right,
                     std::size_t first_right, Workers& workers, Monitor& monitor) {
  PairSchedule schedule(left.count(), right.count());
  parallel_for(schedule.num_pairs(), workers.size(), monitor, [&](std::size_t, std::size_t worker) {
    const PairSchedule::Lease lease = schedule.acquire();
    const std::size_t a = lease.pair().a;
    const std::size_t b = lease.pair().b - left.count();
    driver.multiply_blocks(left.begin(a), left.end(a), first_right + right.begin(b),
                           first_right + right.end(b), *workers[worker]);
  });
}

}  // namespace ds2fast::knn
