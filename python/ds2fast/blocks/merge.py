"""The better of two lists of neighbours, row by row."""

from __future__ import annotations

from ds2fast import _core
from ds2fast.blocks.nearest import Nearest


def merge(x: Nearest, y: Nearest, *, into: Nearest | None = None, threads: int = 1) -> Nearest:
    """The k best of two lists of each row, whatever their order; one in both counts once.

    So lists of one row may be merged in any order, and again after an interruption.

    Parameters
    ----------
    x, y : Nearest
        Of the same rows, (n, k) both.
    into : Nearest, optional
        Arrays for the result, which may be those of x or y; without it they are new.
    threads : int
        Threads to use.

    Returns
    -------
    Nearest
        (n, k) too.

    Examples
    --------
    >>> import numpy as np
    >>> x = Nearest(np.array([[4, 9]], np.int32), np.array([[0.8, 0.5]]))
    >>> y = Nearest(np.array([[2, 4]], np.int32), np.array([[0.8, 0.8]]))
    >>> merge(x, y).ids.tolist()
    [[2, 4]]
    """
    merged = Nearest.none(*x.ids.shape) if into is None else into
    _core.merge_nearest(*x, *y, *merged, threads)
    return merged
