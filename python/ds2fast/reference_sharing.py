"""The sharing model in plain NumPy and float64: written to be read, not to be fast.

It is the oracle of the tests. Symbols are those of `reference.py`: N rows, K score levels, T the
transition matrix, p the prior; B similarity bins, P unordered pairs of them. The hidden level z ~ p
is that of a row's neighbourhood. The row's score shows z through E = (1 − own) T + own c, where c
are the observed shares; each of two neighbours shows z through T, or else c. Besides the rows that
are counted a few are supposed: what is maximised is the likelihood of both.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ds2fast.results import DoubleArray, IntArray

COPY_SIMILARITY = 0.999
SAME_SIMILARITY = 1e-6
ROWS_A_LEVEL, ROWS_OF_OWN, FULL_AT = 10.0, 300.0, 40_000.0


class Parameters(NamedTuple):
    """T (K, K), p (K,), own, and shares (P, 4): both show z, first only, second only, neither."""

    transition: DoubleArray
    prior: DoubleArray
    own: float
    shares: DoubleArray


class Patterns(NamedTuple):
    """Ratings of a row by one rater: shown (U, K), of weights (U,) rows, gold (U,) or −1."""

    shown: IntArray
    weights: DoubleArray
    gold: IntArray


class Supposed(NamedTuple):
    """Supposed rows by true level and score (K, K), and further ones by true level alone (K,)."""

    transition: DoubleArray
    prior: DoubleArray


def independent_neighbours(
    levels: npt.NDArray[np.integer],
    indices: npt.NDArray[np.integer],
    similarities: npt.NDArray[np.floating],
    width: int,
) -> tuple[IntArray, DoubleArray, IntArray]:
    """Rated neighbours without copies: ids and similarities (N, width), and who is a copy (N,)."""
    ids = np.full((len(levels), width), -1, dtype=np.int64)
    kept = np.zeros((len(levels), width))
    is_copy = np.zeros(len(levels), dtype=np.int64)
    for n in range(len(levels)):
        chosen: list[tuple[int, float]] = []
        for m, similarity in zip(indices[n].tolist(), similarities[n].tolist(), strict=True):
            if levels[m] < 0 or len(chosen) == width:
                continue
            if similarity >= COPY_SIMILARITY:
                is_copy[n] |= m < n
            elif not chosen or chosen[-1][1] - similarity > SAME_SIMILARITY:
                chosen.append((m, similarity))
        for place, (m, similarity) in enumerate(chosen):
            ids[n, place], kept[n, place] = m, similarity
    return ids, kept, is_copy


def place_of_bins(low: int, high: int, num_bins: int) -> int:
    """Where bins low <= high stand in a table of pairs, which are sorted: (0, 0), (0, 1), …."""
    pairs = [(x, y) for x in range(num_bins) for y in range(x, num_bins)]
    return pairs.index((low, high))


def sharing_counts(
    levels: npt.NDArray[np.integer],
    ids: npt.NDArray[np.integer],
    bins: npt.NDArray[np.integer],
    is_copy: npt.NDArray[np.integer],
    num_levels: int,
    num_bins: int,
    weights: DoubleArray | None = None,
) -> DoubleArray:
    """(P, K, K, K) counts of a row's level with those of pairs of its neighbours, by their bins.

    With `weights` (N,), e, a triple weighs 1 + e(row) + e(first) + e(second).
    """
    counts = np.zeros((num_bins * (num_bins + 1) // 2, *(num_levels,) * 3))
    extra = np.zeros(len(levels)) if weights is None else weights
    for n in np.flatnonzero((levels >= 0) & (is_copy == 0)):
        near = [(int(b), int(m)) for b, m in zip(bins[n], ids[n], strict=True) if m >= 0]
        for pair in combinations(near, 2):
            (low, first), (high, second) = sorted(pair, key=lambda bin_and_row: bin_and_row[0])
            cell = place_of_bins(low, high, num_bins), levels[n], levels[first], levels[second]
            counts[cell] += 1.0 + extra[n] + extra[first] + extra[second]
    return counts


def pair_counts(
    levels: npt.NDArray[np.integer],
    ids: npt.NDArray[np.integer],
    bins: npt.NDArray[np.integer],
    is_copy: npt.NDArray[np.integer],
    num_levels: int,
    num_bins: int,
) -> IntArray:
    """(B, K, K) counts of a row's level with that of each of its neighbours, by their bin."""
    counts = np.zeros((num_bins, num_levels, num_levels), dtype=np.int64)
    for n in np.flatnonzero((levels >= 0) & (is_copy == 0)):
        for b, m in zip(bins[n], ids[n], strict=True):
            if m >= 0:
                counts[b, levels[n], levels[m]] += 1
    return counts


def supposed_rows(observed: DoubleArray, num_rows: float, *, fit_own: bool) -> Supposed:
    """What is supposed of a pool of `num_rows`: 10 rows a level, where own is fitted 300 for p.

    Scores that were seen fall off as exp(−distance), counted among these; true levels are spread as
    the scores `observed`. Of less than 40 000 rows as many fewer are supposed.
    """
    part = min(1.0, num_rows / FULL_AT)
    place = np.cumsum(observed > 0)  # among the scores that were seen
    falling = np.exp(-np.abs(np.subtract.outer(place, place)).astype(float)) * (observed > 0)
    spread = falling / falling.sum(axis=1)[:, None]
    return Supposed(part * ROWS_A_LEVEL * spread, part * ROWS_OF_OWN * fit_own * observed)


def objective(
    counts: npt.NDArray[np.number],
    patterns: Patterns,
    num_rows: float,
    at: Parameters,
    *,
    fit_own: bool,
) -> float:
    """The log-likelihood of what is counted and of what is supposed: EM never lowers it."""
    supposed = supposed_rows(_scaled(counts, num_rows)[1], num_rows, fit_own=fit_own)
    of_rows = (supposed.transition * np.log(np.maximum(at.transition, 1e-300))).sum()
    of_levels = (supposed.prior * np.log(np.maximum(at.prior, 1e-300))).sum()
    return log_likelihood(counts, patterns, num_rows, at) + float(of_rows + of_levels)


def log_likelihood(
    counts: npt.NDArray[np.number], patterns: Patterns, num_rows: float, at: Parameters
) -> float:
    """Of the graph's counts, scaled to the total `num_rows`, and the patterns."""
    scaled, observed = _scaled(counts, num_rows)
    shares = _joint(at, observed).sum(axis=(1, 2))
    of_graph = (scaled * np.log(np.maximum(shares, 1e-300))).sum()
    of_patterns = patterns.weights @ np.log(_pattern_joint(patterns, at).sum(axis=1))
    return float(of_graph + of_patterns)


def em_step(
    counts: npt.NDArray[np.number],
    patterns: Patterns,
    num_rows: float,
    at: Parameters,
    *,
    fit_own: bool,
) -> Parameters:
    """One step of EM: every parameter becomes its share of the posterior weight.

    What is supposed counts with it for T and p; a level that no row has stays as it was.
    """
    scaled, observed = _scaled(counts, num_rows)
    joint = _joint(at, observed)
    total = joint.sum(axis=(1, 2), keepdims=True)
    posterior = scaled[:, None, None] * joint / np.maximum(total, 1e-300)  # P, way, i, a, b, c
    of_centre = posterior.sum(axis=(0, 1, 4, 5))
    emission = _emission(at, observed)
    through_own = np.divide(at.own * observed, emission, where=emission > 0, out=0.0 * emission)
    shows = of_centre * (1.0 - through_own)
    shows = shows + posterior[:, [0, 1]].sum(axis=(0, 1, 3, 5))
    shows = shows + posterior[:, [0, 2]].sum(axis=(0, 1, 3, 4))
    pattern_joint = _pattern_joint(patterns, at)
    of_pattern = pattern_joint / pattern_joint.sum(axis=1, keepdims=True)
    of_pattern = of_pattern * patterns.weights[:, None]
    shows = shows + of_pattern.T @ patterns.shown
    supposed = supposed_rows(observed, num_rows, fit_own=fit_own)
    shows = np.where(shows.sum(axis=1, keepdims=True) > 0, shows + supposed.transition, 0.0)
    levels = of_centre.sum(axis=1) + of_pattern.sum(axis=0) + supposed.prior
    own = float((of_centre * through_own).sum() / scaled.sum()) if fit_own else at.own
    return Parameters(
        _shares_or(shows, at.transition),
        _shares_or(levels, at.prior),
        own,
        _shares_of_ways(posterior.sum(axis=(2, 3, 4, 5)), at.shares, len(at.prior)),
    )


def pair_log_likelihood(
    counts: IntArray,
    emission: DoubleArray,
    transition: DoubleArray,
    prior: DoubleArray,
    alpha: float,
) -> float:
    """Of the counts (K, K) of one bin if a neighbour shows the row's level with chance alpha."""
    shared = np.einsum("i,ia,id->ad", prior, emission, transition)
    apart = np.outer(prior @ emission, prior @ transition)
    mixed = alpha * shared + (1.0 - alpha) * apart
    seen = counts > 0
    return float((counts[seen] * np.log(np.maximum(mixed[seen], 1e-300))).sum())


def _scaled(counts: npt.NDArray[np.number], num_rows: float) -> tuple[DoubleArray, DoubleArray]:
    """Counts scaled to the total, and c: the shares of the rows' own levels."""
    own_levels = counts.sum(axis=(0, 2, 3))
    return counts * (num_rows / counts.sum()), own_levels / counts.sum()


def _emission(at: Parameters, observed: DoubleArray) -> DoubleArray:
    return np.asarray((1.0 - at.own) * at.transition + at.own * observed)


def _joint(at: Parameters, observed: DoubleArray) -> DoubleArray:
    """(P, 4, K, K, K, K): probability of z = i, how the neighbours show it, and levels a, b, c."""
    shown, pool = at.transition, np.broadcast_to(observed, at.transition.shape)
    ways = ((shown, shown), (shown, pool), (pool, shown), (pool, pool))
    centre = at.prior[:, None] * _emission(at, observed)
    each = np.stack([np.einsum("ia,ib,ic->iabc", centre, left, right) for left, right in ways])
    return np.asarray(np.einsum("gm,miabc->gmiabc", at.shares, each))


def _pattern_joint(patterns: Patterns, at: Parameters) -> DoubleArray:
    """(U, K): probability of z = i and the pattern's ratings, 0 where gold says otherwise."""
    possible = (patterns.gold[:, None] < 0) | (patterns.gold[:, None] == np.arange(len(at.prior)))
    chance = np.prod(at.transition[None] ** patterns.shown[:, None, :], axis=2)
    return np.asarray(possible * at.prior * chance)


def _shares_of_ways(weights: DoubleArray, kept: DoubleArray, num_levels: int) -> DoubleArray:
    """(P, 4); two levels cannot tell more than how often each neighbour shows z by itself."""
    shares = _shares_or(weights, kept)
    if num_levels > 2:
        return shares
    first, second = shares[:, 0] + shares[:, 1], shares[:, 0] + shares[:, 2]
    apart = (first * second, first * (1 - second), (1 - first) * second, (1 - first) * (1 - second))
    return np.where(weights.sum(axis=1, keepdims=True) > 0, np.stack(apart, axis=1), kept)


def _shares_or(weights: DoubleArray, kept: DoubleArray) -> DoubleArray:
    """Weights scaled to sum 1 along the last axis; what has no weight stays as it was."""
    total = weights.sum(axis=-1, keepdims=True)
    return np.where(total > 0, weights / np.where(total > 0, total, 1.0), kept)
