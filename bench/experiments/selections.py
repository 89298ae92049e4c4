"""Ways to select n rows that the experiments compare: ours, and what one would do without it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import ds2fast
from ds2fast.results import DoubleArray, IntArray


@dataclass(frozen=True)
class Rated:
    """A pool that a noisy rater has scored, and its true levels.

    Attributes
    ----------
    scores, true : (N,) int64
        Given and true levels.
    repeats : (N, R) int64
        Further scores by the same rater; −1 where a row was not rated again.
    lengths : (N,) float64
        Words, or characters, of each row.
    graph : KnnGraph
        Of the rows' vectors.
    seed, threads : int
        Of random draws and ties; of the stages.
    """

    scores: IntArray
    true: IntArray
    repeats: IntArray
    lengths: DoubleArray
    graph: ds2fast.KnnGraph
    num_levels: int
    seed: int
    threads: int


Way = Callable[[Rated, int], IntArray]
"""`(rated pool, n) -> (n,) rows, best first`."""


def best(values: npt.ArrayLike, n: int, seed: int) -> IntArray:
    """The n rows of the highest values, ties by a random draw."""
    keys = np.asarray(values, dtype=np.float64)
    ties = np.random.default_rng([seed, 21]).random(len(keys))
    return np.lexsort((ties, -keys))[:n]


def ours(rated: Rated, n: int) -> IntArray:
    return _selected(rated, n)


def ours_with_repeats(rated: Rated, n: int) -> IntArray:
    return _selected(rated, n, repeats=rated.repeats)


def scores_then_rarity(rated: Rated, n: int) -> IntArray:
    """Ours without any correction: the scores as given, the rarest first among equals."""
    return _selected(rated, n, trust=0.0)


def simifeat(rated: Rated, n: int) -> IntArray:
    """The published method."""
    return _selected(rated, n, preset="paper")


def _selected(
    rated: Rated,
    n: int,
    *,
    repeats: IntArray | None = None,
    trust: float | None = None,
    preset: str | None = None,
) -> IntArray:
    with warnings.catch_warnings():  # what it says of the pool is reported by `verdicts`
        warnings.simplefilter("ignore", ds2fast.WeakEvidenceWarning)
        return ds2fast.select(
            scores=rated.scores,
            graph=rated.graph,
            n=n,
            num_levels=rated.num_levels,
            repeats=repeats,
            trust=trust,
            preset=preset,
            seed=rated.seed,
            threads=rated.threads,
            progress=False,
        ).indices


def verdicts(rated: Rated) -> dict[str, str]:
    """What `select` would say of the rater, without and with repeats."""
    found = {}
    for name, repeats in {"no signal": None, "repeats": rated.repeats}.items():
        estimate = ds2fast.estimate_transition_matrix(
            rated.scores,
            rated.graph,
            num_levels=rated.num_levels,
            repeats=repeats,
            threads=rated.threads,
            progress=False,
        )
        own = "" if estimate.own is None else f", own {estimate.own:.2f}"
        found[name] = f"{estimate.verdict}{own}"
    return found


def raw_top(rated: Rated, n: int) -> IntArray:
    return best(rated.scores, n, rated.seed)


def longest(rated: Rated, n: int) -> IntArray:
    return best(rated.lengths, n, rated.seed)


def random(rated: Rated, n: int) -> IntArray:
    return best(np.zeros(len(rated.scores)), n, rated.seed)


def long_tail(rated: Rated, n: int) -> IntArray:
    """The rarest rows, whatever their scores."""
    return best(ds2fast.long_tail_scores(rated.graph, k=10, threads=rated.threads), n, rated.seed)


def truth(rated: Rated, n: int) -> IntArray:
    return best(rated.true, n, rated.seed)


def truth_then_rarity(rated: Rated, n: int) -> IntArray:
    """What rarity does where nothing else is left to do."""
    rarity = ds2fast.long_tail_scores(rated.graph, k=10, threads=rated.threads)
    return ds2fast.dual_sort(rated.true, rarity, n)


WAYS: dict[str, Way] = {
    "ours": ours,
    "ours, repeats": ours_with_repeats,
    "as given, then rarity": scores_then_rarity,
    "raw top": raw_top,
    "SimiFeat": simifeat,
    "longest": longest,
    "long tail": long_tail,
    "random": random,
    "truth": truth,
    "truth, then rarity": truth_then_rarity,
}
