"""The distinct texts among those that a user gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from ds2fast.embedding.hashes import HashArray, hash_texts, split_hashes
from ds2fast.errors import InputError, InputTypeError
from ds2fast.results import IntArray


@dataclass(frozen=True, eq=False)
class DistinctTexts:
    """Texts without repeats, in the order in which they first came.

    Attributes
    ----------
    texts : list of str
        What the tokeniser reads.
    hashes : (n, 16) uint8
        Their hashes.
    """

    texts: list[str]
    hashes: HashArray

    def __len__(self) -> int:
        return len(self.texts)

    def sample(self, size: int) -> DistinctTexts:
        """At most `size` of them, chosen by their hashes alone: the same ones in any order."""
        keys = np.ascontiguousarray(self.hashes[:, :8]).view(np.uint64)[:, 0]
        return self.at(np.sort(np.argsort(keys, kind="stable")[:size]))

    def at(self, places: IntArray) -> DistinctTexts:
        """Those at some places."""
        return DistinctTexts([self.texts[place] for place in places], self.hashes[places])

    def find(self, others: DistinctTexts) -> IntArray:
        """(len(others),) int64: where each of the others is among these, −1 where it is not."""
        places = {text: place for place, text in enumerate(split_hashes(self.hashes))}
        found = (places.get(text, -1) for text in split_hashes(others.hashes))
        return np.fromiter(found, np.int64, len(others))


def distinct_texts(texts: Sequence[str], *, lowercase: bool) -> tuple[DistinctTexts, IntArray]:
    """Distinct texts, and for each text the place of its own among them."""
    places: dict[str, int] = {}
    read = (text.lower() for text in texts) if lowercase else texts
    inverse = np.fromiter((places.setdefault(text, len(places)) for text in read), np.int64)
    distinct = list(places)
    return DistinctTexts(distinct, hash_texts(distinct)), inverse


def check_texts(texts: Any) -> list[str]:
    """Texts as a list.

    Raises
    ------
    InputTypeError
        Where `texts` is no sequence, or holds something that is no str (the first is named).
    InputError
        Where there are none, or one is not valid Unicode.
    """
    if isinstance(texts, str | bytes | Mapping | Set) or not (
        hasattr(texts, "__len__") and hasattr(texts, "__iter__")
    ):
        raise InputTypeError(f"texts: expected a sequence of str, got {type(texts).__name__}")
    checked = list(texts)
    if not checked:
        raise InputError("texts: expected at least one text, got none")
    for index, text in enumerate(checked):
        if not isinstance(text, str):
            raise InputTypeError(f"texts[{index}]: expected str, got {type(text).__name__}")
        if not text.isascii():
            _check_unicode(index, text)
    return checked


def _check_unicode(index: int, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"texts[{index}]: expected valid Unicode, got a lone surrogate "
            f"{text[error.start]!r} at character {error.start}"
        ) from error
