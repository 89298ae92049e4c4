"""Pools made to break the search, every byte of every row compared with float64 brute force.

The pools and the brute force are those of `bench/bench_adversarial.py`, which searches them at full
size; the brute force and the comparison are tested here as well.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bench_modules import bench_module
from ds2fast import _core, reference
from ds2fast.graph import KnnGraph
from ds2fast.knn import knn_graph
from ds2fast.results import FloatArray, IntArray, RowArray
from graph_checks import random_rows, summation_slack

NUM_ROWS = 400
THREADS = (1, 2, 7)


bench = bench_module("bench_adversarial")
CASES = {case.name: case for case in bench.CASES}


def assert_every_byte(rows: RowArray, k: int, levels: Iterable[str] = _core.simd_levels()) -> None:
    everywhere = np.arange(len(rows))
    truth = bench.true_neighbours(rows, everywhere, k)
    for level in levels:
        with bench.simd_level(level):
            for threads in THREADS:
                graph = knn_graph(rows, k, threads=threads, progress=False)
                problem = bench.first_difference(graph, everywhere, *truth)
                assert problem is None, f"{level}, {threads} threads: {problem}"


# --- The search -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_every_byte_at_every_level_and_on_any_number_of_threads(name: str) -> None:
    case = CASES[name]
    widest = name == "constant rows, the widest"  # which take the brute force a while
    rows = case.pool(min(case.rows, 40 if widest else NUM_ROWS))
    # More neighbours than there are copies or near rows are harder still: their order beyond those
    # is that of ties or of the other side.
    for k in sorted({case.width(len(rows)), len(rows) * 5 // 8}):
        assert_every_byte(rows, k)


@st.composite
def tangled_pools(draw: st.DrawFn) -> tuple[RowArray, int]:
    """Rows made of few others: copied, negated, scaled, some of their coordinates 0; and any k."""
    depth = draw(st.integers(1, 40))
    dtype = draw(st.sampled_from([np.float32, np.float16]))
    # Whole numbers tie, the others all but tie. Scaled, all of them are normal numbers or 0.
    values = draw(
        st.sampled_from(
            [st.integers(-3, 3), st.floats(0.5, 4, width=16) | st.floats(-4, -0.5, width=16)]
        )
    )
    kinds = draw(arrays.arrays(dtype, (draw(st.integers(1, 6)), depth), elements=values))
    num_rows = draw(st.integers(2, 120))

    def one_a_row(elements: st.SearchStrategy[int]) -> IntArray:
        return draw(arrays.arrays(np.int64, num_rows, elements=elements))

    rows = kinds[one_a_row(st.integers(0, len(kinds) - 1))]
    signs, exponents = one_a_row(st.sampled_from([-1, 1])), one_a_row(st.integers(-10, 10))
    rows = (rows * (signs * 2.0**exponents)[:, None]).astype(dtype)
    zeroed = one_a_row(st.integers(0, depth))  # depth: none
    at = np.flatnonzero(zeroed < depth)
    rows[at, zeroed[at]] = 0
    rows[~rows.any(axis=1), 0] = 1
    return rows, draw(st.integers(1, num_rows - 1))


@settings(deadline=None, max_examples=150)
@given(tangled_pools(), st.sampled_from(_core.simd_levels()))
def test_every_byte_of_tangled_pools(pool: tuple[RowArray, int], level: str) -> None:
    assert_every_byte(*pool, levels=[level])


# --- The brute force ------------------------------------------------------------------------------


def product_in_lanes(x: FloatArray, y: FloatArray) -> float:
    """What the search documents of its inner product, number by number."""
    lanes = [0.0] * 16
    for k in range(len(x)):
        lanes[k % 16] += float(x[k]) * float(y[k])
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = [low + high for low, high in zip(lanes[:half], lanes[half:], strict=True)]
    return lanes[0]


@pytest.mark.parametrize("depth", [1, 7, 15, 16, 17, 33, 383])
def test_products_are_summed_in_sixteen_lanes(depth: int) -> None:
    rows = random_rows(30, depth)
    expected = [[product_in_lanes(x, y) for y in rows] for x in rows[:9]]
    assert bench.inner_products(rows[:9], rows).tolist() == expected


def test_products_of_many_tiles_are_those_of_each_pair() -> None:
    rows = random_rows(600, 40)
    products = bench.inner_products(rows[:20], rows)
    assert products.shape == (20, 600)
    for query, row in [(0, 0), (7, 255), (8, 256), (15, 511), (16, 512), (19, 599)]:
        assert products[query, row] == product_in_lanes(rows[query], rows[row])


def test_another_order_of_summation_gives_other_bits() -> None:
    rows = random_rows(60, 383)
    doubles = rows.astype(np.float64)
    other = np.add.accumulate(doubles[:, None] * doubles, axis=2)[:, :, -1]  # one by one
    assert (bench.inner_products(rows, rows) != other).mean() > 0.1


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_truth_is_the_ranking_of_plain_python(dtype: type[np.floating]) -> None:
    rows = random_rows(50, 19).astype(dtype)
    rows[30:40] = rows[20:30]
    norms = [math.sqrt(product_in_lanes(row, row)) for row in rows]
    checked = np.array([3, 20, 30, 49])
    ids, similarities = bench.true_neighbours(rows, checked, 12)
    for place, own in enumerate(checked.tolist()):
        cosines = {
            other: product_in_lanes(rows[own], rows[other]) / (norms[own] * norms[other])
            for other in range(50)
            if other != own
        }
        best = sorted(cosines, key=lambda other: (-cosines[other], other))[:12]
        assert ids[place].tolist() == best
        assert similarities[place].tolist() == [np.float32(cosines[other]) for other in best]


def test_the_truth_is_the_references_but_for_the_order_of_summation() -> None:
    rows = random_rows(200, 100)
    ids, similarities = bench.true_neighbours(rows, np.arange(200), 10)
    expected_ids, expected = reference.knn_graph(rows, 10)
    np.testing.assert_array_equal(ids, expected_ids)
    slack = summation_slack(100)
    np.testing.assert_allclose(similarities, expected, rtol=2.0**-24, atol=slack)


def test_rows_to_check_come_with_all_their_copies() -> None:
    rows = np.repeat(random_rows(40, 5), 3, axis=0)
    checked = bench.rows_to_check(rows, 7)
    assert checked.tolist() == sorted(set(checked.tolist()))
    assert np.unique(checked // 3, return_counts=True)[1].tolist() == [3] * 7


# --- The comparison -------------------------------------------------------------------------------

ROWS = random_rows(80, 12)


def test_a_right_graph_has_no_difference() -> None:
    checked = np.array([4, 70])
    truth = bench.true_neighbours(ROWS, checked, 5)
    assert bench.first_difference(knn_graph(ROWS, 5, progress=False), checked, *truth) is None


@pytest.mark.parametrize("what", ["ids", "similarities", "sign of zero"])
def test_a_difference_is_told_with_its_row(what: str) -> None:
    graph = knn_graph(ROWS, 5, progress=False)
    ids, similarities = graph.indices.copy(), graph.similarities.copy()
    if what == "ids":
        ids[70, [2, 3]] = ids[70, [3, 2]]
    elif what == "similarities":
        similarities[70, 2] = np.nextafter(similarities[70, 2], np.float32(2))
    else:
        similarities[70, 2] = -0.0
    truth = bench.true_neighbours(ROWS, np.array([4, 70]), 5)
    if what == "sign of zero":
        truth[1][1, 2] = 0.0
    problem = bench.first_difference(KnnGraph(ids, similarities), np.array([4, 70]), *truth)
    assert problem is not None
    assert problem.startswith("1 of 2 rows differ; row 70, neighbour 2: found ")


def test_a_wrong_search_fails_the_benchmark_and_has_no_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def wrong_search(rows: RowArray, k: int, threads: int) -> tuple[KnnGraph, float]:
        graph = knn_graph(rows, k, threads=threads, progress=False)
        return KnnGraph(graph.indices[:, ::-1], graph.similarities[:, ::-1]), 1.0

    monkeypatch.setattr(bench, "timed_search", wrong_search)
    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--case", "N = k + 1", "two rows"])
    with pytest.raises(SystemExit, match=r"^N = k \+ 1: .* row 0, neighbour 0: found"):
        bench.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[-4:] == ["199", "-", "0", "WRONG"]


def test_a_variant_that_finds_something_else_fails_the_benchmark(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong_on_seven(rows: RowArray, k: int, threads: int) -> tuple[KnnGraph, float]:
        graph = knn_graph(rows, k, threads=threads, progress=False)
        if threads < 7:
            return graph, 1.0
        return KnnGraph(graph.indices, np.nextafter(graph.similarities, np.float32(-2))), 1.0

    monkeypatch.setattr(bench, "timed_search", wrong_on_seven)
    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--case", "N = k + 1"])
    with pytest.raises(SystemExit, match=r"^N = k \+ 1: \w+, 7 threads: 200 of 200 rows differ; "):
        bench.main()


def test_a_search_that_fails_fails_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_search(rows: RowArray, k: int, threads: int) -> tuple[KnnGraph, float]:
        raise RuntimeError("fewer than k candidates")

    monkeypatch.setattr(bench, "timed_search", no_search)
    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--case", "two rows", "d = 2"])
    with pytest.raises(SystemExit, match=r"^d = 2: fewer than k candidates\ntwo rows: fewer"):
        bench.main()


def test_the_level_is_as_before_once_a_variant_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    for before in ("baseline", None):
        if before is None:
            monkeypatch.delenv("DS2FAST_SIMD")
        else:
            monkeypatch.setenv("DS2FAST_SIMD", before)
        level = _core.simd_level()
        with bench.simd_level("baseline"):
            assert _core.simd_level() == "baseline"
        assert _core.simd_level() == level
