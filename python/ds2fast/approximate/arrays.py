"""The arrays that rounds read and write: codes and lists, in memory or in a work folder."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ds2fast import _core
from ds2fast.results import FloatArray, IdArray
from ds2fast.work import WorkFolder

NO_PLACE = 2**31 - 1  # knn/neighbour_lists.hpp


class Codes(NamedTuple):
    """Rows as int8 codes, by place; see knn/code_rows.hpp.

    Attributes
    ----------
    values : (M, d rounded up to 64) int8
    sums : (M,) int32
    scales, offsets, slacks : (M,) float32
    """

    values: npt.NDArray[np.int8]
    sums: IdArray
    scales: FloatArray
    offsets: FloatArray
    slacks: FloatArray


class Lists(NamedTuple):
    """The nearest found so far of each place, most similar first; see knn/neighbour_lists.hpp.

    Attributes
    ----------
    entries : (M, w) uint32
        Places; the highest bit says that an entry came since the last descent.
    similarities : (M, w) float32
        By codes; −inf where a list ends early.
    """

    entries: npt.NDArray[np.uint32]
    similarities: FloatArray

    def part(self, first: int, last: int) -> Lists:
        """The lists of places [first, last)."""
        return Lists(self.entries[first:last], self.similarities[first:last])


class Room:
    """Makes arrays: in memory, or in a work folder, where they are found again.

    Parameters
    ----------
    work : WorkFolder or None
        Where they lie; None is memory.
    """

    def __init__(self, work: WorkFolder | None) -> None:
        self.work = work
        self._lists: dict[int, Lists] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An array of that name."""
        if self.work is None:
            return np.empty(shape, dtype)
        return self.work.array(name, shape, dtype)

    def codes(self, num_rows: int, depth: int) -> Codes:
        """Room for the codes of so many rows."""
        a_row = (num_rows,)
        return Codes(
            self.array("codes", (num_rows, _core.code_depth(depth)), np.int8),
            self.array("code-sums", a_row, np.int32),
            self.array("code-scales", a_row, np.float32),
            self.array("code-offsets", a_row, np.float32),
            self.array("code-slacks", a_row, np.float32),
        )

    def lists(self, number: int, num_rows: int, width: int) -> Lists:
        """Room for lists, all of one shape; those of one number are the same."""
        if number not in self._lists:
            shape = (num_rows, width)
            self._lists[number] = Lists(
                self.array(f"entries-{number}", shape, np.uint32),
                self.array(f"similarities-{number}", shape, np.float32),
            )
        return self._lists[number]

    def let_lists_go(self) -> None:
        """Hold no lists but those that others hold, too."""
        self._lists = {}
