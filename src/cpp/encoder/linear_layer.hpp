#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/aligned_array.hpp"
#include "core/matrix_view.hpp"
#include "encoder/arithmetic.hpp"

namespace ds2fast::encoder {

/// The room that rows of activations need to be prepared in.
class PreparedRoom {
 public:
  PreparedRoom(std::size_t rows, std::size_t depth)
      : values_(AlignedArray<std::byte>::zeros(rows * depth * sizeof(float))),
        scales_(AlignedArray<float>::zeros(rows)),
        zeros_(AlignedArray<std::int32_t>::zeros(rows)) {}

  simd::PreparedRows view() const { return {values_.data(), scales_.data(), zeros_.data()}; }

 private:
  AlignedArray<std::byte> values_;
  AlignedArray<float> scales_;
  AlignedArray<std::int32_t> zeros_;
};

/// x W^T + b, W in the panels of one precision.
class LinearLayer {
 public:
  /// `weights` is (columns, depth), both multiples of simd::kWidthStep; `biases` one a column.
  LinearLayer(const Arithmetic& arithmetic, MatrixView<const float> weights,
              VectorView<const float> biases);

  /// output = finish(rows W^T + b), an output row behind the other. `rows` has memory for
  /// whole blocks of simd::kBlockRows.
  void apply(float* rows, std::size_t num_rows, const PreparedRoom& room, simd::Finish finish,
             float* output) const;

 private:
  void pack_column(const float* weights, std::size_t column);
  void pack_codes(const float* weights, std::size_t column);
  template <typename Value, typename Round>
  void pack(const float* weights, std::size_t column, const Round& round);

  Arithmetic arithmetic_;
  std::size_t columns_;
  std::size_t depth_;
  AlignedArray<std::byte> panels_;
  std::vector<float> biases_;
  std::vector<float> scales_;
  std::vector<std::int32_t> code_sums_;
};

}  // namespace ds2fast::encoder
