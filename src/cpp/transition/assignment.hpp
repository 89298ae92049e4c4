#pragma once

#include <cstddef>
#include <vector>

#include "transition/latent_classes.hpp"

namespace ds2fast::transition {

/// The permutation `chosen` that maximises sum_j weights[chosen[j], j]: which row belongs to each
/// column. `weights` is (size, size) row-major. The Hungarian method, O(size^3).
std::vector<std::size_t> assign_rows_to_columns(const std::vector<double>& weights,
                                                std::size_t size);

/// Orders the hidden levels so that sum_i p_i T_ii, the share of rows with the right score, is
/// largest: counts fix the levels only up to a permutation.
void order_hidden_levels(LatentClasses& classes);

}  // namespace ds2fast::transition
