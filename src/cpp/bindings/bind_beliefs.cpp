#include <algorithm>
#include <cmath>
#include <cstdint>

#include "bindings/arrays.hpp"
#include "bindings/call_guard.hpp"
#include "bindings/register.hpp"
#include "curation/beliefs.hpp"
#include "curation/evidence_weights.hpp"

namespace ds2fast::bindings {
namespace {

using curation::EvidenceWeights;
using curation::Messages;
using curation::NeighbourEvidence;

Messages message_view(const Array<double>& messages) {
  require(messages.ndim() == 3 && messages.shape(0) >= 1 && messages.shape(2) >= 1,
          "messages (B, U, K)");
  require_aligned(messages);
  const VectorView<const double> values{messages.data(), static_cast<std::size_t>(messages.size())};
  require(
      std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); }),
      "finite messages");
  return {values, static_cast<std::size_t>(messages.shape(0)),
          static_cast<std::size_t>(messages.shape(1)), static_cast<std::size_t>(messages.shape(2))};
}

bool is_weight(double value) {
  return std::isfinite(value) && value >= 0.0;
}

/// Kernels follow ids, codes and bins without looking, so each must be within its table.
void require_within(const NeighbourEvidence& evidence) {
  const auto num_rows = static_cast<std::int64_t>(evidence.codes.size);
  const auto num_patterns = static_cast<std::int64_t>(evidence.messages.num_patterns);
  require(std::all_of(evidence.codes.begin(), evidence.codes.end(),
                      [=](std::int32_t code) { return code >= -1 && code < num_patterns; }),
          "codes of patterns, or -1");
  bool within = true;
  for (std::size_t at = 0; at < evidence.ids.rows * evidence.ids.cols; ++at) {
    const std::int32_t id = evidence.ids.data[at];
    within &= id >= -1 && id < num_rows;
    within &= id < 0 || evidence.bins.data[at] < evidence.messages.num_bins;
  }
  require(within, "ids of rows, or -1, in bins that have messages");
}

NeighbourEvidence to_evidence(const Array<std::int32_t>& codes, const Array<std::int32_t>& ids,
                              const Array<std::uint8_t>& bins, const Array<double>& messages,
                              const Array<double>& prior) {
  const NeighbourEvidence evidence{vector_view(codes), matrix_view(ids), matrix_view(bins),
                                   message_view(messages), vector_view(prior)};
  require(evidence.codes.size == evidence.ids.rows, "one code a row of ids");
  require(evidence.ids.rows == evidence.bins.rows && evidence.ids.cols == evidence.bins.cols,
          "ids and bins of one shape");
  require(evidence.prior.size == evidence.messages.num_levels, "a prior of as many levels");
  require(std::all_of(evidence.prior.begin(), evidence.prior.end(), is_weight) &&
              std::any_of(evidence.prior.begin(), evidence.prior.end(),
                          [](double share) { return share > 0.0; }),
          "a prior of shares");
  require_within(evidence);
  return evidence;
}

Array<double> neighbour_beliefs(const Array<std::int32_t>& codes, const Array<std::int32_t>& ids,
                                const Array<std::uint8_t>& bins, const Array<double>& messages,
                                const Array<double>& prior, std::size_t threads,
                                const py::object& progress) {
  const NeighbourEvidence evidence = to_evidence(codes, ids, bins, messages, prior);
  require(threads >= 1, "threads >= 1");
  Array<double> beliefs({codes.shape(0), prior.shape(0)});
  const auto out = mutable_matrix_view(beliefs);
  run_kernel(progress, [&](Monitor& monitor) {
    curation::neighbour_beliefs(evidence, threads, monitor, out);
  });
  return beliefs;
}

py::tuple fit_weights(const Array<std::int32_t>& codes, const Array<std::int32_t>& ids,
                      const Array<std::uint8_t>& bins, const Array<double>& messages,
                      const Array<double>& prior, const Array<double>& emission,
                      const Array<std::int32_t>& rows, std::size_t threads,
                      const py::object& progress) {
  const NeighbourEvidence evidence = to_evidence(codes, ids, bins, messages, prior);
  const auto emission_view = matrix_view(emission);
  const auto row_view = vector_view(rows);
  require(emission_view.rows == evidence.messages.num_patterns &&
              emission_view.cols == evidence.messages.num_levels,
          "an emission (U, K)");
  require(std::all_of(emission.data(), emission.data() + emission.size(), is_weight),
          "an emission that is finite and >= 0");
  const auto num_rows = static_cast<std::int64_t>(evidence.codes.size);
  require(std::all_of(row_view.begin(), row_view.end(),
                      [&](std::int32_t row) {
                        return row >= 0 && row < num_rows &&
                               evidence.codes[static_cast<std::size_t>(row)] >= 0;
                      }),
          "rows that have a code");
  require(threads >= 1, "threads >= 1");
  EvidenceWeights fit{};
  run_kernel(progress, [&](Monitor& monitor) {
    fit = curation::fit_weights(evidence, emission_view, row_view, threads, monitor);
  });
  Array<double> weights(static_cast<py::ssize_t>(fit.values.size()));
  std::copy(fit.values.begin(), fit.values.end(), weights.mutable_data());
  return py::make_tuple(weights, fit.log_likelihood, fit.steps);
}

}  // namespace

void register_beliefs(py::module_& module) {
  module.def("neighbour_beliefs", &neighbour_beliefs, py::arg("codes").noconvert(),
             py::arg("ids").noconvert(), py::arg("bins").noconvert(),
             py::arg("messages").noconvert(), py::arg("prior").noconvert(), py::arg("threads"),
             py::arg("progress") = py::none(),
             "q (N, K) float64: softmax of log prior and the neighbours' messages (B, U, K).");
  module.def("fit_weights", &fit_weights, py::arg("codes").noconvert(), py::arg("ids").noconvert(),
             py::arg("bins").noconvert(), py::arg("messages").noconvert(),
             py::arg("prior").noconvert(), py::arg("emission").noconvert(),
             py::arg("rows").noconvert(), py::arg("threads"), py::arg("progress") = py::none(),
             "Weights (B,) of the messages that predict the rows' own codes best, log likelihood, "
             "steps.");
}

}  // namespace ds2fast::bindings
