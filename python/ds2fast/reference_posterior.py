"""The posterior curator in plain NumPy and float64: written to be read, not to be fast.

It is the oracle of the tests of `ds2fast.posterior` and its kernels. N rows, K levels, U patterns
of ratings, B similarity bins, V neighbours of a row (−1: none); T transition matrix, p prior.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from ds2fast.results import DoubleArray, IntArray

Ids = npt.NDArray[np.integer]

LEAST_SHARE = 1e-12
HIGHEST_OWN, NEGATIVE_MASS = 0.75, 0.005
GIVEN_SHARE = 0.2
GOLDEN = (5.0**0.5 - 1.0) / 2.0
HIGHEST_WEIGHT = 8.0


def solve_alpha(
    counts: IntArray, emission: DoubleArray, transition: DoubleArray, prior: DoubleArray
) -> DoubleArray:
    """(B,) α in [0, 1] of highest likelihood, which is concave: its slope is bisected."""
    shared = np.einsum("i,ia,id->ad", prior, emission, transition)
    apart = np.outer(prior @ emission, prior @ transition)
    alpha = np.zeros(len(counts))
    for b, table in enumerate(counts):
        seen = table > 0
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2.0
            mix = middle * shared[seen] + (1.0 - middle) * apart[seen]
            slope = (table[seen] * (shared[seen] - apart[seen]) / mix).sum()
            low, high = (middle, high) if slope > 0.0 else (low, middle)
        alpha[b] = (low + high) / 2.0
    return alpha


def messages(likelihood: DoubleArray, prior: DoubleArray, alpha: DoubleArray) -> DoubleArray:
    """(B, U, K): log(α L[u, i] + (1 − α) Σ_j p_j L[u, j]), less its mean over the prior."""
    out = np.empty((len(alpha), *likelihood.shape))
    for b in range(len(alpha)):
        for u, pattern in enumerate(likelihood):
            shown = alpha[b] * pattern + (1.0 - alpha[b]) * (prior * pattern).sum()
            logs = np.log(np.maximum(shown / shown.max(), LEAST_SHARE))
            out[b, u] = logs - (prior * logs).sum()
    return out


def neighbour_beliefs(
    codes: Ids, ids: Ids, bins: Ids, messages: DoubleArray, prior: DoubleArray
) -> DoubleArray:
    """Beliefs q ∝ p · exp(sum of the neighbours' messages), for each row of ids and bins."""
    says = (ids >= 0) & (codes[ids] >= 0)
    logits = np.log(prior) + (messages[bins, codes[ids]] * says[..., None]).sum(axis=1)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def predictive_likelihood(
    weights: npt.ArrayLike,
    codes: Ids,
    ids: Ids,
    bins: Ids,
    messages: DoubleArray,
    prior: DoubleArray,
    emission: DoubleArray,
    rows: Ids,
) -> float:
    """Σ over rows of log P(own pattern | neighbours), their messages multiplied by weights (B,)."""
    weighted = messages * np.asarray(weights)[:, None, None]
    beliefs = neighbour_beliefs(codes, ids[rows], bins[rows], weighted, prior)
    return float(np.log((beliefs * emission[codes[rows]]).sum(axis=1)).sum())


def fit_weights(
    codes: Ids,
    ids: Ids,
    bins: Ids,
    messages: DoubleArray,
    prior: DoubleArray,
    emission: DoubleArray,
    rows: Ids,
) -> DoubleArray:
    """(B,) weights in [0, 8] of highest predictive likelihood, found one after the other."""
    weights = np.full(len(messages), 0.5)

    def value_at(b: int, weight: float) -> float:
        tried = np.where(np.arange(len(weights)) == b, weight, weights)
        return predictive_likelihood(tried, codes, ids, bins, messages, prior, emission, rows)

    value, before = value_at(0, weights[0]), -np.inf
    while value - before > 1e-9 * len(rows):
        before = value
        for b in range(len(weights)):
            weights[b] = _golden_section(partial(value_at, b))
        value = value_at(0, weights[0])
    return weights


def _golden_section(value: Callable[[float], float]) -> float:
    """Where in [0, 8] a function of one peak is highest."""
    low, high = 0.0, HIGHEST_WEIGHT
    while high - low > 1e-6:
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        low, high = (low, right) if value(left) > value(right) else (left, high)
    return (low + high) / 2.0


def level_probabilities(
    likelihood: DoubleArray, belief: DoubleArray, prior: DoubleArray, own: float
) -> DoubleArray:
    """(K,): P(true level) of one row, from L of its pattern and q of its neighbours."""
    joint = likelihood * ((1.0 - own) * belief + own * prior)
    return np.asarray(joint / joint.sum())


def without_own(transition: DoubleArray, prior: DoubleArray, own: float) -> DoubleArray:
    """T if a share `own` of its noise were the rows' own quality."""
    rest = np.maximum(transition - own * (prior @ transition), 0.0)
    return np.asarray(rest / rest.sum(axis=1, keepdims=True))


def most_own(transition: DoubleArray, prior: DoubleArray) -> float:
    """The largest `own`, in steps of 1e-12, whose matrix has hardly any negative entries."""
    observed = prior @ transition
    low, step = 0.0, 0.1
    while step > 0.5e-12:
        own = low + step
        excess = np.maximum(own * observed - transition, 0.0)
        fits = own <= HIGHEST_OWN and prior @ excess.sum(axis=1) <= NEGATIVE_MASS * (1.0 - own)
        low, step = (own, step) if fits else (low, step / 10.0)
    return low


def expected_value(
    given: int, belief: DoubleArray, transition: DoubleArray, prior: DoubleArray
) -> float:
    """Ranking value of a row rated once where `own` is not identified."""
    own = most_own(transition, prior)
    likelihood = without_own(transition, prior, own)[:, given]
    mean = level_probabilities(likelihood, belief, prior, own) @ np.arange(len(prior))
    return float(GIVEN_SHARE * given + (1.0 - GIVEN_SHARE) * mean)
