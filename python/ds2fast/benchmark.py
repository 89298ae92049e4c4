"""`ds2fast bench`: each native stage against `reference.py`, results checked before timings."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from ds2fast import reference
from ds2fast.arguments import as_count
from ds2fast.build import build_info
from ds2fast.curation import curate_scores
from ds2fast.diversity import long_tail_scores
from ds2fast.errors import Ds2fastError, InputError
from ds2fast.knn import knn_graph
from ds2fast.results import Curation, FloatArray, IntArray
from ds2fast.selection import dual_sort
from ds2fast.threads import resolve_threads
from ds2fast.transition import estimate_transition_matrix

T = TypeVar("T")

NUM_LEVELS = 6
GRAPH_WIDTH = 14


class ResultsDifferError(Ds2fastError, RuntimeError):
    """A native stage and the reference gave different results: no time of theirs means anything."""


@dataclass(frozen=True)
class Measurement:
    """One stage: seconds of the native kernel and of NumPy, and what was compared before timing."""

    stage: str
    native: float
    numpy: float
    checked: str

    @property
    def ratio(self) -> float:
        """How many times faster the native stage is."""
        return self.numpy / self.native


def measure(
    num_rows: int, dimensions: int, *, k: int = 10, threads: int | None = None, seed: int = 0
) -> dict[str, Any]:
    """Time all stages on random clustered rows of our own making; plain values, ready for JSON."""
    num_rows = as_count(num_rows, "num_rows", minimum=100)
    dimensions = as_count(dimensions, "dimensions", minimum=2)
    num_threads = resolve_threads(threads)
    if as_count(k, "k") > GRAPH_WIDTH:
        raise InputError(f"k: expected at most {GRAPH_WIDTH}, got {k}")
    rows, scores = make_rows(num_rows, dimensions, seed)
    measurements = list(_measure_stages(rows, scores, k, num_threads, seed))
    return {
        "rows": num_rows,
        "dimensions": dimensions,
        "k": k,
        "threads": num_threads,
        "build": build_info(),
        "stages": [
            {
                "stage": one.stage,
                "native_seconds": one.native,
                "numpy_seconds": one.numpy,
                "ratio": one.ratio,
                "checked": one.checked,
            }
            for one in measurements
        ],
    }


def make_rows(num_rows: int, dimensions: int, seed: int) -> tuple[FloatArray, IntArray]:
    """Rows in clusters of some 50 that share a true level, and scores of which 30 % are wrong."""
    rng = np.random.default_rng(seed)
    num_clusters = max(NUM_LEVELS, num_rows // 50)
    centres = rng.standard_normal((num_clusters, dimensions), dtype=np.float32)
    cluster = rng.integers(0, num_clusters, num_rows)
    rows = centres[cluster] + 0.5 * rng.standard_normal((num_rows, dimensions), dtype=np.float32)
    levels = rng.integers(0, NUM_LEVELS, num_clusters)[cluster]
    wrong = rng.random(num_rows) < 0.3
    levels = np.where(wrong, rng.integers(0, NUM_LEVELS, num_rows), levels)
    return rows, levels.astype(np.int64)


def describe_measurements(measurements: dict[str, Any]) -> str:
    """The measurements as a table."""
    build = measurements["build"]
    lines = [
        f"{measurements['rows']} x {measurements['dimensions']} rows, k = {measurements['k']}, "
        f"{measurements['threads']} threads, {build['simd_level']}; NumPy is reference.py",
        "",
        f"{'stage':<22}{'native':>12}{'NumPy':>12}{'ratio':>10}   checked before timing",
    ]
    lines += [
        f"{one['stage']:<22}{one['native_seconds']:>10.4f} s{one['numpy_seconds']:>10.3f} s"
        f"{one['ratio']:>9.1f}x   {one['checked']}"
        for one in measurements["stages"]
    ]
    return "\n".join(lines)


def _measure_stages(
    rows: FloatArray, scores: IntArray, k: int, threads: int, seed: int
) -> list[Measurement]:
    graph, native = _timed(lambda: knn_graph(rows, GRAPH_WIDTH, threads=threads, progress=False))
    (ids, similarities), plain = _timed(lambda: reference.knn_graph(rows, GRAPH_WIDTH))
    # The two sum in different orders: similarities agree to one float32 rounding.
    _require(np.allclose(graph.similarities, similarities, rtol=0, atol=2**-23), "k-NN graph")
    equal_ids = float((graph.indices == ids).mean())
    _require(equal_ids > 0.9999, "k-NN graph")
    measured = [
        Measurement("k-NN graph", native, plain, f"{equal_ids:.4%} of ids, similarities to 2^-23")
    ]

    estimate, native = _timed(lambda: estimate_transition_matrix(scores, graph, threads=threads))
    (transition, _prior), plain = _timed(
        lambda: reference.solve_em(reference.agreement_counts(scores, graph.indices, NUM_LEVELS))
    )
    _require(np.allclose(estimate.transition_matrix, transition, atol=1e-5), "counts + EM")
    measured.append(Measurement("counts + EM", native, plain, "T to 1e-5"))

    curation, native = _timed(
        lambda: curate_scores(scores, graph, estimate, k=10, seed=seed, threads=threads)
    )
    rates = reference.error_rates(estimate.transition_matrix, estimate.prior, estimate.observed)
    expected, plain = _timed(lambda: _curate_plainly(scores, graph, rates, curation))
    _require(np.array_equal(curation.scores, expected), "curation")
    measured.append(Measurement("curation (51 rounds)", native, plain, "all curated scores"))

    long_tail, native = _timed(lambda: long_tail_scores(graph, k=k, threads=threads))
    rarity, plain = _timed(lambda: reference.long_tail_scores(graph.similarities, k))
    _require(np.allclose(long_tail, rarity, rtol=0, atol=2**-24), "long tail")
    measured.append(Measurement("long tail", native, plain, "all scores to 2^-24"))

    n = len(scores) // 10
    order, native = _timed(lambda: dual_sort(curation.scores, long_tail, n))
    sorted_rows, plain = _timed(lambda: reference.dual_sort(curation.scores, long_tail, n))
    _require(np.array_equal(order, sorted_rows), "dual sort")
    measured.append(Measurement("dual sort", native, plain, f"the best {n} rows"))
    return measured


def _curate_plainly(scores: IntArray, graph: Any, rates: Any, curation: Curation) -> IntArray:
    votes = reference.simifeat_votes(
        scores,
        graph.indices,
        graph.similarities,
        rates,
        k=curation.k,
        rounds=curation.rounds,
        seed=curation.seed,
    )
    return reference.curate(scores, *votes, min_confidence=curation.min_confidence)[0]


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


def _require(equal: bool, stage: str) -> None:
    if not equal:
        raise ResultsDifferError(f"{stage}: expected the results of reference.py, got others")
