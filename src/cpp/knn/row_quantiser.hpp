#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"
#include "knn/row_source.hpp"

namespace ds2fast::knn {

/// One row as codes.
struct RowCode {
  const std::int8_t* values;  ///< of the depth rounded up to 16, zeros at the end
  std::int32_t sum;
  float scale;
};

/// What it takes to bound a cosine by a product of codes, by place.
///
/// With x' = x - m, m the mean: <x, y> = <x', y'> + b_x + b_y, b_x = <m, x> - |m|^2 / 2. Let x^ =
/// scale * codes and e_x = |x' - x^|. Then |<x', y'> - <x^, y^>| <= e_x |y^| + |x^| e_y + e_x e_y
/// <= C e_x + C e_y for any C of at least |x^| + e_x / 2 of all rows. A slack is C e_x plus room
/// for what float32 rounds on the way to a bound.
struct CodeErrors {
  std::vector<double> biases;  ///< b_x
  std::vector<double> slacks;
};

/// Unit rows, in the order given, minus their mean as int8 codes in [-largest, largest], each with
/// a scale of its own. Calls keep(place, code) for each row, from several threads at once.
CodeErrors quantise_rows(const RowSource& rows, VectorView<const double> norms,
                         VectorView<const std::int32_t> order, std::int32_t largest,
                         std::size_t num_threads, Monitor& monitor,
                         const std::function<void(std::size_t place, const RowCode& code)>& keep);

/// The least float32 that is not below.
float round_up(double value);

}  // namespace ds2fast::knn
