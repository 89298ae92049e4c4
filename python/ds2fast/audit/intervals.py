"""Intervals of a share and of a mean from a stratified sample of a finite pool.

The share: with weights W_h, labelled rows n_h and right ones x_h the estimate is Σ W_h x_h / n_h.
Its interval holds each P that a score test does not refuse: with p_h the most likely shares among
those of Σ W_h p_h = P, P stays where |estimate − P| ≤ z √V, V = Σ W_h² p_h (1 − p_h) / n_h. The
most likely p_h solve x/p − (n − x)/(1 − p) = λ W with one λ for all strata. From that follows
estimate − P = λ V, so the bound is where λ² V = z²; λ² p (1 − p) grows with λ, thus bisection finds
it. With one stratum this is Wilson's interval. Rows drawn from a pool without replacement tell
more: n_h counts as n_h (N_h − 1) / (N_h − n_h), and a level labelled whole is known. As H shares
are fitted, V is multiplied by n / (n − H + 1).
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from ds2fast.results import BoolArray, DoubleArray, IntArray

CONFIDENCE = 0.95
Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)

_LOG2_RANGE = (-30.0, 60.0)  # of λ: the bound is reached between, for any n up to 10⁹
_BISECTIONS = 60


def share_interval(
    right: IntArray, labelled: IntArray, sizes: IntArray
) -> tuple[DoubleArray, DoubleArray]:
    """Interval (95 %) of the share of right rows in pools of H strata each.

    Parameters
    ----------
    right : (..., H) int64
        Labelled rows that are right.
    labelled : (..., H) int64
        Labelled rows, at least 1.
    sizes : (..., H) int64
        Rows of each stratum in the pool, at least `labelled`.

    Returns
    -------
    lower, upper : (...) float64

    Examples
    --------
    >>> lower, upper = share_interval(np.array([9]), np.array([10]), np.array([10**9]))
    >>> f"{lower:.3f} {upper:.3f}"  # Wilson's
    '0.596 0.982'
    """
    lower = _lower_bound(right, labelled, sizes)
    return lower, 1.0 - _lower_bound(labelled - right, labelled, sizes)


def _lower_bound(right: IntArray, labelled: IntArray, sizes: IntArray) -> DoubleArray:
    weights = sizes / sizes.sum(axis=-1, keepdims=True)
    known = labelled == sizes
    certain = np.where(known, weights * (right / labelled), 0.0).sum(axis=-1)
    weights = np.where(known, 0.0, weights)
    more = (sizes - 1) / np.maximum(sizes - labelled, 1)
    counts = np.where(known, 1.0, labelled * more)
    found = np.where(known, 0.0, right * more)
    bound = Z**2 * _fitting_factor(labelled, known)
    low, high = (np.full(certain.shape, end) for end in _LOG2_RANGE)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        _, test = _at(np.exp2(middle), found, counts, weights)
        low, high = np.where(test < bound, middle, low), np.where(test < bound, high, middle)
    share, _ = _at(np.exp2(high), found, counts, weights)
    lower: DoubleArray = np.where(found.any(axis=-1), share, 0.0) + certain
    return lower


def _fitting_factor(labelled: IntArray, known: BoolArray) -> DoubleArray:
    total = np.where(known, 0, labelled).sum(axis=-1)
    fitted = np.maximum((~known).sum(axis=-1), 1)
    factor: DoubleArray = np.maximum(total, 1) / np.maximum(total - fitted + 1, 1)
    return factor


def _at(
    multiplier: DoubleArray, found: DoubleArray, counts: DoubleArray, weights: DoubleArray
) -> tuple[DoubleArray, DoubleArray]:
    """The pool's share and λ² V at the multiplier λ."""
    pulls = multiplier[..., None] * weights
    sums = counts + pulls
    root = np.sqrt(np.maximum(sums * sums - 4.0 * pulls * found, 0.0))
    shares = np.minimum(2.0 * found / (sums + root), 1.0)
    return (weights * shares).sum(axis=-1), (pulls**2 * shares * (1 - shares) / counts).sum(axis=-1)


def mean_interval(
    values: DoubleArray, strata: IntArray, sizes: IntArray
) -> tuple[float, float, float]:
    """Mean of the pool, and its interval (95 %), from a sample of H strata.

    Variances are too small where by chance few rows that differ were drawn. So a stratum's is found
    as if one more row deviated as much as rows of all strata do, and as if four more of all rows
    were off by 1, shared out like the rows (Agresti and Coull do so for shares).
    Where few values are far from the others the mean is skewed; Student's interval is moved by
    (1 + 2 t²) / 6 · third moment / variance of the mean, after Johnson (1978).

    Parameters
    ----------
    values : (n,) float64
        The sample.
    strata : (n,) int64
        The stratum of each value, in [0, H); each stratum has one at least.
    sizes : (H,) int64
        Rows of each stratum in the pool.

    Returns
    -------
    mean, lower, upper : float

    Examples
    --------
    >>> sample = np.array([0.0, 1.0, 0.0, -1.0])
    >>> mean, lower, upper = mean_interval(sample, np.zeros(4, int), np.array([9]))
    >>> mean, lower == -upper
    (0.0, True)
    """
    counts = np.bincount(strata)
    weights = sizes / sizes.sum()
    means = np.bincount(strata, values) / counts
    away = values - means[strata]
    spare = len(values) - len(sizes) + 1
    squares: DoubleArray = np.bincount(strata, away**2) + 4.0 * counts / len(values)
    pooled = squares.sum() / spare
    unseen = 1.0 - counts / sizes
    variance = float((weights**2 * unseen * (squares + pooled) / counts**2).sum())
    third = float((weights**3 * unseen * np.bincount(strata, away**3) / counts**3).sum())
    quantile = _student(spare)
    middle = float((weights * means).sum())
    moved = (1 + 2 * quantile**2) / 6 * third / variance if variance > 0 else 0.0
    half = quantile * variance**0.5
    return middle, middle + moved - half, middle + moved + half


def _student(freedom: int) -> float:
    """Student's quantile that belongs to `Z`, by the first three terms of its expansion."""
    first = (Z**3 + Z) / 4
    second = (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96
    return Z + first / freedom + second / freedom**2
