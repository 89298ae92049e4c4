"""The transition matrix: how the rater turns true scores into given ones (paper section 3.2)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ds2fast import _core
from ds2fast.checks import check_graph, check_num_levels, check_scores
from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.progress import Progress, Reporter
from ds2fast.results import DoubleArray, IntArray, TransitionEstimate
from ds2fast.threads import resolve_threads

Report = Callable[[int, int], None] | None
Fit = tuple[DoubleArray, DoubleArray, int, bool]
Solver = Callable[[IntArray, Report], Fit]

SOLVERS: dict[str, Solver] = {"em": _core.solve_em, "moments": _core.solve_moments}
DEFAULT_SOLVER = "em"


def estimate_transition_matrix(
    scores: npt.ArrayLike,
    graph: KnnGraph,
    *,
    num_levels: int | None = None,
    solver: str = DEFAULT_SOLVER,
    threads: int | None = None,
    progress: Progress | Reporter = None,
) -> TransitionEstimate:
    """T and the prior from how often rows and their two nearest rated neighbours were scored alike.

    Assumes that a row and these neighbours mostly share one true score, and that their given scores
    are independent given it. Counted are the rated rows with two rated neighbours; an unrated
    neighbour is skipped and the next rated one takes its place.

    Parameters
    ----------
    scores : (N,) integers
        Levels 0..K−1; −1, None or NaN is unrated. Floats are taken where they are whole.
    graph : KnnGraph
        Neighbours of the N rows, at least two each.
    num_levels : int, optional
        K, 2 to 64; None is the largest score + 1.
    solver : {"em", "moments"}
        `"em"` maximises the likelihood of the counts, until no entry moves by 1e-10 in a step or
        20 000 steps are made (`.converged` says which); `"moments"` minimises the paper's objective
        by 1 501 Adam steps at 0.1 and keeps the best.
    threads : int, optional
        Threads to count with; None is what CPU affinity and cgroup allow. They change no result.
    progress : bool or callable, optional
        None shows a bar on a terminal; a callable gets `(stage, done, total)`.

    Returns
    -------
    TransitionEstimate
        `.transition_matrix` (K, K), `.prior` (K,) and `.observed` (K,) float64, and how far to
        believe them. `.correct_given_score` is kept at 1 where T and p imply more than was
        observed.

    Raises
    ------
    InputTypeError
        Scores that are words; arguments of another type.
    InputError
        Scores of another length, fractions or out of range; fewer than two levels; a graph with k <
        2; no row with a score and two rated neighbours; an unknown solver.

    Notes
    -----
    Departs from the authors' code: every row is counted once with its neighbours in the whole pool
    (no 50 random subsamples, no pool doubled onto itself), and the best step counts (not the last).
    A level that no counted row has gets p = 0 and the identity's row of T; the triples in which it
    occurs as a neighbour are left out of the fit.

    Counts fix the true levels only up to their order: taken is the one in which most rows have the
    right score, Σ p_i T_ii largest. The last digits of `"moments"` mean little: at a fixed rate
    Adam circles the minimum, and rounding alone moves T by some thousandths.

    Examples
    --------
    >>> graph = KnnGraph.from_arrays(
    ...     [[1, 2], [0, 2], [0, 1], [4, 5], [3, 5], [3, 4]], [[0.9, 0.8]] * 6
    ... )
    >>> estimate = estimate_transition_matrix([0, 0, 0, 1, 1, 1], graph)
    >>> estimate.transition_matrix.round(3).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    >>> estimate.agreement, estimate.chance_agreement
    (1.0, 0.5)
    """
    solve = _solver(solver)
    rows = check_graph(graph)
    if rows.k < 2:
        raise InputError(f"graph: expected at least 2 neighbours a row, got {rows.k}")
    levels = check_scores(scores, rows.num_rows)
    size = check_num_levels(num_levels, levels)
    num_threads = resolve_threads(threads)
    with Reporter.of(progress).stage("transition matrix", unit="steps") as report:
        counts = _core.agreement_counts(levels.astype(np.int8), rows.indices, size, num_threads)
        _refuse_uncountable(counts, levels)
        fit = _fit(counts, solve, report)
    return _estimate(counts, fit, solver)


def _solver(name: str) -> Solver:
    if name not in SOLVERS:
        raise InputError(f"solver: expected one of {', '.join(SOLVERS)}, got {name!r}")
    return SOLVERS[name]


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
