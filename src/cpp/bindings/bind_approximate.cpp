#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <tuple>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/call_guard.hpp"
#include "bindings/register.hpp"
#include "bindings/rows.hpp"
#include "knn/code_rows.hpp"
#include "knn/copies.hpp"
#include "knn/descent.hpp"
#include "knn/leader_tree.hpp"
#include "knn/leaf_join.hpp"
#include "knn/list_ranking.hpp"
#include "knn/neighbour_lists.hpp"
#include "simd/level.hpp"

namespace ds2fast::bindings {
namespace {

const simd::KernelTable& active_kernels() {
  return simd::kernels(simd::active_level());
}

/// codes (M, depth), sums, scales, offsets and slacks (M,) each.
using CodeArrays =
    std::tuple<Array<std::int8_t>, Array<std::int32_t>, Array<float>, Array<float>, Array<float>>;
/// entries and similarities, (M, w) each.
using ListArrays = std::tuple<Array<std::uint32_t>, Array<float>>;

knn::CodeRows code_rows(const CodeArrays& arrays) {
  const auto& [codes, sums, scales, offsets, slacks] = arrays;
  const knn::CodeRows rows{matrix_view(codes), vector_view(sums).data, vector_view(scales).data,
                           vector_view(offsets).data, vector_view(slacks).data};
  const auto size = static_cast<py::ssize_t>(rows.num_rows());
  require(size >= 1 && sums.size() == size && scales.size() == size && offsets.size() == size &&
              slacks.size() == size,
          "a sum, a scale, an offset and a slack a row of codes");
  require(rows.depth() % 64 == 0 && rows.depth() <= (std::size_t{1} << 16),
          "codes of a depth that is a multiple of 64");
  return rows;
}

knn::ConstNeighbourLists list_view(const ListArrays& arrays) {
  const auto& [entries, similarities] = arrays;
  const knn::ConstNeighbourLists lists{matrix_view(entries), matrix_view(similarities)};
  require(lists.width() >= 1 && lists.entries.rows == lists.similarities.rows &&
              lists.width() == lists.similarities.cols,
          "entries and similarities of one shape");
  return lists;
}

/// What is written; the arrays are the caller's, so that they can lie on disk.
knn::NeighbourLists mutable_list_view(ListArrays& arrays) {
  auto& [entries, similarities] = arrays;
  list_view(arrays);
  return {mutable_matrix_view(entries), mutable_matrix_view(similarities)};
}

void require_places(const Array<std::int32_t>& places, std::size_t num_rows) {
  const auto view = vector_view(places);
  require(std::all_of(view.begin(), view.end(),
                      [=](std::int32_t place) {
                        return place >= 0 && static_cast<std::size_t>(place) < num_rows;
                      }),
          "places of rows");
}

py::tuple find_copies(const py::array& embeddings, const Array<double>& norms, std::size_t k,
                      const py::object& progress) {
  const auto rows = row_source(embeddings, active_kernels());
  const auto row_norms = vector_view(norms);
  require(row_norms.size == rows.num_rows(), "one norm a row");
  knn::Copies copies;
  run_kernel(progress,
             [&](Monitor& monitor) { copies = knn::find_copies(rows, row_norms, k, monitor); });
  Array<std::int32_t> searched(static_cast<py::ssize_t>(copies.searched.size()));
  std::copy(copies.searched.begin(), copies.searched.end(), searched.mutable_data());
  Array<std::int32_t> rest({static_cast<py::ssize_t>(copies.rest.size()), py::ssize_t{2}});
  for (std::size_t i = 0; i < copies.rest.size(); ++i) {
    rest.mutable_data()[2 * i] = copies.rest[i].row;
    rest.mutable_data()[2 * i + 1] = copies.rest[i].first;
  }
  return py::make_tuple(searched, rest);
}

void fill_in_copies(const py::array& embeddings, const Array<double>& norms,
                    const Array<std::int32_t>& rest, Array<std::int32_t>& ids,
                    Array<float>& similarities) {
  const auto rows = row_source(embeddings, active_kernels());
  const auto row_norms = vector_view(norms);
  const auto pairs = matrix_view(rest);
  matrix_view(ids);
  matrix_view(similarities);
  const auto out_ids = mutable_matrix_view(ids);
  const auto out_similarities = mutable_matrix_view(similarities);
  require(pairs.cols == 2 && row_norms.size == rows.num_rows() && out_ids.rows == rows.num_rows() &&
              out_similarities.rows == rows.num_rows() && out_ids.cols == out_similarities.cols,
          "copies of rows, and results of all rows");
  knn::Copies copies;
  for (std::size_t i = 0; i < pairs.rows; ++i) {
    copies.rest.push_back({pairs.row(i)[0], pairs.row(i)[1]});
  }
  run_kernel(py::none(), [&](Monitor&) {
    const knn::ExactRanking ranking(rows, row_norms, {});
    knn::fill_in_copies(copies, ranking, out_ids, out_similarities);
  });
}

/// Room for codes; the arrays are the caller's, so that they can lie on disk.
knn::MutableCodeRows mutable_code_rows(CodeArrays& arrays) {
  code_rows(arrays);
  auto& [codes, sums, scales, offsets, slacks] = arrays;
  return {mutable_matrix_view(codes), sums.mutable_data(), scales.mutable_data(),
          offsets.mutable_data(), slacks.mutable_data()};
}

void encode_rows(const py::array& embeddings, const Array<double>& norms,
                 const Array<std::int32_t>& order, CodeArrays out, std::size_t threads,
                 const py::object& progress) {
  const auto rows = row_source(embeddings, active_kernels());
  const auto row_norms = vector_view(norms);
  require(row_norms.size == rows.num_rows(), "one norm a row");
  require_places(order, rows.num_rows());
  const knn::CodeRows checked = code_rows(out);
  require(checked.num_rows() == static_cast<std::size_t>(order.size()) &&
              checked.depth() == knn::code_depth(rows.depth()) && threads >= 1,
          "room for the codes of each row");
  const knn::MutableCodeRows to = mutable_code_rows(out);
  const auto places = vector_view(order);
  run_kernel(progress, [&](Monitor& monitor) {
    knn::encode_rows(rows, row_norms, places, threads, monitor, to);
  });
}

void reorder_rows(CodeArrays codes, const Array<std::int32_t>& order, const py::object& progress) {
  const knn::MutableCodeRows rows = mutable_code_rows(codes);
  require_places(order, rows.num_rows());
  const auto places = vector_view(order);
  std::vector<bool> is_named(rows.num_rows());
  for (const std::int32_t place : places) {
    is_named[static_cast<std::size_t>(place)] = true;
  }
  require(places.size == rows.num_rows() &&
              std::all_of(is_named.begin(), is_named.end(), [](bool named) { return named; }),
          "each place once");
  run_kernel(progress, [&](Monitor& monitor) { knn::reorder_rows(places, monitor, rows); });
}

py::tuple leader_tree(const CodeArrays& codes, std::size_t leaf_rows, std::size_t least_rows,
                      std::size_t fan_out, std::uint64_t seed, std::size_t threads,
                      const py::object& progress) {
  const knn::CodeRows rows = code_rows(codes);
  require(least_rows >= 1 && leaf_rows >= 2 * least_rows && fan_out >= 2 && threads >= 1,
          "2 * least_rows <= leaf_rows, fan_out >= 2");
  knn::LeaderTree tree;
  run_kernel(progress, [&](Monitor& monitor) {
    tree = knn::grow_tree(rows, {leaf_rows, least_rows, fan_out}, seed, active_kernels(), threads,
                          monitor);
  });
  Array<std::int32_t> order(static_cast<py::ssize_t>(tree.order.size()));
  std::copy(tree.order.begin(), tree.order.end(), order.mutable_data());
  Array<std::int64_t> bounds(static_cast<py::ssize_t>(tree.bounds.size()));
  std::copy(tree.bounds.begin(), tree.bounds.end(), bounds.mutable_data());
  return py::make_tuple(order, bounds);
}

void join_leaves(const CodeArrays& codes, const Array<std::int32_t>& order,
                 const Array<std::int64_t>& bounds, const ListArrays& from, ListArrays to,
                 bool by_place, std::size_t threads, const py::object& progress) {
  const knn::CodeRows rows = code_rows(codes);
  const auto old_lists = list_view(from);
  const auto new_lists = mutable_list_view(to);
  const knn::Leaves leaves{vector_view(order), vector_view(bounds)};
  require_places(order, rows.num_rows());
  require(leaves.bounds.size >= 2 && leaves.bounds[0] >= 0 &&
              std::is_sorted(leaves.bounds.begin(), leaves.bounds.end()) &&
              leaves.bounds[leaves.count()] <= order.size(),
          "bounds of leaves, ascending");
  const auto joined = static_cast<std::size_t>(leaves.bounds[leaves.count()] - leaves.bounds[0]);
  require(old_lists.entries.rows == rows.num_rows() && new_lists.width() == old_lists.width() &&
              new_lists.entries.rows == (by_place ? rows.num_rows() : joined) && threads >= 1,
          "a list a row");
  const auto joined_to = by_place ? knn::JoinedTo::kPlace : knn::JoinedTo::kPosition;
  run_kernel(progress, [&](Monitor& monitor) {
    knn::join_leaves(rows, leaves, old_lists, new_lists, joined_to, active_kernels(), threads,
                     monitor);
  });
}

std::size_t descend(const CodeArrays& codes, const ListArrays& from, std::size_t first,
                    std::size_t num_heard, ListArrays to, std::size_t threads,
                    const py::object& progress) {
  const knn::CodeRows rows = code_rows(codes);
  const auto old_lists = list_view(from);
  const auto new_lists = mutable_list_view(to);
  require(old_lists.entries.rows == rows.num_rows() && new_lists.width() == old_lists.width() &&
              first + new_lists.entries.rows <= rows.num_rows() && threads >= 1,
          "a list a row");
  std::size_t came = 0;
  run_kernel(progress, [&](Monitor& monitor) {
    came = knn::descend(rows, old_lists, first, num_heard, new_lists, active_kernels(), threads,
                        monitor);
  });
  return came;
}

/// Rows of the pool by place, and room for what is found of some.
struct RankingArrays {
  RankingArrays(const py::array& embeddings, const Array<double>& norms,
                const Array<std::int32_t>& order, const CodeArrays& codes,
                const Array<std::int32_t>& places, std::size_t k)
      : source(row_source(embeddings, active_kernels())),
        rows(code_rows(codes)),
        ranking(source, vector_view(norms), vector_view(order)),
        ids({places.size(), static_cast<py::ssize_t>(k)}),
        similarities({places.size(), static_cast<py::ssize_t>(k)}) {
    require(static_cast<std::size_t>(norms.size()) == source.num_rows(), "one norm a row");
    require(static_cast<std::size_t>(order.size()) == rows.num_rows(), "a row a place");
    require(k >= 1 && k < rows.num_rows(), "1 <= k < M");
    require_places(order, source.num_rows());
    require_places(places, rows.num_rows());
  }

  knn::RankedRows out() { return {mutable_matrix_view(ids), mutable_matrix_view(similarities)}; }

  knn::RowSource source;
  knn::CodeRows rows;
  knn::ExactRanking ranking;
  Array<std::int32_t> ids;
  Array<double> similarities;
};

py::tuple rank_lists(const py::array& embeddings, const Array<double>& norms,
                     const Array<std::int32_t>& order, const CodeArrays& codes,
                     const ListArrays& lists, const Array<std::int32_t>& places, std::size_t k,
                     std::size_t threads, const py::object& progress) {
  RankingArrays arrays(embeddings, norms, order, codes, places, k);
  const auto list_arrays = list_view(lists);
  require(list_arrays.entries.rows == arrays.rows.num_rows() && threads >= 1, "a list a row");
  const auto chosen = vector_view(places);
  const knn::RankedRows out = arrays.out();
  run_kernel(progress, [&](Monitor& monitor) {
    knn::rank_lists(arrays.rows, list_arrays, chosen, arrays.ranking, threads, monitor, out);
  });
  return py::make_tuple(arrays.ids, arrays.similarities);
}

py::tuple exact_neighbours(const py::array& embeddings, const Array<double>& norms,
                           const Array<std::int32_t>& order, const CodeArrays& codes,
                           const Array<std::int32_t>& places, std::size_t k, std::size_t threads,
                           const py::object& progress) {
  RankingArrays arrays(embeddings, norms, order, codes, places, k);
  const auto chosen = vector_view(places);
  const knn::RankedRows out = arrays.out();
  require(threads >= 1, "threads >= 1");
  run_kernel(progress, [&](Monitor& monitor) {
    knn::exact_neighbours(arrays.rows, chosen, arrays.ranking, active_kernels(), threads, monitor,
                          out);
  });
  return py::make_tuple(arrays.ids, arrays.similarities);
}

}  // namespace

void register_approximate(py::module_& module) {
  module.def("code_depth", &knn::code_depth, py::arg("depth"),
             "Values of a row of codes of rows of so many values.");
  module.def("find_copies", &find_copies, py::arg("embeddings"), py::arg("norms").noconvert(),
             py::arg("k"), py::arg("progress") = py::none(),
             "Rows to search (M,) int32, and of copies beyond the first k + 1 the row and the "
             "first of its set, (C, 2) int32.");
  module.def("fill_in_copies", &fill_in_copies, py::arg("embeddings"), py::arg("norms").noconvert(),
             py::arg("rest").noconvert(), py::arg("ids").noconvert(),
             py::arg("similarities").noconvert(),
             "Writes the results of the copies that were not searched.");
  module.def("encode_rows", &encode_rows, py::arg("embeddings"), py::arg("norms").noconvert(),
             py::arg("order").noconvert(), py::arg("out").noconvert(), py::arg("threads"),
             py::arg("progress") = py::none(), "Writes the codes of rows order[0], order[1], ...");
  module.def("reorder_rows", &reorder_rows, py::arg("codes").noconvert(),
             py::arg("order").noconvert(), py::arg("progress") = py::none(),
             "Puts the codes of places order[0], order[1], ... one behind the other.");
  module.def("leader_tree", &leader_tree, py::arg("codes").noconvert(), py::arg("leaf_rows"),
             py::arg("least_rows"), py::arg("fan_out"), py::arg("seed"), py::arg("threads"),
             py::arg("progress") = py::none(),
             "Places in groups of near rows: order (M,) int32 and bounds of the leaves int64.");
  module.def("join_leaves", &join_leaves, py::arg("codes").noconvert(),
             py::arg("order").noconvert(), py::arg("bounds").noconvert(),
             py::arg("lists").noconvert(), py::arg("out").noconvert(), py::arg("by_place"),
             py::arg("threads"), py::arg("progress") = py::none(),
             "Writes the lists of leaves' rows after each met the others of its leaf.");
  module.def("descend", &descend, py::arg("codes").noconvert(), py::arg("lists").noconvert(),
             py::arg("first"), py::arg("num_heard"), py::arg("out").noconvert(), py::arg("threads"),
             py::arg("progress") = py::none(),
             "Writes the lists of places from `first` on after each met its neighbours' "
             "neighbours; how many entries came.");
  module.def("rank_lists", &rank_lists, py::arg("embeddings"), py::arg("norms").noconvert(),
             py::arg("order").noconvert(), py::arg("codes").noconvert(),
             py::arg("lists").noconvert(), py::arg("places").noconvert(), py::arg("k"),
             py::arg("threads"), py::arg("progress") = py::none(),
             "The k nearest of some places' lists by exact similarity: ids (P, k) int32 of rows "
             "and similarities (P, k) float64.");
  module.def("exact_neighbours", &exact_neighbours, py::arg("embeddings"),
             py::arg("norms").noconvert(), py::arg("order").noconvert(),
             py::arg("codes").noconvert(), py::arg("places").noconvert(), py::arg("k"),
             py::arg("threads"), py::arg("progress") = py::none(),
             "The exact k nearest of some places, as rank_lists.");
}

}  // namespace ds2fast::bindings
