#pragma once

#include <cstddef>

namespace ds2fast {

/// Rows of `cols` values laid one behind the other; owns nothing.
template <typename T>
struct MatrixView {
  T* data = nullptr;
  std::size_t rows = 0;
  std::size_t cols = 0;

  T* row(std::size_t index) const { return data + index * cols; }
};

/// A run of values; owns nothing.
template <typename T>
struct VectorView {
  T* data = nullptr;
  std::size_t size = 0;

  T& operator[](std::size_t index) const { return data[index]; }
  T* begin() const { return data; }
  T* end() const { return data + size; }
};

}  // namespace ds2fast
