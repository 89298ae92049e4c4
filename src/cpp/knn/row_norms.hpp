#pragma once

#include <cstddef>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"
#include "knn/row_source.hpp"

namespace ds2fast::knn {

/// Euclidean norms of the rows in float64, by simd::ExactDot: the same bits at every level. A row
/// that holds NaN or infinity gets a norm that is not finite, a zero row 0.
void row_norms(const RowSource& rows, std::size_t num_threads, Monitor& monitor,
               VectorView<double> norms);

}  // namespace ds2fast::knn
