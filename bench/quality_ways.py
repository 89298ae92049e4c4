"""The ways to rank a pool that `bench_quality.py` compares, all by the public interface."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from ds2fast import (
    Curation,
    TransitionEstimate,
    curate_scores,
    estimate_transition_matrix,
)
from ds2fast.results import DoubleArray, IntArray
from ds2fast.transition import DEFAULT_SOLVER
from quality_noise import NUM_LEVELS
from quality_plant import Planted
from quality_pool import MOST_ROWS_DOUBLED, Pool

REPEATED_ROWS, REPEATS = 2000, 2
SMOOTHED_NEIGHBOURS = 10
DRAWN_SHARE = 0.9
"""Of the doubled pool: what one of the paper's subsamples holds."""

STEPS = (0.1, 0.25, 0.5, 1.0)
"""Of a level: how far apart two rows' expected levels may be and still tie."""


@dataclass(frozen=True)
class Found:
    """What a way says of the rows; None where it has no such thing.

    Attributes
    ----------
    keys : (N,) float64
        Ranked by it, best first; the rarest first among equals. Below 0: never selected.
    scores : (N,) int64 or None
        Curated levels.
    curation : Curation or None
        Of the N rows.
    estimate : TransitionEstimate or None
        What T was taken for.
    """

    keys: DoubleArray
    scores: IntArray | None = None
    curation: Curation | None = None
    estimate: TransitionEstimate | None = None


@dataclass(frozen=True)
class Case:
    """One planted pool that every way is given."""

    pool: Pool
    planted: Planted
    seed: int

    @property
    def repeats(self) -> IntArray:
        """(N, 2) levels of the rows that were rated again; −1 for the others."""
        return self.planted.repeats(REPEATED_ROWS, REPEATS, self.seed)

    @cached_property
    def default(self) -> Found:
        """Default estimator and curator, given nothing but scores."""
        return curated(self, estimated(self))

    @cached_property
    def em(self) -> TransitionEstimate:
        """T of two neighbours taken at their word."""
        return estimated(self, solver="em")


Way = Callable[[Case], Found]


def estimated(
    case: Case, *, solver: str = DEFAULT_SOLVER, repeats: IntArray | None = None
) -> TransitionEstimate:
    return estimate_transition_matrix(
        case.planted.scores,
        case.pool.graph,
        num_levels=NUM_LEVELS,
        solver=solver,
        repeats=repeats,
        threads=case.pool.threads,
        progress=False,
    )


def curated(
    case: Case,
    estimate: TransitionEstimate,
    *,
    repeats: IntArray | None = None,
    k: int | None = None,
) -> Found:
    """By the default curator; like `select`, the ranking goes as far as the verdict trusts it."""
    curation = curate_scores(
        case.planted.scores,
        case.pool.graph,
        estimate,
        repeats=repeats,
        k=k,
        threads=case.pool.threads,
        progress=False,
    )
    keys = curation.keys_shrunk_to(case.planted.scores, estimate.verdict.trust)
    return Found(keys, curation.scores, curation, estimate)


# --- Controls: what needs no curation -------------------------------------------------------------


def given(case: Case) -> Found:
    scores = case.planted.scores
    return Found(scores.astype(np.float64), scores)


def truth(case: Case) -> Found:
    return Found(case.planted.true.astype(np.float64), case.planted.true)


def random(case: Case) -> Found:
    rng = np.random.default_rng([case.seed, 2])
    return Found(rng.permutation(case.pool.num_rows).astype(np.float64))


def long_tail_only(case: Case) -> Found:
    return Found(case.pool.long_tail.astype(np.float64))


def length(case: Case) -> Found:
    if case.pool.lengths is None:
        raise ValueError("length: expected a pool with texts, got vectors alone")
    return Found(case.pool.lengths)


def smoothing(case: Case) -> Found:
    """Mean of the row's and its neighbours' scores, weighted by similarity: no T, no model.

    Ties are made as the posterior's are, so that both leave rarity as much to decide.
    """
    graph, scores = case.pool.graph, case.planted.scores
    near = graph.indices[:, :SMOOTHED_NEIGHBOURS]
    weights = np.maximum(graph.similarities[:, :SMOOTHED_NEIGHBOURS].astype(np.float64), 0.0)
    total = scores + (weights * scores[near]).sum(axis=1)
    mean = total / (1.0 + weights.sum(axis=1))
    return Found(stepped(mean, 0.25), np.rint(mean).astype(np.int64))


# --- The paper's ----------------------------------------------------------------------------------


def paper(case: Case) -> Found:
    """As `preset="paper"`: the moment objective, then SimiFeat."""
    return simifeat(case, estimated(case, solver="moments"))


def simifeat_by_em(case: Case) -> Found:
    """SimiFeat given a better T than the paper's."""
    return simifeat(case, case.em)


def simifeat(case: Case, estimate: TransitionEstimate, *, k: int = 10) -> Found:
    curation = curate_scores(
        case.planted.scores,
        case.pool.graph,
        estimate,
        method="simifeat",
        min_confidence=0.5,
        k=k,
        seed=case.seed,
        threads=case.pool.threads,
        progress=False,
    )
    return Found(curation.rank_keys, curation.scores, curation, estimate)


def paper_doubled(case: Case) -> Found:
    """As the authors' code: the pool is concatenated with itself, and T is of a subsample of that.

    Rows that are not drawn count as unrated there, so that the next neighbours take their places.
    """
    graph, threads = case.pool.doubled_graph, case.pool.threads
    twice = np.concatenate([case.planted.scores, case.planted.scores])
    drawn = np.random.default_rng([case.seed, 3]).random(len(twice)) < DRAWN_SHARE
    estimate = estimate_transition_matrix(
        np.where(drawn, twice, -1),
        graph,
        num_levels=NUM_LEVELS,
        solver="moments",
        threads=threads,
        progress=False,
    )
    both = curate_scores(
        twice,
        graph,
        estimate,
        method="simifeat",
        min_confidence=0.5,
        k=10,
        seed=case.seed,
        threads=threads,
        progress=False,
    )
    curation = first_rows(both, case.pool.num_rows)
    return Found(curation.rank_keys, curation.scores, curation, estimate)


def first_rows(curation: Curation, num_rows: int) -> Curation:
    """The same of the first rows alone."""
    values = {item.name: getattr(curation, item.name) for item in fields(curation)}
    cut: dict[str, Any] = {
        name: value[:num_rows] for name, value in values.items() if isinstance(value, np.ndarray)
    }
    return replace(curation, **cut)


# --- Ours -----------------------------------------------------------------------------------------


def posterior(case: Case) -> Found:
    return case.default


def posterior_with_repeats(case: Case) -> Found:
    repeats = case.repeats
    estimate = estimated(case, repeats=repeats)
    return curated(case, estimate, repeats=repeats)


def oracle(case: Case) -> Found:
    """The default curator given the planted T, prior and share of own rows: what can be reached.

    How far neighbours are alike is fitted by the curator, with these held.
    """
    planted = case.planted
    estimate = replace(
        default_estimate(case),
        transition_matrix=np.where(np.isnan(planted.counted), planted.matrix, planted.counted),
        prior=planted.prior,
        own=planted.own,
        signal=("gold",),
    )
    return curated(case, estimate)


def default_estimate(case: Case) -> TransitionEstimate:
    if case.default.estimate is None:
        raise ValueError("estimate: expected the default way's, got none")
    return case.default.estimate


WAYS: dict[str, Way] = {
    "given": given,
    "paper": paper,
    "paper-doubled": paper_doubled,
    "simifeat": simifeat_by_em,
    "posterior": posterior,
    "posterior-repeats": posterior_with_repeats,
    "oracle": oracle,
    "smoothing": smoothing,
    "length": length,
    "long-tail": long_tail_only,
    "random": random,
    "truth": truth,
}


def fitting(names: list[str], pool: Pool) -> list[str]:
    """Those of the ways that the pool has what they need for."""
    missing = set()
    if pool.lengths is None:
        missing.add("length")
    if pool.num_rows > MOST_ROWS_DOUBLED:
        missing.add("paper-doubled")
    return [name for name in names if name not in missing]


# --- Ablations: what goes first, and how wide the graph is ----------------------------------------


def ablations() -> dict[str, Way]:
    """Score and rarity weighed otherwise, by the default way's expected levels."""
    ways: dict[str, Way] = {"quality first": quality_first}
    ways |= {f"steps of {step:g}": _blend(step) for step in STEPS}
    return ways | {"diversity first": diversity_first}


def quality_first(case: Case) -> Found:
    """Rarity decides only between rows whose expected levels are equal to the last digit."""
    return Found(expected(case))


def diversity_first(case: Case) -> Found:
    """The rarest of the better half."""
    level = expected(case)
    return Found(np.where(level >= np.median(level), case.pool.long_tail, -1.0))


def _blend(step: float) -> Way:
    return lambda case: Found(stepped(expected(case), step))


def expected(case: Case) -> DoubleArray:
    """(N,) expected levels of the default way."""
    curation = case.default.curation
    if curation is None or curation.expected is None:
        raise ValueError("curation: expected the default way's expected levels, got none")
    return curation.expected


def stepped(values: DoubleArray, step: float) -> DoubleArray:
    """The nearest multiples of the step."""
    return np.rint(values / step) * step


def of_widths(widths: list[int]) -> dict[str, Way]:
    """Both curators with so many neighbours; T is that of the whole graph."""
    ways: dict[str, Way] = {}
    for width in widths:
        ways[f"simifeat, k = {width}"] = _simifeat_of(width)
        ways[f"posterior, k = {width}"] = _posterior_of(width)
    return ways


def _simifeat_of(width: int) -> Way:
    return lambda case: simifeat(case, case.em, k=width)  # the paper's k counts the row itself


def _posterior_of(width: int) -> Way:
    return lambda case: curated(case, default_estimate(case), k=width)


def timed(way: Way, case: Case) -> tuple[Found, float]:
    started = time.perf_counter()
    found = way(case)
    return found, time.perf_counter() - started
