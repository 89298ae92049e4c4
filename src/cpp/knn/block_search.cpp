#include "knn/block_search.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "core/parallel_for.hpp"
#include "core/round_up.hpp"
#include "knn/copies.hpp"
#include "knn/exact_ranking.hpp"
#include "knn/exact_search.hpp"
#include "knn/first_thresholds.hpp"
#include "knn/near_first.hpp"
#include "knn/pair_filter.hpp"
#include "knn/quantised_rows.hpp"
#include "knn/reservoirs.hpp"
#include "knn/tile_driver.hpp"

namespace ds2fast::knn {
namespace {

using Ids = std::vector<std::int32_t>;

void clear_lists(const NearestLists& lists) {
  for (std::size_t row = 0; row < lists.num_rows(); ++row) {
    end_list(lists, row, 0);
  }
}

/// One of the two blocks: what is searched of it, and where that is.
struct Side {
  const RowBlock& block;
  VectorView<const double> floors;  ///< as given, by row
  std::size_t first_index;          ///< of its rows in those of both
  Copies copies;
  std::size_t first_place = 0;  ///< its rows are at the next `num_searched()` places

  std::size_t num_searched() const { return copies.searched.size(); }
  PanelRange panels() const {
    const std::size_t first = first_place / simd::kPanelRows;
    return {first, first + round_up_to(num_searched(), simd::kPanelRows) / simd::kPanelRows};
  }
};

Side make_side(const RowBlock& block, VectorView<const double> floors, std::size_t first_index,
               Monitor& monitor) {
  return {block, floors, first_index,
          find_copies(block.rows, block.norms, block.nearest.k(), monitor)};
}

std::vector<double> joined(VectorView<const double> x, VectorView<const double> y) {
  std::vector<double> both;
  both.reserve(x.size + y.size);
  both.insert(both.end(), x.begin(), x.end());
  both.insert(both.end(), y.begin(), y.end());
  return both;
}

/// Indices of the rows that are searched, by place: those of the left side, what fills up its last
/// panel, those of the right side. Both sides are in one order, in which near rows lie together.
Ids lay_out(const RowSource& rows, VectorView<const double> norms, std::size_t num_threads,
            Monitor& monitor, Side& left, Side& right) {
  Ids ids = left.copies.searched;
  for (const std::int32_t row : right.copies.searched) {
    ids.push_back(static_cast<std::int32_t>(right.first_index) + row);
  }
  order_near_first(rows, norms, num_threads, monitor, ids);
  const auto is_left = [&](std::int32_t index) {
    return static_cast<std::size_t>(index) < right.first_index;
  };
  std::stable_partition(ids.begin(), ids.end(), is_left);
  right.first_place = round_up_to(left.num_searched(), simd::kPanelRows);
  // Any row will do: nobody is looked for at the places between.
  ids.insert(ids.begin() + static_cast<std::ptrdiff_t>(left.num_searched()),
             right.first_place - left.num_searched(), ids.front());
  return ids;
}

float float_below(double value) {
  const auto nearest = static_cast<float>(value);
  return static_cast<double>(nearest) <= value
             ? nearest
             : std::nextafter(nearest, -std::numeric_limits<float>::infinity());
}

/// The least floor of a row and its copies, which are not searched themselves, by row.
std::vector<double> lowest_floors(const Side& side) {
  std::vector<double> floors(side.floors.begin(), side.floors.end());
  for (const Copies::Copy& copy : side.copies.rest) {
    double& floor = floors[static_cast<std::size_t>(copy.first)];
    floor = std::min(floor, side.floors[static_cast<std::size_t>(copy.row)]);
  }
  return floors;
}

void raise_to_floors(const Side& side, const Ids& order, Reservoirs& reservoirs) {
  const std::vector<double> floors = lowest_floors(side);
  for (std::size_t i = 0; i < side.num_searched(); ++i) {
    const std::size_t place = side.first_place + i;
    const std::size_t row = static_cast<std::size_t>(order[place]) - side.first_index;
    reservoirs.raise_threshold(place, float_below(floors[row]));
  }
}

/// Ranks what is left of a side's candidates, which are rows of the other side.
void rank_side(const Side& side, const Side& other, const ExactRanking& ranking,
               Reservoirs& reservoirs, Workers& workers, Monitor& monitor) {
  constexpr std::size_t kChunk = 256;
  const NearestLists& nearest = side.block.nearest;
  const std::size_t expected =
      side.floors.size == 0 ? std::min(nearest.k(), other.num_searched()) : 0;
  const auto first_index = static_cast<std::int32_t>(other.first_index);
  const auto rank_place = [&](std::size_t place, ExactRanking::Desk& desk) {
    reservoirs.finish(place, expected, desk);
    const std::size_t row = static_cast<std::size_t>(ranking.row_at(place)) - side.first_index;
    for (std::size_t i = 0; i < desk.nearest.size(); ++i) {
      nearest.ids.row(row)[i] = desk.nearest[i].id - first_index + other.block.first_id;
      nearest.similarities.row(row)[i] = desk.nearest[i].similarity;
    }
  };
  parallel_chunks(side.num_searched(), kChunk, workers.size(), monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t worker) {
                    for (std::size_t i = begin; i < end; ++i) {
                      rank_place(side.first_place + i, workers[worker]->desk);
                    }
                  });
}

/// What is nearest to a row is nearest to its copies.
void copy_lists(const Side& side) {
  const NearestLists& nearest = side.block.nearest;
  for (const Copies::Copy& copy : side.copies.rest) {
    const auto from = static_cast<std::size_t>(copy.first);
    const auto to = static_cast<std::size_t>(copy.row);
    std::copy_n(nearest.ids.row(from), nearest.k(), nearest.ids.row(to));
    std::copy_n(nearest.similarities.row(from), nearest.k(), nearest.similarities.row(to));
  }
}

/// Which candidates below its floor a row was left with depends on the order of work: none is told.
void cut_lists_at_floors(const Side& side) {
  const NearestLists& nearest = side.block.nearest;
  for (std::size_t row = 0; row < side.floors.size; ++row) {
    const double* similarities = nearest.similarities.row(row);
    const double* below = std::find_if(similarities, similarities + nearest.k(),
                                       [&](double value) { return value < side.floors[row]; });
    end_list(nearest, row, static_cast<std::size_t>(below - similarities));
  }
}

/// The search of two sides that have rows.
class BetweenSearch {
 public:
  BetweenSearch(Side& left, Side& right, std::size_t num_threads, Monitor& monitor)
      : left_(left),
        right_(right),
        num_threads_(num_threads),
        packing_(monitor, 0, 0, 1000),
        multiplying_(monitor, 0, 999, 1000),
        ranking_(monitor, 999, 0, 1000),
        rows_(left.block.rows, right.block.rows),
        all_norms_(joined(left.block.norms, right.block.norms)),
        norms_{all_norms_.data(), all_norms_.size()},
        order_(lay_out(rows_, norms_, num_threads, packing_, left, right)),
        places_{order_.data(), order_.size()},
        quantised_(
            std::make_unique<const QuantisedRows>(rows_, norms_, places_, num_threads, packing_)),
        exact_(rows_, norms_, places_),
        reservoirs_(order_.size(), k(), rows_.depth(), quantised_->depth(), exact_,
                    rows_.kernels()) {
    for (std::size_t place = left.num_searched(); place < right.first_place; ++place) {
      reservoirs_.leave_empty(place);
    }
  }

  void run() {
    raise_thresholds(left_, right_);
    raise_thresholds(right_, left_);
    const Blocks left = blocks_of(left_);
    const Blocks right = blocks_of(right_);
    Workers workers =
        make_workers(std::min(num_threads_, left.count() * right.count()), rows_.depth());
    const PairFilter filter(*quantised_, rows_.kernels());
    multiply_across(TileDriver(filter, reservoirs_), left, right, right_.panels().begin, workers,
                    multiplying_);
    quantised_.reset();  // the results take its place in memory
    rank_side(left_, right_, exact_, reservoirs_, workers, ranking_);
    rank_side(right_, left_, exact_, reservoirs_, workers, ranking_);
  }

 private:
  std::size_t k() const { return left_.block.nearest.k(); }

  Blocks blocks_of(const Side& side) const {
    return choose_blocks(side.num_searched(), rows_.depth(), num_threads_);
  }

  void raise_thresholds(const Side& side, const Side& other) {
    if (side.floors.size == 0) {
      raise_thresholds_across(*quantised_, rows_.kernels(), k(), num_threads_, packing_,
                              side.panels(), other.panels(), reservoirs_);
    } else {
      raise_to_floors(side, order_, reservoirs_);
    }
  }

  Side& left_;
  Side& right_;
  std::size_t num_threads_;
  PhaseMonitor packing_;
  PhaseMonitor multiplying_;
  PhaseMonitor ranking_;
  RowSource rows_;
  std::vector<double> all_norms_;
  VectorView<const double> norms_;
  Ids order_;
  VectorView<const std::int32_t> places_;
  std::unique_ptr<const QuantisedRows> quantised_;
  ExactRanking exact_;
  Reservoirs reservoirs_;
};

}  // namespace

void search_within(const RowBlock& block, std::size_t num_threads, Monitor& monitor) {
  const NearestLists& nearest = block.nearest;
  const std::size_t num_rows = block.rows.num_rows();
  if (num_rows > nearest.k()) {
    exact_search(block.rows, block.norms, num_threads, monitor, nearest.ids, nearest.similarities);
  } else {
    clear_lists(nearest);
    const std::size_t k = num_rows > 0 ? num_rows - 1 : 0;
    std::vector<std::int32_t> ids(num_rows * k);
    std::vector<double> similarities(num_rows * k);
    if (k > 0) {
      exact_search(block.rows, block.norms, num_threads, monitor,
                   MatrixView<std::int32_t>{ids.data(), num_rows, k},
                   MatrixView<double>{similarities.data(), num_rows, k});
    }
    for (std::size_t row = 0; row < num_rows; ++row) {
      std::copy_n(ids.data() + row * k, k, nearest.ids.row(row));
      std::copy_n(similarities.data() + row * k, k, nearest.similarities.row(row));
    }
  }
  for (std::size_t i = 0; i < num_rows * nearest.k(); ++i) {
    nearest.ids.data[i] += nearest.ids.data[i] == kNobody ? 0 : block.first_id;
  }
}

void search_between(const RowBlock& left, VectorView<const double> left_floors,
                    const RowBlock& right, VectorView<const double> right_floors,
                    std::size_t num_threads, Monitor& monitor) {
  clear_lists(left.nearest);
  clear_lists(right.nearest);
  if (left.rows.num_rows() > 0 && right.rows.num_rows() > 0) {
    Side left_side = make_side(left, left_floors, 0, monitor);
    Side right_side = make_side(right, right_floors, left.rows.num_rows(), monitor);
    BetweenSearch(left_side, right_side, num_threads, monitor).run();
    for (const Side* side : {&left_side, &right_side}) {
      copy_lists(*side);
      cut_lists_at_floors(*side);
    }
  }
  monitor.poll(1, 1);
}

}  // namespace ds2fast::knn
