#pragma once

#include <cstddef>
#include <random>
#include <vector>

/// Normally distributed float32 values, the same for the same seed on every platform that has
/// mt19937.
inline std::vector<float> random_values(std::size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::vector<float> values(count);
  for (float& value : values) {
    // Twelve uniforms: std::normal_distribution differs between standard libraries.
    double sum = -6.0;
    for (int i = 0; i < 12; ++i) {
      sum += static_cast<double>(generator()) / 4294967296.0;
    }
    value = static_cast<float>(sum);
  }
  return values;
}
