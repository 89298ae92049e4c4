#include "encoder/linear_layer.hpp"

#include <algorithm>

#include "core/round_up.hpp"

namespace ds2fast::encoder {

using simd::kPanelColumns;

LinearLayer::LinearLayer(const Arithmetic& arithmetic, MatrixView<const float> weights,
                         VectorView<const float> biases)
    : arithmetic_(arithmetic), columns_(weights.rows), depth_(weights.cols) {
  const std::size_t padded = round_up_to(columns_, kPanelColumns);
  panels_ = AlignedArray<std::byte>::zeros(padded * depth_ * arithmetic.value_size);
  biases_.assign(padded, 0.0F);
  std::copy(biases.begin(), biases.end(), biases_.begin());
  scales_.assign(padded, 0.0F);
  code_sums_.assign(padded, 0);
  for (std::size_t column = 0; column < columns_; ++column) {
    pack_column(weights.row(column), column);
  }
}

template <typename Value, typename Round>
void LinearLayer::pack(const float* weights, std::size_t column, const Round& round) {
  const std::size_t group = arithmetic_.group;
  auto* values = reinterpret_cast<Value*>(panels_.data()) +
                 column / kPanelColumns * kPanelColumns * depth_ + column % kPanelColumns * group;
  for (std::size_t k = 0; k < depth_; k += group) {
    for (std::size_t i = 0; i < group; ++i) {
      values[k * kPanelColumns + i] = round(weights[k + i]);
    }
  }
}

void LinearLayer::pack_codes(const float* weights, std::size_t column) {
  const float scale = code_scale(weights, depth_);
  scales_[column] = scale;
  if (!arithmetic_.is_native) {
    pack<float>(weights, column,
                [=](float weight) { return scale * static_cast<float>(code_of(weight, scale)); });
    return;
  }
  std::int32_t& sum = code_sums_[column];
  pack<std::int8_t>(weights, column, [scale, &sum](float weight) {
    const std::int8_t code = code_of(weight, scale);
    sum += code;
    return code;
  });
}

void LinearLayer::pack_column(const float* weights, std::size_t column) {
  if (arithmetic_.precision == Precision::kInt8) {
    pack_codes(weights, column);
  } else if (arithmetic_.precision == Precision::kFp32) {
    pack<float>(weights, column, [](float weight) { return weight; });
  } else if (arithmetic_.is_native) {
    pack<std::uint16_t>(weights, column, bf16_bits);
  } else {
    pack<float>(weights, column, round_to_bf16);
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
