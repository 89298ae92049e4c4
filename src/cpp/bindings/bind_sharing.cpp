#include <algorithm>
#include <cstdint>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/call_guard.hpp"
#include "bindings/register.hpp"
#include "neighbours/independent.hpp"
#include "transition/alpha.hpp"
#include "transition/resample.hpp"
#include "transition/sharing.hpp"
#include "transition/sharing_counts.hpp"
#include "transition/sharing_model.hpp"

namespace ds2fast::bindings {
namespace {

using transition::BinnedNeighbours;
using transition::LatentClasses;
using transition::SharingLayout;
using transition::Signal;

py::ssize_t signed_size(std::size_t size) {
  return static_cast<py::ssize_t>(size);
}

void require_ids(MatrixView<const std::int32_t> ids, std::size_t num_rows, std::int32_t least) {
  require(std::all_of(ids.data, ids.data + ids.rows * ids.cols,
                      [&](std::int32_t id) {
                        return id >= least && id < static_cast<std::int64_t>(num_rows);
                      }),
          "row numbers below the number of rows");
}

py::tuple independent_neighbours(const Array<std::int8_t>& levels,
                                 const Array<std::int32_t>& indices,
                                 const Array<float>& similarities, std::size_t width,
                                 std::size_t threads, const py::object& progress) {
  const auto level_view = vector_view(levels);
  const auto index_view = matrix_view(indices);
  const auto similarity_view = matrix_view(similarities);
  require(level_view.size == index_view.rows, "one level a row of the graph");
  require(index_view.rows == similarity_view.rows && index_view.cols == similarity_view.cols,
          "one similarity an index");
  require(threads >= 1 && width >= 1, "threads >= 1 and width >= 1");
  require_ids(index_view, level_view.size, 0);
  Array<std::int32_t> ids({signed_size(level_view.size), signed_size(width)});
  Array<float> kept({signed_size(level_view.size), signed_size(width)});
  Array<std::uint8_t> is_copy(signed_size(level_view.size));
  const neighbours::IndependentNeighbours out{mutable_matrix_view(ids), mutable_matrix_view(kept),
                                              mutable_vector_view(is_copy)};
  run_kernel(progress, [&](Monitor& monitor) {
    neighbours::find_independent(level_view, index_view, similarity_view, out, threads, monitor);
  });
  return py::make_tuple(ids, kept, is_copy);
}

/// The four arrays of BinnedNeighbours, checked so that no kernel reads or counts outside them.
BinnedNeighbours binned_neighbours(const Array<std::int8_t>& levels, const Array<std::int32_t>& ids,
                                   const Array<std::uint8_t>& bins,
                                   const Array<std::uint8_t>& is_copy, std::size_t num_levels,
                                   std::size_t num_bins) {
  const BinnedNeighbours rows{vector_view(levels),  matrix_view(ids), matrix_view(bins),
                              vector_view(is_copy), num_levels,       num_bins};
  require(num_levels >= 1 && num_levels <= kMaxLevels, "1 to 64 levels");
  require(num_bins >= 1 && num_bins <= 255, "1 to 255 bins");
  require(rows.ids.rows == rows.levels.size && rows.is_copy.size == rows.levels.size,
          "one level, one row of ids and one mark of a copy a row");
  require(rows.bins.rows == rows.ids.rows && rows.bins.cols == rows.ids.cols, "one bin an id");
  require_below(rows.levels, num_levels);
  require_ids(rows.ids, rows.levels.size, -1);
  const std::size_t size = rows.ids.rows * rows.ids.cols;
  for (std::size_t at = 0; at < size; ++at) {
    if (const std::int32_t id = rows.ids.data[at]; id >= 0) {
      require(rows.levels[static_cast<std::size_t>(id)] >= 0, "neighbours that are rated");
      require(rows.bins.data[at] < num_bins, "bins below the number of bins");
    }
  }
  return rows;
}

using Count = void (*)(const BinnedNeighbours&, VectorView<std::int64_t>, std::size_t, Monitor&);

Array<std::int64_t> counted(Count count, const BinnedNeighbours& rows,
                            const std::vector<py::ssize_t>& shape, std::size_t threads,
                            const py::object& progress) {
  require(threads >= 1, "threads >= 1");
  Array<std::int64_t> counts(shape);
  const VectorView<std::int64_t> out{counts.mutable_data(),
                                     static_cast<std::size_t>(counts.size())};
  run_kernel(progress, [&](Monitor& monitor) { count(rows, out, threads, monitor); });
  return counts;
}

Array<std::int64_t> sharing_counts(const Array<std::int8_t>& levels, const Array<std::int32_t>& ids,
                                   const Array<std::uint8_t>& bins,
                                   const Array<std::uint8_t>& is_copy, std::size_t num_levels,
                                   std::size_t num_bins, std::size_t threads,
                                   const py::object& progress) {
  const auto rows = binned_neighbours(levels, ids, bins, is_copy, num_levels, num_bins);
  const auto size = signed_size(num_levels);
  return counted(&transition::count_sharing, rows,
                 {signed_size(transition::num_bin_pairs(num_bins)), size, size, size}, threads,
                 progress);
}

Array<std::int64_t> pair_counts(const Array<std::int8_t>& levels, const Array<std::int32_t>& ids,
                                const Array<std::uint8_t>& bins, const Array<std::uint8_t>& is_copy,
                                std::size_t num_levels, std::size_t num_bins, std::size_t threads,
                                const py::object& progress) {
  const auto rows = binned_neighbours(levels, ids, bins, is_copy, num_levels, num_bins);
  const auto size = signed_size(num_levels);
  return counted(&transition::count_pairs, rows, {signed_size(num_bins), size, size}, threads,
                 progress);
}

Signal signal_view(const Array<std::int32_t>& shown, const Array<double>& weights,
                   const Array<std::int32_t>& gold, std::size_t num_levels) {
  const Signal signal{matrix_view(shown), vector_view(weights), vector_view(gold)};
  require(signal.shown.cols == num_levels, "patterns (U, K)");
  require(signal.weights.size == signal.shown.rows && signal.gold.size == signal.shown.rows,
          "one weight and one true level (or -1) a pattern");
  require(std::all_of(signal.gold.begin(), signal.gold.end(),
                      [=](std::int32_t level) {
                        return level >= -1 && level < static_cast<std::int64_t>(num_levels);
                      }),
          "true levels below the number of levels");
  require(std::all_of(signal.weights.begin(), signal.weights.end(),
                      [](double weight) { return weight >= 0.0; }),
          "weights of patterns that are 0 or more");
  return signal;
}

Array<double> array_of(const std::vector<double>& values, const std::vector<py::ssize_t>& shape) {
  Array<double> array(shape);
  std::copy(values.begin(), values.end(), array.mutable_data());
  return array;
}

py::tuple solve_sharing(const Array<std::int64_t>& counts, const Array<std::int32_t>& shown,
                        const Array<double>& pattern_weights, const Array<std::int32_t>& gold,
                        double num_rows, bool fit_own, const py::object& progress) {
  require(counts.ndim() == 4 && counts.shape(0) >= 1 && counts.shape(1) >= 1 &&
              counts.shape(1) <= signed_size(kMaxLevels) && counts.shape(1) == counts.shape(2) &&
              counts.shape(1) == counts.shape(3),
          "a (P, K, K, K) table");
  require(std::all_of(counts.data(), counts.data() + counts.size(),
                      [](std::int64_t count) { return count >= 0; }),
          "counts of 0 or more");
  const SharingLayout layout{static_cast<std::size_t>(counts.shape(1)),
                             static_cast<std::size_t>(counts.shape(0))};
  const Signal signal = signal_view(shown, pattern_weights, gold, layout.num_levels);
  const VectorView<const std::int64_t> table{counts.data(),
                                             static_cast<std::size_t>(counts.size())};
  transition::SharingFit fit{LatentClasses(layout.num_levels), 0.0, {}, 0.0, 0, false};
  run_kernel(progress, [&](Monitor& monitor) {
    fit = transition::solve_sharing(table, layout, signal, num_rows, fit_own, monitor);
  });
  const auto size = signed_size(layout.num_levels);
  return py::make_tuple(array_of(fit.classes.transition, {size, size}),
                        array_of(fit.classes.prior, {size}), fit.own,
                        array_of(fit.shares, {signed_size(layout.num_pairs), 4}),
                        fit.log_likelihood, fit.steps, fit.converged);
}

LatentClasses classes_of(const Array<double>& transition, const Array<double>& prior) {
  const auto rows = matrix_view(transition);
  const auto shares = vector_view(prior);
  require(shares.size >= 1 && rows.rows == shares.size && rows.cols == shares.size,
          "T (K, K) and p (K,)");
  LatentClasses classes(shares.size);
  std::copy(rows.data, rows.data + rows.rows * rows.cols, classes.transition.begin());
  std::copy(shares.begin(), shares.end(), classes.prior.begin());
  return classes;
}

py::tuple resample_sharing(const Array<std::int8_t>& levels, const Array<std::int32_t>& ids,
                           const Array<std::uint8_t>& bins, const Array<std::uint8_t>& is_copy,
                           std::size_t num_bins, const Array<double>& transition,
                           const Array<double>& prior, double own, const Array<double>& shares,
                           const Array<std::int32_t>& shown, const Array<double>& pattern_weights,
                           const Array<std::int32_t>& gold, bool fit_own, std::size_t resamples,
                           std::uint64_t seed, std::size_t threads, const py::object& progress) {
  const LatentClasses classes = classes_of(transition, prior);
  const std::size_t k = classes.num_levels;
  const auto rows = binned_neighbours(levels, ids, bins, is_copy, k, num_bins);
  const Signal signal = signal_view(shown, pattern_weights, gold, k);
  const SharingLayout layout{k, transition::num_bin_pairs(num_bins)};
  const auto share_view = matrix_view(shares);
  require(share_view.rows == layout.num_pairs && share_view.cols == 4, "shares (P, 4)");
  require(threads >= 1, "threads >= 1");
  const transition::ResampleStart start{
      layout.join(classes, own, {share_view.data, share_view.data + 4 * layout.num_pairs}),
      fit_own};
  std::vector<double> found(resamples * layout.size());
  const MatrixView<double> points{found.data(), resamples, layout.size()};
  run_kernel(progress, [&](Monitor& monitor) {
    transition::resample_sharing(rows, layout, signal, start, {resamples, seed}, points, threads,
                                 monitor);
  });
  Array<double> transitions({signed_size(resamples), signed_size(k), signed_size(k)});
  Array<double> priors({signed_size(resamples), signed_size(k)});
  Array<double> owns(signed_size(resamples));
  for (std::size_t draw = 0; draw < resamples; ++draw) {
    const double* point = points.row(draw);
    std::copy_n(point, k * k, transitions.mutable_data() + draw * k * k);
    std::copy_n(point + layout.prior(), k, priors.mutable_data() + draw * k);
    owns.mutable_data()[draw] = point[layout.own()];
  }
  return py::make_tuple(transitions, priors, owns);
}

Array<double> solve_alpha(const Array<std::int64_t>& counts, const Array<double>& emission,
                          const Array<double>& transition, const Array<double>& prior) {
  const LatentClasses classes = classes_of(transition, prior);
  const auto size = signed_size(classes.num_levels);
  require(counts.ndim() == 3 && counts.shape(1) == size && counts.shape(2) == size,
          "a (B, K, K) table");
  const auto own_view = matrix_view(emission);
  require(own_view.rows == classes.num_levels && own_view.cols == classes.num_levels, "E (K, K)");
  Array<double> alpha(counts.shape(0));
  const auto out = mutable_vector_view(alpha);
  const py::gil_scoped_release release;
  transition::solve_alpha({counts.data(), static_cast<std::size_t>(counts.size())},
                          {own_view.data, own_view.rows * own_view.cols}, classes, out);
  return alpha;
}

}  // namespace

void register_sharing(py::module_& module) {
  module.def("independent_neighbours", &independent_neighbours, py::arg("levels").noconvert(),
             py::arg("indices").noconvert(), py::arg("similarities").noconvert(), py::arg("width"),
             py::arg("threads"), py::arg("progress") = py::none(),
             "Rated neighbours of each row without copies: ids and similarities (N, width), -1 and "
             "0 after the last; is_copy (N,) uint8, 1 where a rated row before it is its copy.");
  module.def("sharing_counts", &sharing_counts, py::arg("levels").noconvert(),
             py::arg("ids").noconvert(), py::arg("bins").noconvert(),
             py::arg("is_copy").noconvert(), py::arg("num_levels"), py::arg("num_bins"),
             py::arg("threads"), py::arg("progress") = py::none(),
             "Counts (P, K, K, K) int64 of the scores of a row and pairs of its neighbours.");
  module.def("pair_counts", &pair_counts, py::arg("levels").noconvert(), py::arg("ids").noconvert(),
             py::arg("bins").noconvert(), py::arg("is_copy").noconvert(), py::arg("num_levels"),
             py::arg("num_bins"), py::arg("threads"), py::arg("progress") = py::none(),
             "Counts (B, K, K) int64 of the scores of a row and each of its neighbours.");
  module.def("solve_sharing", &solve_sharing, py::arg("counts").noconvert(),
             py::arg("shown").noconvert(), py::arg("pattern_weights").noconvert(),
             py::arg("gold").noconvert(), py::arg("num_rows"), py::arg("fit_own"),
             py::arg("progress") = py::none(),
             "T (K, K), p (K,), own, shares (P, 4), log-likelihood, steps, converged.");
  module.def("resample_sharing", &resample_sharing, py::arg("levels").noconvert(),
             py::arg("ids").noconvert(), py::arg("bins").noconvert(),
             py::arg("is_copy").noconvert(), py::arg("num_bins"), py::arg("transition").noconvert(),
             py::arg("prior").noconvert(), py::arg("own"), py::arg("shares").noconvert(),
             py::arg("shown").noconvert(), py::arg("pattern_weights").noconvert(),
             py::arg("gold").noconvert(), py::arg("fit_own"), py::arg("resamples"), py::arg("seed"),
             py::arg("threads"), py::arg("progress") = py::none(),
             "T (R, K, K), p (R, K) and own (R,) of refits to reweighted pools.");
  module.def("solve_alpha", &solve_alpha, py::arg("counts").noconvert(),
             py::arg("emission").noconvert(), py::arg("transition").noconvert(),
             py::arg("prior").noconvert(),
             "Probability (B,) that a neighbour of each bin shows the row's hidden level.");
}

}  // namespace ds2fast::bindings
