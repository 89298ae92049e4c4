#include "transition/resample.hpp"

#include <algorithm>
#include <cmath>

#include "core/paced_poll.hpp"
#include "core/parallel_for.hpp"
#include "core/sampling_keys.hpp"
#include "transition/squarem.hpp"

namespace ds2fast::transition {
namespace {

constexpr std::size_t kLanes = TripleList::kLanes;
constexpr ClimbLimits kLimits{1e-5, 100};
/// Rows and patterns draw from different streams.
constexpr std::size_t kPatternStream = std::size_t{1} << 40U;
constexpr std::size_t kMostTableBytes = std::size_t{1} << 29U;

/// One byte of signs a row for the draws of a batch: eight batches share a 64-bit key.
void draw_signs(std::uint64_t seed, std::size_t batch, std::vector<std::uint8_t>& signs) {
  const SamplingKeys keys(seed, batch / 8);
  const std::size_t shift = 8 * (batch % 8);
  for (std::size_t row = 0; row < signs.size(); ++row) {
    signs[row] = static_cast<std::uint8_t>(keys(row) >> shift);
  }
}

/// What one worker has for itself.
struct Workspace {
  SharingModel model;
  std::vector<std::uint8_t> signs;
  std::vector<std::int32_t> sums;
  std::vector<double> pattern_weights;
};

void draw_pattern_weights(const Signal& signal, std::uint64_t seed, std::size_t draw,
                          std::vector<double>& weights) {
  const SamplingKeys keys(seed, kPatternStream + draw);
  for (std::size_t pattern = 0; pattern < weights.size(); ++pattern) {
    const double weight = signal.weights[pattern];
    const double moved = (keys(pattern) & 1U) != 0 ? std::sqrt(weight) : -std::sqrt(weight);
    weights[pattern] = std::max(0.0, weight + moved);
  }
}

}  // namespace

void resample_sharing(const BinnedNeighbours& rows, const SharingLayout& layout,
                      const Signal& signal, const ResampleStart& start, const Draws& draws,
                      MatrixView<double> points, std::size_t num_threads, Monitor& monitor) {
  const TripleList triples(rows);
  const double scale = triples.num_triples() == 0 ? 0.0
                                                  : static_cast<double>(triples.num_centres()) /
                                                        static_cast<double>(triples.num_triples());
  const std::size_t table_bytes =
      num_triple_cells(rows.num_levels, rows.num_bins) * kLanes * sizeof(std::int32_t);
  const std::size_t num_workers =
      std::min(num_threads, std::max<std::size_t>(1, kMostTableBytes / table_bytes));
  std::vector<Workspace> workspaces(num_workers,
                                    Workspace{SharingModel(layout, signal, start.fit_own),
                                              std::vector<std::uint8_t>(rows.levels.size),
                                              {},
                                              std::vector<double>(signal.weights.size)});
  const auto refit_batch = [&](std::size_t batch, std::size_t worker) {
    Workspace& space = workspaces[worker];
    draw_signs(draws.seed, batch, space.signs);
    triples.count({space.signs.data(), space.signs.size()}, space.sums);
    const std::size_t end = std::min(draws.count, (batch + 1) * kLanes);
    for (std::size_t draw = batch * kLanes; draw < end; ++draw) {
      space.model.set_counts(space.sums.data() + draw % kLanes, kLanes, scale);
      draw_pattern_weights(signal, draws.seed, draw, space.pattern_weights);
      space.model.set_pattern_weights(space.pattern_weights);
      SilentMonitor silent;  // batches are short: parallel_for polls between them
      PacedPoll poll(silent);
      Squarem<SharingModel> squarem(space.model);
      const Climb climb = squarem.climb(start.point, kLimits, poll);
      std::copy(climb.point.begin(), climb.point.end(), points.row(draw));
    }
  };
  parallel_for((draws.count + kLanes - 1) / kLanes, num_workers, monitor, refit_batch);
}

}  // namespace ds2fast::transition
