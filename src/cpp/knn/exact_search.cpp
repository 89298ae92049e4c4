#include "knn/exact_search.hpp"

#include <algorithm>
#include <memory>

#include "core/parallel_for.hpp"
#include "knn/blocks.hpp"
#include "knn/copies.hpp"
#include "knn/exact_ranking.hpp"
#include "knn/first_thresholds.hpp"
#include "knn/near_first.hpp"
#include "knn/pair_filter.hpp"
#include "knn/quantised_rows.hpp"
#include "knn/reservoirs.hpp"
#include "knn/tile_driver.hpp"

namespace ds2fast::knn {
namespace {

/// Where a row's results go.
template <typename Similarity>
struct Results {
  MatrixView<std::int32_t> ids;
  MatrixView<Similarity> similarities;

  void set(std::size_t row, std::size_t place, const RankedNeighbour& neighbour) const {
    ids.row(row)[place] = neighbour.id;
    similarities.row(row)[place] = static_cast<Similarity>(neighbour.similarity);
  }
};

template <typename Similarity>
void rank_candidates(Reservoirs& reservoirs, const ExactRanking& ranking, std::size_t num_rows,
                     Workers& workers, Monitor& monitor, const Results<Similarity>& results) {
  constexpr std::size_t kChunk = 256;
  parallel_chunks(num_rows, kChunk, workers.size(), monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t worker) {
                    ExactRanking::Desk& desk = workers[worker]->desk;
                    for (std::size_t place = begin; place < end; ++place) {
                      reservoirs.finish(place, results.ids.cols, desk);
                      const auto row = static_cast<std::size_t>(ranking.row_at(place));
                      for (std::size_t i = 0; i < desk.nearest.size(); ++i) {
                        results.set(row, i, desk.nearest[i]);
                      }
                    }
                  });
}

template <typename Similarity>
void search(const RowSource& rows, VectorView<const double> norms, std::size_t num_threads,
            Monitor& monitor, MatrixView<std::int32_t> ids, MatrixView<Similarity> similarities) {
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
  multiply_all_pairs(TileDriver(filter, reservoirs), blocks, workers, multiplying);
  quantised.reset();  // the results take its place in memory
  const Results<Similarity> results{ids, similarities};
  rank_candidates(reservoirs, ranking, num_rows, workers, ranking_candidates, results);
  fill_in_copies(copies, ranking, ids, similarities);
  monitor.poll(total + 1, total + 1);
}

}  // namespace

void exact_search(const RowSource& rows, VectorView<const double> norms, std::size_t num_threads,
                  Monitor& monitor, MatrixView<std::int32_t> ids, MatrixView<float> similarities) {
  search(rows, norms, num_threads, monitor, ids, similarities);
}

void exact_search(const RowSource& rows, VectorView<const double> norms, std::size_t num_threads,
                  Monitor& monitor, MatrixView<std::int32_t> ids, MatrixView<double> similarities) {
  search(rows, norms, num_threads, monitor, ids, similarities);
}

}  // namespace ds2fast::knn
