#include "transition/agreement.hpp"

#include <algorithm>
#include <vector>

#include "core/parallel_for.hpp"

namespace ds2fast::transition {
namespace {

constexpr std::size_t kChunkRows = 4096;
constexpr std::ptrdiff_t kNotCounted = -1;

/// Place of a row's triple in the table of counts, or kNotCounted.
std::ptrdiff_t triple_of_row(std::size_t row, VectorView<const std::int8_t> levels,
                             MatrixView<const std::int32_t> indices, std::size_t num_levels) {
  const std::int8_t own = levels[row];
  if (own < 0) {
    return kNotCounted;
  }
  std::size_t place = static_cast<std::uint8_t>(own);
  std::size_t num_found = 0;
  const std::int32_t* neighbours = indices.row(row);
  for (std::size_t rank = 0; rank < indices.cols && num_found < 2; ++rank) {
    const std::int8_t level = levels[static_cast<std::size_t>(neighbours[rank])];
    if (level >= 0) {
      place = place * num_levels + static_cast<std::uint8_t>(level);
      ++num_found;
    }
  }
  return num_found == 2 ? static_cast<std::ptrdiff_t>(place) : kNotCounted;
}

}  // namespace

void count_agreement(VectorView<const std::int8_t> levels, MatrixView<const std::int32_t> indices,
                     std::size_t num_levels, VectorView<std::int64_t> counts,
                     std::size_t num_threads, Monitor& monitor) {
  std::vector<std::vector<std::int64_t>> tables(num_threads);
  parallel_chunks(levels.size, kChunkRows, num_threads, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t worker) {
                    std::vector<std::int64_t>& table = tables[worker];
                    table.resize(counts.size);  // zeros, at a worker's first chunk
                    for (std::size_t row = begin; row < end; ++row) {
                      const std::ptrdiff_t place = triple_of_row(row, levels, indices, num_levels);
                      if (place != kNotCounted) {
                        ++table[static_cast<std::size_t>(place)];
                      }
                    }
                  });
  std::fill(counts.begin(), counts.end(), 0);
  for (const std::vector<std::int64_t>& table : tables) {
    for (std::size_t place = 0; place < table.size(); ++place) {
      counts[place] += table[place];
    }
  }
}

}  // namespace ds2fast::transition
