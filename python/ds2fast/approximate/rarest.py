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


def rarest(means: FloatArray) -> IdArray:
    """Which rows look rarest: those least similar to their ten nearest.

    Parameters
    ----------
    means : (M,) float32
        Of each row's similarities to its ten nearest, or to all that it has.

    Returns
    -------
    (R,) int32
        Places in `means`, ascending: 2 % of them, 4 096 at most, at least one.

    Examples
    --------
    >>> rarest(np.array([0.85, 0.25, 0.5], np.float32)).tolist()
    [1]
    """
    count = min(max(1, int(SHARE * len(means))), MOST)
    return np.sort(np.argpartition(means, count - 1)[:count]).astype(np.int32)
