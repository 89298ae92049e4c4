#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"

namespace ds2fast::selection {

/// The first `count` rows by score descending, then long-tail score descending, then index
/// ascending. Rows with a score below 0 or NaN are unrated and left out, so fewer may come back.
/// Only the rows that are returned are sorted in full: in chunks, which are then merged in pairs.
std::vector<std::int64_t> dual_sort(VectorView<const double> scores,
                                    VectorView<const double> long_tail, std::size_t count,
                                    Monitor& monitor);

}  // namespace ds2fast::selection
