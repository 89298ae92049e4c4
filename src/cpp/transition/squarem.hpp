#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "core/paced_poll.hpp"

namespace ds2fast::transition {

/// Where a climb ended: the parameters, one behind the other, and how it got there.
struct Climb {
  std::vector<double> point;
  double log_likelihood;
  std::size_t steps;  ///< evaluations of the EM step
  bool converged;
};

/// When a climb ends: a plain EM step moves no parameter by `tolerance`, or `max_steps` are done.
struct ClimbLimits {
  double tolerance;
  std::size_t max_steps;
};

inline double largest_move(const std::vector<double>& from, const std::vector<double>& to) {
  double largest = 0.0;
  for (std::size_t at = 0; at < from.size(); ++at) {
    largest = std::max(largest, std::abs(to[at] - from[at]));
  }
  return largest;
}

/// SQUAREM (Varadhan and Roland, 2008, steplength S3) over the EM of a model: two EM steps tell how
/// the map contracts, a long step follows that direction, one more EM step smooths it.
/// Where the long step leads to a lower likelihood than a climb may fall back to, the two plain
/// steps, which never lower it, stand instead.
///
/// A Model has
///   double step(const std::vector<double>& from, std::vector<double>& to, bool with_likelihood)
/// which writes one EM step to `to` and gives the log-likelihood at `from` (0 if not asked for),
/// and
///   void guard(std::vector<double>& point) const
/// which scales each distribution among positive parameters to sum 1.
template <typename Model>
class Squarem {
 public:
  explicit Squarem(Model& model) : model_(model) {}

  Climb climb(std::vector<double> start, const ClimbLimits& limits, PacedPoll& poll) {
    current_ = std::move(start);
    first_.resize(current_.size());
    second_.resize(current_.size());
    landed_.resize(current_.size());
    longest_ = kFirstLongest;
    double likelihood = model_.step(current_, first_, true);
    std::size_t steps = 1;
    const auto has_converged = [&] { return largest_move(current_, first_) < limits.tolerance; };
    while (!has_converged() && steps < limits.max_steps) {
      poll(steps, limits.max_steps);
      steps += advance(likelihood);
      model_.step(current_, first_, false);
      ++steps;
    }
    const bool converged = has_converged();
    likelihood = model_.step(first_, second_, true);
    return {first_, likelihood, steps + 1, converged};
  }

 private:
  static constexpr double kFirstLongest = 4.0;
  static constexpr double kGrowth = 4.0;
  /// A parameter never falls to less than this share of itself in one long step: none leaves its
  /// range, and one that was sent towards 0 by mistake can come back.
  static constexpr double kLeastRemaining = 0.01;
  /// How far below the best one a long step's log-likelihood may lie, as a share of it: long steps
  /// that may not fall at all need twice as many steps (measured where the likelihood is flat).
  static constexpr double kSlack = 5e-6;

  /// From current_ and first_ = EM(current_) to the next current_; the number of EM steps taken.
  /// `likelihood` is the best of the starting point and the long steps so far.
  std::size_t advance(double& likelihood) {
    model_.step(first_, second_, false);
    const double length = steplength();
    if (length <= 1.0) {  // the long step would be the two plain ones
      current_.swap(second_);
      return 1;
    }
    extrapolate(length);
    const double reached = model_.step(current_, landed_, true);
    if (reached < likelihood - kSlack * std::abs(likelihood)) {
      longest_ = std::max(kFirstLongest, longest_ / kGrowth);
      current_.swap(second_);
    } else {
      if (length >= longest_) {
        longest_ *= kGrowth;
      }
      likelihood = std::max(likelihood, reached);
      current_.swap(landed_);
    }
    return 2;
  }

  double steplength() const {
    double moved = 0.0;
    double bent = 0.0;
    for (std::size_t at = 0; at < current_.size(); ++at) {
      const double move = first_[at] - current_[at];
      const double bend = second_[at] - first_[at] - move;
      moved += move * move;
      bent += bend * bend;
    }
    return bent * longest_ * longest_ <= moved ? longest_ : std::sqrt(moved / bent);
  }

  /// current_ becomes the point a long step of `length` leads to.
  void extrapolate(double length) {
    for (std::size_t at = 0; at < current_.size(); ++at) {
      const double move = first_[at] - current_[at];
      const double bend = second_[at] - first_[at] - move;
      const double there = current_[at] + 2.0 * length * move + length * length * bend;
      current_[at] = std::max(there, kLeastRemaining * second_[at]);
    }
    model_.guard(current_);
  }

  Model& model_;
  double longest_ = kFirstLongest;
  std::vector<double> current_;
  std::vector<double> first_;
  std::vector<double> second_;
  std::vector<double> landed_;
};

/// Climbs a little way from every start and the whole way from the highest point reached; of points
/// as high as each other (to 1e-7 of the log-likelihood) the earlier start's counts.
template <typename Model>
Climb climb_from_best(Model& model, const std::vector<std::vector<double>>& starts,
                      const ClimbLimits& trial, const ClimbLimits& limits, PacedPoll& poll) {
  constexpr double kTie = 1e-7;
  Squarem<Model> squarem(model);
  Climb best{};
  std::size_t steps = 0;
  for (std::size_t start = 0; start < starts.size(); ++start) {
    Climb climb = squarem.climb(starts[start], trial, poll);
    steps += climb.steps;
    const double least = best.log_likelihood + kTie * std::abs(best.log_likelihood);
    if (start == 0 || climb.log_likelihood > least) {
      best = std::move(climb);
    }
  }
  Climb found = squarem.climb(std::move(best.point), limits, poll);
  found.steps += steps;
  return found;
}

}  // namespace ds2fast::transition
