"""Find misrated rows and mend their scores (paper section 3.3)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ds2fast.arguments import as_count, as_number, check_choice, in_range
from ds2fast.checks import (
    MAX_SEED,
    check_estimate,
    check_gold,
    check_graph,
    check_ratings,
    check_repeats,
)
from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.observations import Observations, observe
from ds2fast.posterior import Posterior, row_posterior
from ds2fast.progress import Progress, Reporter
from ds2fast.raters import given_levels
from ds2fast.results import Curation, IntArray, TransitionEstimate
from ds2fast.simifeat import curate_by_votes
from ds2fast.threads import resolve_threads

METHODS = ("posterior", "simifeat")
DEFAULT_METHOD = "posterior"
DEFAULT_K = 10
MAX_ROUNDS = 2**31 - 1

RANK_STEP = 0.25
"""Expected scores that round to the same quarter of a level count as equal, and rarity decides:
measured, it costs a few hundredths of a level of quality and keeps the selection from being drawn
from the densest places only, where many neighbours make for certainty."""

LEAST_CONFIDENCE = {"posterior": 0.0, "simifeat": 0.5}
"""Default of `min_confidence`."""


def curate_scores(
    scores: npt.ArrayLike,
    graph: KnnGraph,
    estimate: TransitionEstimate,
    *,
    method: str = DEFAULT_METHOD,
    min_confidence: float | None = None,
    k: int | None = None,
    rounds: int = 51,
    repeats: npt.ArrayLike | None = None,
    gold: npt.ArrayLike | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | Reporter = None,
) -> Curation:
    """Curated scores: what own score and neighbours make most likely.

    `"posterior"` gives P(true score) of each row: its own ratings through T, and what its nearest
    independent neighbours say, each through T and the probability that so similar a row shares its
    level. Neighbours repeat each other, so their words are weighted; the weights, one for each
    range of similarity, are those that best predict the rows' own scores from their neighbours.

    `"simifeat"` is the paper's: in each round nine tenths of the rated rows, drawn at random, vote.
    A row's histogram over the levels holds itself and its nearest neighbours of the round, weighted
    by similarity. Of the rows of a level, those that agree least with their histogram are flagged,
    as many as T says are wrong. A row flagged in more than half of the rounds is misrated.

    Parameters
    ----------
    scores : (N,) or (N, R) integers
        Levels 0..K−1, a column a rater; −1, None or NaN is unrated. Floats are taken where they are
        whole.
    graph : KnnGraph
        Neighbours of the N rows. For `"simifeat"` a few more than k − 1 leave room for those that a
        round does not draw.
    estimate : TransitionEstimate
        T, prior and observed shares of these scores.
    method : {"posterior", "simifeat"}
        How to find misrated rows.
    min_confidence : float, optional
        Confidence, 0 to 1, from which a suggestion is taken; None is 0 for `"posterior"`, which
        suggests what is most likely, and 0.5 for `"simifeat"`. Above 0, `.expected` of the other
        rows is their given score.
    k : int, optional
        Of `"simifeat"` the voters of a row, 2 ≤ k ≤ graph.k + 1, 10 by default; as in the paper
        they count the row itself: k = 10 is the row and 9 neighbours. Of `"posterior"` the
        independent neighbours that are heard, 1 ≤ k ≤ graph.k, up to 20 by default.
    rounds : int
        Number of random draws of `"simifeat"`.
    repeats, gold : optional
        As in `estimate_transition_matrix`: what else was seen of some rows' scores. Of
        `"posterior"` only.
    seed : int
        Seed of the draws, 0 to 2⁶⁴ − 1; the result is a function of it and the arguments above.
    threads : int, optional
        Threads to use; None is what CPU affinity and cgroup allow. They change no result.
    progress : bool or callable, optional
        None shows a bar on a terminal; a callable gets `(stage, done, total)`.

    Returns
    -------
    Curation
        `.scores` (N,) int64, `.misrated` (N,) bool, `.expected` (N,) float64, and what led to them.

    Raises
    ------
    InputTypeError
        Scores that are words; arguments of another type.
    InputError
        Scores of another length, fractions, out of range, or none rated; an estimate of fewer
        levels or of other raters; k beyond the graph; a setting out of its range, or of the other
        method.

    Notes
    -----
    Where `estimate.own` is None nothing tells a noisy rater from rows with a quality of their own.
    `.posterior`, `.scores` and `.confidence` then suppose that near rows share their quality as far
    as their scores say. `.expected`, by which `select` ranks, does not: it is the mean if as many
    rows have a quality of their own as T leaves room for (see `ds2fast.own_quality`), and holds to
    the given score by a fifth. On planted truths such a ranking was never 0.1 of a level below the
    one by given scores, where the mean under the former supposition lost up to 0.8. With repeats,
    gold or several raters the share is fitted, and `.expected` is the posterior mean.

    `"simifeat"` departs from the authors' code: neighbours come from the one graph of the whole
    pool, and a row whose counted neighbours all carry its own level is never flagged (ties would
    flag a perfectly clean pool).

    Examples
    --------
    Row 2 is rated 1 among neighbours rated 0:

    >>> from ds2fast.transition import estimate_transition_matrix
    >>> order = [[m for m in range(6) if m != n] for n in range(6)]
    >>> indices = order + [[m + 6 for m in row] for row in order]
    >>> graph = KnnGraph.from_arrays(indices, [[0.9] * 5] * 12)
    >>> scores = [0, 0, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    >>> estimate = estimate_transition_matrix(scores, graph, solver="em")
    >>> curation = curate_scores(scores, graph, estimate, method="simifeat", k=4)
    >>> curation.scores.tolist()
    [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    """
    check_choice(method, "method", METHODS)
    rows = check_graph(graph)
    ratings = check_ratings(scores, rows.num_rows)
    levels = given_levels(ratings)
    check_estimate(estimate, levels)
    least = check_confidence(min_confidence, method)
    width = _check_width(k, rows, method)
    num_rounds = in_range(rounds, "rounds", 1, MAX_ROUNDS)
    seed_number = in_range(seed, "seed", 0, MAX_SEED)
    num_threads = resolve_threads(threads)
    if method == "simifeat":
        _refuse_signal(repeats, gold)
        with Reporter.of(progress).stage("curation", unit="rounds") as report:
            return curate_by_votes(
                levels, rows, estimate, min_confidence=least, voters=width, rounds=num_rounds,
                seed=seed_number, threads=num_threads, report=report,
            )  # fmt: skip
    size = estimate.num_levels
    seen = observe(
        ratings, size, check_repeats(repeats, ratings, size), check_gold(gold, ratings, size)
    )
    matrices = _matrices(estimate, seen)
    with Reporter.of(progress).stage("curation", unit="rows") as report:
        found = row_posterior(
            seen, levels, rows, matrices, estimate.prior, estimate.own,
            width=width, threads=num_threads, report=report,
        )  # fmt: skip
    return _curation(found, levels, least, width)


def _curation(found: Posterior, levels: IntArray, min_confidence: float, width: int) -> Curation:
    """The most likely score of each row, where it is likely enough."""
    rated = np.flatnonzero(levels >= 0)
    probabilities, own = found.probabilities[rated], levels[rated]
    best = probabilities.argmax(axis=1)
    own_probability = probabilities[np.arange(len(rated)), own]
    tied = probabilities[np.arange(len(rated)), best] <= own_probability
    best = np.where(tied, own, best)
    chance = np.where(best == own, 0.0, probabilities[np.arange(len(rated)), best])
    error_probability = np.full(len(levels), np.nan)
    error_probability[rated] = np.clip(1.0 - own_probability, 0.0, 1.0)
    suggested, confidence = levels.copy(), np.zeros(len(levels))
    suggested[rated], confidence[rated] = best, chance
    taken = (confidence > 0.0) & (confidence >= min_confidence)
    expected = found.expected
    if min_confidence > 0.0:  # asked for: a row that is not surely corrected ranks as given
        expected = np.where(taken, expected, levels)
    return Curation(
        scores=np.where(taken, suggested, levels),
        misrated=error_probability > 0.5,  # false where NaN, that is unrated
        suggested=suggested,
        confidence=confidence,
        error_probability=error_probability,
        method="posterior",
        min_confidence=min_confidence,
        k=width,
        rounds=0,
        seed=0,
        expected=expected,
        rank_step=RANK_STEP,
        posterior=found.probabilities,
    )


def _matrices(estimate: TransitionEstimate, seen: Observations) -> npt.NDArray[np.float64]:
    """(R, K, K): the matrix of each rater."""
    if estimate.rater_matrices is not None:
        matrices = estimate.rater_matrices
    else:
        matrices = estimate.transition_matrix[None]
    if len(matrices) != seen.num_raters:
        raise InputError(
            f"estimate: expected one of {seen.num_raters} raters, as scores has columns, "
            f"got one of {len(matrices)}"
        )
    return np.ascontiguousarray(matrices)


def _refuse_signal(repeats: object, gold: object) -> None:
    for name, given in (("repeats", repeats), ("gold", gold)):
        if given is not None:
            raise InputError(
                f"{name}: expected with method='posterior' only, got it with 'simifeat'"
            )


def _check_width(k: int | None, graph: KnnGraph, method: str) -> int:
    if method == "posterior":
        width = min(20, graph.k) if k is None else as_count(k, "k")
        if width > graph.k:
            raise InputError(f"k: expected at most the graph's {graph.k} neighbours, got {width}")
        return width
    voters = DEFAULT_K if k is None else as_count(k, "k", minimum=2)
    if voters > graph.k + 1:
        raise InputError(
            f"k: expected at most {graph.k + 1} (the row and the graph's {graph.k} neighbours), "
            f"got {voters}"
        )
    return voters


def check_confidence(value: float | None, method: str) -> float:
    """The least confidence that a suggestion needs: the given one, or the method's own."""
    if value is None:
        return LEAST_CONFIDENCE[method]
    number = as_number(value, "min_confidence")
    if not 0.0 <= number <= 1.0:
        raise InputError(f"min_confidence: expected 0 to 1, got {value!r}")
    return number
