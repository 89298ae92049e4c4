"""Pools that are hard for a k-NN search, and what makes a graph right for the tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ds2fast import reference
from ds2fast.graph import KnnGraph
from ds2fast.results import DoubleArray, FloatArray

Pool = tuple[FloatArray, int]
"""Rows (N, d) float32 and k."""


def random_rows(num_rows: int, depth: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).standard_normal((num_rows, depth), dtype=np.float32)


def integer_rows(num_rows: int, depth: int, largest: int, seed: int = 0) -> FloatArray:
    """Rows of small integers, none of them zero: ties abound and float64 arithmetic is exact."""
    rows = np.random.default_rng(seed).integers(-largest, largest + 1, (num_rows, depth))
    rows[~rows.any(axis=1), 0] = 1
    return rows.astype(np.float32)


# --- Pools ----------------------------------------------------------------------------------------


def _antipodal() -> Pool:
    rows = np.repeat(random_rows(1, 40), 90, axis=0) + 0.01 * random_rows(90, 40, seed=1)
    rows[::2] *= -1
    return rows, 50  # more than a cluster holds: each row's list ends on the other side


def _huge_coordinate() -> Pool:
    rows = random_rows(80, 12)
    rows[:, 5] = 1e30
    rows[3, 5] = -1e30
    return rows, 10


def _one_huge_value() -> Pool:
    rows = random_rows(80, 12)
    rows[17, 4] = 3e38
    return rows, 10


def _near_ties() -> Pool:
    # One coordinate moves by steps of 2^-12: cosines differ by some 1e-9, far less than the first
    # pass in float32 can tell and far more than the float64 ranking needs.
    rows = np.repeat(random_rows(1, 64), 150, axis=0)
    rows[:, 7] += np.random.default_rng(1).permutation(150).astype(np.float32) * 2.0**-12
    return rows, 10


def _near_duplicates() -> Pool:
    # Cosines of 1 - 1e-8 that differ by some 1e-10: whatever the first pass makes of them is noise
    # a thousand times that, and there are far more of them than a row keeps candidates.
    rows = np.repeat(random_rows(1, 200), 600, axis=0)
    return rows + np.float32(1e-4) * random_rows(600, 200, seed=1), 10


def _denormals() -> Pool:
    steps = np.random.default_rng(0).integers(-400, 401, (90, 20))
    return (steps * 2.0**-149).astype(np.float32), 10  # whole multiples of the least float32


def _every_norm() -> Pool:
    rows = random_rows(120, 24).astype(np.float64)
    scales = 10.0 ** np.random.default_rng(1).uniform(-30, 30, (120, 1))
    return (rows * scales).astype(np.float32), 10


def _constant_rows() -> Pool:
    heights = np.arange(1, 101, dtype=np.float32) * np.where(np.arange(100) % 3 == 0, -1, 1)
    return np.repeat(heights[:, None].astype(np.float32), 30, axis=1), 10


FLOAT_POOLS: dict[str, Callable[[], Pool]] = {
    **{
        f"depth {depth}": lambda depth=depth: (random_rows(130, depth), 10)  # type: ignore[misc]  # mypy infers no lambda with a default
        for depth in (1, 2, 15, 16, 17, 64, 100, 383, 1025)
    },
    **{
        f"{num_rows} rows": lambda num_rows=num_rows: (  # type: ignore[misc]  # mypy infers no lambda with a default
            random_rows(num_rows, 20),
            min(10, num_rows - 1),
        )
        for num_rows in (2, 3, 47, 48, 49, 96, 97, 769)
    },
    "k is N - 1": lambda: (random_rows(100, 30), 99),
    "wide k": lambda: (random_rows(700, 30), 120),
    "antipodal clusters": _antipodal,
    "one huge coordinate": _huge_coordinate,
    "one huge value": _one_huge_value,
    "near ties": _near_ties,
    "near duplicates": _near_duplicates,
    "denormals": _denormals,
    "all negative": lambda: (-np.abs(random_rows(130, 30)), 10),
    "norms from 1e-30 to 1e30": _every_norm,
    "constant rows": _constant_rows,
}


def _opposites() -> Pool:
    rows = np.repeat(integer_rows(1, 9, 5), 120, axis=0)
    rows[60:] *= -1
    return rows, 70


def _scaled_duplicates() -> Pool:
    rows = np.repeat(integer_rows(40, 12, 6), 5, axis=0)
    scales = 2.0 ** np.random.default_rng(2).integers(-40, 41, (200, 1))
    return (rows * scales).astype(np.float32), 10


EXACT_POOLS: dict[str, Callable[[], Pool]] = {
    "identical rows": lambda: (np.repeat(integer_rows(1, 20, 9), 400, axis=0), 10),
    "identical rows, k is N - 1": lambda: (np.repeat(integer_rows(1, 7, 9), 90, axis=0), 89),
    "five rows, 200 times each": lambda: (np.tile(integer_rows(5, 16, 9), (200, 1)), 10),
    "a grid": lambda: (integer_rows(600, 3, 2), 10),
    "signs": lambda: (integer_rows(300, 1, 4), 10),
    "opposite rows": _opposites,
    "duplicates scaled by powers of two": _scaled_duplicates,
    "several blocks": lambda: (integer_rows(2000, 6, 3), 10),
}
"""Pools of (scaled) integers: dot products and squared norms are exact, so the reference's float64
cosines are the only correctly rounded ones, and equal bits are asked for, ties included."""

POOLS = FLOAT_POOLS | EXACT_POOLS


# --- Checks ---------------------------------------------------------------------------------------


def summation_slack(depth: int) -> float:
    """How far two float64 cosines of one pair may lie apart if only their summation differs.

    Products of float32 values are exact in float64; a sum of d of them, in any order, is within
    (d - 1) u |x| |y| (u = 2^-53); the two norms add (d + 1) u relatively, product and quotient 2 u.
    That is (2d + 2) u for one of them; twice that for two, and 12 u for the terms in u^2.
    """
    return (4 * depth + 16) * 2.0**-53


def cosines(rows: npt.NDArray[np.floating], ids: npt.NDArray[np.integer]) -> DoubleArray:
    """(N, k) float64 cosine similarity of each row and the rows that `ids` names for it."""
    x = rows.astype(np.float64)
    norms = np.sqrt((x * x).sum(axis=1))
    return np.stack([(x[ids[n]] * x[n]).sum(axis=1) / (norms[ids[n]] * norms[n])
                     for n in range(len(x))])  # fmt: skip


def assert_well_formed(graph: KnnGraph, num_rows: int, k: int) -> None:
    """Shapes, types and order of a graph; no row among its own neighbours, none named twice."""
    ids, similarities = graph.indices, graph.similarities
    assert ids.shape == similarities.shape == (num_rows, k)
    assert ids.dtype == np.dtype(np.int32)
    assert similarities.dtype == np.dtype(np.float32)
    assert ids.flags.c_contiguous
    assert similarities.flags.c_contiguous
    assert ids.min() >= 0
    assert ids.max() < num_rows
    assert not (ids == np.arange(num_rows)[:, None]).any()
    assert (np.diff(np.sort(ids, axis=1), axis=1) > 0).all()
    assert (np.diff(similarities, axis=1) <= 0).all()
    assert (np.abs(similarities) <= 1).all()


def assert_exact(graph: KnnGraph, rows: FloatArray, k: int) -> float:
    """The graph is the reference's, up to the order of summation; the share of forced places."""
    assert_well_formed(graph, len(rows), k)
    slack = summation_slack(rows.shape[1])
    expected_ids, expected = reference.knn_graph(rows, min(k + 1, len(rows) - 1))
    found = cosines(rows, graph.indices)
    # Place by place as similar as the reference's neighbour: nothing better was left out.
    np.testing.assert_allclose(found, expected[:, :k], rtol=0, atol=slack)
    # One rounding to float32 is at most 2^-24 of the value.
    np.testing.assert_allclose(graph.similarities, found, rtol=2.0**-24, atol=slack)
    # Where the ranking's gaps on both sides exceed what summation explains, the id is forced.
    gaps = -np.diff(expected, axis=1, prepend=np.inf, append=-np.inf)
    forced = ((gaps[:, :-1] > 2 * slack) & (gaps[:, 1:] > 2 * slack))[:, :k]
    np.testing.assert_array_equal(graph.indices[forced], expected_ids[:, :k][forced])
    return float(forced.mean())


def assert_same_bytes(graph: KnnGraph, other: KnnGraph) -> None:
    assert graph.indices.tobytes() == other.indices.tobytes()
    assert graph.similarities.tobytes() == other.similarities.tobytes()
