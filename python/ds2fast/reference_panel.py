"""Several raters in plain NumPy and float64: written to be read, not to be fast.

The oracle of `ds2fast.panel`: rows one by one instead of distinct patterns, EM without leaps, from
one start instead of many.
"""

from __future__ import annotations

import numpy as np

from ds2fast.results import DoubleArray, IntArray


def log_joint(ratings: IntArray, matrices: DoubleArray, prior: DoubleArray) -> DoubleArray:
    """(N, K): log p_i + Σ_r log T_r[i, score by r], over those who rated."""
    joint = np.tile(np.log(np.maximum(prior, 1e-300)), (len(ratings), 1))
    for rater, matrix in enumerate(matrices):
        rated = ratings[:, rater] >= 0
        joint[rated] += np.log(np.maximum(matrix, 1e-300)).T[ratings[rated, rater]]
    return joint


def posterior(
    ratings: IntArray, matrices: DoubleArray, prior: DoubleArray, gold: IntArray | None = None
) -> tuple[DoubleArray, float]:
    """P(true level) of each row (N, K), and the log-likelihood of all of them."""
    joint = log_joint(ratings, matrices, prior)
    if gold is not None:
        wrong = (gold[:, None] >= 0) & (gold[:, None] != np.arange(len(prior)))
        joint[wrong] = -np.inf
    top = joint.max(axis=1, keepdims=True)
    chance = np.exp(joint - top)
    total = chance.sum(axis=1, keepdims=True)
    return chance / total, float((top + np.log(total)).sum())


def step(
    ratings: IntArray, matrices: DoubleArray, prior: DoubleArray, gold: IntArray | None = None
) -> tuple[DoubleArray, DoubleArray, float]:
    """One step of EM: matrices, prior, and the log-likelihood before it."""
    belief, likelihood = posterior(ratings, matrices, prior, gold)
    counts = np.zeros_like(matrices)
    for rater in range(len(matrices)):
        for level in range(len(prior)):
            counts[rater, :, level] = belief[ratings[:, rater] == level].sum(axis=0)
    totals = counts.sum(axis=2, keepdims=True)
    found = np.where(totals > 0, counts / np.maximum(totals, 1e-300), matrices)
    return found, belief.mean(axis=0), likelihood


def expectation_maximisation(
    ratings: IntArray,
    matrices: DoubleArray,
    prior: DoubleArray,
    gold: IntArray | None = None,
    *,
    steps: int,
) -> tuple[DoubleArray, DoubleArray, float]:
    """So many steps from the given matrices; the log-likelihood is that of the result."""
    for _ in range(steps):
        matrices, prior, _ = step(ratings, matrices, prior, gold)
    return matrices, prior, posterior(ratings, matrices, prior, gold)[1]


def bits_told(matrix: DoubleArray, prior: DoubleArray) -> float:
    """Mutual information of a rater's score and the true level: H(score) − H(score | level)."""
    given = prior @ matrix
    return entropy(given) - float(
        sum(p * entropy(row) for p, row in zip(prior, matrix, strict=True))
    )


def entropy(shares: DoubleArray) -> float:
    """Bits of a distribution."""
    present = shares[shares > 0]
    return float(-(present * np.log2(present)).sum())


def quadratic_kappa(x: IntArray, y: IntArray) -> float:
    """1 − mean squared difference / the same for all pairs of an x and a y."""
    apart = ((x[:, None] - y[None, :]) ** 2).mean()
    return float(1.0 - ((x - y) ** 2).mean() / apart)
