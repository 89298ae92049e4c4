"""The approximate search: each round against the plain one, and what its graph promises."""

from __future__ import annotations

import functools
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2fast import _core, reference
from ds2fast import reference_approximate as plain
from ds2fast.approximate import Found, approximate_graph, arrays, program, runner, search
from ds2fast.approximate.arrays import NO_PLACE, Codes, Lists
from ds2fast.approximate.rarest import rarest
from ds2fast.approximate.recall import draw_sample, recall_of
from ds2fast.approximate.rounds import Shape, Tree, descend, grow, join
from ds2fast.errors import Ds2fastError, InputError, InputTypeError
from ds2fast.graph import KnnGraph
from ds2fast.knn import knn_graph
from ds2fast.results import DoubleArray, FloatArray, IdArray, IntArray, RowArray
from graph_checks import (
    EXACT_POOLS,
    POOLS,
    assert_same_bytes,
    assert_well_formed,
    cosines,
    integer_rows,
    random_rows,
    summation_slack,
)

THREADS = (1, 2, 7)


def _opposite() -> FloatArray:
    rows = np.repeat(random_rows(1, 24), 101, axis=0)
    rows[::3] *= -1
    return rows


def _with_copies() -> FloatArray:
    rows = random_rows(120, 40)
    rows[::4] = rows[3]
    return rows


def _every_norm() -> FloatArray:
    powers = np.random.default_rng(1).integers(-30, 30, (90, 1))
    return (random_rows(90, 20) * 10.0**powers).astype(np.float32)


ROUND_POOLS: dict[str, Callable[[], RowArray]] = {
    "one column": lambda: random_rows(60, 1),
    "a column less than a line": lambda: random_rows(97, 63),
    "a column more than a line": lambda: random_rows(49, 65),
    "wider than what panels pack at a time": lambda: random_rows(60, 4100),
    "integers, where similarities tie": lambda: integer_rows(150, 3, 1),
    "copies": _with_copies,
    "equal rows": lambda: np.repeat(random_rows(1, 30), 70, axis=0),
    "opposite rows": _opposite,
    "halves": lambda: random_rows(110, 70).astype(np.float16),
    "norms of all sizes": _every_norm,
    "two rows": lambda: random_rows(2, 5),
    "more than a sum": lambda: random_rows(3100, 6),
}  # fmt: skip
SMALL_POOLS = [name for name in ROUND_POOLS if name != "more than a sum"]


# --- What rounds are given ------------------------------------------------------------------------


def shuffled(count: int, seed: int = 0) -> IdArray:
    return np.random.default_rng(seed).permutation(count).astype(np.int32)


def encoded(rows: RowArray, order: IdArray | None = None, threads: int = 1) -> Codes:
    chosen = np.arange(len(rows), dtype=np.int32) if order is None else order
    codes = arrays.Room(None).codes(len(chosen), rows.shape[1])
    _core.encode_rows(rows, _core.row_norms(rows, 1), chosen, codes, threads)
    return codes


def bytes_of(codes: Codes) -> list[bytes]:
    return [np.asarray(array).tobytes() for array in codes]


def empty_lists(num_rows: int, width: int) -> Lists:
    return Lists(
        np.full((num_rows, width), NO_PLACE, np.uint32),
        np.full((num_rows, width), -np.inf, np.float32),
    )


def random_tree(num_rows: int, seed: int) -> Tree:
    """Leaves of any size from one row on, one with more rows than a panel has."""
    draw = np.random.default_rng(seed)
    cuts = np.unique(draw.integers(1, max(2, num_rows // 2), min(6, num_rows)))
    bounds = np.array([0, *cuts[cuts < num_rows], num_rows], dtype=np.int64)
    return Tree(shuffled(num_rows, seed), bounds)


def lists_after(codes: Codes, width: int, steps: str) -> Lists:
    """Lists after joins (j) and descents (d), by the plain rounds."""
    lists = empty_lists(len(codes.sums), width)
    for number, step in enumerate(steps):
        if step == "j":
            tree = random_tree(len(codes.sums), number)
            lists = by_place(tree.order, plain.join(codes, tree.order, tree.bounds, lists), lists)
        else:
            lists = plain.descend(codes, lists, 0, len(codes.sums), 3)
    return lists


def by_place(order: IdArray, compact: Lists, like: Lists) -> Lists:
    lists = Lists(like.entries.copy(), like.similarities.copy())
    lists.entries[order], lists.similarities[order] = compact
    return lists


def assert_same_lists(found: Lists, expected: Lists) -> None:
    np.testing.assert_array_equal(found.entries, expected.entries)
    assert found.similarities.tobytes() == expected.similarities.tobytes()


def exact_cosines(rows: RowArray) -> DoubleArray:
    x = rows.astype(np.float64)
    norms = np.sqrt((x * x).sum(axis=1))
    return np.asarray((x @ x.T) / (norms[:, None] * norms))


def levels(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run what follows at each SIMD level."""
    for name in _core.simd_levels():
        monkeypatch.setenv("DS2FAST_SIMD", name)
        yield name


def settings_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Numbers of threads, at each SIMD level."""
    for _ in levels(monkeypatch):
        yield from THREADS


# --- Codes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROUND_POOLS)
def test_codes_are_the_plain_ones(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    rows = ROUND_POOLS[name]()
    for order in (np.arange(len(rows), dtype=np.int32), shuffled(len(rows))[: len(rows) * 2 // 3]):
        expected = plain.encode(rows, _core.row_norms(rows, 1), order)
        slacks = encoded(rows, order).slacks
        for threads in settings_of(monkeypatch):
            codes = encoded(rows, order, threads)
            np.testing.assert_array_equal(codes.values, expected.values)
            np.testing.assert_array_equal(codes.sums, expected.sums)
            assert codes.scales.tobytes() == expected.scales.tobytes()
            # Offsets are sums in float64 in an order of their own, rounded to float32.
            np.testing.assert_allclose(codes.offsets, expected.offsets, rtol=2.0**-22, atol=1e-13)
            assert codes.slacks.tobytes() == slacks.tobytes()


@pytest.mark.parametrize("name", [*SMALL_POOLS, *POOLS])
def test_cosines_lie_within_the_slacks_of_codes_which_are_not_wide(name: str) -> None:
    rows = ROUND_POOLS[name]() if name in ROUND_POOLS else POOLS[name]()[0][:400]
    codes = encoded(rows)
    places = range(len(rows))
    similarities = np.stack([plain.code_similarities(codes, n, list(places)) for n in places])
    slacks = codes.slacks.astype(np.float64)
    off = np.abs(similarities - exact_cosines(rows)) - summation_slack(rows.shape[1])
    assert (off <= slacks[:, None] + slacks).all()
    # Half a step in each coordinate, times the largest norm: at most 2, and as much by rounding.
    half_steps = 0.5 * codes.scales * np.sqrt(rows.shape[1])
    assert (slacks <= 4 * half_steps + 1e-4).all()


def test_levels_agree_on_all_bytes_of_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = random_rows(500, 70)
    monkeypatch.setenv("DS2FAST_SIMD", "baseline")
    expected = encoded(rows)
    for name in _core.simd_levels():
        monkeypatch.setenv("DS2FAST_SIMD", name)
        assert bytes_of(encoded(rows)) == bytes_of(expected)


def test_reordered_codes_are_those_of_the_rows_in_that_order() -> None:
    everyone = np.arange(700, dtype=np.int32)
    for order in (shuffled(700), everyone, everyone[::-1].copy(), np.roll(everyone, 3)):
        codes = encoded(random_rows(700, 70))
        expected = bytes_of(Codes._make(np.asarray(array)[order] for array in codes))
        _core.reorder_rows(codes, order)
        assert bytes_of(codes) == expected


# --- Trees ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_rows", [2, 8, 9, 49, 500, 3000])
@pytest.mark.parametrize("shape", [Shape(8, 4, 2, 1), Shape(20, 1, 5, 1), Shape(60, 30, 96, 1)])
def test_each_row_is_in_one_leaf_and_leaves_are_neither_small_nor_large(
    num_rows: int, shape: Shape
) -> None:
    for rows in (random_rows(num_rows, 10), integer_rows(num_rows, 2, 1), np.ones((num_rows, 3))):
        codes = encoded(rows.astype(np.float32))
        tree = grow(codes, shape, 3, 1, None)
        np.testing.assert_array_equal(np.sort(tree.order), np.arange(num_rows))
        sizes = np.diff(tree.bounds)
        assert tree.bounds[0] == 0
        assert tree.bounds[-1] == num_rows
        assert sizes.max() <= shape.leaf_rows
        assert sizes.min() >= min(num_rows, shape.least_rows)


def test_a_tree_depends_on_its_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = encoded(random_rows(4000, 20))
    shape = Shape(100, 20, 12, 1)
    trees = [grow(codes, shape, seed, 1, None) for seed in (0, 1)]
    assert trees[0].order.tobytes() != trees[1].order.tobytes()
    for name in _core.simd_levels():
        monkeypatch.setenv("DS2FAST_SIMD", name)
        for threads in THREADS:
            for seed, tree in enumerate(trees):
                again = grow(codes, shape, seed, threads, None)
                assert again.order.tobytes() == tree.order.tobytes()
                assert again.bounds.tobytes() == tree.bounds.tobytes()


def test_near_rows_share_leaves() -> None:
    # 40 clusters, whose rows have cosines of 0.96 or so, and of 0 or so with others.
    centres = np.repeat(random_rows(40, 50), 50, axis=0)
    codes = encoded(centres + np.float32(0.2) * random_rows(2000, 50, seed=1))
    tree = grow(codes, Shape(200, 20, 40, 1), 0, 1, None)
    together = sum(
        int((np.bincount(tree.order[first:last] // 50) ** 2).sum())
        for first, last in pairwise(tree.bounds)
    )
    # A cluster with several leaders is cut; by chance it would be a tenth that stays together.
    assert together > 0.7 * 2000 * 50


@pytest.mark.parametrize("most_rows", [1, 7, 40, 1000])
def test_blocks_of_leaves_are_all_leaves_in_turn(most_rows: int) -> None:
    bounds: IntArray = np.array([0, 3, 4, 30, 31, 60], dtype=np.int64)
    blocks = list(Tree(shuffled(60), bounds).blocks(most_rows))
    assert [leaf for first, last in blocks for leaf in range(first, last)] == list(range(5))
    # Beside its first leaf a block has so many rows at most.
    assert all(bounds[last] - bounds[first + 1] <= most_rows for first, last in blocks)


# --- Joins and descents ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL_POOLS)
@pytest.mark.parametrize(
    ("width", "before"), [(1, ""), (9, ""), (200, ""), (4, "j"), (9, "jjd"), (200, "j")]
)
def test_a_join_is_the_plain_one(
    monkeypatch: pytest.MonkeyPatch, name: str, width: int, before: str
) -> None:
    codes = encoded(ROUND_POOLS[name]())
    num_rows = len(codes.sums)
    lists = lists_after(codes, width, before)
    whole = Tree(shuffled(num_rows, 8), np.array([0, num_rows], dtype=np.int64))
    for tree in (random_tree(num_rows, 7), whole):
        expected = plain.join(codes, tree.order, tree.bounds, lists)
        last = len(tree.bounds) - 1
        for threads in settings_of(monkeypatch):
            assert_same_lists(join(codes, tree, (0, last), lists, threads), expected)
            out = empty_lists(num_rows, width)
            assert join(codes, tree, (0, last), lists, threads, out=out) is out
            assert_same_lists(out, by_place(tree.order, expected, lists))
        first = last // 2
        begin, end = tree.bounds[[first, last]]
        part = Lists(expected.entries[begin:end], expected.similarities[begin:end])
        assert_same_lists(join(codes, tree, (first, last), lists, 2), part)


@pytest.mark.parametrize("name", SMALL_POOLS)
@pytest.mark.parametrize(("width", "before"), [(4, "j"), (6, "jdj"), (9, "jjd"), (3, "jdd")])
def test_a_descent_is_the_plain_one(
    monkeypatch: pytest.MonkeyPatch, name: str, width: int, before: str
) -> None:
    codes = encoded(ROUND_POOLS[name]())
    num_rows = len(codes.sums)
    lists = lists_after(codes, width, before)
    for heard in (1, 3, 100):
        expected = plain.descend(codes, lists, 0, num_rows, heard)
        for threads in settings_of(monkeypatch):
            shape = Shape(0, 0, 0, heard)
            assert_same_lists(descend(codes, shape, (0, num_rows), lists, threads), expected)
        out = empty_lists(num_rows, width)
        for first, last in ((num_rows // 2, num_rows), (0, num_rows // 2)):
            descend(codes, shape, (first, last), lists, 2, out=out)
        assert_same_lists(out, expected)


def test_a_descent_that_meets_many_is_the_plain_one() -> None:
    codes = encoded(random_rows(3100, 6))
    draw = np.random.default_rng(0)
    tree = Tree(shuffled(3100), np.arange(0, 3101, 100, dtype=np.int64))
    lists = join(codes, tree, (0, 31), empty_lists(3100, 24), 2, out=empty_lists(3100, 24))
    entries = draw.permuted(np.tile(np.arange(3100, dtype=np.uint32), (3100, 1)), axis=1)[:, :24]
    far = np.stack([plain.code_similarities(codes, n, entries[n]) for n in range(3100)])
    order = np.lexsort((entries, -far))
    far_lists = Lists(
        np.take_along_axis(entries, order, 1) + np.uint32(2**31), np.take_along_axis(far, order, 1)
    )
    for some in (lists, far_lists):
        expected = plain.descend(codes, some, 0, 40, 24)
        assert_same_lists(descend(codes, Shape(0, 0, 0, 24), (0, 40), some, 1), expected)


def test_a_descent_of_lists_without_news_leaves_them() -> None:
    codes = encoded(random_rows(90, 9))
    lists = lists_after(codes, 5, "jj")
    old = Lists(lists.entries % np.uint32(2**31), lists.similarities)
    out = empty_lists(90, 5)
    assert _core.descend(codes, old, 0, 5, out, 1) == 0
    assert_same_lists(out, old)
    assert _core.descend(codes, lists, 0, 5, out, 1) > 0


def test_joined_rows_keep_the_most_similar_of_brute_force() -> None:
    # Codes of integers up to 63 that hold a 63, the rows as many with either sign: the mean is 0
    # and each scale 1 over the norm, so codes rank as cosines do.
    half = integer_rows(70, 5, 62)
    half[:, 0] = 63
    rows = np.concatenate([half, -half])
    codes = encoded(rows)
    np.testing.assert_array_equal(codes.values[:, :5], rows)
    whole = Tree(shuffled(140), np.array([0, 140], dtype=np.int64))
    found = join(codes, whole, (0, 1), empty_lists(140, 3), 1, out=empty_lists(140, 3))
    ids, similarities = reference.knn_graph(rows, 4)
    clear = (-np.diff(similarities, axis=1) > 1e-5).all(axis=1)
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(found.entries[clear] % 2**31, ids[clear, :3])


def test_a_programming_error_in_the_binding_is_an_error_not_a_crash() -> None:
    codes = encoded(random_rows(30, 5))
    lists, out = empty_lists(30, 4), empty_lists(30, 4)
    order, bounds = shuffled(30), np.array([0, 30], dtype=np.int64)
    beyond = np.array([*order[:-1], 30], dtype=np.int32)
    for bad_order, bad_bounds, bad_lists, bad_out, message in (
        (beyond, bounds, lists, out, "places of rows"),
        (order, bounds + 1, lists, out, "bounds of leaves"),
        (order, bounds[::-1].copy(), lists, out, "bounds of leaves"),
        (order, bounds[:1], lists, out, "bounds of leaves"),
        (order, bounds, empty_lists(29, 4), out, "a list a row"),
        (order, bounds, lists, empty_lists(30, 5), "a list a row"),
        (order, bounds, Lists(lists.entries, lists.similarities[:, :3].copy()), out, "one shape"),
    ):
        with pytest.raises(ValueError, match=message):
            _core.join_leaves(codes, bad_order, bad_bounds, bad_lists, bad_out, True, 1)
    with pytest.raises(ValueError, match="a list a row"):
        _core.descend(codes, lists, 1, 3, out, 1)
    with pytest.raises(ValueError, match="a sum, a scale"):
        _core.descend(codes._replace(sums=codes.sums[:3]), lists, 0, 3, out, 1)
    for twice in (np.zeros(30, np.int32), order[:-1].copy()):
        with pytest.raises(ValueError, match="each place once"):
            _core.reorder_rows(codes, twice)
    with pytest.raises(ValueError, match="room for the codes"):
        encoded(random_rows(30, 5), threads=0)
    with pytest.raises(ValueError, match="least_rows"):
        _core.leader_tree(codes, 5, 3, 2, 0, 1)
    out.entries.flags.writeable = False
    with pytest.raises(ValueError, match="writ"):
        _core.descend(codes, lists, 0, 3, out, 1)


# --- Ranking --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXACT_POOLS)
def test_ranked_lists_are_the_plain_ones_where_arithmetic_is_exact(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    rows = EXACT_POOLS[name]()[0][:200]
    norms, order = _core.row_norms(rows, 1), shuffled(len(rows))
    codes = encoded(rows, order)
    lists = lists_after(codes, 12, "j")
    k = int((lists.entries % 2**31 != NO_PLACE).sum(axis=1).min())
    everyone = np.arange(len(rows), dtype=np.int32)
    x = rows.astype(np.float64)
    cosines = np.stack([(x * row).sum(axis=1) for row in x])
    squares = cosines.diagonal().copy()
    cosines /= np.sqrt(squares) * np.sqrt(squares)[:, None]
    ids, similarities = plain.rank(cosines, order, lists, k)
    for threads in settings_of(monkeypatch):
        found = _core.rank_lists(rows, norms, order, codes, lists, everyone, k, threads)
        np.testing.assert_array_equal(found[0], ids)
        assert found[1].tobytes() == similarities.tobytes()


@pytest.mark.parametrize("name", POOLS)
def test_exact_neighbours_are_the_exact_graphs(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    rows, k = POOLS[name]()
    norms, order = _core.row_norms(rows, 1), shuffled(len(rows), 1)
    places = shuffled(len(rows), 2)[: max(1, len(rows) // 3)]
    ids, similarities = _core.exact_within(rows, norms, 0, k, 1)
    codes = encoded(rows, order)
    for threads in settings_of(monkeypatch):
        found = _core.exact_neighbours(rows, norms, order, codes, places, k, threads)
        np.testing.assert_array_equal(found[0], ids[order[places]])
        assert found[1].tobytes() == similarities[order[places]].tobytes()


# --- Recall ---------------------------------------------------------------------------------------


def test_recall_counts_true_neighbours_and_ties_with_the_last() -> None:
    draw = np.random.default_rng(0)
    known = np.sort(draw.integers(0, 6, (300, 40)) / 6)[:, ::-1]
    true_ids: IdArray = np.tile(np.arange(7, dtype=np.int32), (300, 1))
    ids = np.sort(np.stack([draw.choice(20, 7, replace=False) for _ in range(300)])).astype(
        np.int32
    )
    similarities = np.take_along_axis(known, ids.astype(np.int64), axis=1)
    seen = recall_of(ids, similarities, true_ids, known[:, :7].copy(), seed=3)
    share, tied = plain.recall(ids, similarities, true_ids, known[:, :7])
    assert seen.share == pytest.approx(share, rel=1e-12)
    assert seen.tied == pytest.approx(tied, rel=1e-12)
    assert share < tied < 1
    low, high = seen.interval
    deviation = np.std((ids < 7).sum(axis=1) / 7) / np.sqrt(300)
    # Normal: 1.96 deviations each way. Bootstrap of 1 000 resamples: within some tenths of it.
    assert low == pytest.approx(share - 1.96 * deviation, abs=0.4 * deviation)
    assert high == pytest.approx(share + 1.96 * deviation, abs=0.4 * deviation)


def test_a_sample_without_a_miss_is_no_proof_that_there_is_none() -> None:
    ids: IdArray = np.tile(np.arange(10, dtype=np.int32), (1000, 1))
    similarities = np.zeros((1000, 10))
    seen = recall_of(ids, similarities, ids, similarities, seed=0)
    # Where 0.36 % of all rows lack one of ten, one sample in forty has none of them.
    low, high = seen.interval
    assert 0.999 < low <= 1 - 0.1 * (1 - 0.025 ** (1 / 1000))
    assert (seen.share, high) == (1, 1)


def test_recall_of_long_lists_takes_no_room_for_all_pairs() -> None:
    ids: IdArray = np.tile(np.arange(400, dtype=np.int32), (200, 1))
    similarities = np.zeros(ids.shape)
    tracemalloc.start()
    recall_of(ids, similarities, ids, similarities, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * 400 * 400 / 4


def test_a_sample_is_of_distinct_places_and_of_its_seed() -> None:
    sample = draw_sample(5000, 1)
    assert sample.dtype == np.dtype(np.int32)
    assert len(np.unique(sample)) == len(sample) == 1000
    assert (sample == np.sort(sample)).all()
    assert sample.min() >= 0
    assert sample.max() < 5000
    assert sample.tolist() != draw_sample(5000, 2).tolist()
    assert draw_sample(700, 1).tolist() == list(range(700))


# --- Searches -------------------------------------------------------------------------------------


def small_shape(k: int, leaf_rows: int = 32) -> Shape:
    return Shape(max(leaf_rows, 2 * k + 2), k + 1, 8, k)


def approximate(
    rows: RowArray, k: int, *, recall: float = 0.9, seed: int = 0, threads: int = 2, **more: Any
) -> Found | None:
    given: dict[str, Any] = {"shape": small_shape(k)} | more
    norms = _core.row_norms(rows, 1)
    return approximate_graph(rows, norms, k, recall=recall, seed=seed, threads=threads, **given)


def assert_same_found(found: Found | None, expected: Found | None) -> None:
    assert found is not None
    assert expected is not None
    assert found.ids.tobytes() == expected.ids.tobytes()
    assert found.similarities.tobytes() == expected.similarities.tobytes()
    assert found.recall == expected.recall
    assert found.trees == expected.trees


def assert_promises(graph: KnnGraph, rows: RowArray, recall: float) -> None:
    """Exact similarities of distinct other rows, and a recall that is about what it says."""
    assert_well_formed(graph, len(rows), graph.k)
    exact = knn_graph(rows, graph.k, method="exact", progress=False)
    if graph.method == "exact":
        assert_same_bytes(graph, exact)
        return
    assert graph.recall >= recall
    ids, similarities = graph.indices, graph.similarities
    slack = summation_slack(rows.shape[1])
    np.testing.assert_allclose(similarities, cosines(rows, ids), rtol=2.0**-24, atol=slack)
    is_true = ids[:, :, None] == exact.indices[:, None, :]
    found, true = np.where(is_true.any(axis=2)), np.where(is_true.any(axis=1))
    assert similarities[found].tobytes() == exact.similarities[true].tobytes()
    share, tied = plain.recall(ids, similarities, exact.indices, exact.similarities)
    assert graph.recall_interval is not None
    low, high = graph.recall_interval
    assert low <= graph.recall <= high
    room = 1.5 * (high - low) + 1e-9  # some six deviations of a sample's mean
    assert abs(share - graph.recall) <= room
    assert graph.recall_tied is not None
    assert abs(tied - graph.recall_tied) <= room + 0.01


@pytest.fixture
def small_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches of some thousand rows are then worth it."""
    monkeypatch.setattr(search, "shape_of", lambda k: Shape(64, search.list_width(k) + 1, 8, k))


@pytest.mark.parametrize(("depth", "recall"), [(6, 0.9), (12, 0.5)])
def test_a_graph_keeps_its_promises(depth: int, recall: float) -> None:
    rows = random_rows(6000, depth)
    graph = knn_graph(rows, 10, method="approximate", recall=recall, progress=False)
    assert graph.method == "approximate"
    assert_promises(graph, rows, recall)


@pytest.mark.usefixtures("small_leaves")
@pytest.mark.parametrize("recall", [0.5, 0.98])
@pytest.mark.parametrize("seed", [1, 2**64 - 1])
def test_a_graph_of_many_trees_keeps_its_promises(recall: float, seed: int) -> None:
    rows = random_rows(3000, 7)
    graph = knn_graph(rows, 5, method="approximate", recall=recall, seed=seed, progress=False)
    assert graph.method == "approximate"
    assert_promises(graph, rows, recall)


def test_levels_and_threads_agree_on_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.concatenate([random_rows(6000, 12), random_rows(1000, 12)])
    rows[::50] = rows[17]
    make = functools.partial(knn_graph, rows, 10, method="approximate", recall=0.8, progress=False)
    monkeypatch.setenv("DS2FAST_SIMD", "baseline")
    expected = make(threads=1)
    assert expected.method == "approximate"
    for name in _core.simd_levels():
        monkeypatch.setenv("DS2FAST_SIMD", name)
        for threads in THREADS:
            graph = make(threads=threads)
            assert_same_bytes(graph, expected)
            assert graph.recall == expected.recall
            assert graph.recall_interval == expected.recall_interval
    assert make(seed=1).indices.tobytes() != expected.indices.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_halves_and_files_that_cannot_be_written(tmp_path: Path, dtype: npt.DTypeLike) -> None:
    rows = random_rows(6000, 9).astype(dtype)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    make = functools.partial(knn_graph, k=5, method="approximate", recall=0.8, progress=False)
    graph = make(mapped)
    assert graph.method == "approximate"
    assert_same_bytes(graph, make(rows.astype(np.float32)))
    apart = np.zeros((12_000, 13), dtype)
    apart[::2, 2:11] = rows
    assert_same_bytes(make(apart[::2, 2:11]), graph)


@pytest.mark.shared
@pytest.mark.usefixtures("small_leaves")
def test_real_embeddings(shared_data: Path) -> None:
    halves = np.load(shared_data / "instructions.minilm.f16.npy", mmap_mode="r")[:5000]
    graph = knn_graph(halves, 10, method="approximate", recall=0.9, progress=False)
    assert graph.method == "approximate"
    assert_promises(graph, halves, 0.9)


def test_the_rarest_are_a_share_of_the_least_similar_and_no_more_than_some_thousands() -> None:
    means = np.random.default_rng(0).permutation(1000).astype(np.float32)
    assert sorted(means[rarest(means)]) == list(range(20))
    assert rarest(means[:49]).tolist() == [int(means[:49].argmin())]
    assert len(rarest(np.zeros(300_000, np.float32))) == 4096


@pytest.mark.usefixtures("small_leaves")
def test_no_row_is_among_the_rarest_because_its_neighbours_were_missed() -> None:
    rows = random_rows(5000, 16, seed=3)
    exact = knn_graph(rows, 12, method="exact", progress=False)
    found = knn_graph(rows, 12, method="approximate", recall=0.9, progress=False)
    assert found.method == "approximate"
    assert (found.indices != exact.indices).any()
    seem, are = (graph.similarities[:, :10].mean(axis=1) for graph in (found, exact))
    lowest = np.argsort(are, kind="stable")[:20]  # of a hundred that are searched exactly
    assert set(np.argsort(seem, kind="stable")[:20]) == set(lowest)
    assert found.indices[lowest].tobytes() == exact.indices[lowest].tobytes()


@pytest.mark.usefixtures("small_leaves")
def test_copies_are_each_others_neighbours() -> None:
    rows = random_rows(3000, 6)
    rows[100:1100] = rows[99]  # one row a thousand times
    rows[2000::2] = rows[2001::2]  # and pairs
    graph = knn_graph(rows, 5, method="approximate", recall=0.9, progress=False)
    assert graph.method == "approximate"
    assert_well_formed(graph, 3000, 5)
    assert (graph.similarities[99:1100] == 1).all()
    assert set(graph.indices[99:1100].ravel().tolist()) <= set(range(99, 105))
    exact = knn_graph(rows, 5, method="exact", progress=False)
    np.testing.assert_array_equal(graph.indices[99:1100], exact.indices[99:1100])


@pytest.mark.parametrize(
    ("num_rows", "k"), [(2, 1), (3, 2), (50, 49), (300, 299), (1000, 10), (5000, 3)]
)
def test_few_rows_are_searched_exactly(num_rows: int, k: int) -> None:
    rows = random_rows(num_rows, 5)
    graph = knn_graph(rows, k, method="approximate", recall=0.1, progress=False)
    assert (graph.method, graph.recall, graph.recall_interval) == ("exact", 1.0, None)
    assert_same_bytes(graph, knn_graph(rows, k, method="exact", progress=False))


def test_a_recall_that_costs_more_than_all_is_searched_exactly() -> None:
    rows = random_rows(6000, 40)
    graph = knn_graph(rows, 10, method="approximate", recall=1.0, progress=False)
    assert (graph.method, graph.recall, graph.recall_interval) == ("exact", 1.0, None)
    assert_same_bytes(graph, knn_graph(rows, 10, method="exact", progress=False))


def test_auto_is_exact_for_a_pool_of_that_size() -> None:
    assert knn_graph(random_rows(6000, 5), 5, progress=False).method == "exact"


@pytest.mark.usefixtures("small_leaves")
def test_progress_goes_on_to_the_end() -> None:
    seen: list[tuple[str, int, int]] = []
    rows = random_rows(3000, 7)
    graph = knn_graph(
        rows, 5, method="approximate", recall=0.98, progress=lambda *at: seen.append(at)
    )
    assert graph.method == "approximate"
    done = [now for _, now, _ in seen]
    assert done == sorted(done)
    assert {stage for stage, _, _ in seen} == {"k-NN graph"}
    assert seen[-1][1] == seen[-1][2] > 0
    assert all(now <= total for _, now, total in seen)


def test_a_report_that_fails_stops_the_search() -> None:
    class StopError(Exception):
        pass

    def stop(_done: int, _total: int) -> None:
        raise StopError

    with pytest.raises(StopError):
        approximate(random_rows(2000, 6), 5, report=stop)


def test_trees_cost_less_than_an_exact_search() -> None:
    shape = search.shape_of(10)
    assert program.most_trees(5000, shape) < 2  # the first look needs two
    assert program.most_trees(1_000_000, shape) > 100
    for num_rows in (10_000, 300_000):
        trees = program.most_trees(num_rows, shape)
        assert trees * (shape.leaf_rows // 2 + 2 * shape.fan_out) <= num_rows / 2


@settings(max_examples=60)
@given(st.data())
def test_any_small_pool_gives_a_graph_that_keeps_its_promises(data: st.DataObject) -> None:
    num_rows, depth = data.draw(st.integers(40, 400)), data.draw(st.integers(1, 70))
    k = data.draw(st.integers(1, 6))
    seed = data.draw(st.integers(0, 2**32))
    draw = np.random.default_rng(seed)
    rows = data.draw(st.sampled_from([random_rows(num_rows, depth, seed),
                                      integer_rows(num_rows, depth, 1, seed)]))  # fmt: skip
    copies = data.draw(st.integers(0, num_rows // 2))
    rows[draw.integers(0, num_rows, copies)] = rows[draw.integers(0, num_rows, copies)]
    shape = Shape(data.draw(st.integers(2 * k + 2, 24)), k + 1, 4, k)
    wanted = data.draw(st.sampled_from([0.1, 0.8, 1.0]))
    found = approximate(rows, k, recall=wanted, seed=seed, shape=shape)
    if found is None:
        return
    graph = KnnGraph(found.ids, found.similarities)
    assert_well_formed(graph, num_rows, k)
    every = _core.exact_within(rows, _core.row_norms(rows, 1), 0, num_rows - 1, 1)
    cosines = np.full((num_rows, num_rows), np.nan)
    np.put_along_axis(cosines, every[0].astype(np.int64), every[1], axis=1)
    named = np.take_along_axis(cosines, graph.indices.astype(np.int64), axis=1)
    assert graph.similarities.tobytes() == named.astype(np.float32).tobytes()
    # The sample is all rows that are searched, all but copies beyond the first k + 1.
    searched = _core.find_copies(rows, _core.row_norms(rows, 1), k)[0]
    true = every[0][searched, :k]
    shares = plain.recall(
        found.ids[searched], named[searched], true, every[1][searched, :k]
    )  # fmt: skip
    assert found.recall.share >= wanted
    # What is told is of the lists, before the rows that look rarest are searched exactly.
    assert found.recall.share <= shares[0] + 1e-12
    assert found.recall.tied <= shares[1] + 1e-12
    for threads in (1, 3):
        again = approximate(rows, k, recall=wanted, seed=seed, shape=shape, threads=threads)
        assert_same_found(again, found)


@pytest.mark.parametrize(
    ("depth", "k", "leaf_rows", "wanted"), [(1500, 3, 100, 0.1), (16, 60, 200, 0.8)]
)
def test_arrays_take_no_more_memory_than_is_promised(
    monkeypatch: pytest.MonkeyPatch, depth: int, k: int, leaf_rows: int, wanted: float
) -> None:
    """Of wide rows the codes are most, of long lists those."""
    monkeypatch.setattr(search, "_RANKED", 100)
    monkeypatch.setattr(search, "draw_sample", functools.partial(draw_sample, count=50))
    monkeypatch.setattr("ds2fast.approximate.recall._RESAMPLES", 10)
    rows = random_rows(9000, depth)
    norms = _core.row_norms(rows, 1)
    shape = Shape(leaf_rows, search.list_width(k) + 1, 8, k)
    tracemalloc.start()
    found = approximate_graph(rows, norms, k, recall=wanted, seed=0, threads=1, shape=shape)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found is not None
    assert found.trees > 2  # lists were written over again and again
    assert peak < search.approximate_memory(9000, depth, k) + 2**18


# --- Blocks ---------------------------------------------------------------------------------------


class AnyOrder(runner.LocalRunner):
    """Runs the blocks of a round in some order, some of them twice, some without `out`."""

    def __init__(self, seed: int, block_rows: int) -> None:
        super().__init__(1, None)
        self._draw = np.random.default_rng(seed)
        self._rows = block_rows

    def join(
        self, number: int, codes: Codes, tree: Tree, lists: Lists, out: Lists, report: Any
    ) -> None:
        for first, last in self._mixed(list(tree.blocks(self._rows))):
            if self._draw.random() < 0.5:
                join(codes, tree, (first, last), lists, 2, out=out)
            else:
                places = tree.order[tree.bounds[first] : tree.bounds[last]]
                out.entries[places], out.similarities[places] = join(
                    codes, tree, (first, last), lists, 2
                )

    def descend(
        self, number: int, codes: Codes, shape: Shape, lists: Lists, out: Lists, report: Any
    ) -> None:
        total = len(lists.entries)
        starts = range(0, total, self._rows)
        for first, last in self._mixed([(at, min(at + self._rows, total)) for at in starts]):
            if self._draw.random() < 0.5:
                descend(codes, shape, (first, last), lists, 2, out=out)
            else:
                out.entries[first:last], out.similarities[first:last] = descend(
                    codes, shape, (first, last), lists, 2
                )

    def _mixed(self, blocks: list[tuple[int, int]]) -> list[tuple[int, int]]:
        doubled = blocks + blocks[::2]
        return [doubled[at] for at in self._draw.permutation(len(doubled))]


@pytest.mark.parametrize("block_rows", [1, 70, 333, 5000])
def test_blocks_of_any_size_in_any_order_some_twice_give_the_same(block_rows: int) -> None:
    rows = np.concatenate([random_rows(900, 7), integer_rows(300, 7, 1)])
    expected = approximate(rows, 5)
    assert expected is not None
    assert expected.trees > 2  # lists were written over again and again
    for seed in range(2):
        assert_same_found(approximate(rows, 5, runner=AnyOrder(seed, block_rows)), expected)


# --- Errors ---------------------------------------------------------------------------------------

BAD_ARGUMENTS: list[tuple[dict[str, Any], type[Ds2fastError], str]] = [
    ({"method": "fast"}, InputError,
     r"method: expected 'auto', 'exact' or 'approximate', got 'fast'"),
    ({"method": None}, InputError, r"method: expected 'auto', 'exact' or 'approximate', got None"),
    ({"recall": 0}, InputError, r"recall: expected a share in \(0, 1\], got 0"),
    ({"recall": 1.01}, InputError, r"recall: expected a share in \(0, 1\], got 1\.01"),
    ({"recall": float("nan")}, InputError, r"recall: expected a share in \(0, 1\], got nan"),
    ({"recall": "high"}, InputTypeError, r"recall: expected a number, got 'high'"),
    ({"recall": None}, InputTypeError, r"recall: expected a number, got None"),
    ({"seed": -1}, InputError, r"seed: expected at least 0, got -1"),
    ({"seed": 2**64}, InputError, rf"seed: expected 0 to {2**64 - 1}, got {2**64}"),
    ({"seed": 0.5}, InputTypeError, r"seed: expected an integer, got 0\.5"),
    ({"seed": None}, InputTypeError, r"seed: expected an integer, got None"),
    ({"max_memory": 0}, InputError, r"max_memory: expected at least 1, got 0"),
    ({"max_memory": "4 apples"}, InputError,
     r"max_memory: expected a number with a unit .*, got '4 apples'"),
    ({"max_memory": 1.5}, InputTypeError, r"max_memory: expected bytes, or .*, got float"),
    ({"max_memory": True}, InputTypeError, r"max_memory: expected bytes, or .*, got bool"),
    ({"cache_dir": 3}, InputTypeError, r"cache_dir: expected a folder, None or False, got int"),
    ({"cache_dir": True}, InputTypeError,
     r"cache_dir: expected a folder, None or False, got bool"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "error", "message"), BAD_ARGUMENTS)
def test_bad_arguments_are_named_before_any_work(
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, Any],
    error: type[Ds2fastError],
    message: str,
) -> None:
    monkeypatch.setattr(_core, "row_norms", lambda *_: pytest.fail("work was begun"))
    with pytest.raises(error, match=f"^{message}$"):
        knn_graph(random_rows(50, 4), 3, progress=False, **arguments)
