#include <algorithm>
#include <cstdint>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/call_guard.hpp"
#include "bindings/register.hpp"
#include "selection/dual_sort.hpp"
#include "selection/long_tail.hpp"

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

}  // namespace

void register_selection(py::module_& module) {
  module.def("long_tail_scores", &long_tail_scores, py::arg("similarities").noconvert(),
             py::arg("k"), py::arg("threads"), py::arg("progress") = py::none(),
             "Long-tail scores (N,) float32 from similarities (N, k) float32.");
  module.def("dual_sort", &dual_sort, py::arg("scores").noconvert(),
             py::arg("long_tail").noconvert(), py::arg("count"),
             "Rows (n,) int64, best first; scores (N,) float64, below 0 or NaN: unrated.");
}

}  // namespace ds2fast::bindings
