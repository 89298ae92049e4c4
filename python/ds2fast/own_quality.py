"""The share of rows that may have a quality of their own, unlike their neighbours'.

One rater and a graph cannot tell such rows from noise of the rater: with a share `own` of them the
rater's matrix T and (T − own · c) / (1 − own), c = p T, give the same counts. But the latter is a
matrix of shares only as long as no entry is negative. A rater who hardly ever takes a level for a
distant one leaves little room: the largest share that T allows bounds the true one from above.
"""

from __future__ import annotations

import numpy as np

from ds2fast.results import DoubleArray

HIGHEST_OWN = 0.75
"""Beyond this hardly anything could be learnt from neighbours at all."""

NEGATIVE_MASS = 0.005
"""Share of the rows that negative entries may stand for: as much as T's own errors make."""

STEPS = 40


def without_own(matrices: DoubleArray, prior: DoubleArray, own: float) -> DoubleArray:
    """The raters (..., K, K) if a share `own` of what looks like noise is rows of their own."""
    observed = np.einsum("i,...ia->...a", prior, matrices)
    rest = np.maximum(matrices - own * observed[..., None, :], 0.0)
    total = rest.sum(axis=-1, keepdims=True)
    return np.asarray(np.where(total > 0.0, rest / np.where(total > 0.0, total, 1.0), matrices))


def negative_mass(matrices: DoubleArray, prior: DoubleArray, own: float) -> float:
    """Share of the rows that the negative entries of (T − own · c) / (1 − own) stand for."""
    observed = np.einsum("i,...ia->...a", prior, matrices)
    below = np.maximum(own * observed[..., None, :] - matrices, 0.0) / (1.0 - own)
    return float(np.einsum("i,...ia->...", prior, below).mean())


def most_own(matrices: DoubleArray, prior: DoubleArray) -> float:
    """The largest share of rows with a quality of their own that T (..., K, K) leaves room for.

    Examples
    --------
    A rater who errs by one level only leaves no room; one whose errors spread like the scores of
    the pool may be a better rater of rows that are all their own:

    >>> near = np.array([[0.8, 0.2, 0.0], [0.1, 0.8, 0.1], [0.0, 0.2, 0.8]])
    >>> round(most_own(near, np.full(3, 1 / 3)), 2)
    0.02
    >>> round(most_own(np.array([[0.7, 0.3], [0.3, 0.7]]), np.array([0.5, 0.5])), 2)
    0.6
    """
    if negative_mass(matrices, prior, HIGHEST_OWN) <= NEGATIVE_MASS:
        return HIGHEST_OWN
    low, high = 0.0, HIGHEST_OWN
    for _ in range(STEPS):  # the mass grows with the share
        middle = (low + high) / 2.0
        if negative_mass(matrices, prior, middle) <= NEGATIVE_MASS:
            low = middle
        else:
            high = middle
    return low
