#include <cstdint>

#include "bindings/arrays.hpp"
#include "bindings/call_guard.hpp"
#include "bindings/register.hpp"
#include "knn/exact_search.hpp"
#include "knn/packed_rows.hpp"
#include "simd/level.hpp"

namespace ds2fast::bindings {
namespace {

Array<double> row_norms(const Array<float>& embeddings, std::size_t threads,
                        const py::object& progress) {
  const auto rows = matrix_view(embeddings);
  Array<double> norms(static_cast<py::ssize_t>(rows.rows));
  const auto out = mutable_vector_view(norms);
  const simd::KernelTable& kernels = simd::kernels(simd::active_level());
  run_kernel(progress,
             [&](Monitor& monitor) { knn::row_norms(rows, threads, kernels, monitor, out); });
  return norms;
}

py::tuple exact_knn(const Array<float>& embeddings, const Array<double>& norms, std::size_t k,
                    std::size_t threads, const py::object& progress) {
  const auto rows = matrix_view(embeddings);
  const auto row_norms = vector_view(norms);
  require(row_norms.size == rows.rows, "one norm a row");
  require(k >= 1 && k < rows.rows, "1 <= k < N");
  require(rows.rows < (std::size_t{1} << 31), "fewer than 2^31 rows");
  require(rows.cols <= knn::kMaxDepth, "at most 2^16 columns");
  require(threads >= 1, "threads >= 1");
  const auto width = static_cast<py::ssize_t>(k);
  Array<std::int32_t> ids({embeddings.shape(0), width});
  Array<float> similarities({embeddings.shape(0), width});
  const auto out_ids = mutable_matrix_view(ids);
  const auto out_similarities = mutable_matrix_view(similarities);
  const simd::KernelTable& kernels = simd::kernels(simd::active_level());
  run_kernel(progress, [&](Monitor& monitor) {
    knn::exact_search(rows, row_norms, threads, kernels, monitor, out_ids, out_similarities);
  });
  return py::make_tuple(ids, similarities);
}

}  // namespace

void register_knn(py::module_& module) {
  module.def(
      "row_norms", &row_norms, py::arg("embeddings").noconvert(), py::arg("threads"),
      py::arg("progress") = py::none(),
      "Norms (N,) float64 of rows (N, d) float32; not finite for a row with NaN or infinity.");
  module.def("exact_knn", &exact_knn, py::arg("embeddings").noconvert(),
             py::arg("norms").noconvert(), py::arg("k"), py::arg("threads"),
             py::arg("progress") = py::none(),
             "Exact k-NN under cosine: ids (N, k) int32 and similarities (N, k) float32.");
}

}  // namespace ds2fast::bindings
