"""What a way's answer is worth, where the truth is known."""

from __future__ import annotations

import numpy as np

from ds2fast import Curation, dual_sort
from ds2fast.results import BoolArray, DoubleArray, FloatArray, IntArray
from quality_plant import Planted
from quality_ways import Found

TOP_SHARES = {"top_3.3": 0.033, "top_10": 0.1, "top_30": 0.3}
"""Of the rows; 3.3 % are the 10 000 of the paper's 300 000."""

OFFERED_AT = (0.75, 0.85)
"""Confidences that are called 0.8."""

Figures = dict[str, float]


def figures_of(found: Found, planted: Planted, long_tail: FloatArray) -> Figures:
    """All figures that the answer has; what it lacks is left out."""
    figures = top_figures(found.keys, planted.true, long_tail)
    if found.scores is not None:
        figures["mae"] = mean_error(found.scores, planted.true)
    if found.curation is not None:
        figures |= misrated_figures(found.curation, planted)
    if found.estimate is not None:
        figures["t_error"] = transition_error(found.estimate.transition_matrix, planted)
        if found.estimate.own is not None:
            figures["own"] = found.estimate.own
    return figures


def top_figures(keys: DoubleArray, true: IntArray, long_tail: FloatArray) -> Figures:
    """True mean of the first rows, and how rare they are."""
    order = dual_sort(keys, long_tail)
    figures = {}
    for name, share in TOP_SHARES.items():
        first = order[: max(1, int(len(true) * share))]
        figures[name] = float(true[first].mean())
        figures[f"long_tail_{name}"] = float(long_tail[first].mean(dtype=np.float64))
    return figures


def misrated_figures(curation: Curation, planted: Planted) -> Figures:
    """How well misrated rows are found, and how often what is offered instead is right."""
    wrong = planted.scores != planted.true
    figures = {"f1": f1(curation.misrated, wrong)}
    if wrong.any() and not wrong.all():
        figures["auc"] = auc(curation.error_probability, wrong)
    least, below = OFFERED_AT
    offered = curation.misrated & (curation.confidence >= least) & (curation.confidence < below)
    figures["offered_at_0.8"] = float(offered.sum())
    if offered.any():
        right = curation.suggested[offered] == planted.true[offered]
        figures["right_at_0.8"] = float(right.mean())
    return figures


def transition_error(matrix: DoubleArray, planted: Planted) -> float:
    """Mean |T̂ − T|, T counted from the planted pairs."""
    return float(np.nanmean(np.abs(matrix - planted.counted)))


def mean_error(scores: IntArray, true: IntArray) -> float:
    return float(np.abs(scores - true).mean())


def f1(found: BoolArray, planted: BoolArray) -> float:
    """0 where nothing is found and nothing is there to find."""
    either = int(found.sum() + planted.sum())
    return float(2 * (found & planted).sum() / either) if either else 0.0


def auc(values: DoubleArray, positive: BoolArray) -> float:
    """P(a positive row has the higher value than a negative one); a tie counts half.

    There must be rows of both kinds.
    """
    num_positive = int(positive.sum())
    num_negative = len(positive) - num_positive
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    rank = count.cumsum() - (count - 1) / 2  # the mean rank, from 1, of the rows of each value
    above = rank[place][positive].sum() - num_positive * (num_positive + 1) / 2
    return float(above / (num_positive * num_negative))


def means(runs: list[Figures]) -> Figures:
    """Mean of each figure over the runs that have it."""
    names = dict.fromkeys(name for run in runs for name in run)
    return {name: float(np.mean([run[name] for run in runs if name in run])) for name in names}
