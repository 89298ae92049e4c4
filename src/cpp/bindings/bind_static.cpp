#include <cstdint>

#include "bindings/arrays.hpp"
#include "bindings/call_guard.hpp"
#include "bindings/register.hpp"
#include "encoder/gather_mean.hpp"

namespace ds2fast::bindings {
namespace {

Array<float> gather_mean(const Array<float>& table, const Array<std::int32_t>& row_of_token,
                         const Array<float>& weights, const Array<std::int32_t>& ids,
                         const Array<std::int64_t>& offsets, const Array<float>& fallback,
                         std::size_t threads, const py::object& progress) {
  const encoder::TokenVectors vectors{matrix_view(table), vector_view(row_of_token),
                                      vector_view(weights)};
  const encoder::TokenView texts{vector_view(ids), vector_view(offsets)};
  const auto fallback_view = vector_view(fallback);
  require(texts.offsets.size >= 1, "at least one offset");
  require(threads >= 1, "threads >= 1");
  Array<float> result({offsets.shape(0) - 1, table.shape(1)});
  const auto out = mutable_matrix_view(result);
  run_kernel(progress, [&](Monitor& monitor) {
    encoder::check_token_vectors(vectors);
    encoder::gather_mean(vectors, texts, fallback_view, threads, monitor, out);
  });
  return result;
}

}  // namespace

void register_static(py::module_& module) {
  module.def("gather_mean", &gather_mean, py::arg("table").noconvert(),
             py::arg("row_of_token").noconvert(), py::arg("weights").noconvert(),
             py::arg("ids").noconvert(), py::arg("offsets").noconvert(),
             py::arg("fallback").noconvert(), py::arg("threads"), py::arg("progress") = py::none(),
             "Unit rows (N, d) float32: the mean of each text's token vectors, or the fallback.");
}

}  // namespace ds2fast::bindings
