#pragma once

#include <cstddef>
#include <cstdint>

#include "core/matrix_view.hpp"
#include "simd/kernel_table.hpp"

namespace ds2fast::knn {

/// The rows of the pool as the caller has them: float32 or float16 (widening is exact), the values
/// of a row side by side, the rows any number of bytes apart. Owns nothing.
class RowSource {
 public:
  enum class Type { kFloat32, kFloat16 };

  RowSource(const std::byte* data, std::size_t num_rows, std::size_t depth, std::ptrdiff_t stride,
            Type type, const simd::KernelTable& kernels)
      : data_(data),
        num_rows_(num_rows),
        depth_(depth),
        stride_(stride),
        type_(type),
        kernels_(kernels) {}

  RowSource(MatrixView<const float> rows, const simd::KernelTable& kernels)
      : RowSource(reinterpret_cast<const std::byte*>(rows.data), rows.rows, rows.cols,
                  static_cast<std::ptrdiff_t>(rows.cols * sizeof(float)), Type::kFloat32, kernels) {
  }

  std::size_t num_rows() const { return num_rows_; }
  std::size_t depth() const { return depth_; }
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
    return data_ + static_cast<std::ptrdiff_t>(index) * stride_;
  }
  std::size_t row_bytes() const { return depth_ * (type_ == Type::kFloat32 ? 4 : 2); }

 private:
  const std::byte* data_;
  std::size_t num_rows_;
  std::size_t depth_;
  std::ptrdiff_t stride_;
  Type type_;
  const simd::KernelTable& kernels_;
};

}  // namespace ds2fast::knn
