"""The sharing model: T, the prior, and how likely near rows share a true score.

The paper counts a row and its two nearest neighbours as three ratings of one true score. Near rows
mostly share their score, not always, and the less the further they are; a fit that does not know
this takes the difference for noise of the rater. Here each of two neighbours shows the row's level
or else the pool's mix, with probabilities fitted for each pair of similarity bins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ds2fast import _core
from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.observations import Observations
from ds2fast.results import (
    BinArray,
    BoolArray,
    Clusterability,
    DoubleArray,
    FloatArray,
    IdArray,
    IntArray,
)

Report = Callable[[int, int], None] | None

NEAREST = 5
"""Independent neighbours whose pairs are counted with the row."""

VOTERS = 20
"""Independent neighbours that the curve of sharing is fitted on, and that tell of a row."""

CURVE_BINS = 8
MISFIT_DRAWS = 32
_ROWS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Neighbours:
    """Independent rated neighbours of each row: ids (N, W), −1 at the end; copies are left out."""

    ids: IdArray
    similarities: FloatArray
    is_copy: BinArray

    def first(self, width: int) -> Neighbours:
        """The nearest `width` of them."""
        return Neighbours(
            np.ascontiguousarray(self.ids[:, :width]),
            np.ascontiguousarray(self.similarities[:, :width]),
            self.is_copy,
        )

    def edges(self, num_bins: int) -> DoubleArray:
        """(num_bins + 1,): similarities that part them into bins of equal size."""
        kept = self.similarities[self.ids >= 0]
        if len(kept) == 0:
            return np.linspace(-1.0, 1.0, num_bins + 1)
        return quantiles_in_place(kept, np.linspace(0.0, 1.0, num_bins + 1))

    def bins(self, edges: DoubleArray) -> BinArray:
        """(N, W) uint8: the bin of each similarity."""
        bins = np.empty(self.similarities.shape, np.uint8)
        for start in range(0, len(bins), _ROWS_AT_ONCE):  # digitize takes 16 bytes for each byte
            part = slice(start, start + _ROWS_AT_ONCE)
            bins[part] = np.digitize(self.similarities[part], edges[1:-1])
        return bins


def quantiles_in_place(values: FloatArray, shares: DoubleArray) -> DoubleArray:
    """`np.quantile` of the values as float64, which are only put in another order for it.

    Millions of similarities would be held as float64 twice otherwise. Each share is one of a pair
    of values that follow each other, which the pair's own quantile tells.

    Examples
    --------
    >>> quantiles_in_place(np.array([4, 2, 1], np.float32), np.array([0.0, 0.75]))
    array([1., 3.])
    """
    places = (len(values) - 1) * shares
    low = np.floor(places).astype(np.int64)
    ends = np.stack([low, np.minimum(low + 1, len(values) - 1)], axis=1)
    values.partition(np.unique(ends))
    pairs = zip(values[ends].astype(np.float64), places - low, strict=True)
    return np.array([np.quantile(pair, share) for pair, share in pairs])


@dataclass(frozen=True)
class SharingFit:
    """What the sharing model found."""

    transition: DoubleArray
    prior: DoubleArray
    own: float
    shares: DoubleArray
    steps: int
    converged: bool


def independent_neighbours(
    levels: IntArray, graph: KnnGraph, threads: int, width: int = VOTERS
) -> Neighbours:
    """The nearest rated neighbours of each row whose ratings tell something of their own."""
    found = _core.independent_neighbours(
        levels.astype(np.int8), graph.indices, graph.similarities, min(width, graph.k), threads
    )
    return Neighbours(*found)


@dataclass(frozen=True)
class Triples:
    """Rows with pairs of their nearest independent neighbours, by level and similarity bin."""

    levels: IntArray
    near: Neighbours
    bins: BinArray
    counts: IntArray
    num_bins: int

    @property
    def num_rows(self) -> int:
        """Rows with two counted neighbours."""
        return int(
            ((self.levels >= 0) & (self.near.is_copy == 0) & (self.near.ids[:, 1] >= 0)).sum()
        )


def count_triples(levels: IntArray, voters: Neighbours, num_levels: int, threads: int) -> Triples:
    """Count the levels of each row with every pair of its five nearest independent neighbours."""
    near = voters.first(NEAREST)
    num_bins = bins_for(num_levels)
    bins = near.bins(near.edges(num_bins))
    counts = _core.sharing_counts(
        levels.astype(np.int8), near.ids, bins, near.is_copy, num_levels, num_bins, threads
    )
    triples = Triples(levels, near, bins, counts, num_bins)
    if triples.num_rows == 0:
        raise InputError(
            "graph: expected rated rows with two rated neighbours that are no copies of each "
            f"other, got none among {int((levels >= 0).sum())} rated rows of {len(levels)}; "
            "a graph with more neighbours may have some (those of equal similarity are taken for "
            "copies of each other)"
        )
    return triples


def bins_for(num_levels: int) -> int:
    """Similarity bins: fewer where many levels leave few triples a cell."""
    if num_levels <= 12:
        return 5
    return 3 if num_levels <= 24 else 1


@dataclass(frozen=True)
class Signal:
    """Patterns that hold more than one rating of a row, or the truth: (U, K) counts and weights."""

    shown: IdArray
    weights: DoubleArray
    gold: IdArray

    @property
    def is_there(self) -> bool:
        """Whether there is any."""
        return len(self.shown) > 0


def signal_of(observations: Observations, levels: IntArray) -> Signal:
    """The independent signal of one rater's observations.

    The rows with a signal may have been drawn by their score (an audit does so): patterns are
    weighted so that each given score has the share it has in the pool.
    """
    chosen = np.flatnonzero(observations.is_signal)
    shown = np.ascontiguousarray(observations.shown[chosen, 0])
    counts = observations.rows_with[chosen].astype(np.float64)
    first = _given_of_patterns(observations, levels)[chosen]
    size = shown.shape[1]
    in_pool = np.bincount(levels[levels >= 0], minlength=size).astype(float)
    in_sample = np.bincount(first, weights=counts, minlength=size)
    there = in_sample > 0
    factor = np.zeros(size)
    if there.any():
        factor[there] = in_pool[there] / in_pool[there].sum() / in_sample[there] * counts.sum()
    return Signal(shown, counts * factor[first], observations.gold[chosen])


def _given_of_patterns(observations: Observations, levels: IntArray) -> IntArray:
    """The score that the rows of each pattern were given."""
    given = np.zeros(len(observations.shown), dtype=np.int64)
    rated = observations.codes >= 0
    given[observations.codes[rated]] = levels[rated]
    return given


def fit_sharing(triples: Triples, signal: Signal, report: Report = None) -> SharingFit:
    """T, p, and with a signal the share of rows with a quality of their own."""
    found = _core.solve_sharing(
        triples.counts,
        signal.shown,
        signal.weights,
        signal.gold,
        float(triples.num_rows),
        signal.is_there,
        report,
    )
    transition, prior, own, shares, _, steps, converged = found
    # A level that nothing was seen of keeps no share of what is left over, and no row of T.
    seen = _levels_seen(triples, signal)
    prior = np.where(seen, prior, 0.0) / prior[seen].sum()
    transition = np.where(seen[:, None], transition, np.eye(len(prior)))
    return SharingFit(transition, prior, own, shares, steps, converged)


def _levels_seen(triples: Triples, signal: Signal) -> BoolArray:
    """(K,) bool: levels that a counted row or the signal shows."""
    seen = triples.counts.sum(axis=(0, 2, 3)) > 0
    seen |= signal.shown.sum(axis=0) > 0
    seen[signal.gold[signal.gold >= 0]] = True
    return np.asarray(seen)


def fit_curve(
    levels: IntArray, voters: Neighbours, fit: SharingFit, threads: int
) -> Clusterability:
    """How likely a neighbour shows the row's level, by similarity, with T and p held."""
    size = len(fit.prior)
    edges = voters.edges(CURVE_BINS)
    counts = _core.pair_counts(
        levels.astype(np.int8), voters.ids, voters.bins(edges), voters.is_copy,
        size, CURVE_BINS, threads,
    )  # fmt: skip
    emission = (1.0 - fit.own) * fit.transition + fit.own * (fit.prior @ fit.transition)
    return Clusterability(edges, _core.solve_alpha(counts, emission, fit.transition, fit.prior))


def misfit(triples: Triples, fit: SharingFit, seed: int = 0) -> float:
    """Total variation between counted and fitted triples, beyond what sampling explains.

    Triples share rows, so their counts vary more than independent ones would: what sampling
    explains is measured by giving each row a random weight that enters every triple it is in.
    """
    near, levels = triples.near, triples.levels
    rows = np.flatnonzero((levels >= 0) & (near.is_copy == 0) & (near.ids[:, 1] >= 0))
    first, second = near.ids[rows, 0], near.ids[rows, 1]
    size = len(fit.prior)
    cells = (levels[rows] * size + levels[first]) * size + levels[second]
    counts = np.bincount(cells, minlength=size**3).astype(float)
    expected = _expected_first_pairs(triples, fit, rows)
    generator = np.random.default_rng(seed)
    by_chance = np.empty(MISFIT_DRAWS)
    for draw in range(MISFIT_DRAWS):
        sign = generator.integers(0, 2, len(levels), dtype=np.int8) * 2 - 1
        weights = (sign[rows] + sign[first] + sign[second]).astype(float)
        by_chance[draw] = np.abs(np.bincount(cells, weights=weights, minlength=size**3)).sum()
    distance = np.abs(counts - expected).sum()
    return float(max(0.0, distance - by_chance.mean()) / 2.0 / len(rows))


def _expected_first_pairs(triples: Triples, fit: SharingFit, rows: IntArray) -> DoubleArray:
    """(K³,): triples with the two nearest neighbours that the fit expects among these rows."""
    first, second = triples.bins[rows, 0].astype(int), triples.bins[rows, 1].astype(int)
    low, high = np.minimum(first, second), np.maximum(first, second)
    pairs = low * triples.num_bins - low * (low - 1) // 2 + high - low
    swapped = first > second
    mixed = np.zeros(4)
    for place, shares in enumerate(fit.shares):  # both, first only, second only, neither
        here = pairs == place
        there_and_back = shares[[0, 2, 1, 3]]
        mixed += (here & ~swapped).sum() * shares + (here & swapped).sum() * there_and_back
    observed = np.bincount(triples.levels[rows], minlength=len(fit.prior)) / len(rows)
    shown, other = fit.transition, np.broadcast_to(observed, fit.transition.shape)
    own = fit.own * observed + (1.0 - fit.own) * shown
    ways = ((shown, shown), (shown, other), (other, shown), (other, other))
    expected = sum(
        weight * np.einsum("i,ia,ib,ic->abc", fit.prior, own, left, right)
        for weight, (left, right) in zip(mixed, ways, strict=True)
    )
    return np.asarray(expected).ravel()
