#include "transition/moments.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "core/paced_poll.hpp"
#include "transition/assignment.hpp"

namespace ds2fast::transition {
namespace {

constexpr std::size_t kAdamSteps = 1501;    ///< at the full rate, as published
constexpr std::size_t kFallingSteps = 500;  ///< and then with a rate that falls to 0
constexpr double kAdamRate = 0.1;
constexpr double kFirstDecay = 0.9;
constexpr double kFirstGain = 0.1;
constexpr double kSecondDecay = 0.999;
constexpr double kSecondGain = 0.001;
constexpr double kAdamFloor = 1e-8;
constexpr double kLeastNorm = 1e-300;

/// Divides the residuals by their norm, which it returns: the derivative of a norm.
double to_unit(std::vector<double>& residuals, double squared_norm) {
  const double norm = std::sqrt(squared_norm);
  for (double& residual : residuals) {
    residual /= std::max(norm, kLeastNorm);
  }
  return norm;
}

double squared_sum(const std::vector<double>& values) {
  return std::inner_product(values.begin(), values.end(), values.begin(), 0.0);
}

/// Chain rule through one softmax, in place.
void through_softmax(const double* shares, std::size_t size, double* gradient) {
  const double mean = std::inner_product(shares, shares + size, gradient, 0.0);
  for (std::size_t a = 0; a < size; ++a) {
    gradient[a] = shares[a] * (gradient[a] - mean);
  }
}

/// Adam's running means of the gradient and its square, for one vector of parameters.
class Adam {
 public:
  explicit Adam(std::size_t size) : first_(size), second_(size) {}

  void step(std::size_t number, double rate, const std::vector<double>& gradient,
            std::vector<double>& parameters) {
    const double first_bias = 1.0 - std::pow(kFirstDecay, static_cast<double>(number));
    const double second_bias = 1.0 - std::pow(kSecondDecay, static_cast<double>(number));
    for (std::size_t at = 0; at < parameters.size(); ++at) {
      const double slope = gradient[at];
      first_[at] = kFirstDecay * first_[at] + kFirstGain * slope;
      second_[at] = kSecondDecay * second_[at] + kSecondGain * slope * slope;
      const double scale = std::sqrt(second_[at] / second_bias) + kAdamFloor;
      parameters[at] -= rate * (first_[at] / first_bias) / scale;
    }
  }

 private:
  std::vector<double> first_;
  std::vector<double> second_;
};

/// Adam circles the minimum at a fixed rate, so the rate falls at the end.
double rate_of(std::size_t step) {
  if (step <= kAdamSteps) {
    return kAdamRate;
  }
  const auto done = static_cast<double>(step - kAdamSteps);
  return kAdamRate * (1.0 - done / static_cast<double>(kFallingSteps));
}

}  // namespace

MomentObjective::MomentObjective(VectorView<const std::int64_t> counts, std::size_t num_levels)
    : triples_(num_levels),
      orderings_(triples_.num_cells()),
      observed_singles_(num_levels),
      observed_pairs_(num_levels * num_levels),
      observed_triples_(triples_.num_cells()),
      singles_(num_levels),
      pairs_(num_levels * num_levels) {
  const auto total =
      static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  const auto share_of = [&](std::size_t place) {
    return static_cast<double>(counts[place]) / total;
  };
  triples_.for_each_ordering([&](std::size_t cell, std::size_t place) {
    observed_singles_[place / (num_levels * num_levels)] += share_of(place);
    observed_pairs_[place / num_levels] += share_of(place);
    observed_triples_[cell] += share_of(place);
    orderings_[cell] += 1.0;
  });
  for (std::size_t cell = 0; cell < orderings_.size(); ++cell) {
    observed_triples_[cell] /= orderings_[cell];
  }
  triples_.for_each_ordering([&](std::size_t cell, std::size_t place) {
    const double unevenness = share_of(place) - observed_triples_[cell];
    uneven_triples_ += unevenness * unevenness;
  });
}

double MomentObjective::residual_of_singles(const LatentClasses& classes) {
  const std::size_t k = num_levels();
  for (std::size_t a = 0; a < k; ++a) {
    singles_[a] = -observed_singles_[a];
  }
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t a = 0; a < k; ++a) {
      singles_[a] += classes.prior[i] * classes.transition[i * k + a];
    }
  }
  return to_unit(singles_, squared_sum(singles_));
}

double MomentObjective::residual_of_pairs(const LatentClasses& classes) {
  const std::size_t k = num_levels();
  for (std::size_t place = 0; place < k * k; ++place) {
    pairs_[place] = -observed_pairs_[place];
  }
  for (std::size_t i = 0; i < k; ++i) {
    const double* row = &classes.transition[i * k];
    for (std::size_t a = 0; a < k; ++a) {
      const double own = classes.prior[i] * row[a];
      for (std::size_t b = 0; b < k; ++b) {
        pairs_[a * k + b] += own * row[b];
      }
    }
  }
  return to_unit(pairs_, squared_sum(pairs_));
}

double MomentObjective::residual_of_triples(const LatentClasses& classes) {
  triples_.evaluate(classes, cells_);
  double squared = uneven_triples_;
  for (std::size_t cell = 0; cell < cells_.size(); ++cell) {
    const double residual = cells_[cell] - observed_triples_[cell];
    cells_[cell] = orderings_[cell] * residual;
    squared += cells_[cell] * residual;
  }
  return to_unit(cells_, squared);
}

double MomentObjective::value(const LatentClasses& classes) {
  return residual_of_singles(classes) + residual_of_pairs(classes) + residual_of_triples(classes);
}

void MomentObjective::pull_back_singles(const LatentClasses& classes,
                                        LatentClasses& gradient) const {
  const std::size_t k = num_levels();
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t a = 0; a < k; ++a) {
      gradient.prior[i] += singles_[a] * classes.transition[i * k + a];
      gradient.transition[i * k + a] += classes.prior[i] * singles_[a];
    }
  }
}

void MomentObjective::pull_back_pairs(const LatentClasses& classes, LatentClasses& gradient) const {
  const std::size_t k = num_levels();
  for (std::size_t i = 0; i < k; ++i) {
    const double* row = &classes.transition[i * k];
    double* slope = &gradient.transition[i * k];
    for (std::size_t a = 0; a < k; ++a) {
      for (std::size_t b = 0; b < k; ++b) {
        const double residual = pairs_[a * k + b];
        gradient.prior[i] += residual * row[a] * row[b];
        slope[a] += classes.prior[i] * residual * row[b];
        slope[b] += classes.prior[i] * residual * row[a];
      }
    }
  }
}

double MomentObjective::value_and_gradient(const LatentClasses& classes, LatentClasses& gradient) {
  const double loss = value(classes);
  std::fill(gradient.transition.begin(), gradient.transition.end(), 0.0);
  std::fill(gradient.prior.begin(), gradient.prior.end(), 0.0);
  pull_back_singles(classes, gradient);
  pull_back_pairs(classes, gradient);
  triples_.pull_back(classes, cells_, gradient);
  return loss;
}

double MomentObjective::value_and_logit_gradient(const LatentClasses& classes,
                                                 LatentClasses& gradient) {
  const std::size_t k = num_levels();
  const double loss = value_and_gradient(classes, gradient);
  for (std::size_t i = 0; i < k; ++i) {
    through_softmax(&classes.transition[i * k], k, &gradient.transition[i * k]);
  }
  through_softmax(classes.prior.data(), k, gradient.prior.data());
  return loss;
}

Fit solve_moments(VectorView<const std::int64_t> counts, std::size_t num_levels, Monitor& monitor) {
  MomentObjective objective(counts, num_levels);
  LatentClasses logits = start_logits(num_levels);
  LatentClasses gradient(num_levels);
  LatentClasses best = softmax(logits);
  double best_loss = std::numeric_limits<double>::infinity();
  Adam transition_step(logits.transition.size());
  Adam prior_step(num_levels);
  PacedPoll poll(monitor);
  constexpr std::size_t kSteps = kAdamSteps + kFallingSteps;
  for (std::size_t step = 1; step <= kSteps; ++step) {
    const LatentClasses classes = softmax(logits);
    const double loss = objective.value_and_logit_gradient(classes, gradient);
    if (loss < best_loss) {
      best_loss = loss;
      best = classes;
    }
    transition_step.step(step, rate_of(step), gradient.transition, logits.transition);
    prior_step.step(step, rate_of(step), gradient.prior, logits.prior);
    poll(step, kSteps);
  }
  poll.finish(kSteps);
  order_hidden_levels(best);
  return {std::move(best), kSteps, true};
}

}  // namespace ds2fast::transition
