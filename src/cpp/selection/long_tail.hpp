#pragma once

#include <cstddef>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"

namespace ds2fast::selection {

/// Long-tail score of each row, 2 / (1 + e^-d) - 1 with d the mean of 1 - similarity over the row's
/// first k neighbours, summed in float64 in the neighbours' order; stored as float32. Higher is
/// rarer.
void long_tail_scores(MatrixView<const float> similarities, std::size_t k, std::size_t num_threads,
                      Monitor& monitor, VectorView<float> scores);

}  // namespace ds2fast::selection
