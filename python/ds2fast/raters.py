"""Several raters: a matrix for each, from their agreement and, where there is one, the graph."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ds2fast.checks import UNRATED
from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.observations import Observations, observe
from ds2fast.own_quality import without_own
from ds2fast.panel import fit_panel
from ds2fast.results import DoubleArray, IntArray, TransitionEstimate
from ds2fast.sharing import (
    Report,
    SharingFit,
    Signal,
    count_triples,
    fit_curve,
    fit_sharing,
    independent_neighbours,
)

OWN_SHARES = np.linspace(0.0, 0.9, 91)
"""Shares of rows with a quality of their own that two raters are asked for."""

ENOUGH_TO_COMPARE = 3000
"""Rows of a rater from which on its own share is compared with others'."""

MOST_APART, AT_ROWS, LEAST_APART = 0.12, 4000, 0.07
"""How far apart the shares of independent raters lie: measured, at most 0.12 with 4 000 rows, where
it is chance, and 0.05 with 40 000."""

ENOUGH_TOGETHER = 100
"""Rows rated by several, or with a gold label, from which on these tell more than the graph."""


def given_levels(ratings: IntArray) -> IntArray:
    """(N,) int64: the mean of a row's ratings, rounded half up; −1 where nobody rated it."""
    if ratings.shape[1] == 1:
        return ratings[:, 0]
    rated = ratings >= 0
    count = rated.sum(axis=1)
    total = np.where(rated, ratings, 0).sum(axis=1)
    return np.where(count > 0, (2 * total + count) // np.maximum(2 * count, 1), UNRATED)


def estimate_of_raters(
    ratings: IntArray, num_levels: int, gold: IntArray | None, report: Report
) -> TransitionEstimate:
    """Three or more raters, or two with gold labels, without a graph."""
    _refuse_too_few(ratings, gold)
    seen = observe(ratings, num_levels, gold=gold)
    matrices, prior, _, steps, converged = fit_panel(ratings, seen, num_levels, report)
    return _estimate(ratings, seen, matrices, prior, steps, converged, own=None)


def estimate_of_raters_and_graph(
    ratings: IntArray,
    graph: KnnGraph,
    num_levels: int,
    gold: IntArray | None,
    threads: int,
    report: Report,
) -> TransitionEstimate:
    """Two or more raters and a graph: also the share of rows with a quality of their own.

    A rater's matrix as its neighbours show it holds those rows as noise; its agreement with other
    raters on the same rows does not. The share is what reconciles the two.
    """
    seen = observe(ratings, num_levels, gold=gold)
    by_graph = [_fit_one(levels, graph, num_levels, threads) for levels in ratings.T]
    own: float | None
    apart = np.nan
    if _num_telling(seen) < ENOUGH_TOGETHER:
        _refuse_scattered(by_graph)
        matrices, prior, own = _own_of_pairs(seen, by_graph)
        steps, converged = by_graph[0].steps, all(fit.converged for fit in by_graph)
    else:
        matrices, prior, _, steps, converged = fit_panel(ratings, seen, num_levels, report)
        shares = _own_by_rater(matrices, prior, by_graph)
        own, apart = _joined(shares)
        if not np.isnan(apart) and apart > _most_apart(shares) and gold is None:
            matrices, prior = _of_graph(shares, by_graph)
            own = None
    estimate = _estimate(ratings, seen, matrices, prior, steps, converged, own=own)
    levels = given_levels(ratings)
    voters = independent_neighbours(levels, graph, threads)
    fit = SharingFit(
        estimate.transition_matrix, prior, own or 0.0, np.empty((0, 4)), steps, converged
    )
    rows = np.flatnonzero((levels >= 0) & (voters.is_copy == 0) & (voters.ids[:, 1] >= 0))
    alike = levels[rows] == levels[voters.ids[rows, 0]]
    agreement = float(alike.mean()) if len(rows) else np.nan
    return replace(
        estimate,
        agreement=agreement,
        num_counted=len(rows),
        signal=() if own is None else estimate.signal,
        num_signal=0 if own is None else estimate.num_signal,
        clusterability=fit_curve(levels, voters, fit, threads),
        raters_apart=apart,
        solver="sharing",
    )


def _refuse_too_few(ratings: IntArray, gold: IntArray | None) -> None:
    if ratings.shape[1] == 2 and gold is None:
        raise InputError(
            "graph: expected one beside two raters, got none; without neighbours two raters fix "
            "no matrix: a third rater, gold labels or a graph do"
        )
    if gold is None and _most_together(ratings) < 3:
        raise InputError(
            "graph: expected one, rows that three raters rated or gold labels, got at most "
            f"{_most_together(ratings)} ratings of a row: they fix no matrix"
        )


def _num_telling(seen: Observations) -> int:
    """Rows that fix the raters' matrices: rated by three, or with a gold label."""
    telling = (seen.shown.sum(axis=(1, 2)) > 2) | (seen.gold >= 0)
    return int(seen.rows_with[telling].sum())


def _most_together(ratings: IntArray) -> int:
    """How many raters rated the row that most of them did."""
    return int((ratings >= 0).sum(axis=1).max())


@dataclass(frozen=True)
class GraphFit(SharingFit):
    """What one rater's scores of near rows show, and how many rows it rests on (0: nothing)."""

    num_rows: int


def _fit_one(levels: IntArray, graph: KnnGraph, num_levels: int, threads: int) -> GraphFit:
    voters = independent_neighbours(levels, graph, threads)
    if not ((levels >= 0) & (voters.is_copy == 0) & (voters.ids[:, 1] >= 0)).any():
        flat = np.full(num_levels, 1.0 / num_levels)
        return GraphFit(np.eye(num_levels), flat, 0.0, np.empty((0, 4)), 0, True, num_rows=0)
    nothing = np.empty((0, num_levels), dtype=np.int32)
    signal = Signal(nothing, np.empty(0), np.empty(0, dtype=np.int32))
    triples = count_triples(levels, voters, num_levels, threads)
    return GraphFit(**vars(fit_sharing(triples, signal)), num_rows=triples.num_rows)


def _refuse_scattered(by_graph: list[GraphFit]) -> None:
    """Where matrices rest on the graph alone, every rater must have rated rows near each other."""
    for rater, fit in enumerate(by_graph):
        if fit.num_rows == 0:
            raise InputError(
                f"scores: expected of every rater rows with two rated neighbours, got none of the "
                f"rater in column {rater}; rows that three raters rated, or gold labels, do as well"
            )


def _own_of_pairs(
    seen: Observations, by_graph: list[GraphFit]
) -> tuple[DoubleArray, DoubleArray, float | None]:
    """The share of rows of their own under which two raters agree as often as they do.

    None, with the matrices as the graph shows them, where hardly a row was rated twice.
    """
    prior = np.mean([fit.prior for fit in by_graph], axis=0)
    both = np.flatnonzero(seen.is_signal)
    if seen.rows_with[both].sum() < ENOUGH_TOGETHER:
        return np.stack([fit.transition for fit in by_graph]), prior, None
    best, found = -np.inf, (np.empty(0), 0.0)
    for own in OWN_SHARES:
        matrices = np.stack([without_own(fit.transition, fit.prior, own) for fit in by_graph])
        chance = np.maximum(seen.likelihood(matrices)[both] @ prior, np.finfo(float).tiny)
        value = float(seen.rows_with[both] @ np.log(chance))
        if value > best:
            best, found = value, (matrices, float(own))
    return found[0], prior, found[1]


@dataclass(frozen=True)
class OwnShare:
    """The share of rows of their own that one rater shows, and how many rows that rests on."""

    own: float
    weight: float
    spread: float

    @property
    def tells(self) -> bool:
        """Whether it is a share: a rater who reverses the scale, or hardly looks, shows none."""
        return self.weight > 0.0 and self.own <= 1.0


def _own_by_rater(
    matrices: DoubleArray, prior: DoubleArray, by_graph: list[GraphFit]
) -> list[OwnShare]:
    """Least squares of (1 − own) T_r + own c_r against the matrix that the graph shows of r."""
    shares = []
    for matrix, fit in zip(matrices, by_graph, strict=True):
        spread = matrix - prior @ matrix
        above = float(prior @ ((matrix - fit.transition) * spread).sum(axis=1))
        below = float(prior @ (spread**2).sum(axis=1))
        own = above / below if below > 0.0 else np.inf
        shares.append(OwnShare(own, float(fit.num_rows), below))
    return shares


def _joined(shares: list[OwnShare]) -> tuple[float | None, float]:
    """The common share (None where no rater tells), and how far the raters' shares lie apart."""
    telling = [share for share in shares if share.tells]
    if not telling:
        return None, np.nan
    weights = np.array([share.weight * share.spread for share in telling])
    values = np.array([share.own for share in telling])
    enough = [share.own for share in telling if share.weight >= ENOUGH_TO_COMPARE]
    apart = max(enough) - min(enough) if len(enough) > 1 else np.nan
    return float(np.clip(weights @ values / weights.sum(), 0.0, 0.99)), float(apart)


def _most_apart(shares: list[OwnShare]) -> float:
    """How far apart independent raters' shares may lie."""
    rows = min(share.weight for share in shares if share.weight >= ENOUGH_TO_COMPARE)
    return max(LEAST_APART, MOST_APART * float(np.sqrt(AT_ROWS / rows)))


def _of_graph(shares: list[OwnShare], by_graph: list[GraphFit]) -> tuple[DoubleArray, DoubleArray]:
    """Matrices as the graph alone shows them; of a rater who shows none one that says nothing."""
    prior = np.mean([fit.prior for fit in by_graph], axis=0)
    silent = np.full_like(by_graph[0].transition, 1.0 / len(prior))
    pairs = zip(shares, by_graph, strict=True)
    return np.stack([fit.transition if share.tells else silent for share, fit in pairs]), prior


def _ties(ratings: IntArray) -> DoubleArray:
    """(R,): the strongest correlation, without its sign, of each rater with another."""
    num_raters = ratings.shape[1]
    ties = np.full(num_raters, np.nan)
    for one in range(num_raters):
        for other in range(one):
            both = ratings[(ratings[:, [one, other]] >= 0).all(axis=1)][:, [one, other]]
            if len(both) < ENOUGH_TOGETHER or (np.ptp(both, axis=0) == 0).any():
                continue
            tie = abs(float(np.asarray(np.corrcoef(both.T))[0, 1]))
            ties[one], ties[other] = np.fmax(ties[one], tie), np.fmax(ties[other], tie)
    return ties


def _kinds(seen: Observations) -> tuple[str, ...]:
    """Which signals there are beside neighbours."""
    kinds = {
        "raters": (seen.shown.sum(axis=(1, 2)) > 1).any(),
        "gold": (seen.gold >= 0).any(),
    }
    return tuple(name for name, there in kinds.items() if there)


def _estimate(
    ratings: IntArray,
    seen: Observations,
    matrices: DoubleArray,
    prior: DoubleArray,
    steps: int,
    converged: bool,
    own: float | None,
) -> TransitionEstimate:
    """The estimate; its own matrix is that of the mean rating, counted by the posteriors."""
    levels, size = given_levels(ratings), len(prior)
    joint = prior * seen.likelihood(matrices)
    posterior = joint / np.maximum(joint.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    rated = np.flatnonzero(levels >= 0)
    table = np.zeros((size, size))
    np.add.at(table.T, levels[rated], posterior[seen.codes[rated]])
    total = table.sum(axis=1, keepdims=True)
    transition = np.where(total > 0, table / np.where(total > 0, total, 1.0), np.eye(size))
    observed = np.bincount(levels[rated], minlength=size) / len(rated)
    correct = np.full(size, np.nan)
    np.divide(transition.diagonal() * prior, observed, out=correct, where=observed > 0)
    return TransitionEstimate(
        transition_matrix=transition,
        prior=prior,
        observed=observed,
        correct_given_score=np.minimum(correct, 1.0),
        agreement=np.nan,
        chance_agreement=float(observed @ observed),
        num_counted=len(rated),
        solver="panel",
        loss=np.nan,
        steps=steps,
        converged=converged,
        signal=_kinds(seen),
        gold_correlation=seen.gold_correlation,
        rater_ties=_ties(ratings),
        num_signal=int(seen.rows_with[seen.is_signal].sum()),
        own=own,
        rater_matrices=matrices,
    )
