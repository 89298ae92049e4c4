#pragma once

#include <cstddef>

namespace ds2fast {

/// The least multiple of `multiple` that is at least `value`.
inline std::size_t round_up_to(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace ds2fast
