#pragma once

#include <cstddef>
#include <cstdint>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"
#include "simd/kernel_table.hpp"

namespace ds2fast::knn {

/// Widest rows: the float32 bound is derived for these, and int32 sums of their codes cannot
/// overflow.
constexpr std::size_t kMaxDepth = std::size_t{1} << 16;

/// The exact k-NN graph under cosine similarity.
///
/// rows (N, d) float32, any norm but 0; norms (N,) from row_norms(); 1 <= k < N; N < 2^31. Writes
/// ids (N, k) int32 and similarities (N, k) float32, most similar first, ties by the smaller id, a
/// row never its own neighbour. The ranking is that of ExactRanking whatever the level, the number
/// of threads and the order of work. Each pair is multiplied once, in int8 where the unit has such
/// products and else in float32, and feeds both its rows; candidates that the bound of the error
/// cannot rule out are ranked in float64. Memory beyond the arguments: N d bytes of codes (or 4 N d
/// of packed rows), 8 max(4k, 64) + 28 bytes a row of candidates.
void exact_search(MatrixView<const float> rows, VectorView<const double> norms,
                  std::size_t num_threads, const simd::KernelTable& kernels, Monitor& monitor,
                  MatrixView<std::int32_t> ids, MatrixView<float> similarities);

}  // namespace ds2fast::knn
