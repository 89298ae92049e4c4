"""How many of the true neighbours a graph holds, by a sample of rows drawn beforehand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ds2fast.results import DoubleArray, IdArray

SAMPLE = 1000
"""Rows that are compared with their exact neighbours."""

_RESAMPLES = 1000
_BAND = (2.5, 97.5)  # percentiles
_MISSES = 2  # rows added for the lower end, as Agresti and Coull (1998) do for a share


@dataclass(frozen=True)
class Recall:
    """Recall of a sample.

    Attributes
    ----------
    share : float
        Mean share of a row's true neighbours, by number, that its list holds.
    tied : float
        The same, but any row as similar as the last true neighbour counts.
    interval : (float, float)
        Of `share`: 95 % of bootstrap resamples of the rows lie within. A sample that lacks nothing
        does not show that all rows are such, so the lower end is no higher than that of resamples
        of the sample and two rows that lack one neighbour each.
    """

    share: float
    tied: float
    interval: tuple[float, float]


def draw_sample(num_rows: int, seed: int, count: int = SAMPLE) -> IdArray:
    """Places of the sample, ascending: all, where they are few."""
    if num_rows <= count:
        return np.arange(num_rows, dtype=np.int32)
    drawn = np.random.default_rng(seed).choice(num_rows, count, replace=False)
    return np.sort(drawn).astype(np.int32)


def recall_of(
    ids: IdArray, similarities: DoubleArray, true_ids: IdArray, true_similarities: DoubleArray,
    seed: int,
) -> Recall:  # fmt: skip
    """Recall of lists against the true ones.

    Parameters
    ----------
    ids, true_ids : (S, k) int32
    similarities, true_similarities : (S, k) float64
        Descending.
    seed : int
        Of the resamples.

    Examples
    --------
    >>> true_ids, true_similarities = np.array([[1, 2]], np.int32), np.array([[0.9, 0.8]])
    >>> found = np.array([[1, 7]], np.int32)
    >>> recall_of(found, np.array([[0.9, 0.8]]), true_ids, true_similarities, seed=0)
    Recall(share=0.5, tied=1.0, interval=(0.5, 0.5))
    """
    k = ids.shape[1]
    held = np.array([np.isin(*lists).sum() for lists in zip(true_ids, ids, strict=True)]) / k
    tied = (similarities >= true_similarities[:, -1:]).sum(axis=1) / k
    return Recall(float(held.mean()), float(tied.mean()), _interval(held, k, seed))


def _interval(held: DoubleArray, k: int, seed: int) -> tuple[float, float]:
    low, high = np.percentile(_resampled_means(held, seed), _BAND)
    with_misses = np.append(held, [1 - 1 / k] * _MISSES)
    lower = np.percentile(_resampled_means(with_misses, seed), _BAND[0])
    return float(min(low, lower)), float(high)


def _resampled_means(values: DoubleArray, seed: int) -> DoubleArray:
    rng = np.random.default_rng([seed, 1])
    drawn = rng.integers(0, len(values), (_RESAMPLES, len(values)))
    means: DoubleArray = values[drawn].mean(axis=1)
    return means
