#include "transition/panel.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>
#include <numeric>
#include <utility>

#include "core/paced_poll.hpp"
#include "transition/assignment.hpp"

namespace ds2fast::transition {
namespace {

constexpr double kTolerance = 1e-8;
constexpr std::size_t kMaxSteps = 20000;
constexpr std::size_t kTrialSteps = 60;    // of each start, before the best go on
constexpr std::size_t kMostFinished = 16;  // starts that go on
constexpr std::size_t kMostLeaders = 4;    // raters whose scores are a start
constexpr std::size_t kShaken = 4;         // starts with rows shaken by fixed numbers
constexpr std::size_t kRescaleEvery = 8;   // factors of a product, before it may underflow
constexpr double kLeastShare = 1e-300;
constexpr double kSlackPerRow = 5e-5;
constexpr double kLeastSlack = 3.0;
constexpr double kPull = 1e-3;  // an extrapolated entry falls to no less of the one it comes from

/// Scales weights to sum 1; false (and nothing done) where there is no weight.
bool scale_to_one(double* weights, std::size_t size) {
  const double total = std::accumulate(weights, weights + size, 0.0);
  if (total < kLeastShare) {
    return false;
  }
  std::transform(weights, weights + size, weights, [=](double weight) { return weight / total; });
  return true;
}

void scale_rows(RaterClasses& classes) {
  for (std::size_t row = 0; row < classes.num_raters * classes.num_levels; ++row) {
    scale_to_one(&classes.matrices[row * classes.num_levels], classes.num_levels);
  }
  scale_to_one(classes.prior.data(), classes.num_levels);
}

// --- Acceleration --------------------------------------------------------------------------------

double squared(double value) {
  return value * value;
}

/// Norms of a step and of its change, over one run of parameters.
struct Path {
  double step = 0.0;
  double bend = 0.0;
  double largest = 0.0;

  void add(const std::vector<double>& x0, const std::vector<double>& x1,
           const std::vector<double>& x2) {
    for (std::size_t at = 0; at < x0.size(); ++at) {
      step += squared(x1[at] - x0[at]);
      bend += squared(x2[at] - 2.0 * x1[at] + x0[at]);
      largest = std::max(largest, std::abs(x1[at] - x0[at]));
    }
  }
};

/// x0 + 2 s (x1 - x0) + s^2 (x2 - 2 x1 + x0), kept above a small part of x2.
void extrapolate(double length, const std::vector<double>& x0, const std::vector<double>& x1,
                 const std::vector<double>& x2, std::vector<double>& out) {
  for (std::size_t at = 0; at < x0.size(); ++at) {
    const double step = x1[at] - x0[at];
    const double bend = x2[at] - 2.0 * x1[at] + x0[at];
    out[at] = std::max(x0[at] + 2.0 * length * step + length * length * bend, kPull * x2[at]);
  }
}

/// EM from one start, two steps and a leap along them at a time.
class Ascent {
 public:
  Ascent(PanelEm& em, RaterClasses start)
      : em_(&em), now_(std::move(start)), first_(now_), second_(now_), leap_(now_) {}

  void run(std::size_t max_steps, PacedPoll& poll) {
    while (!converged_ && steps_ < max_steps) {
      cycle();
      poll(steps_, kMaxSteps);
    }
  }

  PanelFit fit() {
    const double likelihood = em_->step(now_, first_);
    return {now_, likelihood, steps_, converged_};
  }

  double likelihood() const { return likelihood_; }

 private:
  void cycle() {
    em_->step(now_, first_);
    const double likelihood = em_->step(first_, second_);
    steps_ += 2;
    Path path;
    path.add(now_.matrices, first_.matrices, second_.matrices);
    path.add(now_.prior, first_.prior, second_.prior);
    converged_ = path.largest < kTolerance;
    likelihood_ = likelihood;
    if (converged_ || path.bend == 0.0 || !leap(std::sqrt(path.step / path.bend), likelihood)) {
      std::swap(now_, second_);
    }
  }

  /// Takes the leap where it does not lose likelihood; false where it does.
  bool leap(double length, double likelihood) {
    if (length <= 1.0) {
      return false;
    }
    extrapolate(length, now_.matrices, first_.matrices, second_.matrices, leap_.matrices);
    extrapolate(length, now_.prior, first_.prior, second_.prior, leap_.prior);
    scale_rows(leap_);
    const double reached = em_->step(leap_, first_);
    ++steps_;
    if (!(reached >= likelihood)) {
      return false;
    }
    likelihood_ = reached;
    std::swap(now_, first_);
    return true;
  }

  PanelEm* em_;
  RaterClasses now_;
  RaterClasses first_;
  RaterClasses second_;
  RaterClasses leap_;
  double likelihood_ = 0.0;
  std::size_t steps_ = 0;
  bool converged_ = false;
};

// --- Starts --------------------------------------------------------------------------------------

/// Every rater's chances fall by exp(-slope) a level of distance from the true one.
RaterClasses banded_start(std::size_t raters, std::size_t levels, double slope) {
  RaterClasses start(raters, levels);
  for (std::size_t r = 0; r < raters; ++r) {
    for (std::size_t i = 0; i < levels; ++i) {
      for (std::size_t a = 0; a < levels; ++a) {
        const auto distance = static_cast<double>(i > a ? i - a : a - i);
        start.row(r, i)[a] = std::exp(-slope * distance);
      }
    }
  }
  std::fill(start.prior.begin(), start.prior.end(), 1.0);
  scale_rows(start);
  return start;
}

/// Matrices counted as if `level_of(pattern)` were the true level, or -1 where it says nothing; one
/// further row in every cell.
template <typename LevelOf>
RaterClasses counted_start(const RaterPatterns& patterns, std::size_t levels, LevelOf level_of) {
  const std::size_t raters = patterns.scores.cols;
  RaterClasses start(raters, levels);
  std::fill(start.matrices.begin(), start.matrices.end(), 1.0);
  std::fill(start.prior.begin(), start.prior.end(), 1.0);
  for (std::size_t u = 0; u < patterns.scores.rows; ++u) {
    const int level = patterns.gold[u] >= 0 ? patterns.gold[u] : level_of(patterns.scores.row(u));
    if (level < 0) {
      continue;
    }
    start.prior[level] += patterns.counts[u];
    for (std::size_t r = 0; r < raters; ++r) {
      if (patterns.scores.row(u)[r] >= 0) {
        start.row(r, level)[patterns.scores.row(u)[r]] += patterns.counts[u];
      }
    }
  }
  scale_rows(start);
  return start;
}

/// The lower median of the scores there are; -1 without any.
int median_score(const std::int8_t* scores, std::size_t raters) {
  std::vector<std::int8_t> given;
  std::copy_if(scores, scores + raters, std::back_inserter(given),
               [](std::int8_t score) { return score >= 0; });
  if (given.empty()) {
    return -1;
  }
  const auto middle = given.begin() + static_cast<std::ptrdiff_t>((given.size() - 1) / 2);
  std::nth_element(given.begin(), middle, given.end());
  return *middle;
}

/// Entries multiplied by fixed factors in [1/2, 3/2): the fractional parts of multiples of the
/// golden ratio, which never repeat.
void shake(RaterClasses& classes, std::size_t number) {
  double part = 0.5 * static_cast<double>(number);
  for (double& entry : classes.matrices) {
    part += 0.6180339887498949 + 0.01 * static_cast<double>(number);
    part -= std::floor(part);
    entry *= 0.5 + part;
  }
  scale_rows(classes);
}

std::vector<RaterClasses> all_starts(const RaterPatterns& patterns, std::size_t levels) {
  const std::size_t raters = patterns.scores.cols;
  std::vector<RaterClasses> starts;
  for (const double slope : {0.5, 1.0, 2.0, 4.0}) {
    starts.push_back(banded_start(raters, levels, slope));
  }
  starts.push_back(counted_start(
      patterns, levels, [=](const std::int8_t* row) { return median_score(row, raters); }));
  for (std::size_t leader = 0; leader < std::min(raters, kMostLeaders); ++leader) {
    starts.push_back(counted_start(
        patterns, levels, [=](const std::int8_t* row) { return static_cast<int>(row[leader]); }));
  }
  for (std::size_t number = 1; number <= kShaken; ++number) {
    starts.push_back(banded_start(raters, levels, 0.5 * static_cast<double>(number)));
    shake(starts.back(), number);
  }
  return starts;
}

// --- Which fit, and the order of its levels ------------------------------------------------------

/// joint[i, a] = sum_r p_i T_r[i, a].
std::vector<double> summed_joint(const RaterClasses& classes) {
  const std::size_t k = classes.num_levels;
  std::vector<double> joint(k * k);
  for (std::size_t r = 0; r < classes.num_raters; ++r) {
    for (std::size_t i = 0; i < k; ++i) {
      for (std::size_t a = 0; a < k; ++a) {
        joint[i * k + a] += classes.prior[i] * classes.row(r, i)[a];
      }
    }
  }
  return joint;
}

void order_levels(RaterClasses& classes) {
  const std::size_t k = classes.num_levels;
  const std::vector<std::size_t> chosen = assign_rows_to_columns(summed_joint(classes), k);
  RaterClasses ordered(classes.num_raters, k);
  for (std::size_t level = 0; level < k; ++level) {
    ordered.prior[level] = classes.prior[chosen[level]];
    for (std::size_t r = 0; r < classes.num_raters; ++r) {
      const double* from = classes.row(r, chosen[level]);
      std::copy(from, from + k, ordered.row(r, level));
    }
  }
  classes = std::move(ordered);
}

/// Sum over raters of the correlation of their score with the true level.
double order_told(const RaterClasses& classes) {
  const std::size_t k = classes.num_levels;
  double told = 0.0;
  for (std::size_t r = 0; r < classes.num_raters; ++r) {
    double level = 0.0;
    double score = 0.0;
    double levels = 0.0;
    double scores = 0.0;
    double both = 0.0;
    for (std::size_t i = 0; i < k; ++i) {
      for (std::size_t a = 0; a < k; ++a) {
        const double share = classes.prior[i] * classes.row(r, i)[a];
        const auto x = static_cast<double>(i);
        const auto y = static_cast<double>(a);
        level += share * x;
        score += share * y;
        levels += share * x * x;
        scores += share * y * y;
        both += share * x * y;
      }
    }
    const double spread = (levels - level * level) * (scores - score * score);
    told += spread > 0.0 ? (both - level * score) / std::sqrt(spread) : 0.0;
  }
  return told;
}

/// Likelihood alone does not choose: the model is never quite true, and what a few rows in ten
/// thousand say is as often its misfit as the truth. Scores are ordered, so that fit is
/// taken in which they follow the levels' order most closely: others spend a level on what is none,
/// rows that one rater could not read, say.
PanelFit choose(std::vector<PanelFit> fits, double rows) {
  double best = fits.front().log_likelihood;
  for (const PanelFit& fit : fits) {
    best = std::max(best, fit.log_likelihood);
  }
  const double least = best - std::max(kLeastSlack, kSlackPerRow * rows);
  const PanelFit* chosen = nullptr;
  double told = -std::numeric_limits<double>::infinity();
  for (const PanelFit& fit : fits) {
    if (fit.log_likelihood >= least && order_told(fit.classes) > told) {
      chosen = &fit;
      told = order_told(fit.classes);
    }
  }
  return *chosen;
}

}  // namespace

PanelEm::PanelEm(const RaterPatterns& patterns, std::size_t num_levels)
    : patterns_(patterns),
      num_levels_(num_levels),
      total_(std::accumulate(patterns.counts.begin(), patterns.counts.end(), 0.0)),
      by_score_(patterns.scores.cols * num_levels * num_levels),
      weights_(by_score_.size()),
      level_(num_levels) {}

void PanelEm::transpose(const RaterClasses& classes) {
  const std::size_t k = num_levels_;
  for (std::size_t r = 0; r < classes.num_raters; ++r) {
    for (std::size_t i = 0; i < k; ++i) {
      for (std::size_t a = 0; a < k; ++a) {
        by_score_[(r * k + a) * k + i] = classes.row(r, i)[a];
      }
    }
  }
}

/// Sets level_ to the posterior of a pattern, and returns the logarithm of its probability.
double PanelEm::posterior(std::size_t pattern, const RaterClasses& classes) {
  const std::size_t k = num_levels_;
  const std::int8_t* scores = patterns_.scores.row(pattern);
  level_ = classes.prior;
  const std::int32_t gold = patterns_.gold[pattern];
  for (std::size_t i = 0; gold >= 0 && i < k; ++i) {
    level_[i] = i == static_cast<std::size_t>(gold) ? level_[i] : 0.0;
  }
  double log_scale = 0.0;
  for (std::size_t r = 0; r < patterns_.scores.cols; ++r) {
    if (scores[r] >= 0) {
      const double* chance = &by_score_[(r * k + static_cast<std::size_t>(scores[r])) * k];
      std::transform(level_.begin(), level_.end(), chance, level_.begin(), std::multiplies<>());
    }
    if (r % kRescaleEvery == kRescaleEvery - 1 || r + 1 == patterns_.scores.cols) {
      const double total = std::accumulate(level_.begin(), level_.end(), 0.0);
      log_scale += std::log(std::max(total, kLeastShare));
      scale_to_one(level_.data(), k);
    }
  }
  return log_scale;
}

double PanelEm::step(const RaterClasses& classes, RaterClasses& next) {
  const std::size_t k = num_levels_;
  transpose(classes);
  std::fill(weights_.begin(), weights_.end(), 0.0);
  std::fill(next.prior.begin(), next.prior.end(), 0.0);
  double log_likelihood = 0.0;
  for (std::size_t u = 0; u < patterns_.scores.rows; ++u) {
    const double count = patterns_.counts[u];
    log_likelihood += count * posterior(u, classes);
    for (std::size_t i = 0; i < k; ++i) {
      level_[i] *= count;
      next.prior[i] += level_[i];
    }
    const std::int8_t* scores = patterns_.scores.row(u);
    for (std::size_t r = 0; r < patterns_.scores.cols; ++r) {
      if (scores[r] >= 0) {
        double* weights = &weights_[(r * k + static_cast<std::size_t>(scores[r])) * k];
        std::transform(level_.begin(), level_.end(), weights, weights, std::plus<>());
      }
    }
  }
  normalise(classes, next);
  return log_likelihood;
}

void PanelEm::normalise(const RaterClasses& previous, RaterClasses& next) const {
  const std::size_t k = num_levels_;
  for (std::size_t r = 0; r < next.num_raters; ++r) {
    for (std::size_t i = 0; i < k; ++i) {
      double* row = next.row(r, i);
      for (std::size_t a = 0; a < k; ++a) {
        row[a] = weights_[(r * k + a) * k + i];
      }
      if (!scale_to_one(row, k)) {
        std::copy(previous.row(r, i), previous.row(r, i) + k, row);
      }
    }
  }
  scale_to_one(next.prior.data(), k);
}

PanelFit refine_panel(const RaterPatterns& patterns, const RaterClasses& start, Monitor& monitor) {
  PanelEm em(patterns, start.num_levels);
  PacedPoll poll(monitor);
  Ascent ascent(em, start);
  ascent.run(kMaxSteps, poll);
  poll.finish(kMaxSteps);
  return ascent.fit();
}

PanelFit solve_panel(const RaterPatterns& patterns, std::size_t num_levels, Monitor& monitor) {
  PanelEm em(patterns, num_levels);
  PacedPoll poll(monitor);
  std::vector<Ascent> ascents;
  for (RaterClasses& start : all_starts(patterns, num_levels)) {
    ascents.emplace_back(em, std::move(start));
    ascents.back().run(kTrialSteps, poll);
  }
  std::stable_sort(ascents.begin(), ascents.end(), [](const Ascent& left, const Ascent& right) {
    return left.likelihood() > right.likelihood();
  });
  const bool has_gold = std::any_of(patterns.gold.begin(), patterns.gold.end(),
                                    [](std::int32_t level) { return level >= 0; });
  std::vector<PanelFit> fits;
  for (std::size_t at = 0; at < std::min(kMostFinished, ascents.size()); ++at) {
    ascents[at].run(kMaxSteps, poll);
    fits.push_back(ascents[at].fit());
    if (!has_gold) {
      order_levels(fits.back().classes);
    }
  }
  poll.finish(kMaxSteps);
  return choose(std::move(fits),
                std::accumulate(patterns.counts.begin(), patterns.counts.end(), 0.0));
}

}  // namespace ds2fast::transition
