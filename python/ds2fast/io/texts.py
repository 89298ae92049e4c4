"""Texts of a pool: in memory up to a bound, beyond it rendered anew whenever they are read."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ds2fast.io.digest import HASH_BYTES, text_hash
from ds2fast.io.rows import Rows
from ds2fast.io.schema import TextRenderer
from ds2fast.results import IntArray

KEPT_TEXT = 256 << 20
"""Bytes of texts that a pool holds in memory; of one whose texts are larger it holds none."""


class LazyTexts(Sequence[str]):
    """Texts of rows, rendered when they are read; a pass over all of them keeps none.

    Parameters
    ----------
    rows : Rows
        The rows.
    renderer : TextRenderer
        Makes a row's text.
    hashes : (N, 16) uint8, optional
        `text_hash` of each text, where it is known: who asks for these need not read the texts.

    Examples
    --------
    >>> from ds2fast.io.rows import ObjectRows
    >>> texts = LazyTexts(ObjectRows([{"text": "a"}, {"text": "b"}]), TextRenderer())
    >>> len(texts), texts[1], list(texts), texts[:1]
    (2, 'b', ['a', 'b'], ['a'])
    """

    def __init__(
        self,
        rows: Rows,
        renderer: TextRenderer,
        hashes: npt.NDArray[np.uint8] | None = None,
    ) -> None:
        self._rows = rows
        self._renderer = renderer
        self.hashes = hashes

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return self.pick(np.arange(len(self)))

    def __getitem__(self, index: Any) -> Any:
        found = np.arange(len(self))[index]
        if isinstance(index, slice):
            return list(self.pick(found))
        return next(self.pick(found.reshape(1)))

    def pick(self, indices: IntArray) -> Iterator[str]:
        """Texts of some rows in the order given, quickest where that ascends."""
        rows = self._rows.stream(indices, self._renderer.columns)
        for number, row in zip(indices.tolist(), rows, strict=True):
            yield self._renderer.text_of(number, row)


def pick_texts(texts: Sequence[str], indices: IntArray) -> Iterator[str]:
    """Some texts in the order given, one at a time: quickest where that ascends.

    Examples
    --------
    >>> list(pick_texts(["a", "b", "c"], np.array([0, 2])))
    ['a', 'c']
    """
    if isinstance(texts, LazyTexts):
        return texts.pick(indices)
    return (texts[index] for index in indices.tolist())


class TextKeeper:
    """Takes texts one by one, and keeps them while they are few.

    Parameters
    ----------
    max_memory : int, optional
        Bytes that the process may hold: texts take a sixteenth of it, and `KEPT_TEXT` at most.

    Attributes
    ----------
    lengths : array of int
        Characters of each text so far.
    """

    def __init__(self, max_memory: int | None = None) -> None:
        self.lengths = array("q")
        self._most = KEPT_TEXT if max_memory is None else min(KEPT_TEXT, max_memory // 16)
        self._kept: list[str] | None = []
        self._hashes = bytearray()  # of all texts, where none is kept
        self._size = 0

    def add(self, text: str) -> None:
        """Take the next text."""
        self.lengths.append(len(text))
        if self._kept is None:
            self._hashes += text_hash(text)
            return
        self._size += sys.getsizeof(text)
        self._kept.append(text)
        if self._size > self._most:
            self._hashes += b"".join(map(text_hash, self._kept))
            self._kept = None

    def texts(self, rows: Rows, renderer: TextRenderer) -> Sequence[str]:
        """All texts: as they were taken, or to be rendered from their rows again."""
        if self._kept is not None:
            return self._kept
        hashes = np.frombuffer(self._hashes, np.uint8).reshape(-1, HASH_BYTES)
        return LazyTexts(rows, renderer, hashes)
