#include <algorithm>
#include <cstdint>

#include "bindings/arrays.hpp"
#include "bindings/call_guard.hpp"
#include "bindings/register.hpp"
#include "transition/agreement.hpp"
#include "transition/em.hpp"
#include "transition/moments.hpp"

namespace ds2fast::bindings {
namespace {

using transition::Fit;
using transition::LatentClasses;

Array<std::int64_t> agreement_counts(const Array<std::int8_t>& levels,
                                     const Array<std::int32_t>& indices, std::size_t num_levels,
                                     std::size_t threads, const py::object& progress) {
  const auto level_view = vector_view(levels);
  const auto index_view = matrix_view(indices);
  require(level_view.size == index_view.rows, "one level a row of the graph");
  require(threads >= 1, "threads >= 1");
  require(num_levels >= 1 && num_levels <= kMaxLevels, "1 to 64 levels");
  require_below(level_view, num_levels);
  const auto size = static_cast<py::ssize_t>(num_levels);
  Array<std::int64_t> counts({size, size, size});
  const VectorView<std::int64_t> out{counts.mutable_data(),
                                     static_cast<std::size_t>(counts.size())};
  run_kernel(progress, [&](Monitor& monitor) {
    transition::count_agreement(level_view, index_view, num_levels, out, threads, monitor);
  });
  return counts;
}

VectorView<const std::int64_t> table_view(const Array<std::int64_t>& counts) {
  require(counts.ndim() == 3 && counts.shape(0) >= 1 && counts.shape(0) == counts.shape(1) &&
              counts.shape(0) == counts.shape(2),
          "a (K, K, K) table");
  require(std::any_of(counts.data(), counts.data() + counts.size(),
                      [](std::int64_t count) { return count > 0; }),
          "a table with counts");
  return {counts.data(), static_cast<std::size_t>(counts.size())};
}

py::tuple to_tuple(const Fit& fit) {
  const LatentClasses& classes = fit.classes;
  const auto size = static_cast<py::ssize_t>(classes.num_levels);
  Array<double> transition({size, size});
  Array<double> prior(size);
  std::copy(classes.transition.begin(), classes.transition.end(), transition.mutable_data());
  std::copy(classes.prior.begin(), classes.prior.end(), prior.mutable_data());
  return py::make_tuple(transition, prior, fit.steps, fit.converged);
}

using Solver = Fit (*)(VectorView<const std::int64_t>, std::size_t, Monitor&);

template <Solver solver>
py::tuple solve(const Array<std::int64_t>& counts, const py::object& progress) {
  const auto table = table_view(counts);
  const auto num_levels = static_cast<std::size_t>(counts.shape(0));
  Fit fit{LatentClasses(num_levels), 0, false};
  run_kernel(progress, [&](Monitor& monitor) { fit = solver(table, num_levels, monitor); });
  return to_tuple(fit);
}

double moment_loss(const Array<std::int64_t>& counts, const Array<double>& transition,
                   const Array<double>& prior) {
  const auto table = table_view(counts);
  const auto rows = matrix_view(transition);
  const auto shares = vector_view(prior);
  const auto num_levels = static_cast<std::size_t>(counts.shape(0));
  require(rows.rows == num_levels && rows.cols == num_levels && shares.size == num_levels,
          "T (K, K) and p (K,) for a (K, K, K) table");
  LatentClasses classes(num_levels);
  std::copy(rows.data, rows.data + num_levels * num_levels, classes.transition.begin());
  std::copy(shares.begin(), shares.end(), classes.prior.begin());
  const py::gil_scoped_release release;
  return transition::MomentObjective(table, num_levels).value(classes);
}

}  // namespace

void register_transition(py::module_& module) {
  module.def("agreement_counts", &agreement_counts, py::arg("levels").noconvert(),
             py::arg("indices").noconvert(), py::arg("num_levels"), py::arg("threads"),
             py::arg("progress") = py::none(),
             "Counts (K, K, K) int64 of the scores of a row and its first two rated neighbours.");
  module.def(
      "solve_em", &solve<&transition::solve_em>, py::arg("counts").noconvert(),
      py::arg("progress") = py::none(),
      "T (K, K), p (K,) of maximum likelihood, steps, converged for counts (K, K, K) int64.");
  module.def("solve_moments", &solve<&transition::solve_moments>, py::arg("counts").noconvert(),
             py::arg("progress") = py::none(),
             "T (K, K), p (K,) of least moment_loss, steps, converged for counts (K, K, K) int64.");
  module.def("moment_loss", &moment_loss, py::arg("counts").noconvert(),
             py::arg("transition").noconvert(), py::arg("prior").noconvert(),
             "The paper's objective: sum of the Frobenius norms of three orders' residuals.");
}

}  // namespace ds2fast::bindings
