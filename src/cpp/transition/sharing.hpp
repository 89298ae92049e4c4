#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"
#include "transition/latent_classes.hpp"
#include "transition/sharing_model.hpp"

namespace ds2fast::transition {

/// What solve_sharing found.
struct SharingFit {
  LatentClasses classes;
  double own;
  std::vector<double> shares;  ///< (P, 4) row-major: both, first only, second only, neither
  double log_likelihood;       ///< of the scaled graph's counts and the signal together
  std::size_t steps;
  bool converged;
};

/// T, p, own (if `fit_own`, else 0) and w of the sharing model (sharing_model.hpp) of maximum
/// likelihood, from the best of em.hpp's starting points, accelerated by squarem.hpp. Ends when an
/// EM step moves nothing by 1e-7, after 5 000 steps at most.
///
/// `counts` (P, K, K, K) of count_sharing, scaled to the total `num_rows`. Hidden levels are
/// ordered as assignment.hpp does, unless the signal has true levels, which name them. Nothing
/// random.
SharingFit solve_sharing(VectorView<const std::int64_t> counts, const SharingLayout& layout,
                         const Signal& signal, double num_rows, bool fit_own, Monitor& monitor);

}  // namespace ds2fast::transition
