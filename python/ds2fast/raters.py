"""Several raters: a matrix for each, from their agreement and, where there is one, the graph."""

from __future__ import annotations

from dataclasses import replace

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
    by_graph = [
        _fit_one(ratings[:, rater], graph, num_levels, threads) for rater in range(ratings.shape[1])
    ]
    if ratings.shape[1] == 2 and gold is None:
        matrices, prior, own = _own_of_two(seen, by_graph)
        steps, converged = by_graph[0].steps, all(fit.converged for fit in by_graph)
    else:
        matrices, prior, _, steps, converged = fit_panel(ratings, seen, num_levels, report)
        own = _own_of_panel(matrices, prior, by_graph)
    estimate = _estimate(ratings, seen, matrices, prior, steps, converged, own=own)
    levels = given_levels(ratings)
    voters = independent_neighbours(levels, graph, threads)
    fit = SharingFit(estimate.transition_matrix, prior, own, np.empty((0, 4)), steps, converged)
    rows = np.flatnonzero((levels >= 0) & (voters.is_copy == 0) & (voters.ids[:, 1] >= 0))
    agreement = float((levels[rows] == levels[voters.ids[rows, 0]]).mean())
    return replace(
        estimate,
        agreement=agreement,
        num_counted=len(rows),
        clusterability=fit_curve(levels, voters, fit, threads),
        solver="sharing",
    )


def _refuse_too_few(ratings: IntArray, gold: IntArray | None) -> None:
    if ratings.shape[1] == 2 and gold is None:
        raise InputError(
            "graph: expected one beside two raters, got none; without neighbours two raters fix "
            "no matrix: a third rater, gold labels or a graph do"
        )


def _fit_one(levels: IntArray, graph: KnnGraph, num_levels: int, threads: int) -> SharingFit:
    voters = independent_neighbours(levels, graph, threads)
    nothing = np.empty((0, num_levels), dtype=np.int32)
    signal = Signal(nothing, np.empty(0), np.empty(0, dtype=np.int32))
    return fit_sharing(count_triples(levels, voters, num_levels, threads), signal)


def _own_of_two(
    seen: Observations, by_graph: list[SharingFit]
) -> tuple[DoubleArray, DoubleArray, float]:
    """The share of rows of their own under which two raters agree as often as they do."""
    prior = np.mean([fit.prior for fit in by_graph], axis=0)
    both = np.flatnonzero(seen.is_signal)
    best, found = -np.inf, (np.empty(0), 0.0)
    for own in OWN_SHARES:
        matrices = np.stack([without_own(fit.transition, fit.prior, own) for fit in by_graph])
        chance = np.maximum(seen.likelihood(matrices)[both] @ prior, np.finfo(float).tiny)
        value = float(seen.rows_with[both] @ np.log(chance))
        if value > best:
            best, found = value, (matrices, float(own))
    return found[0], prior, found[1]


def _own_of_panel(matrices: DoubleArray, prior: DoubleArray, by_graph: list[SharingFit]) -> float:
    """Least squares of (1 − own) T_r + own c_r against the matrices that the graph shows."""
    above = below = 0.0
    for matrix, fit in zip(matrices, by_graph, strict=True):
        spread = matrix - prior @ matrix
        above += float(prior @ ((matrix - fit.transition) * spread).sum(axis=1))
        below += float(prior @ (spread**2).sum(axis=1))
    return float(np.clip(above / below, 0.0, 0.99)) if below > 0 else 0.0


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
        signal=("raters",) + (("gold",) if (seen.gold >= 0).any() else ()),
        num_signal=int(seen.rows_with[seen.is_signal].sum()),
        own=own,
        rater_matrices=matrices,
    )
