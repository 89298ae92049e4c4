#pragma once

#include <pybind11/numpy.h>

#include "bindings/arrays.hpp"
#include "knn/row_source.hpp"

namespace ds2fast::bindings {

/// Native floats of so many bytes. float16 has no C++ type that pybind11 could be asked for.
inline bool holds_floats(const py::array& array, py::ssize_t size) {
  const py::dtype type = array.dtype();
  return type.kind() == 'f' && type.itemsize() == size && type.byteorder() == '=';
}

/// Rows of float32 or float16, wherever the rows begin; anything else is a TypeError, as for arrays
/// of one type.
inline knn::RowSource row_source(const py::array& embeddings, const simd::KernelTable& kernels) {
  using Type = knn::RowSource::Type;
  require(embeddings.ndim() == 2, "a matrix");
  const auto size = static_cast<std::size_t>(embeddings.itemsize());
  if (!(holds_floats(embeddings, 4) || holds_floats(embeddings, 2)) ||
      (embeddings.shape(1) > 1 && embeddings.strides(1) != embeddings.itemsize())) {
    throw py::type_error(
        "_core: expected float32 or float16 with the values of a row side by side");
  }
  const auto stride = static_cast<std::ptrdiff_t>(embeddings.strides(0));
  require(reinterpret_cast<std::uintptr_t>(embeddings.data()) % size == 0 &&
              stride % static_cast<std::ptrdiff_t>(size) == 0,
          "an aligned array");
  return {static_cast<const std::byte*>(embeddings.data()),
          static_cast<std::size_t>(embeddings.shape(0)),
          static_cast<std::size_t>(embeddings.shape(1)),
          stride,
          size == sizeof(float) ? Type::kFloat32 : Type::kFloat16,
          kernels};
}

}  // namespace ds2fast::bindings
