#pragma once

#include <cstddef>
#include <cstdint>

#include "simd/encoder_kernels.hpp"

namespace ds2fast::encoder {

enum class Precision { kFp32, kBf16, kInt8 };

/// How the products of linear layers are computed in one precision.
///
/// Where the processor has no products of bfloat16 or of bytes, the same rounded values are
/// multiplied in float32: the same vectors up to the rounding of sums, at the speed of float32.
struct Arithmetic {
  Precision precision;
  bool is_native;          ///< the processor has products of this precision
  std::size_t group;       ///< values of a column side by side in a panel
  std::size_t value_size;  ///< bytes of a value of a panel, and of a prepared row
  simd::ProductKernels kernels;
};

Arithmetic choose_arithmetic(Precision precision, const simd::EncoderKernels& kernels);

/// The nearest bfloat16, ties to even; NaN is NaN.
float round_to_bf16(float value);
std::uint16_t bf16_bits(float value);

/// The scale of a weight row's codes in -127..127; 1 for a row of zeros, NaN (so that its products
/// are NaN) for one that is not finite.
float code_scale(const float* row, std::size_t depth);
std::int8_t code_of(float value, float scale);

}  // namespace ds2fast::encoder
