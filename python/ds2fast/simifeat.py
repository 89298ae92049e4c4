"""The paper's curation: SimiFeat with ranks (section 3.3)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ds2fast import _core
from ds2fast.graph import KnnGraph
from ds2fast.results import Curation, DoubleArray, IdArray, IntArray, TransitionEstimate

Report = Callable[[int, int], None] | None

SAMPLED_SHARE = 0.9
"""Share of the rated rows that each round draws."""

HIGHEST_ERROR_RATE, LOWEST_ERROR_RATE = 0.95, 0.05


def curate_by_votes(
    levels: IntArray,
    graph: KnnGraph,
    estimate: TransitionEstimate,
    *,
    min_confidence: float,
    voters: int,
    rounds: int,
    seed: int,
    threads: int,
    report: Report,
) -> Curation:
    """Curated scores: what the neighbours suggest where a row is likely misrated, else as given.

    In each round nine tenths of the rated rows, drawn at random, vote: a row's histogram over the
    levels holds itself and its nearest neighbours of the round, weighted by similarity. Of the rows
    of a level, those that agree least with their histogram are flagged, as many as T says are
    wrong. A row that is flagged in more than half of the rounds is misrated.
    """
    seen, flagged, suggestions = _core.simifeat_votes(
        levels.astype(np.int8), graph.indices, graph.similarities, error_rates(estimate),
        voters - 1, rounds, seed, threads, report,
    )  # fmt: skip
    error_probability = np.where(levels >= 0, (flagged + 1) / (seen + 2), np.nan)
    suggested, confidence = _suggest(levels, flagged, suggestions, error_probability)
    misrated = error_probability > 0.5  # false where NaN, that is unrated
    scores = np.where(misrated & (confidence >= min_confidence), suggested, levels)
    return Curation(
        scores=scores,
        misrated=misrated,
        suggested=suggested,
        confidence=confidence,
        error_probability=error_probability,
        method="simifeat",
        min_confidence=min_confidence,
        k=voters,
        rounds=rounds,
        seed=seed,
        expected=scores.astype(np.float64),
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
