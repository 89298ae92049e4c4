"""Find misrated rows and mend their scores (paper section 3.3, SimiFeat with ranks)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ds2fast import _core
from ds2fast.arguments import as_count, as_number
from ds2fast.checks import check_estimate, check_graph, check_scores
from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.progress import Progress, Reporter
from ds2fast.results import Curation, DoubleArray, IdArray, IntArray, TransitionEstimate
from ds2fast.threads import resolve_threads

METHODS = ("simifeat",)
DEFAULT_METHOD = "simifeat"
SAMPLED_SHARE = 0.9
"""Share of the rated rows that each round draws."""

MAX_SEED = 2**64 - 1
MAX_ROUNDS = 2**31 - 1
HIGHEST_ERROR_RATE, LOWEST_ERROR_RATE = 0.95, 0.05


def curate_scores(
    scores: npt.ArrayLike,
    graph: KnnGraph,
    estimate: TransitionEstimate,
    *,
    method: str = DEFAULT_METHOD,
    min_confidence: float = 0.5,
    k: int = 10,
    rounds: int = 51,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | Reporter = None,
) -> Curation:
    """Curated scores: what the neighbours suggest where a row is likely misrated, else as given.

    In each round nine tenths of the rated rows, drawn at random, vote: a row's histogram over the
    levels holds itself and its nearest neighbours of the round, weighted by similarity. Of the rows
    of a level, those that agree least with their histogram are flagged, as many as T says are
    wrong. A row that is flagged in more than half of the rounds is misrated.

    Parameters
    ----------
    scores : (N,) integers
        Levels 0..K−1; −1, None or NaN is unrated. Floats are taken where they are whole.
    graph : KnnGraph
        Neighbours of the N rows. A few more than k − 1 leave room for those that a round does not
        draw.
    estimate : TransitionEstimate
        T, prior and observed shares of these scores.
    method : {"simifeat"}
        How to find misrated rows.
    min_confidence : float
        Confidence, 0 to 1, from which a suggestion is taken.
    k : int
        Voters of a row, 2 ≤ k ≤ graph.k + 1. As in the paper it counts the row itself: k = 10 is
        the row and 9 neighbours.
    rounds : int
        Number of random draws.
    seed : int
        Seed of the draws, 0 to 2⁶⁴ − 1; the result is a function of it and the arguments above.
    threads : int, optional
        Threads to use; None is what CPU affinity and cgroup allow. They change no result.
    progress : bool or callable, optional
        None shows a bar on a terminal; a callable gets `(stage, done, total)`.

    Returns
    -------
    Curation
        `.scores` (N,) int64, `.misrated` (N,) bool and what led to them.

    Raises
    ------
    InputTypeError
        Scores that are words; arguments of another type.
    InputError
        Scores of another length, fractions, out of range, or none rated; an estimate of fewer
        levels; k beyond the graph; a setting out of its range.

    Notes
    -----
    Departs from the authors' code: neighbours come from the one graph of the whole pool, and a row
    whose counted neighbours all carry its own level is never flagged (ties would flag a perfectly
    clean pool).

    Examples
    --------
    Row 2 is rated 1 among neighbours rated 0:

    >>> from ds2fast.transition import estimate_transition_matrix
    >>> order = [[m for m in range(6) if m != n] for n in range(6)]
    >>> indices = order + [[m + 6 for m in row] for row in order]
    >>> graph = KnnGraph.from_arrays(indices, [[0.9] * 5] * 12)
    >>> scores = [0, 0, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    >>> estimate = estimate_transition_matrix(scores, graph)
    >>> curation = curate_scores(scores, graph, estimate, k=4)
    >>> curation.scores.tolist()
    [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    """
    if method not in METHODS:
        raise InputError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    rows = check_graph(graph)
    levels = check_scores(scores, rows.num_rows)
    rates = error_rates(check_estimate(estimate, levels))
    voters = _check_voters(k, rows)
    num_rounds = _in_range(rounds, "rounds", 1, MAX_ROUNDS)
    seed_number = _in_range(seed, "seed", 0, MAX_SEED)
    least = _check_confidence(min_confidence)
    num_threads = resolve_threads(threads)
    with Reporter.of(progress).stage("curation", unit="rounds") as report:
        seen, flagged, suggestions = _core.simifeat_votes(
            levels.astype(np.int8), rows.indices, rows.similarities, rates,
            voters - 1, num_rounds, seed_number, num_threads, report,
        )  # fmt: skip
    error_probability = np.where(levels >= 0, (flagged + 1) / (seen + 2), np.nan)
    suggested, confidence = _suggest(levels, flagged, suggestions, error_probability)
    misrated = error_probability > 0.5  # false where NaN, that is unrated
    return Curation(
        scores=np.where(misrated & (confidence >= least), suggested, levels),
        misrated=misrated,
        suggested=suggested,
        confidence=confidence,
        error_probability=error_probability,
        method=method,
        min_confidence=least,
        k=voters,
        rounds=num_rounds,
        seed=seed_number,
    )


def error_rates(estimate: TransitionEstimate) -> DoubleArray:
    """(K,) float64: e_j = 1 − P(y = j | ỹ = j) within the paper's limits; NaN for an absent level.

    e_j ≥ 1 becomes 0.95 and e_j ≤ 0 becomes 0.05.
    """
    rates = np.full(estimate.num_levels, np.nan)
    there = estimate.observed > 0
    correct = estimate.transition_matrix.diagonal()[there] * estimate.prior[there]
    rate = 1.0 - np.minimum(correct / estimate.observed[there], 1.0)
    rates[there] = np.select(
        [rate >= 1.0, rate <= 0.0], [HIGHEST_ERROR_RATE, LOWEST_ERROR_RATE], rate
    )
    return rates


def _suggest(
    levels: IntArray, flagged: IdArray, suggestions: IdArray, error_probability: DoubleArray
) -> tuple[IntArray, DoubleArray]:
    """Best other level of each row that was ever flagged, and its confidence; else as given."""
    suggested, confidence = levels.copy(), np.zeros(len(levels))
    ever = np.flatnonzero(flagged)
    votes = suggestions[ever].astype(np.int64)
    total = votes.sum(axis=1) + votes.shape[1]
    votes[np.arange(len(ever)), levels[ever]] = -1  # the own level is ruled out
    suggested[ever] = votes.argmax(axis=1)
    confidence[ever] = (votes.max(axis=1) + 1) / total * error_probability[ever]
    return suggested, confidence


def _check_voters(k: int, graph: KnnGraph) -> int:
    voters = as_count(k, "k", minimum=2)
    if voters > graph.k + 1:
        raise InputError(
            f"k: expected at most {graph.k + 1} (the row and the graph's {graph.k} neighbours), "
            f"got {voters}"
        )
    return voters


def _in_range(value: int, name: str, minimum: int, maximum: int) -> int:
    count = as_count(value, name, minimum=minimum)
    if count > maximum:
        raise InputError(f"{name}: expected {minimum} to {maximum}, got {count}")
    return count


def _check_confidence(value: float) -> float:
    number = as_number(value, "min_confidence")
    if not 0.0 <= number <= 1.0:
        raise InputError(f"min_confidence: expected 0 to 1, got {value!r}")
    return number
