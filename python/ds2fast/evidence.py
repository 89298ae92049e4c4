"""Is there ground for what was estimated and corrected? What speaks against it, in words."""

from __future__ import annotations

import math
import warnings

import numpy as np

from ds2fast.curation import SAMPLED_SHARE
from ds2fast.graph import KnnGraph
from ds2fast.results import IntArray, TransitionEstimate

LEAST_LIFT = 0.02
ENOUGH_VOTERS = 0.7


class WeakEvidenceWarning(UserWarning):
    """The pool gives little ground for what was estimated or corrected."""


def find_doubts(
    scores: IntArray, graph: KnnGraph, transition: TransitionEstimate | None, k: int
) -> tuple[str, ...]:
    """What speaks against trusting the result, in words."""
    doubts = []
    if transition is not None and _agrees_by_chance(transition):
        doubts.append(
            f"neighbours have the same score in {transition.agreement:.1%} of "
            f"{transition.num_counted} rows, not clearly more than by chance "
            f"({transition.chance_agreement:.1%}): T and all that is corrected by it rest on "
            "almost nothing; min_confidence=1.0 (--min-confidence 1) keeps the scores as given"
        )
    if transition is not None and not transition.converged:
        doubts.append(
            f"the fit of T had not settled after {transition.steps} steps: the counts hold too "
            "little to tell the levels apart"
        )
    voters = _mean_voters(scores, graph, k)
    if voters < ENOUGH_VOTERS * (k - 1):
        doubts.append(
            f"only {voters:.1f} rated neighbours vote on a row on average, not {k - 1}: "
            "few rows are rated, or the graph is narrow"
        )
    return tuple(doubts)


def _agrees_by_chance(transition: TransitionEstimate) -> bool:
    """Whether agreement is within three standard errors (at least 0.02) of chance."""
    chance = transition.chance_agreement
    error = math.sqrt(chance * (1.0 - chance) / max(transition.num_counted, 1))
    return transition.agreement - chance < max(LEAST_LIFT, 3.0 * error)


def _mean_voters(scores: IntArray, graph: KnnGraph, k: int) -> float:
    """Neighbours that a rated row can count in a round, on average."""
    rated = scores >= 0
    in_list = rated[graph.indices[rated]].sum(axis=1)
    return float(np.minimum(SAMPLED_SHARE * in_list, k - 1).mean())


def warn_of(doubts: tuple[str, ...]) -> tuple[str, ...]:
    """Issue each doubt as a warning where `select` or `diagnose` was called, and give them back."""
    for doubt in doubts:
        warnings.warn(doubt, WeakEvidenceWarning, stacklevel=3)
    return doubts
