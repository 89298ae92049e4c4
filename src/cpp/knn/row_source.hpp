#pragma once

#include <cstddef>
#include <cstdint>

#include "core/matrix_view.hpp"
#include "simd/kernel_table.hpp"

namespace ds2fast::knn {

/// The rows of the pool as the caller has them: float32 or float16 (widening is exact), the values
/// of a row side by side, the rows any number of bytes apart, in one piece or two. Owns nothing.
class RowSource {
 public:
  enum class Type { kFloat32, kFloat16 };

  RowSource(const std::byte* data, std::size_t num_rows, std::size_t depth, std::ptrdiff_t stride,
            Type type, const simd::KernelTable& kernels)
      : pieces_{{data, stride, 0}, {data, stride, 0}},
        num_rows_(num_rows),
        num_first_(num_rows),
        depth_(depth),
        type_(type),
        kernels_(kernels) {}

  /// The rows of `first` and then those of `second`: one piece each, of one type and depth.
  RowSource(const RowSource& first, const RowSource& second)
      : pieces_{first.pieces_[0],
                {second.pieces_[0].data, second.pieces_[0].stride, first.num_rows_}},
        num_rows_(first.num_rows_ + second.num_rows_),
        num_first_(first.num_rows_),
        depth_(first.depth_),
        type_(first.type_),
        kernels_(first.kernels_) {}

  RowSource(MatrixView<const float> rows, const simd::KernelTable& kernels)
      : RowSource(reinterpret_cast<const std::byte*>(rows.data), rows.rows, rows.cols,
                  static_cast<std::ptrdiff_t>(rows.cols * sizeof(float)), Type::kFloat32, kernels) {
  }

  std::size_t num_rows() const { return num_rows_; }
  std::size_t depth() const { return depth_; }
  Type type() const { return type_; }
  const simd::KernelTable& kernels() const { return kernels_; }

  /// Row `index` as float32: where it lies, or widened into `buffer`, which has room for it.
  const float* read(std::size_t index, float* buffer) const {
    if (type_ == Type::kFloat32) {
      return reinterpret_cast<const float*>(bytes(index));
    }
    kernels_.widen_halves(reinterpret_cast<const std::uint16_t*>(bytes(index)), depth_, buffer);
    return buffer;
  }

  const std::byte* bytes(std::size_t index) const {
    const Piece& piece = pieces_[index >= num_first_ ? 1 : 0];
    return piece.data + static_cast<std::ptrdiff_t>(index - piece.first) * piece.stride;
  }
  std::size_t row_bytes() const { return depth_ * (type_ == Type::kFloat32 ? 4 : 2); }

 private:
  struct Piece {
    const std::byte* data;
    std::ptrdiff_t stride;
    std::size_t first;  ///< index of its first row
  };

  Piece pieces_[2];
  std::size_t num_rows_;
  std::size_t num_first_;  ///< rows of the first piece
  std::size_t depth_;
  Type type_;
  const simd::KernelTable& kernels_;
};

}  // namespace ds2fast::knn
