"""How planted raters err: (K, K) matrices of P(given level = column | true level = row)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ds2fast.results import DoubleArray

NUM_LEVELS = 6
LAZY_ANSWERS = np.array([0.0, 0.0, 0.3, 0.7, 0.0, 0.0])
"""What a rater says who does not look: the usual level, or the one below."""

LAZY_CARE = 0.15
"""Error rate of the lazy rater where it does look."""

LIKE_A_JUDGE = np.array(
    [
        [0.47, 0.28, 0.17, 0.07, 0.005, 0.005],
        [0.15, 0.38, 0.38, 0.08, 0.005, 0.005],
        [0.02, 0.14, 0.43, 0.37, 0.035, 0.005],
        [0.005, 0.02, 0.12, 0.40, 0.44, 0.015],
        [0.005, 0.005, 0.02, 0.10, 0.75, 0.12],
        [0.005, 0.005, 0.06, 0.30, 0.50, 0.13],
    ]
)
"""A latent-class fit to three real LLM raters of one pool, the best rater's rows, smoothed."""


def noise_matrix(noise: str, rate: float) -> DoubleArray:
    """(K, K) float64: the matrix of one kind of `NOISES` at an error rate."""
    if noise not in NOISES:
        raise ValueError(f"noise: expected one of {', '.join(NOISES)}, got {noise!r}")
    return NOISES[noise](rate)


def _uniform(rate: float) -> DoubleArray:
    return _with_rates(np.ones((NUM_LEVELS, NUM_LEVELS)), np.full(NUM_LEVELS, rate))


def _ordinal(rate: float) -> DoubleArray:
    """Near levels are more likely than far ones, and too high more likely than too low."""
    away = _away()
    weights = np.exp(-1.2 * np.abs(away)) * np.where(away > 0, 1.8, 1.0)
    return _with_rates(weights, np.full(NUM_LEVELS, rate))


def _one_sided(rate: float) -> DoubleArray:
    """Never too low; so the highest level is always right."""
    away = _away()
    rates = np.full(NUM_LEVELS, rate)
    rates[-1] = 0.0
    return _with_rates(np.exp(-np.abs(away)) * (away > 0), rates)


def _level_dependent(rate: float) -> DoubleArray:
    """Sure about the best and the worst, unsure in the middle; errors as in `ordinal`."""
    level = np.arange(NUM_LEVELS)
    from_edge = np.minimum(level, NUM_LEVELS - 1 - level) / 2.0
    return _with_rates(_ordinal(rate), np.clip(rate * (0.4 + 1.2 * from_edge), 0.0, 0.8))


def _lazy(rate: float) -> DoubleArray:
    """A share of the answers is the usual one, whatever the row."""
    return (1.0 - rate) * _ordinal(LAZY_CARE) + rate * LAZY_ANSWERS


def _judge(_: float) -> DoubleArray:
    return LIKE_A_JUDGE.copy()


def _away() -> DoubleArray:
    """(K, K): how many levels the given one is above the true one."""
    level = np.arange(NUM_LEVELS, dtype=np.float64)
    return level - level[:, None]


def _with_rates(weights: DoubleArray, rates: DoubleArray) -> DoubleArray:
    """Errors in proportion to the weights, level i's share of errors being rates[i]."""
    errors = weights * ~np.eye(NUM_LEVELS, dtype=bool)
    total = errors.sum(axis=1, keepdims=True)
    matrix = np.divide(rates[:, None] * errors, total, out=np.zeros_like(errors), where=total > 0)
    return np.asarray(matrix + np.diag(1.0 - rates))


NOISES: dict[str, Callable[[float], DoubleArray]] = {
    "uniform": _uniform,
    "ordinal": _ordinal,
    "one-sided": _one_sided,
    "level": _level_dependent,
    "lazy": _lazy,
    "judge": _judge,
}
