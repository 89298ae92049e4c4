#pragma once

#include <cstddef>
#include <cstdint>

#include "core/matrix_view.hpp"
#include "transition/latent_classes.hpp"

namespace ds2fast::transition {

/// The clusterability curve: for every similarity bin the probability alpha that a neighbour this
/// similar shows the row's hidden level, of maximum likelihood given the rest:
///   P(a, d | bin) = sum_i p_i E_ia (alpha T_id + (1 - alpha) c_d),  c = p T.
///
/// Layout: `counts` (B, K, K) of count_pairs; `emission` E (K, K) row-major, how the row's own
/// score shows its hidden level; `alpha` (B), overwritten, 0 where a bin has no counts or nothing
/// to tell. The log-likelihood of a bin is concave: its derivative is bisected to the last bit.
void solve_alpha(VectorView<const std::int64_t> counts, VectorView<const double> emission,
                 const LatentClasses& classes, VectorView<double> alpha);

}  // namespace ds2fast::transition
