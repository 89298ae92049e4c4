"""Where the vectors of a run's texts go: memory, or a file."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from ds2fast.io.scratch import scratch_array
from ds2fast.results import FloatArray, IntArray

_ROWS_AT_ONCE = 4096


class Rows(Protocol):
    """Takes the vectors of some texts."""

    def put(self, places: IntArray, vectors: FloatArray) -> None:
        """Keep the vectors of the texts at some places."""


class VectorRows:
    """The vectors of the distinct texts, with room for a row of each text that was given.

    Parameters
    ----------
    num_rows : int
        Texts that were given: at least as many as are distinct.
    scratch : Path or None
        The folder of a file, which has no name; None is memory.

    Examples
    --------
    >>> rows = VectorRows(3)
    >>> rows.put(np.array([0, 1]), np.array([[1, 0], [0, 1]], np.float32))
    >>> rows.spread(np.array([0, 1, 0])).tolist()
    [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    """

    def __init__(self, num_rows: int, scratch: Path | None = None) -> None:
        self._num_rows = num_rows
        self._scratch = scratch
        self._rows = np.empty((0, 0), np.float32)

    def put(self, places: IntArray, vectors: FloatArray) -> None:
        """Keep the vectors of the distinct texts at some places; the first ones tell the width."""
        if not len(self._rows):
            self._rows = self._new((self._num_rows, vectors.shape[1]))
        self._rows[places] = vectors

    def first(self, count: int) -> FloatArray:
        """The first rows, those of the distinct texts."""
        return self._rows[:count]

    def spread(self, inverse: IntArray) -> FloatArray:
        """(len(inverse), d): to each text the vector of its distinct one, in the same room.

        From the last one backwards: a text's distinct one never stands behind it.
        """
        rows = self._rows
        for first in reversed(range(0, len(inverse), _ROWS_AT_ONCE)):
            part = slice(first, first + _ROWS_AT_ONCE)
            rows[part] = rows[inverse[part]]
        return rows[: len(inverse)]

    def _new(self, shape: tuple[int, int]) -> FloatArray:
        if self._scratch is None:
            return np.empty(shape, np.float32)
        return scratch_array(self._scratch, shape, np.float32)


class SomeRows:
    """Rows of some of the texts, by their places among these.

    Parameters
    ----------
    rows : VectorRows
        The rows of all.
    places : (n,) int64
        Where each of these stands among all.
    """

    def __init__(self, rows: VectorRows, places: IntArray) -> None:
        self._rows = rows
        self._places = places

    def put(self, places: IntArray, vectors: FloatArray) -> None:
        """Keep the vectors of the texts at some places."""
        self._rows.put(self._places[places], vectors)
