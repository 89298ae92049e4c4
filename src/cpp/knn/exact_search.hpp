#pragma once

#include <cstddef>
#include <cstdint>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"
#include "knn/row_source.hpp"

namespace ds2fast::knn {

/// Widest rows: int32 sums of products of their codes cannot overflow.
constexpr std::size_t kMaxDepth = std::size_t{1} << 16;

/// The exact k-NN graph under cosine similarity.
///
/// rows (N, d), any norm but 0; norms (N,) from row_norms(); 1 <= k < N; N < 2^31. Writes ids (N,
/// k) int32 and similarities (N, k) float32 or, unrounded, float64, most similar first, ties by the
/// smaller id, a row never its own neighbour. The ranking is that of ExactRanking whatever the
/// level, the number of threads and the order of work. Each pair is multiplied once, in int8, and
/// feeds both its rows; candidates that the bound of the error cannot rule out are ranked in
/// float64. Memory beyond rows and norms, results in float32 included: at most N (d + 32 k + 64)
/// bytes (d rounded up to whole groups of codes), some 200 d bytes a thread and some megabytes.
void exact_search(const RowSource& rows, VectorView<const double> norms, std::size_t num_threads,
                  Monitor& monitor, MatrixView<std::int32_t> ids, MatrixView<float> similarities);
void exact_search(const RowSource& rows, VectorView<const double> norms, std::size_t num_threads,
                  Monitor& monitor, MatrixView<std::int32_t> ids, MatrixView<double> similarities);

}  // namespace ds2fast::knn
