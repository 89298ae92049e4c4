#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"
#include "transition/sharing_counts.hpp"
#include "transition/sharing_model.hpp"

namespace ds2fast::transition {

/// The fit a resample starts from, and what it holds.
struct ResampleStart {
  std::vector<double> point;  ///< parameters as SharingLayout lays them
  bool fit_own;
};

/// How many refits, and which.
struct Draws {
  std::size_t count;
  std::uint64_t seed;
};

/// Refits the sharing model to `draws.count` reweighted pools; `points` (count, layout size) gets
/// the parameters of each.
///
/// In every draw each row has a sign e = +1 or -1 from a hash of (seed, draw, row); a triple weighs
/// 1 + e(centre) + e(first) + e(second), so that a row's rating moves all triples it is in
/// together, as the noise of that rating does; a cell's sum below 0 counts as 0. A pattern of n
/// rows weighs n (1 + e / sqrt(n)). A refit takes a bounded number of accelerated EM steps from the
/// fit. Parallel over batches of draws, which share nothing: threads do not change the result.
void resample_sharing(const BinnedNeighbours& rows, const SharingLayout& layout,
                      const Signal& signal, const ResampleStart& start, const Draws& draws,
                      MatrixView<double> points, std::size_t num_threads, Monitor& monitor);

}  // namespace ds2fast::transition
