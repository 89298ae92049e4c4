#pragma once

#include <cstddef>
#include <cstdint>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"
#include "knn/code_rows.hpp"
#include "knn/exact_ranking.hpp"
#include "knn/neighbour_lists.hpp"

namespace ds2fast::knn {

/// The k nearest of some rows by exact similarity: ids of rows and float64, best first.
struct RankedRows {
  MatrixView<std::int32_t> ids;     ///< (P, k)
  MatrixView<double> similarities;  ///< (P, k)
};

/// Ranks the lists of places[0], places[1], ...; each list has k entries at least.
void rank_lists(const CodeRows& rows, const ConstNeighbourLists& lists,
                VectorView<const std::int32_t> places, const ExactRanking& ranking,
                std::size_t num_threads, Monitor& monitor, const RankedRows& out);

/// The exact k nearest of places[0], places[1], ... among all rows, k < M: the products of codes
/// tell which rows may be among them, by bounds that always hold.
void exact_neighbours(const CodeRows& rows, VectorView<const std::int32_t> places,
                      const ExactRanking& ranking, const simd::KernelTable& kernels,
                      std::size_t num_threads, Monitor& monitor, const RankedRows& out);

}  // namespace ds2fast::knn
