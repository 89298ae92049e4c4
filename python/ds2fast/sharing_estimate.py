"""The estimate that the sharing model gives, its bands and what it rests on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ds2fast import _core
from ds2fast.graph import KnnGraph
from ds2fast.observations import Observations
from ds2fast.results import DoubleArray, IntArray, TransitionEstimate
from ds2fast.sharing import (
    Neighbours,
    Report,
    SharingFit,
    Signal,
    Triples,
    count_triples,
    fit_curve,
    fit_sharing,
    independent_neighbours,
    misfit,
    signal_of,
)

TWO_SIDED_95 = 1.959963984540054


@dataclass(frozen=True)
class Bootstrap:
    """How bands are made: number of resamples (0: no bands) and their seed."""

    resamples: int
    seed: int


@dataclass(frozen=True)
class Bands:
    """95 % bands of T and p."""

    lower: DoubleArray
    upper: DoubleArray
    prior_lower: DoubleArray
    prior_upper: DoubleArray


def estimate_by_sharing(
    levels: IntArray,
    graph: KnnGraph,
    num_levels: int,
    seen: Observations,
    bootstrap: Bootstrap,
    threads: int,
    report: Report,
) -> TransitionEstimate:
    """T, p and, with repeats or gold, the share of rows with a quality of their own."""
    voters = independent_neighbours(levels, graph, threads)
    triples = count_triples(levels, voters, num_levels, threads)
    signal = signal_of(seen, levels)
    fit = fit_sharing(triples, signal, report)
    bands = make_bands(triples, signal, fit, bootstrap, threads) if bootstrap.resamples else None
    observed, agreement = _agreement(levels, voters, num_levels)
    correct = np.full(num_levels, np.nan)
    np.divide(fit.transition.diagonal() * fit.prior, observed, out=correct, where=observed > 0)
    return TransitionEstimate(
        transition_matrix=fit.transition,
        prior=fit.prior,
        observed=observed,
        correct_given_score=np.minimum(correct, 1.0),
        agreement=agreement,
        chance_agreement=float(observed @ observed),
        num_counted=triples.num_rows,
        solver="sharing",
        loss=_loss(levels, graph, fit, threads),
        steps=fit.steps,
        converged=fit.converged,
        signal=_kinds(signal),
        num_signal=int(seen.rows_with[seen.is_signal].sum()),
        own=fit.own if signal.is_there else None,
        clusterability=fit_curve(levels, voters, fit, threads),
        lower=None if bands is None else bands.lower,
        upper=None if bands is None else bands.upper,
        prior_lower=None if bands is None else bands.prior_lower,
        prior_upper=None if bands is None else bands.prior_upper,
        bootstrap=bootstrap.resamples,
        misfit=misfit(triples, fit),
        repeat_agreement=seen.repeat_agreement,
        gold_correlation=seen.gold_correlation,
    )


def make_bands(
    triples: Triples, signal: Signal, fit: SharingFit, bootstrap: Bootstrap, threads: int
) -> Bands:
    """T and p ± 1.96 standard deviations of sampling and of the model."""
    near = triples.near
    transitions, priors, _ = _core.resample_sharing(
        triples.levels.astype(np.int8), near.ids, triples.bins, near.is_copy, triples.num_bins,
        fit.transition, fit.prior, fit.own, fit.shares,
        signal.shown, signal.weights, signal.gold, signal.is_there,
        bootstrap.resamples, bootstrap.seed, threads,
    )  # fmt: skip
    blind = fit_sharing(_without_similarity(triples), signal)
    return Bands(
        *_band(fit.transition, transitions, blind.transition),
        *_band(fit.prior, priors, blind.prior),
    )


def _without_similarity(triples: Triples) -> Triples:
    counts = np.ascontiguousarray(triples.counts.sum(axis=0, keepdims=True))
    return Triples(triples.levels, triples.near, np.zeros_like(triples.bins), counts, 1)


def _band(
    value: DoubleArray, resampled: DoubleArray, blind: DoubleArray
) -> tuple[DoubleArray, DoubleArray]:
    variance = np.mean((resampled - value) ** 2, axis=0) + (blind - value) ** 2
    half = TWO_SIDED_95 * np.sqrt(variance)
    return np.maximum(value - half, 0.0), np.minimum(value + half, 1.0)


def _agreement(levels: IntArray, voters: Neighbours, num_levels: int) -> tuple[DoubleArray, float]:
    """Observed shares, and how often the nearest neighbour was given the same score."""
    rows = np.flatnonzero((levels >= 0) & (voters.is_copy == 0) & (voters.ids[:, 1] >= 0))
    own = levels[rows]
    observed = np.bincount(own, minlength=num_levels) / len(rows)
    return observed, float((own == levels[voters.ids[rows, 0]]).mean())


def _loss(levels: IntArray, graph: KnnGraph, fit: SharingFit, threads: int) -> float:
    counts = _core.agreement_counts(levels.astype(np.int8), graph.indices, len(fit.prior), threads)
    return float(_core.moment_loss(counts, fit.transition, fit.prior)) if counts.any() else np.nan


def _kinds(signal: Signal) -> tuple[str, ...]:
    """Which signals there were."""
    known = signal.gold >= 0
    kinds = []
    if (signal.shown.sum(axis=1) > 1).any():
        kinds.append("repeats")
    if known.any():
        kinds.append("gold")
    return tuple(kinds)
