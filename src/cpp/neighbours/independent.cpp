#include "neighbours/independent.hpp"

#include <algorithm>
#include <limits>

#include "core/parallel_for.hpp"

namespace ds2fast::neighbours {
namespace {

constexpr std::size_t kChunkRows = 4096;

/// The graph's list of one row.
struct List {
  const std::int32_t* ids;
  const float* similarities;
  std::size_t size;
};

void find_of_row(std::size_t row, const List& list, VectorView<const std::int8_t> levels,
                 const IndependentNeighbours& out) {
  std::int32_t* ids = out.ids.row(row);
  float* similarities = out.similarities.row(row);
  std::fill_n(ids, out.ids.cols, -1);
  std::fill_n(similarities, out.ids.cols, 0.0F);
  out.is_copy[row] = 0;
  std::size_t num_kept = 0;
  double previous = std::numeric_limits<double>::infinity();
  for (std::size_t rank = 0; rank < list.size && num_kept < out.ids.cols; ++rank) {
    const auto id = static_cast<std::size_t>(list.ids[rank]);
    const double similarity = list.similarities[rank];
    if (levels[id] < 0 || id == row) {
      continue;
    }
    if (similarity >= kCopySimilarity) {
      out.is_copy[row] |= id < row ? 1U : 0U;
    } else if (previous - similarity > kSameSimilarity) {
      ids[num_kept] = list.ids[rank];
      similarities[num_kept++] = list.similarities[rank];
      previous = similarity;
    }
  }
}

}  // namespace

void find_independent(VectorView<const std::int8_t> levels, MatrixView<const std::int32_t> indices,
                      MatrixView<const float> similarities, const IndependentNeighbours& out,
                      std::size_t num_threads, Monitor& monitor) {
  parallel_chunks(levels.size, kChunkRows, num_threads, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t /*worker*/) {
                    for (std::size_t row = begin; row < end; ++row) {
                      find_of_row(row, {indices.row(row), similarities.row(row), indices.cols},
                                  levels, out);
                    }
                  });
}

}  // namespace ds2fast::neighbours
