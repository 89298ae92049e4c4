#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"
#include "simd/kernel_table.hpp"

namespace ds2fast::knn {

/// An order of the rows in which near ones lie together: rows are grouped by the most similar of
/// some evenly spaced leaders. It changes how soon candidates are ruled out, never the result.
std::vector<std::int32_t> near_first_order(MatrixView<const float> rows,
                                           VectorView<const double> norms, std::size_t num_threads,
                                           const simd::KernelTable& kernels, Monitor& monitor);

}  // namespace ds2fast::knn
