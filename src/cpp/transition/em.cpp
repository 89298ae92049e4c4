#include "transition/em.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

#include "core/paced_poll.hpp"
#include "transition/assignment.hpp"
#include "transition/squarem.hpp"

namespace ds2fast::transition {
namespace {

constexpr ClimbLimits kTrial{1e-5, 200};
constexpr ClimbLimits kLimits{1e-10, 20000};
constexpr double kLeastShare = 1e-300;

/// Scales weights to sum 1; false (and nothing done) where there is no weight.
bool normalise(double* weights, std::size_t size) {
  const double total = std::accumulate(weights, weights + size, 0.0);
  if (total < kLeastShare) {
    return false;
  }
  for (std::size_t a = 0; a < size; ++a) {
    weights[a] /= total;
  }
  return true;
}

/// The EM as squarem.hpp climbs it: T and then p in one vector.
class FlatEm {
 public:
  FlatEm(LatentClassEm& em, std::size_t num_levels) : em_(em), classes_(num_levels) {}

  double step(const std::vector<double>& from, std::vector<double>& to, bool with_likelihood) {
    double likelihood = 0.0;
    classes_ = split(from);
    to = join(em_.step(classes_, with_likelihood ? &likelihood : nullptr));
    return likelihood;
  }

  void guard(std::vector<double>& point) const {
    const std::size_t k = classes_.num_levels;
    for (std::size_t row = 0; row <= k; ++row) {  // T's rows, then p
      normalise(&point[row * k], k);
    }
  }

  static std::vector<double> join(const LatentClasses& classes) {
    std::vector<double> point = classes.transition;
    point.insert(point.end(), classes.prior.begin(), classes.prior.end());
    return point;
  }

  LatentClasses split(const std::vector<double>& point) const {
    LatentClasses classes(classes_.num_levels);
    const auto middle = point.begin() + static_cast<std::ptrdiff_t>(classes.transition.size());
    std::copy(point.begin(), middle, classes.transition.begin());
    std::copy(middle, point.end(), classes.prior.begin());
    return classes;
  }

 private:
  LatentClassEm& em_;
  LatentClasses classes_;
};

}  // namespace

std::vector<LatentClasses> starting_points(const std::vector<double>& observed) {
  const std::size_t k = observed.size();
  LatentClasses mostly_right = softmax(start_logits(k));
  LatentClasses near(k);
  LatentClasses half(k);
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t a = 0; a < k; ++a) {
      const auto distance = static_cast<double>(i > a ? i - a : a - i);
      near.transition[i * k + a] = std::exp(-distance);
      half.transition[i * k + a] = 0.5 * observed[a] + (a == i ? 0.5 : 0.0);
    }
    normalise(&near.transition[i * k], k);
  }
  std::vector<LatentClasses> starts{std::move(mostly_right), std::move(near), std::move(half)};
  for (LatentClasses& start : starts) {
    start.prior = observed;
  }
  return starts;
}

LatentClassEm::LatentClassEm(VectorView<const std::int64_t> counts, std::size_t num_levels)
    : triples_(num_levels), shares_(triples_.num_cells()), observed_(num_levels) {
  const auto total =
      static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  triples_.for_each_ordering([&](std::size_t cell, std::size_t place) {
    const double share = static_cast<double>(counts[place]) / total;
    shares_[cell] += share;
    observed_[place / (num_levels * num_levels)] += share;
  });
}

LatentClasses LatentClassEm::start() const {
  return starts().front();
}

std::vector<LatentClasses> LatentClassEm::starts() const {
  return starting_points(observed_);
}

LatentClasses LatentClassEm::step(const LatentClasses& classes, double* log_likelihood) {
  const std::size_t k = triples_.num_levels();
  triples_.evaluate(classes, cells_);
  if (log_likelihood != nullptr) {
    *log_likelihood = 0.0;
    for (std::size_t cell = 0; cell < cells_.size(); ++cell) {
      if (shares_[cell] > 0.0) {
        *log_likelihood += shares_[cell] * std::log(std::max(cells_[cell], kLeastShare));
      }
    }
  }
  for (std::size_t cell = 0; cell < cells_.size(); ++cell) {
    cells_[cell] = shares_[cell] / std::max(cells_[cell], kLeastShare);
  }
  // The posterior weight of (hidden i, score a), summed over rows and views, is T_ia times the
  // derivative of the log-likelihood with respect to T_ia; that of hidden i is p_i times the one
  // with respect to p_i.
  LatentClasses next(k);
  triples_.pull_back(classes, cells_, next);
  for (std::size_t i = 0; i < k; ++i) {
    next.prior[i] *= classes.prior[i];
    double* row = &next.transition[i * k];
    const double* previous = &classes.transition[i * k];
    std::transform(row, row + k, previous, row, std::multiplies<>());
    if (!normalise(row, k)) {
      std::copy(previous, previous + k, row);
    }
  }
  return next;
}

Fit solve_em(VectorView<const std::int64_t> counts, std::size_t num_levels, Monitor& monitor) {
  LatentClassEm em(counts, num_levels);
  FlatEm flat(em, num_levels);
  std::vector<std::vector<double>> starts;
  for (const LatentClasses& start : em.starts()) {
    starts.push_back(FlatEm::join(start));
  }
  PacedPoll poll(monitor);
  const Climb climb = climb_from_best(flat, starts, kTrial, kLimits, poll);
  poll.finish(kLimits.max_steps);
  LatentClasses classes = flat.split(climb.point);
  order_hidden_levels(classes);
  return {std::move(classes), climb.steps, climb.converged};
}

}  // namespace ds2fast::transition
