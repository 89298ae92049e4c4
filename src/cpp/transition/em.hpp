#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"
#include "transition/latent_classes.hpp"
#include "transition/triple_model.hpp"

namespace ds2fast::transition {

/// Maximum likelihood of T and p given the (K, K, K) table of agreement.hpp, which holds at least
/// one count: a latent class with three exchangeable views. The likelihood sees only the sum over
/// the orderings of a triple, so a step costs O(K^4 / 6) additions. Accumulators: float64.
class LatentClassEm {
 public:
  LatentClassEm(VectorView<const std::int64_t> counts, std::size_t num_levels);

  /// T of the softmax start, p the shares of the own scores.
  LatentClasses start() const;
  std::vector<LatentClasses> starts() const;

  /// One step of EM from `classes`; a hidden level of no weight keeps its row of T. If
  /// `log_likelihood` is given, it is set to the mean log-likelihood of a row at `classes` (before
  /// the step).
  LatentClasses step(const LatentClasses& classes, double* log_likelihood = nullptr);

 private:
  TripleModel triples_;
  std::vector<double> shares_;    ///< of the counted rows, folded over orderings
  std::vector<double> observed_;  ///< shares of the own scores
  std::vector<double> cells_;
};

/// Where the EMs start, always with p = `observed`, the shares of the given scores: a rater who is
/// mostly right, one whose errors fall with their size, and one who is right half of the time and
/// else gives any score as often as it is given. Nothing random.
std::vector<LatentClasses> starting_points(const std::vector<double>& observed);

/// EM accelerated by squarem.hpp from the best of starting_points() until an EM step moves no entry
/// of T and p by 1e-10, 20 000 steps at most; the hidden levels ordered as assignment.hpp does.
Fit solve_em(VectorView<const std::int64_t> counts, std::size_t num_levels, Monitor& monitor);

}  // namespace ds2fast::transition
