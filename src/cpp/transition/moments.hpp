#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"
#include "transition/latent_classes.hpp"
#include "transition/triple_model.hpp"

namespace ds2fast::transition {

/// The paper's objective |c^1 - c1| + |c^2 - c2| + |c^3 - c3|, Frobenius norms, not squared.
///
/// `counts` is the (K, K, K) table of agreement.hpp with at least one count. c3 does not change
/// when the views are exchanged, the observed c^3 does; the squared distance splits into that of c3
/// to the mean of c^3 over the orderings of a cell, and a part that T and p do not move.
/// Accumulators: float64.
class MomentObjective {
 public:
  MomentObjective(VectorView<const std::int64_t> counts, std::size_t num_levels);

  std::size_t num_levels() const { return triples_.num_levels(); }

  double value(const LatentClasses& classes);

  /// The value, and its derivative with respect to the entries of T and p in `gradient`
  /// (overwritten).
  double value_and_gradient(const LatentClasses& classes, LatentClasses& gradient);

  /// The same with respect to the logits whose softmaxes `classes` are.
  double value_and_logit_gradient(const LatentClasses& classes, LatentClasses& gradient);

 private:
  double residual_of_singles(const LatentClasses& classes);
  double residual_of_pairs(const LatentClasses& classes);
  double residual_of_triples(const LatentClasses& classes);
  void pull_back_singles(const LatentClasses& classes, LatentClasses& gradient) const;
  void pull_back_pairs(const LatentClasses& classes, LatentClasses& gradient) const;

  TripleModel triples_;
  std::vector<double> orderings_;
  std::vector<double> observed_singles_;  ///< (K)
  std::vector<double> observed_pairs_;    ///< (K, K)
  std::vector<double> observed_triples_;  ///< mean of c^3 over the orderings of each cell
  double uneven_triples_ = 0.0;           ///< squared distance of c^3 to that mean
  // Residuals divided by their norms; for triples times the orderings of the cell.
  std::vector<double> singles_;
  std::vector<double> pairs_;
  std::vector<double> cells_;
};

/// T and p of least objective met in 2 001 evaluations, between which Adam steps (beta 0.9 and
/// 0.999): 1 501 at 0.1, as published, then 500 at a rate that falls to 0. T and p are softmaxes of
/// free logits; the hidden levels are ordered as assignment.hpp does. O(K^4) a step, nothing
/// random.
Fit solve_moments(VectorView<const std::int64_t> counts, std::size_t num_levels, Monitor& monitor);

}  // namespace ds2fast::transition
