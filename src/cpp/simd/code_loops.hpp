#pragma once

// Loops over codes that every unit compiles for its own instruction set; for units alone. All of it
// has internal linkage, so that no unit's copy can stand in for another's.

#include <cstddef>
#include <cstdint>

#include "simd/kernel_table.hpp"

namespace ds2fast::simd {
namespace {

inline std::int32_t code_dot(const std::int8_t* x, const std::int8_t* y, std::size_t depth) {
  std::int32_t sum = 0;
  for (std::size_t k = 0; k < depth; ++k) {
    sum += static_cast<std::int16_t>(x[k]) * static_cast<std::int16_t>(y[k]);
  }
  return sum;
}

inline void code_dots(const std::int8_t* x, const std::int8_t* const* others, std::size_t depth,
                      std::int32_t* dots) {
  for (std::size_t i = 0; i < kDotsAtOnce; ++i) {
    dots[i] = code_dot(x, others[i], depth);
  }
}

}  // namespace
}  // namespace ds2fast::simd
