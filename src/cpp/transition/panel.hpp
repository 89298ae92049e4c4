#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"

namespace ds2fast::transition {

/// Several raters of one pool: hidden true levels, each with one distribution a rater over the
/// scores that this rater gives.
struct RaterClasses {
  RaterClasses(std::size_t raters, std::size_t levels)
      : num_raters(raters), num_levels(levels), matrices(raters * levels * levels), prior(levels) {}

  double* row(std::size_t rater, std::size_t level) {
    return &matrices[(rater * num_levels + level) * num_levels];
  }
  const double* row(std::size_t rater, std::size_t level) const {
    return &matrices[(rater * num_levels + level) * num_levels];
  }

  std::size_t num_raters;
  std::size_t num_levels;
  std::vector<double> matrices;  ///< (R, K, K) row-major, T_r[i, a] = P(rater r gives a | true i)
  std::vector<double> prior;     ///< (K), p[i] = P(true i)
};

/// The distinct rows of the raters' scores and how often each occurs.
struct RaterPatterns {
  MatrixView<const std::int8_t> scores;  ///< (U, R) levels below K; -1: this rater did not rate
  VectorView<const double> counts;       ///< (U), >= 0, with a positive sum
  VectorView<const std::int32_t> gold;   ///< (U) true levels below K; -1: unknown
};

/// What solve_panel found.
struct PanelFit {
  RaterClasses classes;
  double log_likelihood;  ///< of all rows, natural logarithm
  std::size_t steps;      ///< of EM that led to it, those of its start included
  bool converged;
};

/// Maximum likelihood of the raters' matrices and of p, where the raters err independently of each
/// other given the true level:
///
///     sum_u n_u log sum_i p_i [gold_u in (-1, i)] prod_r T_r[i, score of r in u].
///
/// A step costs O(U R K). Accumulators: float64, patterns in the given order.
class PanelEm {
 public:
  PanelEm(const RaterPatterns& patterns, std::size_t num_levels);

  /// One step of EM; a hidden level of no weight keeps its rows. Returns the log-likelihood of
  /// `classes`, before the step.
  double step(const RaterClasses& classes, RaterClasses& next);

 private:
  void transpose(const RaterClasses& classes);
  double posterior(std::size_t pattern, const RaterClasses& classes);
  void normalise(const RaterClasses& previous, RaterClasses& next) const;

  RaterPatterns patterns_;
  std::size_t num_levels_;
  double total_;
  std::vector<double> by_score_;  ///< (R, K, K): [r, a, i], so that inner loops run over levels
  std::vector<double> weights_;   ///< (R, K, K) likewise: expected counts
  std::vector<double> level_;     ///< (K) posterior of one pattern
};

/// Accelerated EM (squared extrapolation, never below plain EM's likelihood) from several fixed
/// starts; nothing random. Of the fits whose likelihoods 20 000 rows could not tell apart by one
/// nat, and of all within 3 nats, that one is taken in which scores follow the levels' order most
/// closely: the largest sum over raters of the correlation of score and true level. The hidden
/// levels are named so that the diagonal mass sum_r sum_i p_i T_r[i, i] is largest, unless a
/// pattern has gold.
PanelFit solve_panel(const RaterPatterns& patterns, std::size_t num_levels, Monitor& monitor);

/// The same from one given start; its levels keep their order.
PanelFit refine_panel(const RaterPatterns& patterns, const RaterClasses& start, Monitor& monitor);

}  // namespace ds2fast::transition
