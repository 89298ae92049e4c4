"""P(true score) of each row from its own ratings and its neighbours' (the posterior curator).

A neighbour shows the level of the row's neighbourhood with a probability that falls with distance,
or else the pool's mix. Its message is the likelihood of its ratings under each level; the messages
are weighted by similarity bin, because near rows resemble each other, not only the row, and so
repeat what was said. The weights are those that predict the rows' own ratings best. What the
neighbours say and what the row itself was given are then two independent witnesses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ds2fast import _core
from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.observations import Observations
from ds2fast.own_quality import most_own, without_own
from ds2fast.results import BinArray, BoolArray, DoubleArray, IdArray, IntArray
from ds2fast.sharing import CURVE_BINS, VOTERS, Neighbours, independent_neighbours

Report = Callable[[int, int], None]

GIVEN_SHARE = 0.2
"""What the given score counts in a ranking value where nothing tells own quality from noise."""

LEAST_SHARE = 1e-12
MAX_FITTED_ROWS = 50_000
ROWS_PER_BIN = 100


@dataclass(frozen=True)
class Posterior:
    """What is believed of each row's true score, and what that rests on.

    Attributes
    ----------
    probabilities : (N, K) float64
        P(true score) of each row, rows sum to 1; NaN where the row is unrated.
    expected : (N,) float64
        Ranking value in [0, K − 1]; −1 where the row is unrated.
    weights : (B,) float64
        What a neighbour's message counts, by similarity bin; at least 0.
    alpha : (B,) float64
        P(a neighbour shows the level of the row's neighbourhood), by similarity bin.
    edges : (B + 1,) float64
        Similarities that bound the bins. A small pool has fewer bins than asked for.
    """

    probabilities: DoubleArray
    expected: DoubleArray
    weights: DoubleArray
    alpha: DoubleArray
    edges: DoubleArray


@dataclass(frozen=True)
class Rater:
    """How levels turn into ratings: T of each rater (R, K, K), the prior (K,), own."""

    matrices: DoubleArray
    prior: DoubleArray
    own: float

    @property
    def num_levels(self) -> int:
        """Number of levels K."""
        return len(self.prior)

    def likelihood(self, observations: Observations) -> DoubleArray:
        """(U, K): P(pattern | true level) relative to the pattern's likeliest level."""
        found = observations.likelihood(np.maximum(self.matrices, LEAST_SHARE))
        known = observations.gold[:, None]
        # So many unlikely ratings that the product is 0 at every level say nothing but the gold.
        alone = np.where(known >= 0, known == np.arange(self.num_levels), 1.0)
        found = np.where(found.max(axis=1, keepdims=True) > 0.0, found, alone)
        return np.asarray(found / found.max(axis=1, keepdims=True))

    def emission(self, likelihood: DoubleArray) -> DoubleArray:
        """(U, K): relative P(pattern | level of the row's neighbourhood)."""
        return (1.0 - self.own) * likelihood + self.own * (likelihood @ self.prior)[:, None]

    def without(self, own: float) -> Rater:
        """The rater if a share `own` of what looks like noise is the rows' own quality instead."""
        return Rater(without_own(self.matrices, self.prior, own), self.prior, own)


@dataclass(frozen=True)
class Witnesses:
    """The neighbours of each row: ids and similarity bins (N, V), which rows are copies."""

    neighbours: Neighbours
    bins: BinArray
    edges: DoubleArray
    centres: BoolArray

    @property
    def num_bins(self) -> int:
        """Number of similarity bins B."""
        return len(self.edges) - 1


def row_posterior(
    observations: Observations,
    given: IntArray,
    graph: KnnGraph | None,
    matrices: DoubleArray,
    prior: DoubleArray,
    own: float | None,
    *,
    width: int = VOTERS,
    num_bins: int = CURVE_BINS,
    threads: int,
    report: Report | None = None,
) -> Posterior:
    """P(true score) of each row, and the value that it is ranked by.

    Parameters
    ----------
    observations : Observations
        Ratings of the N rows, patterns of them.
    given : (N,) int64
        The score of each row, −1 where it is unrated; with several raters the fused one.
    graph : KnnGraph or None
        Neighbours; without them a row's ratings and the prior are all there is.
    matrices : (R, K, K) float64
        T of each rater.
    prior : (K,) float64
        P(true level).
    own : float or None
        Share of rows with a quality of their own; None where it is not identified. `probabilities`
        then take it for 0; `expected` takes it for the largest that T leaves room for, and holds to
        the given score by a fifth.
    width : int
        Independent neighbours that speak for a row; fewer where the graph is narrower.
    num_bins : int
        Similarity bins; a pool with less than 100 rows a bin has fewer.
    threads : int
        Threads to use; they change no result.
    report : callable, optional
        Called with the steps that are done and how many there may be.

    Returns
    -------
    Posterior
        `.probabilities` (N, K) and `.expected` (N,).

    Raises
    ------
    InputError
        Arrays that do not fit each other; a rated row without a pattern; `own` outside [0, 1].

    Examples
    --------
    Row 2 is rated 1 among neighbours rated 0:

    >>> from ds2fast.observations import observe
    >>> order = [[m for m in range(6) if m != n] for n in range(6)]
    >>> similarities = [[0.9, 0.8, 0.7, 0.6, 0.5]] * 12
    >>> graph = KnnGraph.from_arrays(order + [[m + 6 for m in row] for row in order], similarities)
    >>> given = np.array([0, 0, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    >>> rater = np.array([[[0.8, 0.2], [0.2, 0.8]]])
    >>> seen = observe(given[:, None], num_levels=2)
    >>> found = row_posterior(seen, given, graph, rater, np.array([0.5, 0.5]), 0.0, threads=1)
    >>> found.probabilities.argmax(axis=1).tolist()
    [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    """
    _check(observations, given, graph, matrices, prior, own)
    shares = np.maximum(prior, LEAST_SHARE)
    rater = Rater(matrices, shares / shares.sum(), 0.0 if own is None else float(own))
    likelihood = rater.likelihood(observations)
    if graph is None:
        beliefs, told = np.tile(rater.prior, (len(given), 1)), (np.empty(0),) * 3
    else:
        witnesses = find_witnesses(given, graph, width, num_bins, threads)
        alpha = fit_alpha(observations, given, witnesses, rater, likelihood, threads)
        messages = pattern_messages(likelihood, rater.prior, alpha)
        weights = fit_weights(observations, witnesses, messages, rater, likelihood, threads, report)
        beliefs = _core.neighbour_beliefs(
            observations.codes, witnesses.neighbours.ids, witnesses.bins,
            messages * weights[:, None, None], rater.prior, threads,
        )  # fmt: skip
        told = (weights, alpha, witnesses.edges)
    probabilities = level_probabilities(observations, given, beliefs, rater, likelihood)
    if own is None and graph is not None:
        expected = cautious_value(observations, given, beliefs, rater)
    else:
        expected = probabilities @ np.arange(rater.num_levels)
    top = rater.num_levels - 1.0
    expected = np.where(given >= 0, np.clip(expected, 0.0, top), -1.0)  # a mean, but for rounding
    return Posterior(probabilities, expected, *told)


def find_witnesses(
    given: IntArray, graph: KnnGraph, width: int, num_bins: int, threads: int
) -> Witnesses:
    """Independent neighbours of each row, in bins of about equal size."""
    neighbours = independent_neighbours(given, graph, threads, width)
    centres = (given >= 0) & (neighbours.is_copy == 0)
    edges = neighbours.edges(int(np.clip(centres.sum() // ROWS_PER_BIN, 1, num_bins)))
    return Witnesses(neighbours, neighbours.bins(edges), edges, centres)


def fit_alpha(
    observations: Observations,
    given: IntArray,
    witnesses: Witnesses,
    rater: Rater,
    likelihood: DoubleArray,
    threads: int,
) -> DoubleArray:
    """(B,): how likely a neighbour shows the row's level, of maximum likelihood with T, p held."""
    shown = given_matrix(observations, given, rater, likelihood)
    emission = (1.0 - rater.own) * shown + rater.own * (rater.prior @ shown)
    counts = _core.pair_counts(
        given.astype(np.int8), witnesses.neighbours.ids, witnesses.bins,
        witnesses.neighbours.is_copy, rater.num_levels, witnesses.num_bins, threads,
    )  # fmt: skip
    return _core.solve_alpha(counts, emission, shown, rater.prior)


def given_matrix(
    observations: Observations, given: IntArray, rater: Rater, likelihood: DoubleArray
) -> DoubleArray:
    """(K, K): P(given score | true level).

    With several raters it is counted, over what each row's own ratings tell of its level.
    """
    if observations.num_raters == 1:
        return np.asarray(rater.matrices[0])
    rated = given >= 0
    size = rater.num_levels
    cells = observations.codes[rated].astype(np.int64) * size + given[rated]
    patterns = np.bincount(cells, minlength=len(likelihood) * size).reshape(-1, size)
    levels = likelihood * rater.prior
    levels /= levels.sum(axis=1, keepdims=True)
    # A level that no row may have shows what all rows show, which says nothing.
    counted = levels.T @ patterns + LEAST_SHARE * (patterns.sum(axis=0) + 1.0)
    return np.asarray(counted / counted.sum(axis=1, keepdims=True))


def pattern_messages(
    likelihood: DoubleArray, prior: DoubleArray, alpha: DoubleArray
) -> DoubleArray:
    """(B, U, K): log likelihood of a neighbour's ratings under each level of the row's.

    Their mean over the prior is 0, so that weights do not change what the prior says.
    """
    mixed = (likelihood @ prior)[None, :, None]
    shown = alpha[:, None, None] * likelihood + (1.0 - alpha)[:, None, None] * mixed
    logs = np.log(np.maximum(shown / shown.max(axis=2, keepdims=True), LEAST_SHARE))
    return np.ascontiguousarray(logs - (logs @ prior)[:, :, None])


def fit_weights(
    observations: Observations,
    witnesses: Witnesses,
    messages: DoubleArray,
    rater: Rater,
    likelihood: DoubleArray,
    threads: int,
    report: Report | None = None,
) -> DoubleArray:
    """(B,): the weights of messages with which neighbours predict the rows' own ratings best."""
    weights, _, _ = _core.fit_weights(
        observations.codes, witnesses.neighbours.ids, witnesses.bins, messages, rater.prior,
        rater.emission(likelihood), _evenly(witnesses.centres), threads, report,
    )  # fmt: skip
    return weights


def _evenly(chosen: BoolArray) -> IdArray:
    """At most 50 000 of the chosen rows, evenly spaced."""
    rows = np.flatnonzero(chosen).astype(np.int32)
    if len(rows) <= MAX_FITTED_ROWS:
        return rows
    return rows[np.arange(MAX_FITTED_ROWS) * len(rows) // MAX_FITTED_ROWS]


def level_probabilities(
    observations: Observations,
    given: IntArray,
    beliefs: DoubleArray,
    rater: Rater,
    likelihood: DoubleArray,
) -> DoubleArray:
    """(N, K): P(true level), of the row's ratings and what its neighbours say; NaN if unrated."""
    seen = likelihood[observations.codes] * _before_rating(beliefs, rater)
    seen /= seen.sum(axis=1, keepdims=True)
    seen[given < 0] = np.nan
    return np.asarray(seen)


def _before_rating(beliefs: DoubleArray, rater: Rater) -> DoubleArray:
    """(N, K): P(true level) before the row's own ratings, never quite 0: gold may say otherwise."""
    mixed = (1.0 - rater.own) * beliefs + rater.own * rater.prior
    return np.maximum(mixed, np.finfo(float).tiny)


def cautious_value(
    observations: Observations, given: IntArray, beliefs: DoubleArray, rater: Rater
) -> DoubleArray:
    """(N,): the mean true score if as many rows as can be have a quality of their own.

    One rater and a graph cannot tell noise from such rows. Where own quality is taken for noise,
    ranking by the mean harms; with the largest share that T leaves room for it is never taken so,
    but for errors of T, against which the value holds to the given score by a fifth.
    """
    supposed = rater.without(most_own(rater.matrices, rater.prior))
    likelihood = supposed.likelihood(observations)
    probabilities = level_probabilities(observations, given, beliefs, supposed, likelihood)
    means = probabilities @ np.arange(rater.num_levels)
    known = observations.gold[observations.codes] >= 0
    return np.where(known, means, GIVEN_SHARE * given + (1.0 - GIVEN_SHARE) * means)


def _check(
    observations: Observations,
    given: IntArray,
    graph: KnnGraph | None,
    matrices: DoubleArray,
    prior: DoubleArray,
    own: float | None,
) -> None:
    size = len(prior)
    expected = (observations.num_raters, size, size)
    if matrices.shape != expected or observations.shown.shape[2] != size:
        raise InputError(
            f"matrices: expected {expected} for {observations.num_raters} raters, "
            f"{observations.shown.shape[2]} levels and a prior of {size}, got {matrices.shape}"
        )
    if given.shape != observations.codes.shape:
        raise InputError(
            f"given: expected a score for each of {len(observations.codes)} rows, got {given.shape}"
        )
    if graph is not None and graph.num_rows != len(given):
        raise InputError(f"graph: expected {len(given)} rows, got {graph.num_rows}")
    if own is not None and not 0.0 <= own <= 1.0:
        raise InputError(f"own: expected a share in [0, 1] or None, got {own!r}")
    unseen = (given >= size) | ((given >= 0) & (observations.codes < 0))
    if unseen.any():
        raise InputError(
            f"given: expected levels below {size}, rated only where a rating was observed; "
            f"first offending row: {int(unseen.argmax())}"
        )
