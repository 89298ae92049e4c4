"""The lists of all rows, on the driver: in memory, or in files without a name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ds2fast.blocks import Nearest, merge
from ds2fast.blocks.mapped import release
from ds2fast.io.scratch import scratch_array
from ds2fast.results import DoubleArray, FloatArray, IdArray

_CHUNK = 65_536  # rows that are written at a time


class DriverLists:
    """The nearest of every row, as far as answers came.

    Parameters
    ----------
    num_rows, k : int
        N rows with k neighbours each.
    folder : Path or None
        Where files are to hold the lists, 12·N·k bytes; None is memory.

    Raises
    ------
    OutputError
        The disk has no room for them.

    Examples
    --------
    >>> lists = DriverLists(3, 1, None)
    >>> lists.merge(slice(1, 3), Nearest(np.array([[2], [1]], np.int32), np.array([[0.5], [0.5]])))
    >>> lists.floors(slice(0, 2)).tolist(), lists.result()[0].ravel().tolist()
    ([-inf, 0.5], [-1, 2, 1])
    """

    def __init__(self, num_rows: int, k: int, folder: Path | None) -> None:
        shape = (num_rows, k)
        if folder is None:
            self._all = Nearest.none(*shape)
            return
        self._all = Nearest(
            scratch_array(folder, shape, np.int32), scratch_array(folder, shape, np.float64)
        )
        for first in range(0, num_rows, _CHUNK):
            self._all.ids[first : first + _CHUNK] = -1
            self._all.similarities[first : first + _CHUNK] = -np.inf
            self._let_go()

    def merge(self, rows: slice, found: Nearest) -> None:
        """Take in what was found for some rows."""
        known = self._of(rows)
        merge(known, found, into=known)
        self._let_go()

    def floors(self, rows: slice) -> DoubleArray:
        """What a neighbour of each of some rows must reach to be of use."""
        return np.array(self._of(rows).similarities[:, -1])

    def result(self) -> tuple[IdArray, FloatArray]:
        """Ids (N, k) and similarities (N, k), rounded to float32, in memory."""
        every = self._of(slice(None))
        is_mapped = isinstance(self._all.ids, np.memmap)
        ids = np.array(every.ids) if is_mapped else every.ids
        return ids, every.similarities.astype(np.float32)

    def _of(self, rows: slice) -> Nearest:
        """The lists of some rows, in place, as plain arrays."""
        return Nearest(np.asarray(self._all.ids[rows]), np.asarray(self._all.similarities[rows]))

    def _let_go(self) -> None:
        for array in self._all:
            release(array)
