#include "transition/em.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

#include "core/paced_poll.hpp"
#include "transition/assignment.hpp"

namespace ds2fast::transition {
namespace {

constexpr double kTolerance = 1e-10;
constexpr std::size_t kMaxSteps = 20000;
constexpr double kLeastShare = 1e-300;

double largest_move(const std::vector<double>& from, const std::vector<double>& to) {
  double largest = 0.0;
  for (std::size_t at = 0; at < from.size(); ++at) {
    largest = std::max(largest, std::abs(to[at] - from[at]));
  }
  return largest;
}

double largest_move(const LatentClasses& from, const LatentClasses& to) {
  return std::max(largest_move(from.transition, to.transition), largest_move(from.prior, to.prior));
}

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

}  // namespace

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
  LatentClasses classes = softmax(start_logits(triples_.num_levels()));
  classes.prior = observed_;
  return classes;
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
  LatentClasses classes = em.start();
  PacedPoll poll(monitor);
  std::size_t step = 0;
  double moved = 1.0;
  for (; moved >= kTolerance && step < kMaxSteps; ++step) {
    LatentClasses next = em.step(classes);
    moved = largest_move(classes, next);
    classes = std::move(next);
    poll(step, kMaxSteps);
  }
  poll.finish(kMaxSteps);
  order_hidden_levels(classes);
  return {std::move(classes), step, moved < kTolerance};
}

}  // namespace ds2fast::transition
