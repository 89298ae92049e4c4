#pragma once

#include <cstddef>
#include <cstdint>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"
#include "selection/near_selected.hpp"

namespace ds2fast::selection {

/// What the walk did with a row.
enum class Outcome : std::int8_t { kNotReached = 0, kSelected = 1, kGroupFull = 2, kDuplicate = 3 };

/// The group of each row, and how many rows each group is meant to have (`quotas`, adding up to
/// `count` at most) and may have (`caps`). Empty views: no groups, no quotas, no caps.
struct GroupLimits {
  VectorView<const std::int64_t> codes;
  VectorView<const std::int64_t> quotas;
  VectorView<const std::int64_t> caps;
};

/// One entry a row of the order. `because` and `similarities` are set where a row is a duplicate.
struct WalkResult {
  VectorView<Outcome> outcomes;
  VectorView<std::int64_t> because;
  VectorView<float> similarities;
};

/// Walks down `order` and selects up to `count` rows: of each group no more than its quota and its
/// cap, and no row that `near` (unless it is null) finds too near a selected one. Where groups
/// leave places empty, a second walk gives them to the rows that were passed over, by rank, within
/// the caps.
void walk_down(VectorView<const std::int64_t> order, std::size_t count, const GroupLimits& groups,
               NearSelected* near, Monitor& monitor, const WalkResult& result);

}  // namespace ds2fast::selection
