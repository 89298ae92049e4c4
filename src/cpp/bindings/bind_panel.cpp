#include <algorithm>
#include <cmath>
#include <cstdint>

#include "bindings/arrays.hpp"
#include "bindings/call_guard.hpp"
#include "bindings/register.hpp"
#include "transition/panel.hpp"

namespace ds2fast::bindings {
namespace {

using transition::PanelFit;
using transition::RaterClasses;
using transition::RaterPatterns;

RaterPatterns pattern_view(const Array<std::int8_t>& patterns, const Array<double>& counts,
                           const Array<std::int32_t>& gold, std::size_t num_levels) {
  require(num_levels >= 1 && num_levels <= kMaxLevels, "1 to 64 levels");
  const RaterPatterns views{matrix_view(patterns), vector_view(counts), vector_view(gold)};
  require(views.scores.rows >= 1 && views.scores.cols >= 1, "patterns of at least one rater");
  require(views.counts.size == views.scores.rows && views.gold.size == views.scores.rows,
          "one count and one gold level a pattern");
  require_below({patterns.data(), static_cast<std::size_t>(patterns.size())}, num_levels);
  require(std::all_of(views.gold.begin(), views.gold.end(),
                      [=](std::int32_t level) { return level < static_cast<int>(num_levels); }),
          "gold levels below the number of levels");
  require(std::all_of(views.counts.begin(), views.counts.end(),
                      [](double count) { return std::isfinite(count) && count >= 0.0; }),
          "finite counts of at least 0");
  require(std::any_of(views.counts.begin(), views.counts.end(),
                      [](double count) { return count > 0.0; }),
          "a pattern that occurs");
  return views;
}

py::tuple to_tuple(const PanelFit& fit) {
  const auto raters = static_cast<py::ssize_t>(fit.classes.num_raters);
  const auto levels = static_cast<py::ssize_t>(fit.classes.num_levels);
  Array<double> matrices({raters, levels, levels});
  Array<double> prior(levels);
  std::copy(fit.classes.matrices.begin(), fit.classes.matrices.end(), matrices.mutable_data());
  std::copy(fit.classes.prior.begin(), fit.classes.prior.end(), prior.mutable_data());
  return py::make_tuple(matrices, prior, fit.log_likelihood, fit.steps, fit.converged);
}

py::tuple solve_panel(const Array<std::int8_t>& patterns, const Array<double>& counts,
                      const Array<std::int32_t>& gold, std::size_t num_levels,
                      const py::object& progress) {
  const RaterPatterns views = pattern_view(patterns, counts, gold, num_levels);
  PanelFit fit{RaterClasses(views.scores.cols, num_levels), 0.0, 0, false};
  run_kernel(progress,
             [&](Monitor& monitor) { fit = transition::solve_panel(views, num_levels, monitor); });
  return to_tuple(fit);
}

py::tuple refine_panel(const Array<std::int8_t>& patterns, const Array<double>& counts,
                       const Array<std::int32_t>& gold, const Array<double>& matrices,
                       const Array<double>& prior, const py::object& progress) {
  const auto shares = vector_view(prior);
  const RaterPatterns views = pattern_view(patterns, counts, gold, shares.size);
  require(matrices.ndim() == 3 &&
              static_cast<std::size_t>(matrices.shape(0)) == views.scores.cols &&
              static_cast<std::size_t>(matrices.shape(1)) == shares.size &&
              static_cast<std::size_t>(matrices.shape(2)) == shares.size,
          "matrices (R, K, K) for patterns (U, R) and prior (K,)");
  RaterClasses start(views.scores.cols, shares.size);
  std::copy(matrices.data(), matrices.data() + matrices.size(), start.matrices.begin());
  std::copy(shares.begin(), shares.end(), start.prior.begin());
  PanelFit fit{start, 0.0, 0, false};
  run_kernel(progress,
             [&](Monitor& monitor) { fit = transition::refine_panel(views, start, monitor); });
  return to_tuple(fit);
}

}  // namespace

void register_panel(py::module_& module) {
  module.def("solve_panel", &solve_panel, py::arg("patterns").noconvert(),
             py::arg("counts").noconvert(), py::arg("gold").noconvert(), py::arg("num_levels"),
             py::arg("progress") = py::none(),
             "Raters' matrices (R, K, K), p (K,) of maximum likelihood, that likelihood's "
             "logarithm, steps, converged for patterns (U, R) int8.");
  module.def(
      "refine_panel", &refine_panel, py::arg("patterns").noconvert(), py::arg("counts").noconvert(),
      py::arg("gold").noconvert(), py::arg("matrices").noconvert(), py::arg("prior").noconvert(),
      py::arg("progress") = py::none(), "The same from one start, whose levels keep their order.");
}

}  // namespace ds2fast::bindings
