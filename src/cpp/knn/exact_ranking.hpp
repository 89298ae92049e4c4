#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/matrix_view.hpp"
#include "simd/kernel_table.hpp"

namespace ds2fast::knn {

/// A neighbour and its cosine similarity in float64.
struct RankedNeighbour {
  double similarity;
  std::int32_t id;
};

/// The order of all results: more similar first, ties by the smaller id.
inline bool ranks_before(const RankedNeighbour& x, const RankedNeighbour& y) {
  return x.similarity > y.similarity || (x.similarity == y.similarity && x.id < y.id);
}

/// The similarity that decides: <x, y> / (|x| |y|) in float64 on the input rows, by simd::ExactDot.
class ExactRanking {
 public:
  ExactRanking(MatrixView<const float> rows, VectorView<const double> norms,
               VectorView<const std::int32_t> order, const simd::KernelTable& kernels)
      : rows_(rows), norms_(norms), order_(order), kernels_(kernels) {}

  /// Row at a place of the order of work.
  std::int32_t row_at(std::size_t place) const { return order_[place]; }

  /// The row at place `other` as a neighbour of the one at `place`.
  RankedNeighbour rank(std::size_t place, std::size_t other_place) const {
    const std::int32_t other = order_[other_place];
    const auto row = static_cast<std::size_t>(order_[place]);
    const auto column = static_cast<std::size_t>(other);
    const double dot = kernels_.exact_dot(rows_.row(row), rows_.row(column), rows_.cols);
    return {dot / (norms_[row] * norms_[column]), other};
  }

 private:
  MatrixView<const float> rows_;
  VectorView<const double> norms_;
  VectorView<const std::int32_t> order_;
  const simd::KernelTable& kernels_;
};

}  // namespace ds2fast::knn
