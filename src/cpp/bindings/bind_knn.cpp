#include <pybind11/stl.h>

#include <cstdint>
#include <optional>

#include "bindings/arrays.hpp"
#include "bindings/call_guard.hpp"
#include "bindings/register.hpp"
#include "bindings/rows.hpp"
#include "knn/block_search.hpp"
#include "knn/exact_search.hpp"
#include "knn/nearest_lists.hpp"
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

/// Rows of a pool, and room for their nearest.
struct BlockArrays {
  knn::RowSource rows;
  VectorView<const double> norms;
  std::size_t first_id;
  Array<std::int32_t> ids;
  Array<double> similarities;

  knn::RowBlock view() {
    return {rows,
            norms,
            static_cast<std::int32_t>(first_id),
            {mutable_matrix_view(ids), mutable_matrix_view(similarities)}};
  }
  py::tuple results() const { return py::make_tuple(ids, similarities); }
};

BlockArrays block_arrays(const py::array& rows, const Array<double>& norms, std::size_t first_id,
                         std::size_t k) {
  constexpr std::size_t kMostRows = std::size_t{1} << 31;
  const auto source = row_source(rows, simd::kernels(simd::active_level()));
  require(vector_view(norms).size == source.num_rows(), "one norm a row");
  require(first_id < kMostRows && source.num_rows() < kMostRows - first_id, "ids below 2^31");
  require(source.depth() >= 1 && source.depth() <= knn::kMaxDepth, "1 to 2^16 columns");
  require(k >= 1 && k <= knn::kMaxDepth, "1 <= k <= 2^16");
  const auto width = static_cast<py::ssize_t>(k);
  return {source, vector_view(norms), first_id, Array<std::int32_t>({rows.shape(0), width}),
          Array<double>({rows.shape(0), width})};
}

py::tuple exact_within(const py::array& rows, const Array<double>& norms, std::size_t first_id,
                       std::size_t k, std::size_t threads, const py::object& progress) {
  BlockArrays block = block_arrays(rows, norms, first_id, k);
  require(threads >= 1, "threads >= 1");
  const knn::RowBlock view = block.view();
  run_kernel(progress, [&](Monitor& monitor) { knn::search_within(view, threads, monitor); });
  return block.results();
}

using Floors = std::optional<Array<double>>;

VectorView<const double> floor_view(const Floors& floors, const knn::RowSource& rows) {
  if (!floors) {
    return {};
  }
  require(vector_view(*floors).size == rows.num_rows(), "one floor a row");
  return vector_view(*floors);
}

py::tuple exact_between(const py::array& left_rows, const Array<double>& left_norms,
                        std::size_t left_first_id, const Floors& left_floors,
                        const py::array& right_rows, const Array<double>& right_norms,
                        std::size_t right_first_id, const Floors& right_floors, std::size_t k,
                        std::size_t threads, const py::object& progress) {
  BlockArrays left = block_arrays(left_rows, left_norms, left_first_id, k);
  BlockArrays right = block_arrays(right_rows, right_norms, right_first_id, k);
  require(left.rows.depth() == right.rows.depth() && left.rows.type() == right.rows.type(),
          "blocks of one depth and type");
  require(left.rows.num_rows() + right.rows.num_rows() < (std::size_t{1} << 31),
          "fewer than 2^31 rows");
  require(threads >= 1, "threads >= 1");
  const auto left_least = floor_view(left_floors, left.rows);
  const auto right_least = floor_view(right_floors, right.rows);
  const knn::RowBlock left_view = left.view();
  const knn::RowBlock right_view = right.view();
  run_kernel(progress, [&](Monitor& monitor) {
    knn::search_between(left_view, left_least, right_view, right_least, threads, monitor);
  });
  return py::make_tuple(left.results(), right.results());
}

void merge_nearest(const Array<std::int32_t>& x_ids, const Array<double>& x_similarities,
                   const Array<std::int32_t>& y_ids, const Array<double>& y_similarities,
                   Array<std::int32_t>& ids, Array<double>& similarities, std::size_t threads) {
  const knn::ConstNearestLists x{matrix_view(x_ids), matrix_view(x_similarities)};
  const knn::ConstNearestLists y{matrix_view(y_ids), matrix_view(y_similarities)};
  require_aligned(ids);
  require_aligned(similarities);
  require(ids.ndim() == 2 && similarities.ndim() == 2, "a matrix");
  const knn::NearestLists merged{mutable_matrix_view(ids), mutable_matrix_view(similarities)};
  const auto is_alike = [&](const auto& matrix) {
    return matrix.rows == merged.ids.rows && matrix.cols == merged.ids.cols;
  };
  require(is_alike(x.ids) && is_alike(x.similarities) && is_alike(y.ids) &&
              is_alike(y.similarities) && is_alike(merged.similarities),
          "lists of one shape");
  require(threads >= 1, "threads >= 1");
  run_kernel(py::none(),
             [&](Monitor& monitor) { knn::merge_lists(x, y, threads, monitor, merged); });
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
  module.def("exact_within", &exact_within, py::arg("rows"), py::arg("norms").noconvert(),
             py::arg("first_id"), py::arg("k"), py::arg("threads"),
             py::arg("progress") = py::none(),
             "Nearest of a block's rows among themselves: ids (n, k) int32 of the pool and "
             "similarities (n, k) float64; -1 and -inf where there are fewer.");
  module.def("exact_between", &exact_between, py::arg("left_rows"),
             py::arg("left_norms").noconvert(), py::arg("left_first_id"),
             py::arg("left_floors").noconvert(), py::arg("right_rows"),
             py::arg("right_norms").noconvert(), py::arg("right_first_id"),
             py::arg("right_floors").noconvert(), py::arg("k"), py::arg("threads"),
             py::arg("progress") = py::none(),
             "Nearest of each block's rows among the other's, for both, as of exact_within; none "
             "that is less similar than the row's floor, where there are floors.");
  module.def("merge_nearest", &merge_nearest, py::arg("x_ids").noconvert(),
             py::arg("x_similarities").noconvert(), py::arg("y_ids").noconvert(),
             py::arg("y_similarities").noconvert(), py::arg("ids").noconvert(),
             py::arg("similarities").noconvert(), py::arg("threads"),
             "Writes the k best of two lists of each row; the result may be one of them.");
}

}  // namespace ds2fast::bindings
