#include "transition/sharing_counts.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "core/parallel_for.hpp"

namespace ds2fast::transition {
namespace {

constexpr std::size_t kChunkRows = 4096;
constexpr std::size_t kLanes = TripleList::kLanes;

/// Place of the pair of bins (low, high), low <= high.
std::size_t bin_pair(std::size_t low, std::size_t high, std::size_t num_bins) {
  return low * (2 * num_bins - low + 1) / 2 + high - low;
}

/// Calls visit(cell) for each pair of a centre's neighbours.
template <typename Visit>
void for_each_pair(const BinnedNeighbours& rows, std::size_t row, std::size_t num_neighbours,
                   Visit visit) {
  const std::size_t k = rows.num_levels;
  const std::int32_t* ids = rows.ids.row(row);
  const std::uint8_t* bins = rows.bins.row(row);
  const auto level_of = [&](std::size_t id) { return static_cast<std::uint8_t>(rows.levels[id]); };
  for (std::size_t i = 0; i < num_neighbours; ++i) {
    for (std::size_t j = i + 1; j < num_neighbours; ++j) {
      std::size_t first = i;
      std::size_t second = j;
      if (bins[first] > bins[second]) {
        std::swap(first, second);
      }
      const std::size_t pair = bin_pair(bins[first], bins[second], rows.num_bins);
      visit(((pair * k + level_of(row)) * k + level_of(static_cast<std::size_t>(ids[first]))) * k +
            level_of(static_cast<std::size_t>(ids[second])));
    }
  }
}

/// Counts into one table a worker: count_row(row, table) for each centre.
template <typename CountRow>
void count_centres(const BinnedNeighbours& rows, VectorView<std::int64_t> counts,
                   std::size_t num_threads, Monitor& monitor, CountRow count_row) {
  std::vector<std::vector<std::int64_t>> tables(num_threads);
  parallel_chunks(rows.levels.size, kChunkRows, num_threads, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t worker) {
                    std::vector<std::int64_t>& table = tables[worker];
                    table.resize(counts.size);  // zeros, at a worker's first chunk
                    for (std::size_t row = begin; row < end; ++row) {
                      if (rows.is_centre(row)) {
                        count_row(row, table);
                      }
                    }
                  });
  std::fill(counts.begin(), counts.end(), 0);
  for (const std::vector<std::int64_t>& table : tables) {
    for (std::size_t cell = 0; cell < table.size(); ++cell) {
      counts[cell] += table[cell];
    }
  }
}

using Lanes = std::array<std::int32_t, kLanes>;

/// The signs +1 and -1 of every byte of bits.
std::vector<Lanes> signs_of_bytes() {
  std::vector<Lanes> table(256);
  for (std::size_t byte = 0; byte < table.size(); ++byte) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      table[byte][lane] = (byte >> lane & 1U) != 0 ? 1 : -1;
    }
  }
  return table;
}

}  // namespace

std::size_t BinnedNeighbours::num_neighbours(std::size_t row) const {
  const std::int32_t* begin = ids.row(row);
  return static_cast<std::size_t>(std::find(begin, begin + ids.cols, -1) - begin);
}

void count_sharing(const BinnedNeighbours& rows, VectorView<std::int64_t> counts,
                   std::size_t num_threads, Monitor& monitor) {
  count_centres(rows, counts, num_threads, monitor,
                [&](std::size_t row, std::vector<std::int64_t>& table) {
                  for_each_pair(rows, row, rows.num_neighbours(row),
                                [&](std::size_t cell) { ++table[cell]; });
                });
}

void count_pairs(const BinnedNeighbours& rows, VectorView<std::int64_t> counts,
                 std::size_t num_threads, Monitor& monitor) {
  const std::size_t k = rows.num_levels;
  count_centres(rows, counts, num_threads, monitor,
                [&](std::size_t row, std::vector<std::int64_t>& table) {
                  const std::size_t num_neighbours = rows.num_neighbours(row);
                  const auto own = static_cast<std::uint8_t>(rows.levels[row]);
                  for (std::size_t at = 0; at < num_neighbours; ++at) {
                    const auto id = static_cast<std::size_t>(rows.ids.row(row)[at]);
                    const std::size_t bin = rows.bins.row(row)[at];
                    ++table[(bin * k + own) * k + static_cast<std::uint8_t>(rows.levels[id])];
                  }
                });
}

TripleList::TripleList(const BinnedNeighbours& rows)
    : ids_(rows.ids), num_cells_(num_triple_cells(rows.num_levels, rows.num_bins)) {
  for (std::size_t row = 0; row < rows.levels.size; ++row) {
    const std::size_t num_neighbours = rows.is_centre(row) ? rows.num_neighbours(row) : 0;
    if (num_neighbours >= 2) {
      centres_.push_back(
          {static_cast<std::uint32_t>(row), static_cast<std::uint32_t>(num_neighbours)});
      for_each_pair(rows, row, num_neighbours,
                    [&](std::size_t cell) { cells_.push_back(static_cast<std::uint32_t>(cell)); });
    }
  }
}

void TripleList::count(VectorView<const std::uint8_t> signs,
                       std::vector<std::int32_t>& sums) const {
  const std::vector<Lanes> signs_of = signs_of_bytes();
  sums.assign(num_cells_ * kLanes, 0);
  const std::uint32_t* cell = cells_.data();
  for (const Centre& centre : centres_) {
    const Lanes& own = signs_of[signs[centre.row]];
    const std::int32_t* ids = ids_.row(centre.row);
    for (std::size_t i = 0; i < centre.num_neighbours; ++i) {
      const Lanes& first = signs_of[signs[static_cast<std::size_t>(ids[i])]];
      Lanes known;
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        known[lane] = 1 + own[lane] + first[lane];
      }
      for (std::size_t j = i + 1; j < centre.num_neighbours; ++j, ++cell) {
        const Lanes& second = signs_of[signs[static_cast<std::size_t>(ids[j])]];
        std::int32_t* sum = &sums[*cell * kLanes];
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
          sum[lane] += known[lane] + second[lane];
        }
      }
    }
  }
}

}  // namespace ds2fast::transition
