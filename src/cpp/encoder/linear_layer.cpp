#include "encoder/linear_layer.hpp"

#include <algorithm>
#include <cstring>

#include "core/round_up.hpp"

namespace ds2fast::encoder {

using simd::kPanelColumns;

LinearLayer::LinearLayer(const Arithmetic& arithmetic, MatrixView<const float> weights,
                         VectorView<const float> biases)
    : arithmetic_(arithmetic), columns_(weights.rows), depth_(weights.cols) {
  const std::size_t padded = round_up_to(columns_, kPanelColumns);
  panels_ = AlignedArray<std::byte>(padded * depth_ * arithmetic.value_size);
  biases_.assign(padded, 0.0F);
  std::copy(biases.begin(), biases.end(), biases_.begin());
  scales_.assign(padded, 0.0F);
  code_sums_.assign(padded, 0);
  for (std::size_t column = 0; column < columns_; ++column) {
    pack_column(weights.row(column), column);
  }
}

void LinearLayer::pack(std::size_t column, std::size_t k, const void* value) {
  const std::size_t group = arithmetic_.group;
  const std::size_t place = column / kPanelColumns * kPanelColumns * depth_ +
                            k / group * kPanelColumns * group + column % kPanelColumns * group +
                            k % group;
  std::memcpy(panels_.data() + place * arithmetic_.value_size, value, arithmetic_.value_size);
}

void LinearLayer::pack_column(const float* weights, std::size_t column) {
  const Precision precision = arithmetic_.precision;
  const float scale = precision == Precision::kInt8 ? code_scale(weights, depth_) : 1.0F;
  scales_[column] = scale;
  for (std::size_t k = 0; k < depth_; ++k) {
    const float weight = weights[k];
    if (precision == Precision::kInt8) {
      const std::int8_t code = code_of(weight, scale);
      const float rounded = scale * static_cast<float>(code);
      code_sums_[column] += code;
      arithmetic_.is_native ? pack(column, k, &code) : pack(column, k, &rounded);
    } else if (precision == Precision::kBf16) {
      const std::uint16_t bits = bf16_bits(weight);
      const float rounded = round_to_bf16(weight);
      arithmetic_.is_native ? pack(column, k, &bits) : pack(column, k, &rounded);
    } else {
      pack(column, k, &weight);
    }
  }
}

void LinearLayer::apply(float* rows, std::size_t num_rows, const PreparedRoom& room,
                        simd::Finish finish, float* output) const {
  simd::PreparedRows prepared{rows, nullptr, nullptr};
  if (arithmetic_.kernels.prepare != nullptr) {
    prepared = room.view();
    arithmetic_.kernels.prepare(rows, num_rows, depth_, prepared);
  }
  const simd::PanelView panels{panels_.data(), biases_.data(), scales_.data(), code_sums_.data()};
  arithmetic_.kernels.multiply(prepared, panels, {num_rows, depth_, columns_, columns_}, finish,
                               output);
}

}  // namespace ds2fast::encoder
