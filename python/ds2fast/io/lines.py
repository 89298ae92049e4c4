"""Rows that are lines in a file: their places are in memory, the lines are not."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np

from ds2fast.io.fields import MISSING, Field
from ds2fast.io.held import Held, TemporaryRows
from ds2fast.io.rows import Rows, parse_json
from ds2fast.results import IntArray

_SPAN = 1 << 20
"""Lines that follow one another within so many bytes are read in one go."""


class LineRows(Rows):
    """Rows that are lines of JSON.

    Parameters
    ----------
    held : Held
        What the lines lie in.

    Examples
    --------
    >>> from ds2fast.io.held import TemporaryRows
    >>> held = TemporaryRows()
    >>> rows = LineRows(held)
    >>> rows.add(held.append(b'{"text": "a"}'), 13)
    >>> rows[0], len(rows)
    ({'text': 'a'}, 1)
    """

    def __init__(self, held: Held) -> None:
        self._held = held
        self._begins = array("q")
        self._sizes = array("q")

    def __len__(self) -> int:
        return len(self._begins)

    def add(self, begin: int, size: int) -> None:
        """Add the row whose line of `size` bytes begins at `begin`."""
        self._begins.append(begin)
        self._sizes.append(size)

    def stream(
        self,
        indices: IntArray,
        columns: AbstractSet[str] | None = None,  # noqa: ARG002 - a line is read whole
    ) -> Iterator[Any]:
        """The lines parsed."""
        return map(parse_json, self.lines(indices))

    def lines(self, indices: IntArray) -> Iterator[bytes]:
        """The lines byte for byte."""
        if not len(indices):
            return
        begins = np.frombuffer(self._begins, np.int64)[indices]
        ends = begins + np.frombuffer(self._sizes, np.int64)[indices]
        with self._held.reading() as read:
            first = 0
            while first < len(indices):
                last = _end_of_span(begins, ends, first)
                place = int(begins[first])
                content = read(place, int(ends[last - 1]) - place)
                if last == first + 1:
                    yield content
                else:
                    for row in range(first, last):
                        yield content[begins[row] - place : ends[row] - place]
                first = last


def _end_of_span(begins: IntArray, ends: IntArray, first: int) -> int:
    """Behind the last of the lines that follow `first` in the file, near enough for one read."""
    last = first + 1
    while (
        last < len(begins)
        and ends[last - 1] <= begins[last]
        and (ends[last] - begins[first] <= _SPAN)
    ):
        last += 1
    return last


class WordRows(LineRows):
    """Rows of a CSV file, kept as lines of JSON: every value is a string."""

    def __init__(self) -> None:
        self._kept = TemporaryRows()
        super().__init__(self._kept)

    def add_line(self, line: bytes) -> None:
        """Add a row by its line."""
        self.add(self._kept.append(line), len(line))

    def field(self, field: Field, *, numbers: bool = False) -> Iterator[Any]:
        """The field's words; as numbers where they are asked for and spell some."""
        found = super().field(field)
        return map(number_of, found) if numbers else found


def number_of(word: Any) -> Any:
    """The number that a word spells, None for an empty one; anything else as it is.

    Examples
    --------
    >>> number_of("4"), number_of(" 2.5"), number_of(""), number_of("good")
    (4.0, 2.5, None, 'good')
    """
    if word is MISSING or not isinstance(word, str):
        return word
    if not word.strip():
        return None
    try:
        return word if "_" in word else float(word)
    except ValueError:
        return word
