#include "knn/exact_search.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <vector>

#include "core/parallel_for.hpp"
#include "knn/exact_ranking.hpp"
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

/// What one worker needs to hold one tile.
struct Workspace {
  alignas(64) std::array<float, simd::kTileSize> products;
  std::array<std::uint32_t, simd::kTileSize> codes;
};

/// Multiplies panel pairs and pushes what passes into the reservoirs of both sides.
class TileDriver {
 public:
  TileDriver(const PackedRows& packed, const simd::KernelTable& kernels, std::size_t num_rows,
             Reservoirs& reservoirs)
      : packed_(packed), kernels_(kernels), num_rows_(num_rows), reservoirs_(reservoirs) {
    none_.fill(std::numeric_limits<float>::infinity());
  }

  /// All pairs of panels of two blocks, [a, a_end) and [b, b_end); each once where they are the
  /// same.
  void multiply_blocks(std::size_t a, std::size_t a_end, std::size_t b, std::size_t b_end,
                       Workspace& work) const {
    for (std::size_t p = a; p < a_end; ++p) {
      for (std::size_t q = a == b ? p : b; q < b_end; ++q) {
        multiply_panels(p, q, work);
      }
    }
  }

 private:
  void multiply_panels(std::size_t p, std::size_t q, Workspace& work) const {
    const std::size_t first_row = p * simd::kPanelRows;
    const std::size_t first_column = q * simd::kPanelRows;
    kernels_.tile_products(packed_.panel(p), packed_.panel(q), packed_.depth(),
                           work.products.data());
    // A panel with itself holds each pair twice, so its rows alone see all.
    const float* column_thresholds = p == q ? none_.data() : reservoirs_.thresholds(first_column);
    const std::size_t count =
        kernels_.scan_tile(work.products.data(), reservoirs_.thresholds(first_row),
                           column_thresholds, work.codes.data());
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t r = work.codes[i] / simd::kPanelRows;
      const std::size_t c = work.codes[i] % simd::kPanelRows;
      const float product = work.products[work.codes[i]];
      offer(first_row + r, first_column + c, product);
      if (p != q) {
        offer(first_column + c, first_row + r, product);
      }
    }
  }

  void offer(std::size_t row, std::size_t other, float product) const {
    // Rows that fill up the last panel have a threshold of infinity, but are met as `other`.
    if (product >= *reservoirs_.thresholds(row) && row != other && other < num_rows_) {
      reservoirs_.push(row, static_cast<std::int32_t>(other), product);
    }
  }

  const PackedRows& packed_;
  const simd::KernelTable& kernels_;
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
  std::vector<std::unique_ptr<Workspace>> workspaces(num_threads);
  for (auto& workspace : workspaces) {
    workspace = std::make_unique<Workspace>();
  }
  parallel_for(schedule.num_pairs(), num_threads, monitor, [&](std::size_t, std::size_t worker) {
    const PairSchedule::Lease lease = schedule.acquire();
    const PairSchedule::Pair pair = lease.pair();
    driver.multiply_blocks(blocks.begin(pair.a), blocks.end(pair.a), blocks.begin(pair.b),
                           blocks.end(pair.b), *workspaces[worker]);
  });
}

void rank_candidates(const Reservoirs& reservoirs, std::size_t num_threads, Monitor& monitor,
                     MatrixView<std::int32_t> ids, MatrixView<float> similarities) {
  constexpr std::size_t kChunk = 256;
  parallel_chunks(
      ids.rows, kChunk, num_threads, monitor, [&](std::size_t begin, std::size_t end, std::size_t) {
        std::vector<RankedNeighbour> nearest;
        for (std::size_t row = begin; row < end; ++row) {
          reservoirs.finish(row, nearest);
          for (std::size_t place = 0; place < nearest.size(); ++place) {
            ids.row(row)[place] = nearest[place].id;
            similarities.row(row)[place] = static_cast<float>(nearest[place].similarity);
          }
        }
      });
}

}  // namespace

void exact_search(MatrixView<const float> rows, VectorView<const double> norms,
                  std::size_t num_threads, const simd::KernelTable& kernels, Monitor& monitor,
                  MatrixView<std::int32_t> ids, MatrixView<float> similarities) {
  const std::size_t num_panels = (rows.rows + simd::kPanelRows - 1) / simd::kPanelRows;
  const Blocks blocks{num_panels, choose_block_panels(num_panels, num_threads)};
  PairSchedule schedule(blocks.count());
  const std::size_t total = schedule.num_pairs() + 1;
  using Counts = PhaseMonitor::Counts;
  PhaseMonitor packing(monitor, 0, total, Counts::kNothing);
  PhaseMonitor multiplying(monitor, 0, total, Counts::kTasks);
  PhaseMonitor ranking_candidates(monitor, total - 1, total, Counts::kNothing);

  const PackedRows packed(rows, norms, num_threads, packing);
  const ExactRanking ranking(rows, norms, kernels);
  Reservoirs reservoirs(rows.rows, ids.cols, packed.error_bound(), ranking);
  const TileDriver driver(packed, kernels, rows.rows, reservoirs);
  multiply_all_pairs(driver, blocks, schedule, num_threads, multiplying);
  rank_candidates(reservoirs, num_threads, ranking_candidates, ids, similarities);
  monitor.poll(total, total);
}

}  // namespace ds2fast::knn
