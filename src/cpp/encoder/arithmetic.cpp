#include "encoder/arithmetic.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

namespace ds2fast::encoder {
namespace {

using simd::PreparedRows;

constexpr float kLargestCode = 127.0F;

void round_rows_to_bf16(const float* rows, std::size_t num_rows, std::size_t depth,
                        const PreparedRows& prepared) {
  std::transform(rows, rows + num_rows * depth, static_cast<float*>(prepared.values),
                 round_to_bf16);
}

/// Rows as scale * (code - zero), the codes as simd::PreparedRows has them.
void round_rows_to_codes(const float* rows, std::size_t num_rows, std::size_t depth,
                         const PreparedRows& prepared) {
  auto* rounded = static_cast<float*>(prepared.values);
  for (std::size_t r = 0; r < num_rows; ++r) {
    const float* row = rows + r * depth;
    const float low = std::min(0.0F, *std::min_element(row, row + depth));
    // 0, but NaN where a value is NaN or infinite, which comparisons may lose.
    const float taint = std::accumulate(row, row + depth, 0.0F,
                                        [](float sum, float value) { return sum + value * 0.0F; });
    const float range = std::max(0.0F, *std::max_element(row, row + depth)) - low + taint;
    const float scale = range < simd::kLeastRange ? 1.0F : range / 255.0F;
    const float inverse = 1.0F / scale;
    const float zero = std::nearbyint(-low * inverse);
    for (std::size_t k = 0; k < depth; ++k) {
      const float code = std::clamp(row[k] * inverse + zero, 0.0F, 255.0F);
      rounded[r * depth + k] = scale * (std::nearbyint(code) - zero);
    }
  }
}

simd::Prepare rounding(Precision precision) {
  return precision == Precision::kBf16 ? &round_rows_to_bf16 : &round_rows_to_codes;
}

}  // namespace

Arithmetic choose_arithmetic(Precision precision, const simd::EncoderKernels& kernels) {
  if (precision == Precision::kFp32) {
    return {precision, true, 1, sizeof(float), kernels.fp32};
  }
  if (precision == Precision::kBf16 && kernels.bf16.multiply != nullptr) {
    return {precision, true, 2, sizeof(std::uint16_t), kernels.bf16};
  }
  if (precision == Precision::kInt8 && kernels.int8.multiply != nullptr) {
    return {precision, true, 4, sizeof(std::int8_t), kernels.int8};
  }
  return {precision, false, 1, sizeof(float), {rounding(precision), kernels.fp32.multiply}};
}

std::uint16_t bf16_bits(float value) {
  if (std::isnan(value)) {
    return 0x7FC0;  // rounding may carry other bits of NaN into the sign
  }
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<std::uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

float round_to_bf16(float value) {
  const std::uint32_t bits = static_cast<std::uint32_t>(bf16_bits(value)) << 16;
  float rounded;
  std::memcpy(&rounded, &bits, sizeof rounded);
  return rounded;
}

float code_scale(const float* row, std::size_t depth) {
  float largest = 0.0F;
  for (std::size_t k = 0; k < depth; ++k) {
    if (!std::isfinite(row[k])) {
      return std::numeric_limits<float>::quiet_NaN();
    }
    largest = std::max(largest, std::fabs(row[k]));
  }
  return largest < simd::kLeastRange ? 1.0F : largest / kLargestCode;
}

std::int8_t code_of(float value, float scale) {
  if (std::isnan(scale)) {
    return 0;
  }
  return static_cast<std::int8_t>(
      std::clamp(std::nearbyint(value / scale), -kLargestCode, kLargestCode));
}

}  // namespace ds2fast::encoder
