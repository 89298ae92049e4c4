#pragma once

#include <cstddef>
#include <vector>

namespace ds2fast::transition {

/// T and p: hidden true levels, each with its distribution over the given scores.
struct LatentClasses {
  explicit LatentClasses(std::size_t levels)
      : num_levels(levels), transition(levels * levels), prior(levels) {}

  std::size_t num_levels;
  std::vector<double> transition;  ///< (K, K) row-major, T[i, a] = P(given a | true i)
  std::vector<double> prior;       ///< (K), p[i] = P(true i)
};

/// What a solver found.
struct Fit {
  LatentClasses classes;
  std::size_t steps;
  bool converged;  ///< false where a solver that stops by itself was stopped by its limit of steps
};

/// Logits of T and p: 5 on the diagonal of T, else 0, minus 1; p uniform. Where both solvers start.
LatentClasses start_logits(std::size_t num_levels);

/// T and p of free logits, each row a softmax.
LatentClasses softmax(const LatentClasses& logits);

}  // namespace ds2fast::transition
