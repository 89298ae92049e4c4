"""The paper's way to T: one table of the scores of a row and its two nearest rated neighbours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ds2fast import _core
from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.results import DoubleArray, IntArray, TransitionEstimate

Report = Callable[[int, int], None] | None
Fit = tuple[DoubleArray, DoubleArray, int, bool]
Solver = Callable[[IntArray, Report], Fit]

TABLE_SOLVERS: dict[str, Solver] = {"em": _core.solve_em, "moments": _core.solve_moments}


def estimate_by_table(
    levels: IntArray, graph: KnnGraph, num_levels: int, solver: str, threads: int, report: Report
) -> TransitionEstimate:
    """T and p for which the two nearest rated neighbours of a row share its true score."""
    counts = _core.agreement_counts(levels.astype(np.int8), graph.indices, num_levels, threads)
    _refuse_uncountable(counts, levels)
    return _estimate(counts, _fit(counts, TABLE_SOLVERS[solver], report), solver)


def _refuse_uncountable(counts: IntArray, levels: IntArray) -> None:
    if not _of_present_levels(counts).any():
        raise InputError(
            "graph: expected rated rows with two rated neighbours of levels that such rows have, "
            f"got none among {int((levels >= 0).sum())} rated rows of {len(levels)}; "
            "a graph with more neighbours may have some"
        )


def _of_present_levels(counts: IntArray) -> IntArray:
    """The table of the levels that counted rows have themselves."""
    present = np.flatnonzero(counts.sum(axis=(1, 2)))
    return np.ascontiguousarray(counts[np.ix_(present, present, present)])


def _fit(counts: IntArray, solve: Solver, report: Report) -> Fit:
    """T and p of the present levels, put back among all K; steps, and whether it converged."""
    present = np.flatnonzero(counts.sum(axis=(1, 2)))
    transition, prior = np.eye(len(counts)), np.zeros(len(counts))
    found, shares, steps, converged = solve(_of_present_levels(counts), report)
    transition[np.ix_(present, present)], prior[present] = found, shares
    return transition, prior, steps, converged


def _estimate(counts: IntArray, fit: Fit, solver: str) -> TransitionEstimate:
    transition, prior, steps, converged = fit
    num_counted = int(counts.sum())
    pairs = counts.sum(axis=2) / num_counted
    observed = pairs.sum(axis=1)
    correct = np.full(len(counts), np.nan)
    np.divide(transition.diagonal() * prior, observed, out=correct, where=observed > 0)
    return TransitionEstimate(
        transition_matrix=transition,
        prior=prior,
        observed=observed,
        correct_given_score=np.minimum(correct, 1.0),
        agreement=float(pairs.trace()),
        chance_agreement=float(observed @ observed),
        num_counted=num_counted,
        solver=solver,
        loss=_core.moment_loss(counts, transition, prior),
        steps=steps,
        converged=converged,
    )
