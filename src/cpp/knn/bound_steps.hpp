#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace ds2fast::knn {

/// Bounds of cosines as int16, in steps of 2^-15: half the memory of a float32, and the k-th best
/// of many is found in sixteen quick looks. A bound beyond the range stays at its end, where it is
/// no tighter, only less telling.
constexpr std::int16_t kLeastStep = std::numeric_limits<std::int16_t>::min();
constexpr std::int16_t kLastStep = std::numeric_limits<std::int16_t>::max();
constexpr float kStepsInOne = 0x1p15F;

/// Values that kth_largest() reads at once.
constexpr std::size_t kStepsAtOnce = 8;

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

/// The k-th largest of `count` values, or kLeastStep where fewer than k are above that. `count` is
/// a multiple of kStepsAtOnce.
std::int16_t kth_largest(const std::int16_t* values, std::size_t count, std::size_t k);

}  // namespace ds2fast::knn
