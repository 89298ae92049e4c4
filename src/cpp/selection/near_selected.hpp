#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"
#include "knn/row_source.hpp"

namespace ds2fast::selection {

/// A selected row, and the cosine of the row in question to it; `row` < 0: none.
struct Match {
  std::int32_t row = -1;
  float similarity = std::numeric_limits<float>::quiet_NaN();
};

/// What tells that rows are near: the k-NN graph, whose lists are descending, and where there are
/// any (`vectors` is not null) the rows' vectors and their norms.
struct Nearness {
  MatrixView<const std::int32_t> indices;
  MatrixView<const float> similarities;
  const knn::RowSource* vectors = nullptr;
  VectorView<const double> norms;
};

/// The rows selected so far, and whether another is as near to one of them as `least`.
///
/// The graph is asked first: a selected row whose list names this one, or that this one's names.
/// That settles it unless this row's list is cut: wholly at or above `least`, so that more such
/// rows may exist. What an exact graph does not show can only be a selected row whose own list is
/// cut too; with those the vectors are compared, by simd::ExactDot, rounded to float32 as in the
/// graph. The nearest counts, ties by the smaller row, so nothing depends on threads.
class NearSelected {
 public:
  NearSelected(const Nearness& nearness, float least, std::size_t num_threads);

  /// Compares rows that will be asked about with what is selected so far, on all threads.
  void look_ahead(const std::vector<std::int32_t>& rows, Monitor& monitor);

  /// The nearest selected row at or above `least`.
  Match match(std::int32_t row);

  void add(std::int32_t row);

  /// Rows added though their lists were cut and vectors, to compare them with others, missing.
  std::size_t num_unsettled() const { return num_unsettled_; }

 private:
  bool is_cut(std::int32_t row) const;
  void compare(const std::int32_t* rows, std::size_t count);

  const Nearness nearness_;
  const float least_;
  const std::size_t num_threads_;
  std::vector<std::uint8_t> is_selected_;
  std::vector<Match> by_graph_;         ///< of each row: told by lists of selected rows
  std::vector<Match> by_vectors_;       ///< of each row: told by vectors
  std::vector<std::size_t> num_known_;  ///< of each row: how many of `cut_` it was compared with
  std::vector<std::int32_t> cut_;       ///< selected rows whose lists are cut
  std::size_t num_unsettled_ = 0;
};

}  // namespace ds2fast::selection
