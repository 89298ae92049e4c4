"""Levels that were cut from a finer measure: within a level the measure still ranks."""

from __future__ import annotations

import numpy as np

from ds2fast.results import DoubleArray, IntArray

PARTS = 4
"""Steps within a level; between equal ones rarity decides."""

SPAN = 0.5
"""How far the measure moves a key at most, in levels: less than what parts two levels."""


def with_values(keys: DoubleArray, levels: IntArray, values: DoubleArray) -> DoubleArray:
    """Ranking keys that also tell which quarter of its level a row's own measure lies in.

    Parameters
    ----------
    keys : (N,) float64
        What rows rank by, −1 unrated.
    levels : (N,) int64
        The level that a row was given, −1 unrated.
    values : (N,) float64
        The measure that the levels were cut from, NaN where unrated.

    Returns
    -------
    (N,) float64
        Keys plus −0.1875, −0.0625, 0.0625 or 0.1875 by the quarter, clipped at 0.

    Examples
    --------
    >>> with_values(np.full(4, 2.0), np.full(4, 2), np.array([0.1, 0.2, 0.3, 0.4])).tolist()
    [1.8125, 1.9375, 2.0625, 2.1875]
    """
    found = keys.copy()
    for level in np.unique(levels[levels >= 0]):
        rows = np.flatnonzero(levels == level)
        order = np.sort(values[rows])
        below = np.searchsorted(order, values[rows], side="left")
        up_to = np.searchsorted(order, values[rows], side="right")
        share = (below + up_to) / (2.0 * len(rows))  # the middle of equal values
        part = np.minimum((share * PARTS).astype(int), PARTS - 1)
        found[rows] += SPAN * ((part + 0.5) / PARTS - 0.5)
    return np.where(keys < 0, keys, np.maximum(found, 0.0))
