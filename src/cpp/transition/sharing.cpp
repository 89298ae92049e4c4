#include "transition/sharing.hpp"

#include <array>
#include <numeric>
#include <utility>

#include "core/paced_poll.hpp"
#include "transition/assignment.hpp"
#include "transition/em.hpp"
#include "transition/squarem.hpp"

namespace ds2fast::transition {
namespace {

constexpr ClimbLimits kTrial{1e-4, 60};
constexpr ClimbLimits kLimits{1e-7, 5000};
constexpr double kFirstOwn = 0.3;
/// Each of the two neighbours shows the row's level four times in five.
constexpr std::array<double, 4> kFirstShares = {0.64, 0.16, 0.16, 0.04};

std::vector<std::vector<double>> starts(const SharingModel& model, bool fit_own) {
  std::vector<double> shares;
  for (std::size_t pair = 0; pair < model.layout().num_pairs; ++pair) {
    shares.insert(shares.end(), kFirstShares.begin(), kFirstShares.end());
  }
  std::vector<std::vector<double>> points;
  for (const LatentClasses& classes : starting_points(model.observed())) {
    points.push_back(model.layout().join(classes, fit_own ? kFirstOwn : 0.0, shares));
  }
  return points;
}

}  // namespace

SharingFit solve_sharing(VectorView<const std::int64_t> counts, const SharingLayout& layout,
                         const Signal& signal, double num_rows, bool fit_own, Monitor& monitor) {
  const auto total =
      static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  SharingModel model(layout, signal, fit_own);
  model.set_counts(counts.data, 1, total > 0.0 ? num_rows / total : 0.0);
  PacedPoll poll(monitor);
  Climb climb = climb_from_best(model, starts(model, fit_own), kTrial, kLimits, poll);
  poll.finish(kLimits.max_steps);
  LatentClasses classes = layout.classes(climb.point);
  if (!signal.has_gold()) {
    order_hidden_levels(classes);
  }
  const auto shares = climb.point.begin() + static_cast<std::ptrdiff_t>(layout.shares());
  return {std::move(classes),
          climb.point[layout.own()],
          {shares, climb.point.end()},
          climb.log_likelihood,
          climb.steps,
          climb.converged};
}

}  // namespace ds2fast::transition
