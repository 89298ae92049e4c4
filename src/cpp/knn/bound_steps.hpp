#pragma once

#include <algorithm>
#include <cstdint>

#include "simd/kernel_table.hpp"

namespace ds2fast::knn {

/// Bounds of cosines as int16, in steps of 2^-15: half the memory of a float32, and the k-th best
/// of many is found in a few quick looks (simd::KthLargest). A bound beyond the range stays at its
/// end, where it is no tighter, only less telling.
using simd::kLastStep;
using simd::kLeastStep;
constexpr float kStepsInOne = 0x1p15F;

inline std::int16_t step_above(float bound) {
  const float steps = std::clamp(bound * kStepsInOne, -kStepsInOne, kStepsInOne - 1.0F);
  const auto whole = static_cast<std::int32_t>(steps);
  return static_cast<std::int16_t>(whole + (static_cast<float>(whole) < steps ? 1 : 0));
}

inline std::int16_t step_below(float bound) {
  const float steps = std::clamp(bound * kStepsInOne, -kStepsInOne, kStepsInOne - 1.0F);
  const auto whole = static_cast<std::int32_t>(steps);
  return static_cast<std::int16_t>(whole - (static_cast<float>(whole) > steps ? 1 : 0));
}

/// What a step stands for.
inline float step_value(std::int16_t step) {
  return static_cast<float>(step) / kStepsInOne;
}

}  // namespace ds2fast::knn
