#pragma once

#include <cstddef>
#include <cstdint>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"

namespace ds2fast::curation {

/// Highest number of score levels that the votes take.
constexpr std::size_t kMaxLevels = 64;

/// What the rounds read.
struct VoteInput {
  VectorView<const std::int8_t> levels;    ///< (N), -1 for unrated
  MatrixView<const std::int32_t> indices;  ///< (N, width), row numbers in [0, N)
  MatrixView<const float> similarities;    ///< (N, width), descending
  VectorView<const double> error_rates;    ///< (K), NaN: rows of this level are never flagged
  std::size_t num_counted;  ///< neighbours that a row counts: the paper's k, less itself
  std::size_t rounds;
  std::uint64_t seed;
};

/// What the rounds count; overwritten.
struct Votes {
  VectorView<std::int32_t> seen;     ///< (N) rounds that drew the row
  VectorView<std::int32_t> flagged;  ///< (N) rounds that flagged it
  MatrixView<std::int32_t>
      suggestions;  ///< (N, K) strongest level of the vote in the rounds that flagged it
};

/// SimiFeat's rank votes (method section 5). In every round the drawn rows vote and are judged: a
/// row's weighted histogram over the levels holds itself and its first `num_counted` neighbours of
/// the round, and the rows of a level that agree least with their histogram are flagged, as many as
/// its error rate says. A row whose counted neighbours all carry its own level is never flagged.
///
/// Weights are summed in float64 in the order of the neighbours; a sum of ten float32 similarities
/// that are not below 2^-25 is exact. The counts are integers, so threads do not change the result.
void simifeat_votes(const VoteInput& input, std::size_t num_threads, Monitor& monitor,
                    const Votes& votes);

}  // namespace ds2fast::curation
