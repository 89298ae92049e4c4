"""The walk with near-duplicates against all pairs' cosines, by the reference and by hand."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ds2fast import _core, reference
from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.groups import GroupRule
from ds2fast.knn import knn_graph
from ds2fast.walk import Step, Walk, walk_down

Rows = npt.NDArray[np.float32]


def clumps(num_rows: int, num_clumps: int, seed: int, *, spread: float = 0.3) -> Rows:
    """Rows around few directions, some exact copies, so that lists are wholly near duplicates."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(num_clumps, 6))
    rows = centres[random.integers(0, num_clumps, num_rows)]
    rows = rows + spread * random.random((num_rows, 1)) * random.normal(size=rows.shape)
    rows[random.integers(0, num_rows, num_rows // 8)] = rows[0]
    return (rows * random.uniform(0.5, 2.0, (num_rows, 1))).astype(np.float32)


def all_cosines(rows: Rows) -> npt.NDArray[np.float64]:
    """Rounded to float32, as the graph holds them."""
    wide = rows.astype(np.float64)
    norms = np.sqrt((wide * wide).sum(axis=1))
    return ((wide @ wide.T) / np.outer(norms, norms)).astype(np.float32).astype(np.float64)


def is_apart(cosines: npt.NDArray[np.float64], limit: float) -> bool:
    """Whether no pair lies so near the limit that the order of a sum could decide."""
    others = cosines[~np.eye(len(cosines), dtype=bool)]
    return bool((abs(others - limit) > 1e-6).all())


@pytest.mark.parametrize(("k", "limit"), [(2, 0.9), (5, 0.97), (5, 0.5), (40, 0.8), (149, 0.9)])
@pytest.mark.parametrize("seed", range(3))
def test_every_pair_counts_however_short_the_lists(k: int, limit: float, seed: int) -> None:
    rows = clumps(150, 7, seed)
    cosines = all_cosines(rows)
    assert is_apart(cosines, limit)
    order = np.random.default_rng(seed).permutation(150)[:140]
    expected, _ = reference.walk_down(order, 30, cosines=cosines, max_similarity=limit)
    walk = walk_down(order, 30, max_similarity=limit, graph=knn_graph(rows, k), vectors=rows)
    assert order[walk.steps == Step.SELECTED].tolist() == expected
    assert walk.unsettled == 0


def test_a_duplicate_names_the_selected_row_nearest_to_it() -> None:
    rows = clumps(120, 5, 4)
    cosines = all_cosines(rows)
    order = np.arange(120)
    _, expected = reference.walk_down(order, 120, cosines=cosines, max_similarity=0.9)
    walk = walk_down(order, 120, max_similarity=0.9, graph=knn_graph(rows, 3), vectors=rows)
    found = np.flatnonzero(walk.steps == Step.DUPLICATE)
    assert found.tolist() == sorted(expected)
    for row in found.tolist():  # of copies either may be named: they are as near
        assert walk.similarities[row] == pytest.approx(cosines[row, expected[row]], abs=1e-6)
        assert cosines[row, walk.because[row]] == pytest.approx(walk.similarities[row], abs=1e-6)
        assert walk.steps[walk.because[row]] == Step.SELECTED
    others = walk.steps != Step.DUPLICATE
    assert (walk.because[others] == -1).all()
    assert np.isnan(walk.similarities[others]).all()


def random_limits(codes: npt.NDArray[np.int64], seed: int) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    quotas = random.multinomial(40, np.full(4, 0.25)).astype(np.int64)
    caps = random.integers(5, 30, 4).astype(np.int64)
    return (quotas, None, quotas)[seed % 3], (None, caps, caps)[seed % 3]


@pytest.mark.parametrize("seed", range(6))
def test_groups_and_near_duplicates_together(seed: int) -> None:
    rows = clumps(130, 12, seed)
    cosines = all_cosines(rows)
    assert is_apart(cosines, 0.963)
    random = np.random.default_rng(seed)
    order, codes = random.permutation(130), random.integers(0, 4, 130)
    quotas, caps = random_limits(codes, seed)
    expected, _ = reference.walk_down(
        order, 40, codes=codes, quotas=quotas, caps=caps, cosines=cosines, max_similarity=0.963
    )
    group = GroupRule(codes, ("a", "b", "c", "d"), quotas, caps)
    graph = knn_graph(rows, 4)
    walk = walk_down(order, 40, group=group, max_similarity=0.963, graph=graph, vectors=rows)
    assert order[walk.steps == Step.SELECTED].tolist() == expected


def as_tuples(walk: Walk) -> tuple[list[int], list[int], bytes, int]:
    similarities = walk.similarities.tobytes()
    return walk.steps.tolist(), walk.because.tolist(), similarities, walk.unsettled


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_threads_change_nothing(dtype: type[np.floating[Any]]) -> None:
    rows = clumps(1500, 20, 8).astype(dtype)
    graph = knn_graph(rows, 3)
    order = np.random.default_rng(0).permutation(1500)
    walks = [
        walk_down(order, 900, max_similarity=0.99, graph=graph, vectors=rows, threads=threads)
        for threads in (1, 2, 5)
    ]
    assert as_tuples(walks[0]) == as_tuples(walks[1]) == as_tuples(walks[2])
    assert {Step.SELECTED, Step.DUPLICATE} <= set(walks[0].steps.tolist())


def test_either_list_may_name_the_other() -> None:
    # Row 0 has nearer neighbours than row 2, whose own list names row 0.
    lists = [[1], [0], [0], [1]]
    graph = KnnGraph.from_arrays(lists, [[0.99], [0.99], [0.96], [0.2]])
    for order, because in [([0, 2, 3], [-1, 0, -1]), ([2, 0, 3], [-1, 2, -1])]:
        walk = walk_down(np.array(order), 3, max_similarity=0.95, graph=graph)
        assert walk.because.tolist() == because
        assert walk.steps.tolist() == [Step.SELECTED, Step.DUPLICATE, Step.SELECTED]


def test_without_vectors_what_is_open_is_counted() -> None:
    # Four copies and a list of one each: rows 0 and 1 name each other, rows 2 and 3 too.
    graph = KnnGraph.from_arrays([[1], [0], [3], [2], [0]], [[1.0]] * 4 + [[0.1]])
    order = np.arange(5)
    blind = walk_down(order, 5, max_similarity=0.95, graph=graph)
    assert order[blind.steps == Step.SELECTED].tolist() == [0, 2, 4]
    assert blind.unsettled == 1  # row 2 may be near row 0; row 4's list says that it is near none
    vectors = np.array([[1.0, 0.0]] * 4 + [[0.1, 1.0]])
    seeing = walk_down(order, 5, max_similarity=0.95, graph=graph, vectors=vectors)
    assert order[seeing.steps == Step.SELECTED].tolist() == [0, 4]
    assert seeing.because.tolist() == [-1, 0, 0, 0, -1]
    assert seeing.unsettled == 0


def test_all_rows_alike_leave_one() -> None:
    rows = np.tile(np.array([0.3, 0.4, 0.1], dtype=np.float32), (50, 1))
    order = np.random.default_rng(1).permutation(50)
    walk = walk_down(order, 10, max_similarity=1.0, graph=knn_graph(rows, 2), vectors=rows)
    assert walk.steps.tolist() == [Step.SELECTED] + [Step.DUPLICATE] * 49
    assert set(walk.because[1:].tolist()) == {int(order[0])}


def test_a_limit_is_compared_in_float32_as_the_graph_holds_it() -> None:
    # 0.9 as float32 lies below 0.9 as float64.
    graph = KnnGraph.from_arrays([[1], [0], [0]], [[0.9], [0.9], [0.1]])
    walk = walk_down(np.array([0, 1]), 2, max_similarity=0.9, graph=graph)
    assert walk.steps.tolist() == [Step.SELECTED, Step.DUPLICATE]


def test_the_walk_ends_where_all_are_found() -> None:
    rows = clumps(40, 40, 0, spread=0.0)
    walk = walk_down(np.arange(39), 1, max_similarity=0.9, graph=knn_graph(rows, 2), vectors=rows)
    assert walk.steps.tolist() == [Step.SELECTED] + [Step.NOT_REACHED] * 38


def test_what_does_not_fit_is_named() -> None:
    graph = KnnGraph.from_arrays([[1], [0], [0]], [[0.9], [0.9], [0.1]])
    with pytest.raises(InputError, match=r"^graph: expected one with max_similarity, got none$"):
        walk_down(np.arange(2), 1, max_similarity=0.9)
    with pytest.raises(InputError, match=r"^vectors: expected one a row of the graph \(3\), got 2"):
        walk_down(np.arange(2), 1, max_similarity=0.9, graph=graph, vectors=np.eye(2))


NO_ROWS: dict[str, Any] = {
    "codes": np.zeros(0, np.int64),
    "quotas": np.zeros(0, np.int64),
    "caps": np.zeros(0, np.int64),
    "indices": np.zeros((0, 1), np.int32),
    "similarities": np.zeros((0, 1), np.float32),
    "least": 0.5,
    "embeddings": np.zeros((0, 1), np.float32),
    "norms": np.zeros(0),
    "threads": 1,
}

BAD_ARRAYS: list[tuple[str, dict[str, Any]]] = [
    ("groups below", {"codes": np.array([0, 1, 2]), "quotas": np.array([1, 1])}),
    ("as many quotas as caps", {"codes": np.zeros(3, np.int64), "quotas": np.array([1, 1]),
                                "caps": np.array([1])}),
    ("rows that have a group", {"codes": np.zeros(2, np.int64), "quotas": np.array([3])}),
    ("as many similarities", {"indices": np.zeros((3, 1), np.int32)}),
    ("neighbours among", {"indices": np.full((3, 1), 3, np.int32),
                          "similarities": np.zeros((3, 1), np.float32)}),
    ("rows of the graph", {"indices": np.zeros((2, 1), np.int32),
                           "similarities": np.zeros((2, 1), np.float32)}),
    ("one vector and one norm", {"embeddings": np.zeros((3, 1), np.float32)}),
    ("threads", {"threads": 0}),
]  # fmt: skip


@pytest.mark.parametrize(("message", "arrays"), BAD_ARRAYS, ids=[case[0] for case in BAD_ARRAYS])
def test_a_programming_error_is_no_crash(message: str, arrays: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=message):
        _core.walk_down(np.arange(3), 2, **NO_ROWS | arrays)
    assert _core.walk_down(np.arange(3), 2, **NO_ROWS)[0].tolist() == [1, 1, 0]


def test_small_graphs_in_every_order() -> None:
    # Six rows on a circle, 25° apart: a limit of 30° takes every second one at most.
    angles = np.radians(25.0 * np.arange(6))
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    graph, limit = knn_graph(rows, 1), float(np.cos(np.radians(30.0)))
    for order in itertools.islice(itertools.permutations(range(6)), 0, 720, 7):
        walk = walk_down(np.array(order), 6, max_similarity=limit, graph=graph, vectors=rows)
        kept: list[int] = []
        for row in order:
            if all(abs(row - other) > 1 for other in kept):
                kept.append(row)
        assert np.array(order)[walk.steps == Step.SELECTED].tolist() == kept
