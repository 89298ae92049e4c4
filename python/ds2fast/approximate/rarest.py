"""The rows that look rarest: their neighbours are searched exactly.

A row whose neighbours a search missed looks rarer than it is, and the dual sort would select it for
that. Lists that lack neighbours are never more similar than true ones, so every row that is rarer
than all that are left out here is among those that are searched.
"""

from __future__ import annotations

import numpy as np

from ds2fast.results import FloatArray, IdArray

SHARE = 0.02
MOST = 4096
"""Rows of large pools: each costs a product with every row."""

HEARD = 10
"""Nearest that say how rare a row is: those of the long-tail score by default."""


def rarest(similarities: FloatArray, rows: IdArray) -> IdArray:
    """Which of some rows look rarest: those least similar to their ten nearest.

    Parameters
    ----------
    similarities : (N, k) float32
        Of the graph; those of other rows are not looked at, and may be anything yet.
    rows : (M,) int32
        Rows to choose from.

    Returns
    -------
    (R,) int32
        Places in `rows`, ascending: 2 % of them, 4 096 at most, at least one.

    Examples
    --------
    >>> found = np.array([[0.9, 0.8], [0.3, 0.2], [0.9, 0.1]], np.float32)
    >>> rarest(found, np.array([0, 2], np.int32)).tolist()
    [1]
    """
    count = min(max(1, int(SHARE * len(rows))), MOST)
    means = similarities[rows, :HEARD].mean(axis=1)
    return np.sort(np.argpartition(means, count - 1)[:count]).astype(np.int32)
