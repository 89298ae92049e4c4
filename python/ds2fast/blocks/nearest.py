"""What a task of the exact graph finds: the nearest of some rows among some others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ds2fast.results import DoubleArray, IdArray


class Nearest(NamedTuple):
    """The nearest of n rows, as far as they are known; best first, ties by the smaller id.

    Attributes
    ----------
    ids : (n, k) int32
        Row numbers in the whole pool, −1 where there are fewer than k.
    similarities : (n, k) float64
        What decides, unrounded; −inf where there are fewer than k.
    """

    ids: IdArray
    similarities: DoubleArray

    @classmethod
    def none(cls, num_rows: int, k: int) -> Nearest:
        """Lists that hold nobody yet.

        Examples
        --------
        >>> Nearest.none(1, 2)
        Nearest(ids=array([[-1, -1]], dtype=int32), similarities=array([[-inf, -inf]]))
        """
        return cls(np.full((num_rows, k), -1, np.int32), np.full((num_rows, k), -np.inf))
