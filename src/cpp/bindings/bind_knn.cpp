#include <cstdint>

#include "bindings/arrays.hpp"
#include "bindings/call_guard.hpp"
#include "bindings/register.hpp"
#include "bindings/rows.hpp"
#include "knn/exact_search.hpp"
#include "knn/row_norms.hpp"
#include "simd/level.hpp"

namespace ds2fast::bindings {
namespace {

Array<double> row_norms(const py::array& embeddings, std::size_t threads,
                        const py::object& progress) {
  const auto rows = row_source(embeddings, simd::kernels(simd::active_level()));
  Array<double> norms(static_cast<py::ssize_t>(rows.num_rows()));
  const auto out = mutable_vector_view(norms);
  run_kernel(progress, [&](Monitor& monitor) { knn::row_norms(rows, threads, monitor, out); });
  return norms;
}

py::tuple exact_knn(const py::array& embeddings, const Array<double>& norms, std::size_t k,
                    std::size_t threads, const py::object& progress) {
  const auto rows = row_source(embeddings, simd::kernels(simd::active_level()));
  const auto row_norms = vector_view(norms);
  require(row_norms.size == rows.num_rows(), "one norm a row");
  require(k >= 1 && k < rows.num_rows(), "1 <= k < N");
  require(rows.num_rows() < (std::size_t{1} << 31), "fewer than 2^31 rows");
  require(rows.depth() >= 1 && rows.depth() <= knn::kMaxDepth, "1 to 2^16 columns");
  require(threads >= 1, "threads >= 1");
  const auto width = static_cast<py::ssize_t>(k);
  Array<std::int32_t> ids({embeddings.shape(0), width});
  Array<float> similarities({embeddings.shape(0), width});
  const auto out_ids = mutable_matrix_view(ids);
  const auto out_similarities = mutable_matrix_view(similarities);
  run_kernel(progress, [&](Monitor& monitor) {
    knn::exact_search(rows, row_norms, threads, monitor, out_ids, out_similarities);
  });
  return py::make_tuple(ids, similarities);
}

}  // namespace

void register_knn(py::module_& module) {
  module.def("row_norms", &row_norms, py::arg("embeddings"), py::arg("threads"),
             py::arg("progress") = py::none(),
             "Norms (N,) float64 of rows (N, d) float32 or float16; not finite for a row with NaN "
             "or infinity.");
  module.def("exact_knn", &exact_knn, py::arg("embeddings"), py::arg("norms").noconvert(),
             py::arg("k"), py::arg("threads"), py::arg("progress") = py::none(),
             "Exact k-NN under cosine: ids (N, k) int32 and similarities (N, k) float32.");
}

}  // namespace ds2fast::bindings
