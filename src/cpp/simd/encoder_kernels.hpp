#pragma once

#include <cstddef>
#include <cstdint>

namespace ds2fast::simd {

enum class Level : int;  // simd/level.hpp, which the units of instruction sets must not include

/// Columns of a linear layer's panel, and rows that are multiplied with it at once.
constexpr std::size_t kPanelColumns = 48;
constexpr std::size_t kBlockRows = 8;
/// Widths of activations are multiples of this, padded with zeros.
constexpr std::size_t kWidthStep = 16;
/// Values that all lie below it have codes of zero: their scale would be too small to divide by.
constexpr float kLeastRange = 1e-35F;

/// What follows a product, while it is in the registers' reach.
enum class Finish : int { kStore, kAdd, kGelu, kGeluTanh, kRelu };

/// Rows of activations, each `depth` values, prepared for the products of one precision. There is
/// memory for a multiple of kBlockRows rows, whatever their number.
///
/// float32: float32 values, the activations themselves. bfloat16: 16 bits each, rounded to nearest
/// even. int8: codes of 8 bits, value = scale * (code - zero), with a scale and a zero for each
/// row, so that a row's codes depend on that row alone. A row of NaN or with an infinite value has
/// products that are not finite in each of the three.
struct PreparedRows {
  void* values = nullptr;
  float* scales = nullptr;
  std::int32_t* zeros = nullptr;
};

/// The weights of a linear layer, (columns, depth), in panels of 48 columns.
///
/// Layout: with g values in a group, a panel is (depth / g, 48, g): value k of column c at
/// [(k / g) * 48 g + c * g + k % g]. g is 1 for float32, 2 for bfloat16, 4 for int8. int8: weight =
/// scale * code, and `code_sums` holds the sum of each column's codes. Everything is padded to
/// whole panels.
struct PanelView {
  const void* values = nullptr;
  const float* biases = nullptr;
  const float* scales = nullptr;
  const std::int32_t* code_sums = nullptr;
};

/// Sizes of a product: `rows` rows of `depth` values times `columns` columns, a multiple of
/// kWidthStep; an output row begins `stride` values behind the one before.
struct ProductSize {
  std::size_t rows;
  std::size_t depth;
  std::size_t columns;
  std::size_t stride;
};

/// Turns float32 rows into what `Multiply` of the same precision reads.
using Prepare = void (*)(const float* rows, std::size_t num_rows, std::size_t depth,
                         const PreparedRows& prepared);

/// output = finish(rows * weights + bias); kAdd adds to what is there.
/// Accumulator: float32 in one chain over k for float32 (error of a product at most depth * 2^-24 /
/// (1 - depth * 2^-24) * sum |x_k w_k|), pairs of k for bfloat16, int32 and so exact for int8
/// (depth up to 2^16). An output row depends on its own row alone: not on its neighbours, nor on
/// how many there are.
using Multiply = void (*)(const PreparedRows& rows, const PanelView& weights, ProductSize size,
                          Finish finish, float* output);

/// One precision of one unit.
struct ProductKernels {
  Prepare prepare = nullptr;  ///< null: the rows are read as they are
  Multiply multiply = nullptr;
};

/// One head of the self-attention of one text.
struct AttentionHead {
  const float* queries;    ///< row i at [i * stride], `depth` values
  const float* keys;       ///< likewise
  const float* values;     ///< likewise
  const float* distances;  ///< null, or what is added to query i's score of key j, at [j - i]
  std::size_t length;      ///< tokens of the text
  std::size_t stride;
  std::size_t depth;  ///< a multiple of kWidthStep
  float scale;        ///< of the scores
};

/// Floats of room that a head of the text needs.
constexpr std::size_t attention_room(std::size_t length, std::size_t depth) {
  const std::size_t padded = (length + kPanelColumns - 1) / kPanelColumns * kPanelColumns;
  return 2 * padded * depth + kBlockRows * padded + kBlockRows * kPanelColumns;
}

/// softmax(scale * queries * keys^T + distances) * values, row i to output[i * output_stride], in
/// float32.
using Attend = void (*)(const AttentionHead& head, float* room, float* output,
                        std::size_t output_stride);

/// Normalises each row of `width` values to mean 0 and variance 1, then scales and shifts; a row
/// begins `stride` values behind the one before.
using LayerNorm = void (*)(float* rows, std::size_t num_rows, std::size_t width, std::size_t stride,
                           const float* scale, const float* shift, float epsilon);

/// The encoder's kernels of one instruction set. Only plain pointers cross into its unit.
struct EncoderKernels {
  ProductKernels fp32;
  ProductKernels bf16;  ///< null where the processor has no such products
  ProductKernels int8;  ///< likewise
  Attend attend;
  LayerNorm layer_norm;
};

/// The kernels of a level that available_levels() names.
EncoderKernels encoder_kernels(Level level);

/// Defined by the units of whole instruction sets; bf16 and int8 are null.
EncoderKernels baseline_encoder();
EncoderKernels avx2_encoder();
EncoderKernels avx512_encoder();

/// Defined by the units of extensions.
ProductKernels avx512_bf16_products();
ProductKernels avx512_vnni_products();
ProductKernels avx_vnni_products();
ProductKernels neon_dot_products();

}  // namespace ds2fast::simd
