"""Searches pools made to break an exact k-NN search, and checks every byte before it tells a time.

The truth is a float64 brute force that adds in the order that the search documents, so that ids and
similarities must be equal, ties and last bits included. Each pool is searched at the active SIMD
level (timed), at all other levels, and on 1, 2 and 7 threads: the bytes must be the same.

Usage: python bench/bench_adversarial.py --threads 2 --quick
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from ds2fast import _core
from ds2fast.graph import KnnGraph
from ds2fast.knn import knn_graph
from ds2fast.results import DoubleArray, FloatArray, IdArray, IntArray, RowArray
from knn_table import machine

DEPTH = 384
THREADS = (1, 2, 7)


def main() -> None:
    arguments = parse_arguments()
    about = machine()
    del about["rivals"]  # none takes part
    print(f"{about['cpu']}, SIMD level {about['simd_level']}, {arguments.threads} threads")
    print(f"{'case':34}{'N':>7}{'d':>7}{'k':>6}{'seconds':>9}{'checked':>9}", flush=True)
    figures = []
    for case in arguments.cases:
        print(f"... {case.name}", file=sys.stderr, flush=True)
        found = measure(case, arguments)
        print(describe(found), flush=True)
        figures.append(asdict(found))
    problems = [f"{one['case']}: {one['problem']}" for one in figures if one["problem"]]
    result = {"benchmark": "adversarial", "machine": about, "threads": arguments.threads}
    print(json.dumps(result | {"quick": arguments.quick, "cases": figures}))
    if problems:
        raise SystemExit("\n".join(problems))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    names = [case.name for case in CASES]
    add("--threads", type=int, default=1)
    add("--quick", action="store_true", help="a tenth of the rows")
    add("--once", action="store_true", help="leave out the other levels and numbers of threads")
    add("--checked", type=int, default=500, help="different rows to check, with all their copies")
    add("--case", nargs="+", choices=names, default=names, metavar="CASE", help=str(names))
    arguments = parser.parse_args()
    arguments.cases = [case for case in CASES if case.name in arguments.case]
    return arguments


# --- Measuring ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """What a case came to; it has no times where the result is wrong."""

    case: str
    rows: int
    depth: int
    k: int
    checked_rows: int = 0
    seconds: float | None = None
    seconds_by_variant: dict[str, float] = field(default_factory=dict)
    problem: str | None = None


class WrongGraphError(RuntimeError):
    """A graph is not the bytes that it should be."""


def measure(case: Case, arguments: argparse.Namespace) -> Found:
    rows = case.pool(case.rows // 10 if arguments.quick else case.rows)
    found = Found(case.name, len(rows), rows.shape[1], case.width(len(rows)))
    try:
        return search_everywhere(found, rows, arguments)
    except RuntimeError as error:  # also of a search that sees itself that it went wrong
        return replace(found, problem=str(error))


def search_everywhere(found: Found, rows: RowArray, arguments: argparse.Namespace) -> Found:
    graph, seconds = timed_search(rows, found.k, arguments.threads)
    checked = rows_to_check(rows, arguments.checked)
    if problem := first_difference(graph, checked, *true_neighbours(rows, checked, found.k)):
        raise WrongGraphError(problem)
    variants = {} if arguments.once else time_variants(graph, rows, arguments.threads)
    return replace(found, checked_rows=len(checked), seconds=seconds, seconds_by_variant=variants)


def time_variants(graph: KnnGraph, rows: RowArray, threads: int) -> dict[str, float]:
    """Seconds at the other levels and numbers of threads, which must find the same bytes."""
    active = _core.simd_level()
    variants = [(level, threads) for level in _core.simd_levels() if level != active]
    variants += [(active, count) for count in THREADS if count != threads]
    seconds = {}
    for level, count in variants:
        name = f"{level}, {count} threads"
        with simd_level(level):
            again, seconds[name] = timed_search(rows, graph.k, count)
        everywhere = np.arange(len(rows))
        if problem := first_difference(again, everywhere, graph.indices, graph.similarities):
            raise WrongGraphError(f"{name}: {problem}")
    return seconds


def timed_search(rows: RowArray, k: int, threads: int) -> tuple[KnnGraph, float]:
    started = time.perf_counter()
    graph = knn_graph(rows, k, threads=threads, progress=False)
    return graph, time.perf_counter() - started


@contextmanager
def simd_level(level: str) -> Iterator[None]:
    """Searches run at this level meanwhile: each call reads it anew."""
    before = os.environ.get("DS2FAST_SIMD")
    os.environ["DS2FAST_SIMD"] = level
    try:
        yield
    finally:
        if before is None:
            del os.environ["DS2FAST_SIMD"]
        else:
            os.environ["DS2FAST_SIMD"] = before


def describe(found: Found) -> str:
    seconds = "-" if found.seconds is None else f"{found.seconds:.3f}"
    return (
        f"{found.case:34}{found.rows:>7}{found.depth:>7}{found.k:>6}{seconds:>9}"
        f"{found.checked_rows:>9}  {'WRONG' if found.problem else 'exact'}"
    )


# --- Truth ----------------------------------------------------------------------------------------

LANES = 16
_TILE_QUERIES = 8
_TILE_ROWS = 256  # with these the sums of a tile stay in a core's second-level cache


def true_neighbours(rows: RowArray, checked: IntArray, k: int) -> tuple[IdArray, FloatArray]:
    """The k most similar other rows of the checked rows, most similar first, ties by smaller id.

    The similarity is <x, y> / (|x| |y|) in float64, summed as `inner_products` does, and stored as
    float32: ids and similarities of a right search are the same bytes.
    """
    # Copies are equally similar to all rows: one of them is ranked for all.
    _, first, copy_of = np.unique(as_bytes(rows[checked]), return_index=True, return_inverse=True)
    similarities = cosines(rows, checked[first])
    ids = np.argsort(-similarities, axis=1, kind="stable")[:, : k + 1]
    best = np.take_along_axis(similarities, ids, axis=1)
    ids, best = ids[copy_of], best[copy_of]
    left_out = ids == checked[:, None]
    left_out[~left_out.any(axis=1), k] = True  # the row itself is not even among the k + 1 best
    shape = (len(checked), k)
    return (
        ids[~left_out].reshape(shape).astype(np.int32),
        best[~left_out].reshape(shape).astype(np.float32),
    )


def cosines(rows: RowArray, queries: IntArray) -> DoubleArray:
    """(queries, N) similarities in float64."""
    sums = np.zeros((LANES, len(rows)))
    for lanes in lanes_first(rows):
        sums += lanes * lanes
    norms = np.sqrt(fold(sums))
    return np.asarray(inner_products(rows[queries], rows) / (norms[queries, None] * norms))


def inner_products(queries: RowArray, rows: RowArray) -> DoubleArray:
    """(queries, N) inner products in float64: products are exact, sums run in 16 lanes.

    Lane l adds the products of the coordinates l, l + 16, ... in this order, beginning with 0; then
    lanes 8 to 15 are added to 0 to 7, 4 to 7 to 0 to 3, and so on. This is what `simd::ExactDot`
    documents; zero coordinates that fill up the last step add nothing.
    """
    products = np.empty((len(queries), len(rows)))
    for r in range(0, len(rows), _TILE_ROWS):
        row_lanes = lanes_first(rows[r : r + _TILE_ROWS])
        for q in range(0, len(queries), _TILE_QUERIES):
            query_lanes = lanes_first(queries[q : q + _TILE_QUERIES])
            tile = multiply_tile(query_lanes, row_lanes)
            products[q : q + tile.shape[0], r : r + tile.shape[1]] = tile
    return products


def multiply_tile(query_lanes: DoubleArray, row_lanes: DoubleArray) -> DoubleArray:
    sums = np.zeros((LANES, query_lanes.shape[2], row_lanes.shape[2]))
    products = np.empty_like(sums)
    for x, y in zip(query_lanes, row_lanes, strict=True):
        np.multiply(x[:, :, None], y[:, None, :], out=products)
        np.add(sums, products, out=sums)
    return fold(sums)


def lanes_first(rows: RowArray) -> DoubleArray:
    """Rows (N, d) as (steps, 16, N) float64: what each lane multiplies at each step."""
    num_rows, depth = rows.shape
    steps = -(-depth // LANES)
    padded = np.zeros((steps * LANES, num_rows))
    padded[:depth] = rows.T
    return padded.reshape(steps, LANES, num_rows)


def fold(lanes: DoubleArray) -> DoubleArray:
    """The sum of (16, ...) lanes: 8 + 8, 4 + 4, 2 + 2, 1 + 1."""
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = lanes[:half] + lanes[half:]
    return np.asarray(lanes[0])


def rows_to_check(rows: RowArray, count: int) -> IntArray:
    """Copies of `count` different rows drawn by a fixed seed, all of them; ascending."""
    distinct, kind = np.unique(as_bytes(rows), return_inverse=True)
    drawn = random_numbers("checked rows").permutation(len(distinct))[:count]
    return np.flatnonzero(np.isin(kind, drawn))


def as_bytes(rows: RowArray) -> npt.NDArray[np.void]:
    """(N,) opaque values, equal where rows are byte for byte."""
    row_bytes = np.dtype((np.void, rows.shape[1] * rows.itemsize))
    return np.ascontiguousarray(rows).view(row_bytes).ravel()


def first_difference(
    graph: KnnGraph, checked: IntArray, ids: IdArray, similarities: FloatArray
) -> str | None:
    """The first place where the checked rows of a graph are not these bytes."""
    found_ids, found = graph.indices[checked], graph.similarities[checked]
    # Not by value: -0 is not the same bytes as 0.
    differs = (found_ids != ids) | (found.view(np.int32) != similarities.view(np.int32))
    if not differs.any():
        return None
    at = np.unravel_index(int(differs.argmax()), differs.shape)
    return (
        f"{int(differs.any(axis=1).sum())} of {len(checked)} rows differ; row {checked[at[0]]}, "
        f"neighbour {at[1]}: found {found_ids[at]} ({found[at]:.9g}), expected {ids[at]} "
        f"({similarities[at]:.9g})"
    )


# --- Pools ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A pool of any number of rows, and how it is searched at full size."""

    name: str
    make: Callable[[np.random.Generator, int], RowArray]
    rows: int = 20_000
    k: int | None = 10  # None: all other rows

    def pool(self, num_rows: int) -> RowArray:
        """So many rows, or as many more as k needs; the same ones each time."""
        return self.make(random_numbers(self.name), max(num_rows, (self.k or 1) + 1))

    def width(self, num_rows: int) -> int:
        """The k of a search in so many rows."""
        return num_rows - 1 if self.k is None else self.k


def random_numbers(purpose: str) -> np.random.Generator:
    return np.random.default_rng(list(purpose.encode()))


def gaussian(draw: np.random.Generator, num_rows: int, depth: int = DEPTH) -> FloatArray:
    return draw.standard_normal((num_rows, depth), dtype=np.float32)


def identical(draw: np.random.Generator, num_rows: int) -> FloatArray:
    return np.repeat(gaussian(draw, 1), num_rows, axis=0)


def antipodal(draw: np.random.Generator, num_rows: int) -> FloatArray:
    """Half of the rows near some direction, the others near its opposite, in any order."""
    sides = draw.permutation(np.arange(num_rows) % 2)
    centres = np.where(sides[:, None] == 0, 1, -1) * gaussian(draw, 1)
    return (centres + np.float32(0.01) * gaussian(draw, num_rows)).astype(np.float32)


def shared_coordinate(draw: np.random.Generator, num_rows: int, size: float) -> FloatArray:
    """Each row has a large value at the same place."""
    rows = gaussian(draw, num_rows)
    rows[:, 5] = size
    return rows


def own_coordinate(draw: np.random.Generator, num_rows: int, size: float) -> FloatArray:
    """Each row has a large value, of either sign, somewhere."""
    rows = gaussian(draw, num_rows)
    rows[np.arange(num_rows), draw.integers(DEPTH, size=num_rows)] = size * signs(draw, num_rows)
    return rows


def signs(draw: np.random.Generator, count: int) -> FloatArray:
    return draw.choice(np.array([-1, 1], np.float32), count)


def constant_rows(draw: np.random.Generator, num_rows: int, depth: int = DEPTH) -> FloatArray:
    heights = draw.uniform(0.1, 10, num_rows).astype(np.float32) * signs(draw, num_rows)
    return np.repeat(heights[:, None], depth, axis=1)


def denormals(draw: np.random.Generator, num_rows: int) -> FloatArray:
    """Whole multiples of the least float32."""
    return (draw.integers(-400, 401, (num_rows, DEPTH)) * 2.0**-149).astype(np.float32)


def subnormal_halves(draw: np.random.Generator, num_rows: int) -> npt.NDArray[np.float16]:
    """Whole multiples of the least float16; 2^10 of them would be a normal number."""
    return (draw.integers(-1023, 1024, (num_rows, DEPTH)) * 2.0**-24).astype(np.float16)


def all_negative(draw: np.random.Generator, num_rows: int) -> FloatArray:
    return -np.abs(gaussian(draw, num_rows))


def near_duplicates(draw: np.random.Generator, num_rows: int) -> FloatArray:
    """A quarter of the rows have cosines of about 1 - 1e-8 with each other."""
    rows = gaussian(draw, num_rows)
    near = draw.permutation(num_rows)[: num_rows // 4]
    rows[near] = gaussian(draw, 1) + np.float32(1e-4) * rows[near]
    return rows


def few_distinct(draw: np.random.Generator, num_rows: int) -> FloatArray:
    return np.asarray(gaussian(draw, 20)[draw.integers(20, size=num_rows)])


def scaled_copies(draw: np.random.Generator, num_rows: int) -> FloatArray:
    """As similar as copies are, to the last bit, but few of them are copies byte for byte."""
    scales = 2.0 ** draw.integers(-90, 91, (num_rows, 1))
    return (few_distinct(draw, num_rows) * scales).astype(np.float32)


def one_hot(draw: np.random.Generator, num_rows: int) -> FloatArray:
    """About fifty copies of each at full size: what is beyond them ties at 0."""
    rows = np.zeros((num_rows, DEPTH), np.float32)
    rows[np.arange(num_rows), draw.integers(DEPTH, size=num_rows)] = 1
    return rows


def scaled_one_hot(draw: np.random.Generator, num_rows: int) -> FloatArray:
    return one_hot(draw, num_rows) * constant_rows(draw, num_rows, depth=1)


CASES = (
    Case("identical rows", identical),
    Case("two antipodal clusters", antipodal),
    Case("one coordinate of 1e30, shared", partial(shared_coordinate, size=1e30)),
    Case("one coordinate of 1e30, anywhere", partial(own_coordinate, size=1e30)),
    Case("one coordinate of 1e3, shared", partial(shared_coordinate, size=1e3)),
    Case("one coordinate of 1e3, anywhere", partial(own_coordinate, size=1e3)),
    Case("constant rows", constant_rows),
    Case("constant rows, the widest", partial(constant_rows, depth=2**16), rows=300),
    *(
        Case(f"d = {depth}", partial(gaussian, depth=depth), rows=20_000 if depth < 4096 else 5000)
        # In the plane what rounding to int8 takes off often points right at another row, so that
        # errors come near their bound; of many coordinates they never do.
        for depth in (2, 3, 64, 100, 383, 1025, 4096)
    ),
    Case("N = k + 1", gaussian, rows=2001, k=None),
    Case("two rows", gaussian, rows=2, k=None),
    Case("denormals", denormals),
    Case("subnormal halves", subnormal_halves),
    Case("all negative", all_negative),
    Case("near duplicates", near_duplicates),
    Case("twenty different rows", few_distinct),
    Case("copies scaled by powers of two", scaled_copies),
    Case("one-hot rows", one_hot, k=70),
    Case("one-hot rows, scaled", scaled_one_hot, k=70),
)


if __name__ == "__main__":
    main()
