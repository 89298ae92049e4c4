"""The transition matrix: how the rater turns true scores into given ones (paper section 3.2)."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

from ds2fast.arguments import check_choice, in_range
from ds2fast.checks import (
    MAX_SEED,
    check_gold,
    check_graph,
    check_num_levels,
    check_ratings,
    check_repeats,
    check_resamples,
)
from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.observations import observe
from ds2fast.progress import Progress, Reporter
from ds2fast.raters import estimate_of_raters, estimate_of_raters_and_graph
from ds2fast.results import IntArray, TransitionEstimate
from ds2fast.sharing_estimate import Bootstrap, estimate_by_sharing
from ds2fast.table_fit import TABLE_SOLVERS, estimate_by_table
from ds2fast.threads import resolve_threads
from ds2fast.verdict import with_verdict

SOLVERS = ("sharing", *TABLE_SOLVERS)
DEFAULT_SOLVER = "sharing"


def estimate_transition_matrix(
    scores: npt.ArrayLike,
    graph: KnnGraph | None,
    *,
    num_levels: int | None = None,
    solver: str = DEFAULT_SOLVER,
    repeats: npt.ArrayLike | None = None,
    gold: npt.ArrayLike | None = None,
    bootstrap: int = 0,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | Reporter = None,
) -> TransitionEstimate:
    """T and the prior from how often rows and their nearest rated neighbours were scored alike.

    Given scores are taken as independent given the true ones. An unrated neighbour is skipped and
    the next rated one takes its place.

    Parameters
    ----------
    scores : (N,) or (N, R) integers
        Levels 0..K−1, a column a rater; −1, None or NaN is unrated. Floats are taken where they are
        whole.
    graph : KnnGraph or None
        Neighbours of the N rows, at least two each. None with several raters: they alone then tell
        (three or more, or two with `gold`).
    num_levels : int, optional
        K, 2 to 64; None is the largest score + 1.
    solver : {"sharing", "em", "moments"}
        `"sharing"`: each of a row's neighbours shows its level only with a probability that depends
        on how similar they are, fitted with T and p; all pairs of the five nearest count, and
        copies of a row count once. `"em"`: maximum likelihood where the two nearest always share
        the row's true score. `"moments"`: the paper's objective for the same, 1 501 Adam steps at
        0.1, as published, and 500 at a rate that falls to 0; the best is kept.
    repeats : (N,) or (N, M) integers, optional
        Further ratings of some rows by the same rater, −1 (or None, NaN) elsewhere: two thousand
        rows rated twice tell noise of the rater from rows with a quality of their own. Of
        `"sharing"` and one rater only.
    gold : (N,) integers, optional
        True levels of some rows, −1 elsewhere. Used as `repeats` are; of unrated rows it is not.
    bootstrap : int
        Resamples for 95 % bands of T and p, at least 20; 0 is no bands. Of `"sharing"` and one
        rater only.
    seed : int
        Seed of the resamples, 0 to 2⁶⁴ − 1.
    threads : int, optional
        Threads to count with; None is what CPU affinity and cgroup allow. They change no result.
    progress : bool or callable, optional
        None shows a bar on a terminal; a callable gets `(stage, done, total)`.

    Returns
    -------
    TransitionEstimate
        `.transition_matrix` (K, K), `.prior` (K,) and `.observed` (K,) float64, and how far to
        believe them (`.verdict`). `.correct_given_score` is kept at 1 where T and p imply more than
        was observed.

    Raises
    ------
    InputTypeError
        Scores that are words; arguments of another type.
    InputError
        Scores of another length, fractions or out of range; fewer than two levels; a graph with k <
        2; no row with a score and two rated neighbours; an unknown solver; an argument that the
        solver or several raters leave without use; a rater without a rating, or alike to another in
        every row.

    Notes
    -----
    Without repeats, gold or further raters, noise of the rater and rows with a quality of their own
    give the same counts. T is then that of the neighbourhood's level: exact where near rows share
    their quality, else T with more noise than the rater has. `.own` is None then.

    Departs from the authors' code: every row is counted once with its neighbours in the whole pool
    (no 50 random subsamples, no pool doubled onto itself), and the best step counts (not the last).
    A level that no counted row has gets p = 0 and the identity's row of T.

    Counts fix the true levels only up to their order: taken is the one in which most rows have the
    right score, Σ p_i T_ii largest. Of `"moments"` the last digits mean little: its steps are
    many and coarse, and rounding alone may end them elsewhere.

    Bands hold two parts, added as variances: the spread over resamples in which every row has a
    random weight that enters each triple it is in (triples share rows: resampling triples would
    understate it), and how far T moves where similarity is not looked at, which tells how much the
    assumption about sharing decides.

    Examples
    --------
    >>> graph = KnnGraph.from_arrays(
    ...     [[1, 2], [0, 2], [0, 1], [4, 5], [3, 5], [3, 4]],
    ...     [[0.9, 0.8], [0.8, 0.7], [0.9, 0.7]] * 2,
    ... )
    >>> estimate = estimate_transition_matrix([0, 0, 0, 1, 1, 1], graph)
    >>> estimate.transition_matrix.round(3).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    >>> estimate.agreement, estimate.chance_agreement
    (1.0, 0.5)
    """
    check_choice(solver, "solver", SOLVERS)
    bands = Bootstrap(check_resamples(bootstrap), in_range(seed, "seed", 0, MAX_SEED))
    num_threads = resolve_threads(threads)
    ratings = check_ratings(scores, None if graph is None else check_graph(graph).num_rows)
    size = check_num_levels(num_levels, ratings.ravel())
    extra = check_repeats(repeats, ratings, size)
    known = check_gold(gold, ratings, size)
    _refuse_untold(ratings, graph)
    refuse_useless(
        ratings,
        solver,
        repeats=extra is not None,
        gold=known is not None,
        bootstrap=bands.resamples,
    )
    with Reporter.of(progress).stage("transition matrix", unit="steps") as report:
        if graph is None:
            estimate = estimate_of_raters(ratings, size, known, report)
        elif ratings.shape[1] > 1:
            estimate = estimate_of_raters_and_graph(
                ratings, graph, size, known, num_threads, report
            )
        elif solver == "sharing":
            seen = observe(ratings, size, extra, known)
            estimate = estimate_by_sharing(
                ratings[:, 0], graph, size, seen, bands, num_threads, report
            )
        else:
            estimate = estimate_by_table(ratings[:, 0], graph, size, solver, num_threads, report)
    return with_verdict(estimate)


def _refuse_untold(ratings: IntArray, graph: KnnGraph | None) -> None:
    """Refuse what tells nothing of T: one rater without a graph, a graph of one neighbour."""
    if graph is None and ratings.shape[1] == 1:
        raise InputError("graph: expected one, or several raters' scores (N, R), got neither")
    if graph is not None and graph.k < 2:
        raise InputError(f"graph: expected at least 2 neighbours a row, got {graph.k}")


def refuse_useless(
    ratings: IntArray, solver: str, *, repeats: bool, gold: bool, bootstrap: int
) -> None:
    """Refuse what solver or raters would leave without use, empty columns, and copies of raters.

    Raises
    ------
    InputError
        The message names the argument, or the columns of the scores.
    """
    several = ratings.shape[1] > 1
    if several and repeats:
        raise InputError(
            f"repeats: expected with one rater only, got them beside {ratings.shape[1]} raters"
        )
    if several and bootstrap:
        raise InputError("bootstrap: expected 0 with several raters, whose bands are not made")
    if several and solver != "sharing":
        raise InputError(f"solver: expected 'sharing' with several raters, got {solver!r}")
    _refuse_idle_raters(ratings)
    if solver == "sharing":
        return
    unused = {"repeats": repeats, "gold": gold, "bootstrap": bootstrap > 0}
    for name, is_given in unused.items():
        if is_given:
            raise InputError(f"{name}: expected with solver='sharing' only, got it with {solver!r}")


def _refuse_idle_raters(ratings: IntArray) -> None:
    """Refuse raters without a rating, and copies: they look like raters who never err."""
    for rater in np.flatnonzero((ratings < 0).all(axis=0)):
        raise InputError(f"scores: expected ratings by every rater, got none in column {rater}")
    for one, other in combinations(range(ratings.shape[1]), 2):
        if np.array_equal(ratings[:, one], ratings[:, other]):
            raise InputError(
                f"scores: expected raters who err on their own, got columns {one} and {other} "
                f"alike in all {len(ratings)} rows: one of them is a copy, leave it out"
            )
