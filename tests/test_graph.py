"""`KnnGraph`: what `from_arrays` lets in, what `to_csr` gives out, and that it stays as it is."""

from __future__ import annotations

import math
import re
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from ds2fast.errors import Ds2fastError, InputError
from ds2fast.graph import KnnGraph
from ds2fast.knn import knn_graph
from graph_checks import random_rows

INDICES = np.array([[1, 2], [0, 2], [1, 3], [0, 1]])
SIMILARITIES = np.array([[0.9, 0.5], [0.9, 0.4], [0.4, -0.25], [0.25, 0.25]])


def test_takes_neighbours_found_elsewhere() -> None:
    graph = KnnGraph.from_arrays(INDICES, SIMILARITIES)
    assert graph.indices.dtype == np.dtype(np.int32)
    assert graph.similarities.dtype == np.dtype(np.float32)
    np.testing.assert_array_equal(graph.indices, INDICES)
    np.testing.assert_array_equal(graph.similarities, SIMILARITIES.astype(np.float32))
    assert (graph.num_rows, graph.k, graph.method) == (4, 2, "given")
    assert math.isnan(graph.recall)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64, np.uint64])
def test_takes_integers_of_every_width(dtype: type[np.integer]) -> None:
    graph = KnnGraph.from_arrays(INDICES.astype(dtype), SIMILARITIES.astype(np.float16))
    np.testing.assert_array_equal(graph.indices, INDICES)
    assert graph.indices.dtype == np.int32


def test_takes_arrays_of_any_layout() -> None:
    backwards = KnnGraph.from_arrays(INDICES[:, ::-1][:, ::-1], np.asfortranarray(SIMILARITIES))
    assert backwards.indices.flags.c_contiguous
    assert backwards.similarities.flags.c_contiguous
    np.testing.assert_array_equal(backwards.similarities, SIMILARITIES.astype(np.float32))


def test_takes_its_own_graphs_back() -> None:
    graph = knn_graph(np.repeat(random_rows(60, 5), 2, axis=0), 9, progress=False)
    again = KnnGraph.from_arrays(graph.indices, graph.similarities)
    assert np.shares_memory(
        again.indices, graph.indices
    )  # no copy of what is already as it should be
    assert np.shares_memory(again.similarities, graph.similarities)


def test_a_cosine_a_rounding_above_one_is_a_cosine() -> None:
    graph = KnnGraph.from_arrays([[1], [0]], [[1.0000001], [-1.0000001]])
    assert graph.k == 1


def changed(array: np.ndarray[Any, Any], row: int, column: int, value: Any) -> Any:
    copy = array.copy()
    copy[row, column] = value
    return copy


BAD_GRAPHS: list[tuple[str, Any, Any, str]] = [
    ("a vector", INDICES[:, 0], SIMILARITIES[:, 0],
     "indices, similarities: expected two arrays of one shape (N, k) with k >= 1, "
     "got (4,) and (4,)"),
    ("other widths", INDICES, SIMILARITIES[:, :1],
     "indices, similarities: expected two arrays of one shape (N, k) with k >= 1, "
     "got (4, 2) and (4, 1)"),
    ("other lengths", INDICES[:3], SIMILARITIES,
     "indices, similarities: expected two arrays of one shape (N, k) with k >= 1, "
     "got (3, 2) and (4, 2)"),
    ("no neighbours", INDICES[:, :0], SIMILARITIES[:, :0],
     "indices, similarities: expected two arrays of one shape (N, k) with k >= 1, "
     "got (4, 0) and (4, 0)"),
    ("float indices", INDICES.astype(float), SIMILARITIES,
     "indices: expected integers, got float64"),
    ("an index of N", changed(INDICES, 2, 1, 4), SIMILARITIES,
     "indices: expected values in [0, 4); first offending row: 2"),
    ("an index below 0", changed(INDICES, 3, 0, -1), SIMILARITIES,
     "indices: expected values in [0, 4); first offending row: 3"),
    ("an index that 32 bits would fold into range", changed(INDICES, 1, 0, 2**32), SIMILARITIES,
     "indices: expected values in [0, 4); first offending row: 1"),
    ("the row itself", changed(INDICES, 2, 0, 2), SIMILARITIES,
     "indices: expected no row among its own neighbours; first offending row: 2"),
    ("a neighbour twice", changed(INDICES, 3, 1, 0), SIMILARITIES,
     "indices: expected distinct neighbours; first offending row: 3"),
    ("NaN", INDICES, changed(SIMILARITIES, 1, 1, np.nan),
     "similarities: expected finite values; first offending row: 1"),
    ("infinity", INDICES, changed(SIMILARITIES, 0, 0, np.inf),
     "similarities: expected finite values; first offending row: 0"),
    ("more than one", INDICES, changed(SIMILARITIES, 0, 0, 1.01),
     "similarities: expected cosines in [-1, 1]; first offending row: 0"),
    ("less than minus one", INDICES, changed(SIMILARITIES, 2, 1, -1.01),
     "similarities: expected cosines in [-1, 1]; first offending row: 2"),
    ("distances, which ascend", INDICES, changed(SIMILARITIES, 1, 1, 0.95),
     "similarities: expected descending order; first offending row: 1"),
    ("the first bad row of two", changed(changed(INDICES, 3, 0, 9), 1, 1, 7), SIMILARITIES,
     "indices: expected values in [0, 4); first offending row: 1"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("indices", "similarities", "message"),
    [case[1:] for case in BAD_GRAPHS],
    ids=[case[0] for case in BAD_GRAPHS],
)
def test_a_bad_graph_is_refused_by_name(indices: Any, similarities: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        KnnGraph.from_arrays(indices, similarities)


@pytest.mark.parametrize(
    ("indices", "similarities", "name"),
    [
        ([[1], [0]], [["near"], ["far"]], "similarities"),
        ([[1], [0]], [[1j], [1j]], "similarities"),
        ([[1], [0]], [[0.5], [0.5, 0.4]], "similarities"),
        ([[1], [0, 1]], [[0.5], [0.5]], "indices"),
        ([[1], [0]], [[1e300], [0.5]], "similarities"),
        ([[True], [False]], [[0.5], [0.5]], "indices"),
    ],
    ids=[
        "words",
        "complex numbers",
        "ragged similarities",
        "ragged indices",
        "beyond float32",
        "flags",
    ],
)
def test_what_is_no_array_of_numbers_is_refused_by_name(
    indices: Any, similarities: Any, name: str
) -> None:
    with pytest.raises(Ds2fastError, match=f"^{name}.*: expected "):
        KnnGraph.from_arrays(indices, similarities)


# --- Sparse form ----------------------------------------------------------------------------------


def test_sparse_form_by_hand() -> None:
    data, columns, row_starts = KnnGraph.from_arrays(INDICES, SIMILARITIES).to_csr()
    assert row_starts.tolist() == [0, 2, 4, 6, 8]
    assert columns.tolist() == [1, 2, 0, 2, 1, 3, 0, 1]
    np.testing.assert_array_equal(data, SIMILARITIES.astype(np.float32).ravel())
    assert row_starts.dtype == np.int64


def test_sparse_form_holds_the_dense_matrix() -> None:
    graph = knn_graph(random_rows(50, 6), 7, progress=False)
    data, columns, row_starts = graph.to_csr()
    dense = np.zeros((50, 50), dtype=np.float32)
    for row in range(50):
        place = slice(row_starts[row], row_starts[row + 1])
        dense[row, columns[place]] = data[place]
    expected = np.zeros((50, 50), dtype=np.float32)
    np.put_along_axis(expected, graph.indices.astype(np.int64), graph.similarities, axis=1)
    np.testing.assert_array_equal(dense, expected)
    assert (np.count_nonzero(dense, axis=1) == 7).all()


def test_scipy_reads_the_sparse_form() -> None:
    sparse = pytest.importorskip("scipy.sparse", reason="scipy is no dependency of ours")
    graph = knn_graph(random_rows(50, 6), 7, progress=False)
    matrix = sparse.csr_matrix(graph.to_csr(), shape=(50, 50))
    assert matrix.nnz == 350
    assert matrix[3, graph.indices[3, 2]] == graph.similarities[3, 2]


# --- Frozen ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["indices", "similarities", "method", "recall", "num_rows", "k"])
def test_a_graph_does_not_change(name: str) -> None:
    graph = KnnGraph.from_arrays(INDICES, SIMILARITIES)
    with pytest.raises((FrozenInstanceError, AttributeError)):
        setattr(graph, name, getattr(graph, name))


def test_graphs_can_be_compared_and_kept_in_sets() -> None:
    graph, other = (KnnGraph.from_arrays(INDICES, SIMILARITIES) for _ in range(2))
    assert graph == graph  # noqa: PLR0124  (by identity: comparing arrays would give no truth value)
    assert graph != other
    assert len({graph, other, graph}) == 2
