"""`ds2fast bench`: each native stage against plain NumPy, results checked before timings.

The whole method is compared as published with `reference.py` (EM and votes); of the method by
default the counting and the neighbours' beliefs, whose oracles are `reference_sharing.py` and
`reference_posterior.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np

from ds2fast import _core, reference, reference_posterior, reference_sharing
from ds2fast.arguments import as_count
from ds2fast.build import build_info
from ds2fast.curation import curate_scores
from ds2fast.diversity import long_tail_scores
from ds2fast.errors import Ds2fastError
from ds2fast.graph import KnnGraph
from ds2fast.knn import knn_graph
from ds2fast.observations import observe
from ds2fast.posterior import Rater, find_witnesses, fit_alpha, pattern_messages
from ds2fast.results import Curation, DoubleArray, FloatArray, IntArray, TransitionEstimate
from ds2fast.selection import dual_sort
from ds2fast.sharing import (
    CURVE_BINS,
    NEAREST,
    VOTERS,
    Triples,
    bins_for,
    count_triples,
    independent_neighbours,
)
from ds2fast.threads import resolve_threads
from ds2fast.transition import estimate_transition_matrix

T = TypeVar("T")

neighbour_beliefs = _core.neighbour_beliefs

EM_SLACK = 1e-8
"""Log-likelihood a row by which the native EM may end below plain EM."""

NUM_LEVELS = 6
GRAPH_WIDTH = 14
K = 10
MIN_ROWS = 100
MAX_PLAIN_ROWS, PLAIN_SEARCHES = 5000, 500
"""NumPy's search takes time as N²: in larger pools it runs for so many rows, and is scaled."""

_SHORT = 0.5  # seconds: what takes less is run several times and the best time counts
_RUNS = 5


class ResultsDifferError(Ds2fastError, RuntimeError):
    """A native stage and the reference gave different results: no time of theirs means anything."""


@dataclass(frozen=True)
class Measurement:
    """One stage: what it took natively and in NumPy, and what of the results was compared.

    Attributes
    ----------
    stage : str
        Its name.
    native_seconds, numpy_seconds : float
        Seconds; of short stages the best of five runs.
    checked : str
        What was found equal; where it is not, nothing is measured at all.
    scaled_from : int or None
        Rows that NumPy was timed on, where its time is scaled from a sample of the rows.
    """

    stage: str
    native_seconds: float
    numpy_seconds: float
    checked: str
    scaled_from: int | None = None

    @property
    def ratio(self) -> float:
        """How many times faster the native stage is."""
        return self.numpy_seconds / self.native_seconds


def measure(
    num_rows: int, dimensions: int, *, threads: int | None = None, seed: int = 0
) -> dict[str, Any]:
    """Time all stages on random clustered rows of our own making; plain values, ready for JSON.

    Raises
    ------
    InputError, InputTypeError
        Fewer than 100 rows or 2 dimensions, or a number of threads out of range.
    ResultsDifferError
        A stage and its reference disagree.
    """
    num_rows = as_count(num_rows, "num_rows", minimum=MIN_ROWS)
    dimensions = as_count(dimensions, "dimensions", minimum=2)
    num_threads = resolve_threads(threads)
    rows, scores = make_rows(num_rows, dimensions, seed)
    measured = _measure_stages(rows, scores, num_threads, seed)
    return {
        "rows": num_rows,
        "dimensions": dimensions,
        "k": K,
        "threads": num_threads,
        "build": build_info(),
        "stages": [{**asdict(one), "ratio": one.ratio} for one in measured],
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
    build, rows = measurements["build"], measurements["rows"]
    lines = [
        f"{rows} x {measurements['dimensions']} rows, k = {measurements['k']}, "
        f"{measurements['threads']} threads, {build['simd_level']}",
        "NumPy is reference.py, written to be read; in the second line, matrix products on BLAS",
        "",
        f"{'stage':<21}{'native':>11}{'NumPy':>11}{'ratio':>9}   compared before it is printed",
    ]
    for one in measurements["stages"]:
        mark = " " if one["scaled_from"] is None else "*"
        lines.append(
            f"{one['stage']:<21}{format_seconds(one['native_seconds']):>11}"
            f"{format_seconds(one['numpy_seconds']):>11}{mark}{one['ratio']:>7.1f}x"
            f"   {one['checked']}"
        )
    lines += [
        f"* NumPy timed on {one['scaled_from']} of {rows} rows, and scaled to all"
        for one in measurements["stages"]
        if one["scaled_from"] is not None
    ]
    return "\n".join(lines)


def format_seconds(seconds: float) -> str:
    """Three digits and a unit that suits them."""
    units = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))
    unit, scale = next((one for one in units if seconds >= 0.9995 * one[1]), units[-1])
    value = seconds / scale
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} {unit}"


def _measure_stages(
    rows: FloatArray, scores: IntArray, threads: int, seed: int
) -> list[Measurement]:
    graph, search = _measure_search(rows, threads, seed)
    estimate, fit = _measure_fit(scores, graph, threads)
    curation, vote = _measure_curation(scores, graph, estimate, threads, seed)
    triples = _measure_triples(scores, graph, threads)
    beliefs = _measure_beliefs(scores, graph, estimate, threads)
    long_tail, rarity = _measure_long_tail(graph, threads)
    blocks = _measure_blocks(rows, graph, search.native_seconds)
    sort = _measure_sort(curation.scores, long_tail)
    return [search, blocks, triples, beliefs, fit, vote, rarity, sort]


def _measure_search(rows: FloatArray, threads: int, seed: int) -> tuple[KnnGraph, Measurement]:
    graph, native = _timed(lambda: knn_graph(rows, GRAPH_WIDTH, threads=threads, progress=False))
    sampled = len(rows) > MAX_PLAIN_ROWS
    if sampled:
        chosen, (ids, similarities), plain = _search_some_plainly(rows, seed)
    else:
        chosen = np.arange(len(rows))
        (ids, similarities), plain = _timed(lambda: reference.knn_graph(rows, GRAPH_WIDTH))
    # The two sum in different orders: similarities agree to one float32 rounding.
    close = np.allclose(graph.similarities[chosen], similarities, rtol=0, atol=2**-23)
    equal_ids = float((graph.indices[chosen] == ids).mean())
    _require(close and equal_ids > 0.9999, "k-NN graph")
    checked = f"{equal_ids:.4%} of ids, similarities to 2^-23"
    if sampled:
        checked += f", of {len(chosen)} rows"
    scaled_from = len(chosen) if sampled else None
    return graph, Measurement("k-NN graph", native, plain, checked, scaled_from)


def _measure_blocks(rows: FloatArray, graph: KnnGraph, native: float) -> Measurement:
    """The same search beside the fastest that plain NumPy does: matrix products in blocks."""
    ids, plain = _timed(lambda: search_in_blocks(rows, graph.k))
    same = float(np.mean([np.isin(*pair).mean() for pair in zip(ids, graph.indices, strict=True)]))
    _require(same > 0.999, "k-NN graph, BLAS blocks")  # float32 products mistake near ties
    return Measurement("k-NN graph, BLAS", native, plain, f"{same:.4%} of ids, unordered")


def search_in_blocks(rows: FloatArray, k: int, block: int = 1000) -> IntArray:
    """Neighbours of all rows by float32 matrix products on BLAS's own threads; not in order."""
    unit = rows / np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    found = []
    for begin in range(0, len(unit), block):
        cosines = unit[begin : begin + block] @ unit.T
        cosines[np.arange(len(cosines)), begin + np.arange(len(cosines))] = -np.inf
        found.append(np.argpartition(-cosines, k - 1, axis=1)[:, :k])
    return np.concatenate(found).astype(np.int64)


def _search_some_plainly(
    rows: FloatArray, seed: int
) -> tuple[IntArray, tuple[IntArray, DoubleArray], float]:
    """Some rows, their neighbours, and the seconds that all rows would take."""
    chosen = np.random.default_rng(seed).choice(len(rows), PLAIN_SEARCHES, replace=False)
    doubles = rows.astype(np.float64)
    norms = np.sqrt((doubles * doubles).sum(axis=1))
    found, plain = _timed(lambda: search_plainly(doubles, norms, chosen, GRAPH_WIDTH))
    return chosen, found, plain * len(rows) / len(chosen)


def search_plainly(
    x: DoubleArray, norms: DoubleArray, chosen: IntArray, k: int
) -> tuple[IntArray, DoubleArray]:
    """Neighbours of the chosen rows, found as `reference.knn_graph` finds those of all rows."""
    ids = np.empty((len(chosen), k), dtype=np.int64)
    similarities = np.empty((len(chosen), k))
    for place, n in enumerate(chosen):
        cosine = (x * x[n]).sum(axis=1) / (norms * norms[n])
        cosine[n] = -np.inf
        ids[place] = np.lexsort((np.arange(len(x)), -cosine))[:k]
        similarities[place] = cosine[ids[place]]
    return ids, similarities


def _measure_triples(scores: IntArray, graph: KnnGraph, threads: int) -> Measurement:
    triples, native = _timed(lambda: count_sharing(scores, graph, threads))
    counts, plain = _timed(lambda: _count_plainly(scores, graph))
    _require(np.array_equal(triples.counts, counts), "sharing counts")
    return Measurement("sharing counts", native, plain, "all counts")


def count_sharing(scores: IntArray, graph: KnnGraph, threads: int) -> Triples:
    """Independent neighbours, and the counts that T is fitted to by default."""
    voters = independent_neighbours(scores, graph, threads)
    return count_triples(scores, voters, NUM_LEVELS, threads)


def _count_plainly(scores: IntArray, graph: KnnGraph) -> DoubleArray:
    ids, similarities, is_copy = reference_sharing.independent_neighbours(
        scores, graph.indices, graph.similarities, min(VOTERS, graph.k)
    )
    ids, similarities = ids[:, :NEAREST], similarities[:, :NEAREST]
    num_bins = bins_for(NUM_LEVELS)
    edges = np.quantile(similarities[ids >= 0], np.linspace(0.0, 1.0, num_bins + 1))
    bins = np.digitize(similarities, edges[1:-1])
    return reference_sharing.sharing_counts(scores, ids, bins, is_copy, NUM_LEVELS, num_bins)


def _measure_beliefs(
    scores: IntArray, graph: KnnGraph, estimate: TransitionEstimate, threads: int
) -> Measurement:
    seen = observe(scores[:, None], NUM_LEVELS)
    rater = Rater(estimate.transition_matrix[None], np.maximum(estimate.prior, 1e-12), 0.0)
    likelihood = rater.likelihood(seen)
    witnesses = find_witnesses(scores, graph, VOTERS, CURVE_BINS, threads)
    alpha = fit_alpha(seen, scores, witnesses, rater, likelihood, threads)
    messages = pattern_messages(likelihood, rater.prior, alpha)
    near = (seen.codes, witnesses.neighbours.ids, witnesses.bins, messages, rater.prior)
    beliefs, native = _timed(lambda: neighbour_beliefs(*near, threads))
    expected, plain = _timed(lambda: reference_posterior.neighbour_beliefs(*near))
    _require(np.allclose(beliefs, expected, rtol=1e-9, atol=0), "neighbours' beliefs")
    return Measurement("neighbours' beliefs", native, plain, "all beliefs to 1e-9")


def _measure_fit(
    scores: IntArray, graph: KnnGraph, threads: int
) -> tuple[TransitionEstimate, Measurement]:
    estimate, native = _timed(
        lambda: estimate_transition_matrix(
            scores, graph, solver="em", threads=threads, progress=False
        )
    )
    (transition, prior), plain = _timed(
        lambda: reference.solve_em(reference.agreement_counts(scores, graph.indices, NUM_LEVELS))
    )
    # Where the likelihood is flat T says little: plain EM stops before its top, ours nearer to it.
    counts = reference.agreement_counts(scores, graph.indices, NUM_LEVELS)
    reached = reference.log_likelihood(counts, estimate.transition_matrix, estimate.prior)
    least = reference.log_likelihood(counts, transition, prior) - EM_SLACK * counts.sum()
    sums = (*estimate.transition_matrix.sum(axis=1), estimate.prior.sum())
    _require(reached >= least and np.allclose(sums, 1.0, atol=1e-12), "counts + EM")
    return estimate, Measurement("counts + EM", native, plain, "no less likely, to 1e-8 a row")


def _measure_curation(
    scores: IntArray, graph: KnnGraph, estimate: TransitionEstimate, threads: int, seed: int
) -> tuple[Curation, Measurement]:
    curation, native = _timed(
        lambda: curate_scores(
            scores,
            graph,
            estimate,
            method="simifeat",
            k=K,
            seed=seed,
            threads=threads,
            progress=False,
        )
    )
    rates = reference.error_rates(estimate.transition_matrix, estimate.prior, estimate.observed)
    expected, plain = _timed(lambda: _curate_plainly(scores, graph, rates, curation))
    _require(np.array_equal(curation.scores, expected), "SimiFeat")
    stage = f"SimiFeat ({curation.rounds} rounds)"
    return curation, Measurement(stage, native, plain, "all curated scores")


def _curate_plainly(
    scores: IntArray, graph: KnnGraph, rates: DoubleArray, curation: Curation
) -> IntArray:
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


def _measure_long_tail(graph: KnnGraph, threads: int) -> tuple[FloatArray, Measurement]:
    long_tail, native = _timed(lambda: long_tail_scores(graph, k=K, threads=threads))
    rarity, plain = _timed(lambda: reference.long_tail_scores(graph.similarities, K))
    _require(np.allclose(long_tail, rarity, rtol=0, atol=2**-24), "long tail")
    return long_tail, Measurement("long tail", native, plain, "all scores to 2^-24")


def _measure_sort(scores: IntArray, long_tail: FloatArray) -> Measurement:
    n = len(scores) // 10
    order, native = _timed(lambda: dual_sort(scores, long_tail, n))
    expected, plain = _timed(lambda: reference.dual_sort(scores, long_tail, n))
    _require(np.array_equal(order, expected), "dual sort")
    return Measurement("dual sort", native, plain, f"the best {n} rows")


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    """What the call gives and the seconds it took; where that is short, the best of five runs."""
    result, best = _timed_once(call)
    if best < _SHORT:
        best = min(best, *(_timed_once(call)[1] for _ in range(_RUNS - 1)))
    return result, best


def _timed_once(call: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


def _require(equal: bool, stage: str) -> None:
    if not equal:
        raise ResultsDifferError(f"{stage}: expected the results of reference.py, got others")
