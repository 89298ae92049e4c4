#include <algorithm>
#include <cstdint>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/call_guard.hpp"
#include "bindings/register.hpp"
#include "bindings/rows.hpp"
#include "selection/dual_sort.hpp"
#include "selection/long_tail.hpp"
#include "selection/near_selected.hpp"
#include "selection/walk.hpp"
#include "simd/level.hpp"

namespace ds2fast::bindings {
namespace {

Array<float> long_tail_scores(const Array<float>& similarities, std::size_t k, std::size_t threads,
                              const py::object& progress) {
  const auto rows = matrix_view(similarities);
  require(k >= 1 && k <= rows.cols, "1 <= k <= width of the graph");
  Array<float> scores(static_cast<py::ssize_t>(rows.rows));
  const auto out = mutable_vector_view(scores);
  run_kernel(progress, [&](Monitor& monitor) {
    selection::long_tail_scores(rows, k, threads, monitor, out);
  });
  return scores;
}

Array<std::int64_t> dual_sort(const Array<double>& scores, const Array<double>& long_tail,
                              std::size_t count) {
  const auto score_view = vector_view(scores);
  const auto long_tail_view = vector_view(long_tail);
  require(score_view.size == long_tail_view.size, "as many scores as long-tail scores");
  std::vector<std::int64_t> rows;
  run_kernel(py::none(), [&](Monitor& monitor) {
    rows = selection::dual_sort(score_view, long_tail_view, count, monitor);
  });
  Array<std::int64_t> result(static_cast<py::ssize_t>(rows.size()));
  std::copy(rows.begin(), rows.end(), result.mutable_data());
  return result;
}

/// Kernels take row and group numbers as they are, so one outside would read beyond their tables.
template <typename T>
void require_numbers(const Array<T>& array, std::size_t below, const char* expected) {
  const T* begin = array.data();
  require(std::all_of(
              begin, begin + array.size(),
              [=](T number) { return number >= 0 && static_cast<std::size_t>(number) < below; }),
          expected);
}

selection::GroupLimits group_limits(const Array<std::int64_t>& order,
                                    const Array<std::int64_t>& codes,
                                    const Array<std::int64_t>& quotas,
                                    const Array<std::int64_t>& caps) {
  const selection::GroupLimits groups{vector_view(codes), vector_view(quotas), vector_view(caps)};
  const std::size_t num_groups = std::max(groups.quotas.size, groups.caps.size);
  if (num_groups > 0) {
    require(
        groups.quotas.size == 0 || groups.caps.size == 0 || groups.quotas.size == groups.caps.size,
        "as many quotas as caps");
    require_numbers(codes, num_groups, "groups below the number of groups");
    require_numbers(order, groups.codes.size, "rows that have a group");
  }
  return groups;
}

py::tuple walk_down(const Array<std::int64_t>& order, std::size_t count,
                    const Array<std::int64_t>& codes, const Array<std::int64_t>& quotas,
                    const Array<std::int64_t>& caps, const Array<std::int32_t>& indices,
                    const Array<float>& similarities, float least, const py::array& embeddings,
                    const Array<double>& norms, std::size_t threads) {
  const auto order_view = vector_view(order);
  const selection::GroupLimits groups = group_limits(order, codes, quotas, caps);
  const auto vectors = row_source(embeddings, simd::kernels(simd::active_level()));
  selection::Nearness nearness{matrix_view(indices), matrix_view(similarities),
                               vectors.num_rows() > 0 ? &vectors : nullptr, vector_view(norms)};
  const std::size_t num_rows = nearness.indices.rows;
  require(
      num_rows == nearness.similarities.rows && nearness.indices.cols == nearness.similarities.cols,
      "as many similarities as neighbours");
  require(vectors.num_rows() == nearness.norms.size &&
              (vectors.num_rows() == 0 || vectors.num_rows() == num_rows),
          "one vector and one norm a row");
  require(threads >= 1, "threads >= 1");
  if (num_rows > 0) {
    require(nearness.indices.cols >= 1, "at least one neighbour a row");
    require_numbers(indices, num_rows, "neighbours among the rows");
    require_numbers(order, num_rows, "rows of the graph");
  }
  Array<std::int8_t> outcomes(order.size());
  Array<std::int64_t> because(order.size());
  Array<float> matched(order.size());
  const selection::WalkResult result{
      {reinterpret_cast<selection::Outcome*>(outcomes.mutable_data()), order_view.size},
      mutable_vector_view(because),
      mutable_vector_view(matched)};
  std::size_t num_unsettled = 0;
  run_kernel(py::none(), [&](Monitor& monitor) {
    selection::NearSelected near(nearness, least, threads);
    selection::walk_down(order_view, count, groups, num_rows > 0 ? &near : nullptr, monitor,
                         result);
    num_unsettled = near.num_unsettled();
  });
  return py::make_tuple(outcomes, because, matched, num_unsettled);
}

}  // namespace

void register_selection(py::module_& module) {
  module.def("long_tail_scores", &long_tail_scores, py::arg("similarities").noconvert(),
             py::arg("k"), py::arg("threads"), py::arg("progress") = py::none(),
             "Long-tail scores (N,) float32 from similarities (N, k) float32.");
  module.def("dual_sort", &dual_sort, py::arg("scores").noconvert(),
             py::arg("long_tail").noconvert(), py::arg("count"),
             "Rows (n,) int64, best first; scores (N,) float64, below 0 or NaN: unrated.");
  module.def("walk_down", &walk_down, py::arg("order").noconvert(), py::arg("count"), py::kw_only(),
             py::arg("codes").noconvert(), py::arg("quotas").noconvert(),
             py::arg("caps").noconvert(), py::arg("indices").noconvert(),
             py::arg("similarities").noconvert(), py::arg("least"), py::arg("embeddings"),
             py::arg("norms").noconvert(), py::arg("threads"),
             "Of each row of the order: outcome int8 (0 not reached, 1 selected, 2 group full, 3 "
             "duplicate), the row it duplicates int64, their cosine float32; then the number of "
             "selected rows that vectors would have settled. Arrays without rows: no such limit.");
}

}  // namespace ds2fast::bindings
