"""`knn_graph` against the reference, against cosines known by hand, and on real embeddings."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ds2fast import _core, reference
from ds2fast.errors import Ds2fastError, InputError, InputTypeError
from ds2fast.knn import knn_graph
from ds2fast.results import Embeddings
from graph_checks import (
    EXACT_POOLS,
    FLOAT_POOLS,
    assert_exact,
    assert_well_formed,
    random_rows,
    summation_slack,
)


def test_neighbours_of_four_directions_by_hand() -> None:
    angles = np.deg2rad([0.0, 10.0, 25.0, 60.0])
    rows = np.column_stack([np.cos(angles), np.sin(angles)])
    graph = knn_graph(rows, k=2, progress=False)
    assert graph.indices.tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]
    expected = np.cos(np.deg2rad([[10, 25], [10, 15], [15, 25], [35, 50]]))
    # Each coordinate of a unit row is rounded to float32: at most 2^-24 of the row, twice a pair,
    # and the similarity once more.
    np.testing.assert_allclose(graph.similarities, expected, rtol=0, atol=3 * 2.0**-24)


def test_ties_break_to_the_smaller_index() -> None:
    rows = [[1, 0], [0, 1], [1, 0], [0, 2], [4, 0], [1, 0]]
    graph = knn_graph(rows, k=3, progress=False)
    expected = [[2, 4, 5], [3, 0, 2], [0, 4, 5], [1, 0, 2], [0, 2, 5], [0, 2, 4]]
    assert graph.indices.tolist() == expected
    assert graph.similarities[1].tolist() == [1.0, 0.0, 0.0]


def test_a_row_is_never_its_own_neighbour_but_its_duplicate_is() -> None:
    graph = knn_graph([[3.0, 4.0], [-1.0, 0.5], [3.0, 4.0]], k=1, progress=False)
    assert graph.indices[:, 0].tolist() == [2, 0, 0]
    assert graph.similarities[0, 0] == graph.similarities[2, 0] == 1.0


def test_opposite_rows_are_the_least_similar() -> None:
    graph = knn_graph([[1.0, 2.0], [-2.0, -4.0]], k=1, progress=False)
    assert graph.similarities.ravel().tolist() == [-1.0, -1.0]


@pytest.mark.parametrize("name", FLOAT_POOLS)
def test_equals_the_reference(name: str) -> None:
    rows, k = FLOAT_POOLS[name]()
    assert_exact(knn_graph(rows, k, progress=False), rows, k)


@pytest.mark.parametrize("depth", [64, 383, 1025])
def test_random_rows_leave_no_place_to_the_order_of_summation(depth: int) -> None:
    rows = random_rows(500, depth, seed=7)
    assert assert_exact(knn_graph(rows, 10, progress=False), rows, 10) == 1.0


@pytest.mark.parametrize("name", EXACT_POOLS)
def test_equals_the_reference_bit_for_bit_where_arithmetic_is_exact(name: str) -> None:
    rows, k = EXACT_POOLS[name]()
    graph = knn_graph(rows, k, progress=False)
    ids, similarities = reference.knn_graph(rows, k)
    np.testing.assert_array_equal(graph.indices, ids)
    np.testing.assert_array_equal(graph.similarities, similarities.astype(np.float32))


def test_says_how_it_was_made() -> None:
    graph = knn_graph(random_rows(20, 4), 3, progress=False)
    assert (graph.method, graph.recall, graph.num_rows, graph.k) == ("exact", 1.0, 20, 3)


def test_ten_neighbours_unless_asked_otherwise() -> None:
    assert knn_graph(random_rows(20, 4), progress=False).k == 10


def test_k_may_be_a_numpy_integer() -> None:
    rows = random_rows(20, 4)
    assert knn_graph(rows, np.int16(3), progress=False).k == 3  # type: ignore[arg-type]  # NumPy integers count


def test_reads_embeddings_of_ours() -> None:
    rows = random_rows(20, 4)
    embeddings = Embeddings(rows, "a model", "fp32", "the only one", 0)
    graph = knn_graph(np.asarray(embeddings), 3, progress=False)
    assert_exact(graph, rows, 3)


@pytest.mark.shared
def test_forty_thousand_real_embeddings_against_brute_force(shared_data: Path) -> None:
    halves = np.load(shared_data / "instructions.minilm.f16.npy", mmap_mode="r")
    graph = knn_graph(halves, 10, progress=False)
    assert_well_formed(graph, len(halves), 10)

    rows = np.asarray(halves, dtype=np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    sample = np.sort(np.random.default_rng(0).choice(len(rows), 2000, replace=False))
    slack = summation_slack(rows.shape[1])
    forced_places = 0
    for chunk in np.split(sample, 10):
        cosine = rows[chunk] @ rows.T
        cosine[np.arange(len(chunk)), chunk] = -np.inf
        candidates = np.argpartition(-cosine, 40, axis=1)[:, :40]
        candidates.sort(axis=1)  # so that the stable sort below breaks ties by the smaller index
        values = np.take_along_axis(cosine, candidates, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")[:, :11]
        ids = np.take_along_axis(candidates, order, axis=1)
        best = np.take_along_axis(values, order, axis=1)

        found = np.take_along_axis(cosine, graph.indices[chunk].astype(np.int64), axis=1)
        np.testing.assert_allclose(found, best[:, :10], rtol=0, atol=slack)
        np.testing.assert_allclose(graph.similarities[chunk], found, rtol=2.0**-24, atol=slack)
        gaps = -np.diff(best, axis=1, prepend=np.inf)
        forced = (gaps[:, :-1] > 2 * slack) & (gaps[:, 1:] > 2 * slack)
        np.testing.assert_array_equal(graph.indices[chunk][forced], ids[:, :10][forced])
        forced_places += int(forced.sum())
    # The pool has exact duplicates, whose order is the summation's; they must stay the exception.
    assert forced_places > 0.95 * sample.size * 10


# --- Errors ---------------------------------------------------------------------------------------

ROWS = random_rows(12, 3)

BAD_ARGUMENTS: list[tuple[str, dict[str, Any], type[Ds2fastError], str]] = [
    ("words", {"embeddings": [["a", "b"], ["c", "d"]]}, InputTypeError,
     r"embeddings: expected an array of real numbers, got dtype <U1"),
    ("None", {"embeddings": None}, InputTypeError,
     r"embeddings: expected an array of real numbers, got dtype object"),
    ("booleans", {"embeddings": np.ones((12, 3), bool)}, InputTypeError,
     r"embeddings: expected an array of real numbers, got dtype bool"),
    ("complex numbers", {"embeddings": ROWS.astype(complex)}, InputTypeError,
     r"embeddings: expected an array of real numbers, got dtype complex128"),
    ("dates", {"embeddings": np.zeros((12, 3), "M8[s]")}, InputTypeError,
     r"embeddings: expected an array of real numbers, got dtype datetime64\[s\]"),
    ("a vector", {"embeddings": ROWS[0]}, InputError,
     r"embeddings: expected shape \(N, d\) with d >= 1, got \(3,\)"),
    ("three axes", {"embeddings": ROWS[None]}, InputError,
     r"embeddings: expected shape \(N, d\) with d >= 1, got \(1, 12, 3\)"),
    ("a file", {"embeddings": "x.npy"}, InputTypeError,
     r"embeddings: expected an array \(N, d\), got the path 'x.npy'; pass "
     r"numpy.load\('x.npy', mmap_mode='r'\)"),
    ("a path", {"embeddings": Path("x.npy")}, InputTypeError,
     r"embeddings: expected an array \(N, d\), got the path 'x.npy'; .*"),
    ("a number", {"embeddings": 1.0}, InputError,
     r"embeddings: expected shape \(N, d\) with d >= 1, got \(\)"),
    ("no columns", {"embeddings": ROWS[:, :0]}, InputError,
     r"embeddings: expected shape \(N, d\) with d >= 1, got \(12, 0\)"),
    ("one row", {"embeddings": ROWS[:1]}, InputError,
     r"embeddings: expected 2 to 2147483647 rows, got 1"),
    ("no rows", {"embeddings": ROWS[:0]}, InputError,
     r"embeddings: expected 2 to 2147483647 rows, got 0"),
    ("ragged rows", {"embeddings": [[1.0, 2.0], [3.0]]}, InputError,
     r"embeddings: expected .*, got .*"),
    ("k of 0", {"k": 0}, InputError, r"k: expected at least 1, got 0"),
    ("k below 0", {"k": -3}, InputError, r"k: expected at least 1, got -3"),
    ("k of N", {"k": 12}, InputError,
     r"k: expected fewer than the number of rows \(12\), got 12"),
    ("k beyond any integer", {"k": 2**80}, InputError,
     r"k: expected fewer than the number of rows \(12\), got 1208925819614629174706176"),
    ("a float k", {"k": 3.0}, InputTypeError, r"k: expected an integer, got 3\.0"),
    ("a word for k", {"k": "3"}, InputTypeError, r"k: expected an integer, got '3'"),
    ("no k", {"k": None}, InputTypeError, r"k: expected an integer, got None"),
    ("a bool for k", {"k": True}, InputTypeError, r"k: expected an integer, got True"),
    ("no threads", {"threads": 0}, InputError, r"threads: expected 1 to 1024, got 0"),
    ("a word for threads", {"threads": "all"}, InputTypeError,
     r"threads: expected an integer, got 'all'"),
    ("a word for progress", {"progress": "yes"}, InputTypeError,
     r"progress: expected None, a bool or a callable\(stage, done, total\), got str"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [case[1:] for case in BAD_ARGUMENTS],
    ids=[case[0] for case in BAD_ARGUMENTS],
)
def test_bad_arguments_are_named_before_any_work(
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, Any],
    error: type[Ds2fastError],
    message: str,
) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("work was begun on bad arguments")

    monkeypatch.setattr(_core, "row_norms", refuse)
    monkeypatch.setattr(_core, "exact_knn", refuse)
    given: dict[str, Any] = {"embeddings": ROWS, "k": 3, "progress": False} | arguments
    with pytest.raises(error, match=f"^{message}$"):
        knn_graph(given.pop("embeddings"), **given)


def _with_value(row: int, value: float) -> Callable[[], np.ndarray[Any, Any]]:
    def build() -> np.ndarray[Any, Any]:
        rows = random_rows(2000, 40).astype(np.float64)
        rows[row, 17] = value
        rows[1999, 0] = value
        return rows

    return build


def _with_zero_rows() -> np.ndarray[Any, Any]:
    rows = random_rows(2000, 40)
    rows[[1500, 1700, 1999]] = 0
    rows[1500, 3] = -0.0
    return rows


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (_with_value(0, np.nan), "row 0 holds NaN (2 such rows in all)"),
        (_with_value(1234, np.nan), "row 1234 holds NaN (2 such rows in all)"),
        (_with_value(1234, np.inf), "row 1234 holds infinity (or a value beyond float32) (2 such"),
        (_with_value(3, -np.inf), "row 3 holds infinity (or a value beyond float32) (2 such"),
        (_with_value(3, 1e39), "row 3 holds infinity (or a value beyond float32) (2 such rows"),
        (
            _with_zero_rows,
            "row 1500 holds only zeros in float32, which have no direction (3 such rows in all",
        ),
    ],
)
def test_unusable_rows_are_named_and_counted_before_the_search(
    monkeypatch: pytest.MonkeyPatch, build: Callable[[], np.ndarray[Any, Any]], message: str
) -> None:
    monkeypatch.setattr(_core, "exact_knn", lambda *_: pytest.fail("searched unusable rows"))
    expected = "^embeddings: expected finite rows of norm > 0; " + re.escape(message)
    with pytest.raises(InputError, match=expected):
        knn_graph(build(), 3, progress=False)


def test_opposite_infinities_do_not_pass_for_a_number() -> None:
    rows = random_rows(10, 4)
    rows[6, :2] = [np.inf, -np.inf]
    with pytest.raises(InputError, match="row 6 holds infinity"):
        knn_graph(rows, 3, progress=False)


def test_a_value_too_small_for_float32_is_not_called_zero() -> None:
    rows = np.array([[1.0, 2.0], [1e-60, 2e-60], [3.0, 1.0]])
    with pytest.raises(InputError, match=r"row 1 holds .*float32"):
        knn_graph(rows, 1, progress=False)


def test_a_strict_floating_point_mode_of_the_caller_changes_nothing() -> None:
    rows = np.array([[1e-60, 1.0], [1.0, 1.0], [1.0, 0.9]])
    with np.errstate(all="raise"):
        graph = knn_graph(rows, 1, progress=False)
    assert graph.indices.ravel().tolist() == [1, 2, 1]


def test_a_programming_error_in_the_binding_is_an_error_not_a_crash() -> None:
    rows, norms = random_rows(5, 3), np.ones(5)
    for k in (0, 5):
        with pytest.raises(ValueError, match="1 <= k < N"):
            _core.exact_knn(rows, norms, k, 1)
    with pytest.raises(ValueError, match="one norm a row"):
        _core.exact_knn(rows, norms[:4], 2, 1)
    with pytest.raises(ValueError, match="threads >= 1"):
        _core.exact_knn(rows, norms, 2, 0)
    with pytest.raises(TypeError):  # the binding converts nothing behind the caller's back
        _core.exact_knn(rows.astype(np.float64), norms, 2, 1)  # type: ignore[arg-type]  # the wrong type is the test
    with pytest.raises(TypeError):
        _core.exact_knn(np.asfortranarray(rows), norms, 2, 1)
