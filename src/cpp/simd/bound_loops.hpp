#pragma once

// Loops over bounds that every unit compiles for its own instruction set; for units alone. All of
// it has internal linkage, so that no unit's copy can stand in for another's.

#include <cstddef>
#include <cstdint>

#include "simd/kernel_table.hpp"

namespace ds2fast::simd {
namespace {

/// The sum of lanes that are less than 2^12 each.
inline std::size_t sum_of(const std::int16_t (&lanes)[kStepsAtOnce]) {
  std::uint64_t parts[kStepsAtOnce / 4];
  __builtin_memcpy(parts, lanes, sizeof lanes);
  std::uint64_t sum = 0;
  for (const std::uint64_t part : parts) {
    sum += part;
  }
  // Four sums of 16 bits side by side, added up in the uppermost.
  return static_cast<std::size_t>(sum * 0x0001000100010001U >> 48);
}

/// How many of `count` values, a multiple of kStepsAtOnce, are at least `least`.
inline std::size_t count_reaching(const std::int16_t* values, std::size_t count,
                                  std::int16_t least) {
  constexpr std::size_t kBlock = std::size_t{1} << 15;  // of which a lane counts 2^11
  std::size_t total = 0;
  for (std::size_t begin = 0; begin < count; begin += kBlock) {
    std::int16_t reached[kStepsAtOnce] = {};
    const std::size_t end = count - begin < kBlock ? count : begin + kBlock;
    for (std::size_t i = begin; i < end; i += kStepsAtOnce) {
      for (std::size_t lane = 0; lane < kStepsAtOnce; ++lane) {
        reached[lane] = static_cast<std::int16_t>(reached[lane] + (values[i + lane] >= least));
      }
    }
    total += sum_of(reached);
  }
  return total;
}

/// The least of the values that are at least `least`; one is.
inline std::int16_t smallest_reaching(const std::int16_t* values, std::size_t count,
                                      std::int16_t least) {
  std::int16_t smallest[kStepsAtOnce];
  for (std::int16_t& lane : smallest) {
    lane = kLastStep;
  }
  for (std::size_t i = 0; i < count; i += kStepsAtOnce) {
    for (std::size_t lane = 0; lane < kStepsAtOnce; ++lane) {
      const std::int16_t value = values[i + lane] >= least ? values[i + lane] : kLastStep;
      smallest[lane] = value < smallest[lane] ? value : smallest[lane];
    }
  }
  std::int16_t found = kLastStep;
  for (const std::int16_t lane : smallest) {
    found = lane < found ? lane : found;
  }
  return found;
}

inline std::int16_t kth_largest(const std::int16_t* values, std::size_t count, std::size_t k) {
  std::int32_t found = kLeastStep;
  for (std::int32_t step = 1 << 15; step > 0; step /= 2) {
    const auto tried = static_cast<std::int16_t>(found + step);
    const std::size_t reaching = count_reaching(values, count, tried);
    if (reaching == k) {
      return smallest_reaching(values, count, tried);
    }
    found = reaching > k ? tried : found;
  }
  return static_cast<std::int16_t>(found);
}

inline void lower_steps(const std::int32_t* products, CodeBounds rows, CodeBounds columns,
                        std::size_t stride, std::int16_t* steps) {
  for (std::size_t r = 0; r < kPanelRows; ++r) {
    const std::int32_t* line = products + r * kPanelRows;
    std::int16_t* out = steps + r * stride;
    const float row_scale = rows.scales[r];
    const float row_offset = rows.offsets[r];
    for (std::size_t c = 0; c < kPanelRows; ++c) {
      const float bound = static_cast<float>(line[c]) * (row_scale * columns.scales[c]) +
                          (row_offset + columns.offsets[c]);
      // Cut towards zero and one less: never above. Whole numbers are clamped, since comparisons of
      // floats would keep the compiler from making vectors of this.
      std::int32_t step = static_cast<std::int32_t>(bound * 0x1p15F) - 1;
      step = step < kLeastStep ? kLeastStep : step;
      step = step > kLastStep ? kLastStep : step;
      out[c] = static_cast<std::int16_t>(step);
    }
  }
}

}  // namespace
}  // namespace ds2fast::simd
