#pragma once

#include <cstdint>
#include <vector>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"
#include "knn/row_source.hpp"

namespace ds2fast::knn {

/// Puts `ids` into an order in which near rows lie together: they are grouped by the most similar
/// of some evenly spaced leaders. It changes how soon candidates are ruled out, never the result.
void order_near_first(const RowSource& rows, VectorView<const double> norms,
                      std::size_t num_threads, Monitor& monitor, std::vector<std::int32_t>& ids);

}  // namespace ds2fast::knn
