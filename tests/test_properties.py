"""Properties that hold for all inputs, tried on those that hypothesis finds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ds2fast import _core, reference
from ds2fast.diversity import long_tail_scores
from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.knn import knn_graph
from ds2fast.results import DoubleArray, FloatArray
from ds2fast.selection import dual_sort
from graph_checks import assert_exact, assert_same_bytes

thorough = settings(deadline=None, max_examples=200)

SHAPES = st.tuples(st.integers(2, 70), st.integers(1, 24))


@st.composite
def integer_pools(draw: st.DrawFn) -> FloatArray:
    """Small integers: ties abound and all float64 arithmetic but root and quotient is exact."""
    largest = draw(st.integers(1, 9))
    return draw(arrays.arrays(np.float32, draw(SHAPES), elements=st.integers(-largest, largest)))


@st.composite
def float_pools(draw: st.DrawFn) -> FloatArray:
    """Any finite float32, denormals and the largest included, in any mixture."""
    elements = st.floats(width=32, allow_nan=False, allow_infinity=False)
    return draw(arrays.arrays(np.float32, draw(SHAPES), elements=elements))


def without_zero_rows(rows: FloatArray) -> FloatArray:
    rows = rows.copy()
    rows[~rows.any(axis=1), 0] = 1
    return rows


@thorough
@given(integer_pools(), st.data())
def test_the_graph_of_integers_is_the_references_bit_for_bit(
    pool: FloatArray, data: st.DataObject
) -> None:
    rows = without_zero_rows(pool)
    k = data.draw(st.integers(1, len(rows) - 1))
    graph = knn_graph(rows, k, threads=data.draw(st.integers(1, 4)), progress=False)
    ids, similarities = reference.knn_graph(rows, k)
    np.testing.assert_array_equal(graph.indices, ids)
    np.testing.assert_array_equal(graph.similarities, similarities.astype(np.float32))


@thorough
@given(float_pools(), st.data())
def test_the_graph_of_any_floats_is_exact(pool: FloatArray, data: st.DataObject) -> None:
    rows = without_zero_rows(pool)
    k = data.draw(st.integers(1, len(rows) - 1))
    assert_exact(knn_graph(rows, k, progress=False), rows, k)


@thorough
@given(float_pools(), st.data())
def test_rows_in_another_order_give_the_same_similarities(
    pool: FloatArray, data: st.DataObject
) -> None:
    rows = without_zero_rows(pool)
    k = data.draw(st.integers(1, len(rows) - 1))
    order = np.array(data.draw(st.permutations(range(len(rows)))))
    graph = knn_graph(rows, k, progress=False)
    permuted = knn_graph(rows[order], k, progress=False)
    # Which of several equally similar rows is named depends on the order; how similar they are not.
    assert permuted.similarities.tobytes() == graph.similarities[order].tobytes()


@thorough
@given(integer_pools(), st.integers(-30, 30))
def test_a_power_of_two_scales_nothing(pool: FloatArray, exponent: int) -> None:
    rows = without_zero_rows(pool)
    scaled = rows * np.float32(2.0**exponent)
    assert_same_bytes(knn_graph(scaled, 1, progress=False), knn_graph(rows, 1, progress=False))


@thorough
@given(integer_pools(), st.data())
def test_the_first_zero_row_is_named(pool: FloatArray, data: st.DataObject) -> None:
    pool[data.draw(st.integers(0, len(pool) - 1))] = 0
    zero = ~pool.any(axis=1)
    expected = (
        rf"row {zero.argmax()} holds only zeros in float32, .* \({zero.sum()} such rows in all\)$"
    )
    with pytest.raises(InputError, match=expected):
        knn_graph(pool, 1, progress=False)


@thorough
@given(integer_pools(), st.data())
def test_a_graph_passes_its_own_checks(pool: FloatArray, data: st.DataObject) -> None:
    rows = without_zero_rows(pool)
    graph = knn_graph(rows, data.draw(st.integers(1, len(rows) - 1)), progress=False)
    again = KnnGraph.from_arrays(graph.indices, graph.similarities)
    values, columns, row_starts = again.to_csr()
    assert len(values) == len(columns) == row_starts[-1] == len(rows) * graph.k
    np.testing.assert_array_equal(np.split(columns, row_starts[1:-1]), graph.indices)


# --- Long tail and dual sort ----------------------------------------------------------------------


@thorough
@given(arrays.arrays(np.float32, st.tuples(st.integers(1, 50), st.integers(1, 12)),
                     elements=st.floats(-1, 1, width=32)), st.data())  # fmt: skip
def test_long_tail_scores_are_the_references(similarities: FloatArray, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, similarities.shape[1]))
    graph = KnnGraph(np.zeros(similarities.shape, np.int32), similarities)
    found = long_tail_scores(graph, k=k)
    expected = reference.long_tail_scores(similarities, k)
    # As in test_diversity: one float32 rounding, and the reference's own loss near 0. The least
    # float32 is the spacing of what is smaller still.
    np.testing.assert_allclose(found, expected, rtol=2.0**-24, atol=(2 * k + 4) * 2.0**-53)
    assert ((found >= 0) & (found < 0.762)).all()


scores_and_long_tail = st.integers(0, 60).flatmap(
    lambda n: st.tuples(
        arrays.arrays(
            np.float64, n, elements=st.sampled_from([-1.0, np.nan, 0.0, 1.0, 2.0, 2.5, 5.0])
        ),
        arrays.arrays(np.float32, n, elements=st.floats(0, 1, width=32)),
    )
)


@thorough
@given(scores_and_long_tail, st.data())
def test_dual_sort_is_the_references(
    pool: tuple[DoubleArray, FloatArray], data: st.DataObject
) -> None:
    scores, long_tail = pool
    num_rated = int((scores >= 0).sum())
    n = data.draw(st.one_of(st.none(), st.integers(1, num_rated)) if num_rated else st.none())
    selected = dual_sort(scores, long_tail, n)
    np.testing.assert_array_equal(selected, reference.dual_sort(scores, long_tail, n))
    assert len(set(selected.tolist())) == len(selected) == (num_rated if n is None else n)


@thorough
@given(scores_and_long_tail)
def test_no_row_left_out_is_better_than_one_selected(pool: tuple[DoubleArray, FloatArray]) -> None:
    scores, long_tail = pool
    ranking = dual_sort(scores, long_tail)
    keys = [(-scores[row], -long_tail[row], row) for row in ranking]
    assert keys == sorted(keys)
    assert sorted(ranking.tolist()) == np.flatnonzero(scores >= 0).tolist()


# --- Kernels by themselves ------------------------------------------------------------------------


def sums_of_squares(rows: npt.NDArray[np.float32]) -> DoubleArray:
    squares = rows.astype(np.float64) ** 2
    return np.asarray(squares.sum(axis=1))


@thorough
@given(float_pools())
def test_norms_are_those_of_float64(pool: FloatArray) -> None:
    norms = _core.row_norms(pool, 1)
    # Sums of d terms in two orders differ by (d - 1) 2^-53 each; the root halves that and rounds.
    np.testing.assert_allclose(norms, np.sqrt(sums_of_squares(pool)), rtol=26 * 2.0**-53)
    assert ((norms == 0) == ~pool.any(axis=1)).all()
