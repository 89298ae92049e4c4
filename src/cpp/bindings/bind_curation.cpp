#include <cstdint>

#include "bindings/arrays.hpp"
#include "bindings/call_guard.hpp"
#include "bindings/register.hpp"
#include "curation/simifeat.hpp"

namespace ds2fast::bindings {
namespace {

py::tuple simifeat_votes(const Array<std::int8_t>& levels, const Array<std::int32_t>& indices,
                         const Array<float>& similarities, const Array<double>& error_rates,
                         std::size_t num_counted, std::size_t rounds, std::uint64_t seed,
                         std::size_t threads, const py::object& progress) {
  const curation::VoteInput input{vector_view(levels),
                                  matrix_view(indices),
                                  matrix_view(similarities),
                                  vector_view(error_rates),
                                  num_counted,
                                  rounds,
                                  seed};
  require(input.levels.size == input.indices.rows, "one level a row of the graph");
  require(input.indices.rows == input.similarities.rows &&
              input.indices.cols == input.similarities.cols,
          "indices and similarities of one shape");
  require(input.error_rates.size >= 1 && input.error_rates.size <= kMaxLevels,
          "1 to 64 error rates");
  require(threads >= 1, "threads >= 1");
  require_below(input.levels, input.error_rates.size);
  const auto num_rows = levels.shape(0);
  Array<std::int32_t> seen(num_rows);
  Array<std::int32_t> flagged(num_rows);
  Array<std::int32_t> suggestions({num_rows, error_rates.shape(0)});
  const curation::Votes votes{mutable_vector_view(seen), mutable_vector_view(flagged),
                              mutable_matrix_view(suggestions)};
  run_kernel(progress,
             [&](Monitor& monitor) { curation::simifeat_votes(input, threads, monitor, votes); });
  return py::make_tuple(seen, flagged, suggestions);
}

}  // namespace

void register_curation(py::module_& module) {
  module.def(
      "simifeat_votes", &simifeat_votes, py::arg("levels").noconvert(),
      py::arg("indices").noconvert(), py::arg("similarities").noconvert(),
      py::arg("error_rates").noconvert(), py::arg("num_counted"), py::arg("rounds"),
      py::arg("seed"), py::arg("threads"), py::arg("progress") = py::none(),
      "Rounds that saw a row (N,), that flagged it (N,), and their suggestions (N, K), int32.");
}

}  // namespace ds2fast::bindings
