#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/matrix_view.hpp"

namespace ds2fast::bindings {

namespace py = pybind11;

/// C-contiguous arrays of just this type: the Python stages convert, the bindings never do.
template <typename T>
using Array = py::array_t<T, py::array::c_style>;

/// Throws ValueError where the array's shape is not as a kernel needs it; the Python stages have
/// told the user more by then.
inline void require(bool condition, const char* expected) {
  if (!condition) {
    throw py::value_error(std::string("_core: expected ") + expected);
  }
}

/// Kernels read through plain pointers, which must be aligned; NumPy arrays need not be.
template <typename T>
void require_aligned(const Array<T>& array) {
  require(reinterpret_cast<std::uintptr_t>(array.data()) % alignof(T) == 0, "an aligned array");
}

template <typename T>
MatrixView<const T> matrix_view(const Array<T>& array) {
  require(array.ndim() == 2, "a matrix");
  require_aligned(array);
  return {array.data(), static_cast<std::size_t>(array.shape(0)),
          static_cast<std::size_t>(array.shape(1))};
}

template <typename T>
VectorView<const T> vector_view(const Array<T>& array) {
  require(array.ndim() == 1, "a vector");
  require_aligned(array);
  return {array.data(), static_cast<std::size_t>(array.shape(0))};
}

constexpr std::size_t kMaxLevels = 64;

/// Kernels count by level, so a level beyond the last one would write outside their tables.
inline void require_below(VectorView<const std::int8_t> levels, std::size_t num_levels) {
  require(std::all_of(levels.begin(), levels.end(),
                      [=](std::int8_t level) { return level < static_cast<int>(num_levels); }),
          "levels below the number of levels");
}

template <typename T>
MatrixView<T> mutable_matrix_view(Array<T>& array) {
  return {array.mutable_data(), static_cast<std::size_t>(array.shape(0)),
          static_cast<std::size_t>(array.shape(1))};
}

template <typename T>
VectorView<T> mutable_vector_view(Array<T>& array) {
  return {array.mutable_data(), static_cast<std::size_t>(array.shape(0))};
}

}  // namespace ds2fast::bindings
