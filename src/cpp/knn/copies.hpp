#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"
#include "knn/exact_ranking.hpp"
#include "knn/row_source.hpp"

namespace ds2fast::knn {

/// Which rows a search has to look at where many are byte for byte the same.
///
/// Copies are equally similar to everything and ties go to the smaller id, so of a set of copies
/// none but the first k + 1 can be among the k nearest of any row; and what is nearest to one of
/// the others is nearest to the first one, which is its neighbour too. Without this, n copies would
/// cost n^2 similarities in float64, since no bound can tell them apart. Rows that are nearly the
/// same, or the same but for their length, do cost that.
struct Copies {
  struct Copy {
    std::int32_t row;
    std::int32_t first;  ///< of its set, which is searched
  };

  std::vector<std::int32_t> searched;  ///< ascending, more than k
  std::vector<Copy> rest;
};

Copies find_copies(const RowSource& rows, VectorView<const double> norms, std::size_t k,
                   Monitor& monitor);

/// The results of the rest, once those of all rows searched are there: ids and similarities (N, k).
template <typename Similarity>
void fill_in_copies(const Copies& copies, const ExactRanking& ranking, MatrixView<std::int32_t> ids,
                    MatrixView<Similarity> similarities);

}  // namespace ds2fast::knn
