#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>

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

template <typename T>
MatrixView<const T> matrix_view(const Array<T>& array) {
  require(array.ndim() == 2, "a matrix");
  return {array.data(), static_cast<std::size_t>(array.shape(0)),
          static_cast<std::size_t>(array.shape(1))};
}

template <typename T>
VectorView<const T> vector_view(const Array<T>& array) {
  require(array.ndim() == 1, "a vector");
  return {array.data(), static_cast<std::size_t>(array.shape(0))};
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
