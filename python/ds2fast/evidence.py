"""Is there ground in the pool for what was estimated and corrected? And how the user hears."""

from __future__ import annotations

import warnings

import numpy as np

from ds2fast.graph import KnnGraph
from ds2fast.pool import Pool
from ds2fast.pool_checks import check_pool
from ds2fast.results import DoubleArray, FloatArray, IntArray, Verdict
from ds2fast.simifeat import SAMPLED_SHARE
from ds2fast.verdict import WORDS, Doubt

ENOUGH_VOTERS = 0.7


class WeakEvidenceWarning(UserWarning):
    """The pool gives little ground for what was estimated or corrected."""


def doubts_of_voters(scores: IntArray, graph: KnnGraph, k: int) -> tuple[Doubt, ...]:
    """Too few rated neighbours to tell of a row."""
    voters = _mean_voters(scores, graph, k)
    if voters >= ENOUGH_VOTERS * (k - 1):
        return ()
    return (
        Doubt(
            "weak",
            f"only {voters:.1f} rated neighbours tell of a row on average, not {k - 1}: "
            "few rows are rated, or the graph is narrow",
        ),
    )


def doubts_of_pool(
    pool: Pool | None,
    scores: IntArray,
    graph: KnnGraph,
    num_levels: int,
    keys: DoubleArray,
    long_tail: FloatArray,
    indices: IntArray | None = None,
) -> tuple[Doubt, ...]:
    """What in the pool, or among the selected rows, speaks against the result."""
    texts = None if pool is None else pool.texts
    found = check_pool(texts, scores, graph, indices, keys, long_tail, num_levels)
    return tuple(
        Doubt(WORDS[0] if one.severity == "note" else one.severity, one.cause, one.of_scores)
        for one in found
        if not (one.of_scores and one.severity == "weak")  # the estimate's own verdict says so
    )


def _mean_voters(scores: IntArray, graph: KnnGraph, k: int) -> float:
    """Neighbours that a rated row can count in a round, on average."""
    rated = scores >= 0
    in_list = rated[graph.indices[rated]].sum(axis=1)
    return float(np.minimum(SAMPLED_SHARE * in_list, k - 1).mean())


def warn_of(
    verdict: Verdict, trust: float | None = None, *, asked: bool = False, callers: int = 1
) -> tuple[str, ...]:
    """Warn of a weak or unreliable verdict where `select` or `diagnose` was called.

    `trust` is what a selection went by, and `asked` whether it was asked to; `callers` is how many
    functions of ours stand between.
    """
    if verdict.word not in {"weak", "unreliable"}:
        return ()
    done = "" if trust is None else f"; {_said(trust, asked)}"
    words = f"the verdict is {verdict}{done}"
    warnings.warn(words, WeakEvidenceWarning, stacklevel=2 + callers)
    return (words,)


def _said(trust: float, asked: bool) -> str:
    done = "corrections are taken in full"
    if trust == 0.0:
        done = "the selection ranks by the scores as given"
    elif trust < 1.0:
        done = f"the selection takes corrections by {trust:.0%} only"
    return f"{done}, as asked for (trust={trust:g})" if asked else done
