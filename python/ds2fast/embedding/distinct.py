"""The distinct texts among those that a user gave."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from ds2fast.embedding.hashes import (
    HASH_BYTES,
    HashArray,
    distinct_hashes,
    split_hashes,
    text_hash,
)
from ds2fast.errors import InputError, InputTypeError
from ds2fast.io.texts import LazyTexts, pick_texts
from ds2fast.results import IntArray


@dataclass(frozen=True, eq=False)
class DistinctTexts:
    """Texts without repeats, in the order in which they first came.

    Attributes
    ----------
    texts : sequence of str
        What the tokeniser reads; texts that are in no list are read, and put into lower case where
        the model does, whenever they are asked for.
    hashes : (n, 16) uint8
        Their hashes.
    """

    texts: Sequence[str]
    hashes: HashArray

    def __len__(self) -> int:
        return len(self.texts)

    def sample(self, size: int) -> DistinctTexts:
        """At most `size` of them, chosen by their hashes alone: the same ones in any order."""
        keys = np.ascontiguousarray(self.hashes[:, :8]).view(np.uint64)[:, 0]
        return self.at(np.sort(np.argsort(keys, kind="stable")[:size]))

    def at(self, places: IntArray) -> DistinctTexts:
        """Those at some places."""
        return DistinctTexts(_pick(self.texts, places), self.hashes[places])

    def find(self, others: DistinctTexts) -> IntArray:
        """(len(others),) int64: where each of the others is among these, −1 where it is not."""
        places = {text: place for place, text in enumerate(split_hashes(self.hashes))}
        found = (places.get(text, -1) for text in split_hashes(others.hashes))
        return np.fromiter(found, np.int64, len(others))


class PickedTexts(Sequence[str]):
    """Some texts of others, read when they are asked for.

    Parameters
    ----------
    texts : sequence of str
        The others; of a pool's lazy texts a pass over ascending places reads each row once.
    places : (n,) int64
        Where among them each one stands.
    lowercase : bool
        Whether they are put into lower case.

    Examples
    --------
    >>> list(PickedTexts(["One", "Two", "Three"], np.array([0, 2]), lowercase=True))
    ['one', 'three']
    """

    def __init__(self, texts: Sequence[str], places: IntArray, *, lowercase: bool) -> None:
        self._texts = texts
        self._places = places
        self._lowercase = lowercase

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return self._read(self._places)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return list(self._read(self._places[index]))
        return next(self._read(self._places[index].reshape(1)))

    def pick(self, places: IntArray) -> PickedTexts:
        """Some of these."""
        return PickedTexts(self._texts, self._places[places], lowercase=self._lowercase)

    def _read(self, places: IntArray) -> Iterator[str]:
        found = pick_texts(self._texts, places)
        return (text.lower() for text in found) if self._lowercase else found


def _pick(texts: Sequence[str], places: IntArray) -> Sequence[str]:
    if isinstance(texts, PickedTexts):
        return texts.pick(places)
    return [texts[place] for place in places.tolist()]


def distinct_texts(texts: Sequence[str], *, lowercase: bool) -> tuple[DistinctTexts, IntArray]:
    """Distinct texts, and for each text the place of its own among them.

    One pass at most, which keeps a hash of each text, and no text. Errors: see `check_texts`.
    """
    hashes = _hashes_of(texts, lowercase=lowercase)
    found, inverse = distinct_hashes(hashes)
    is_held = isinstance(texts, list) and not lowercase
    distinct = PickedTexts(texts, found, lowercase=lowercase)
    return DistinctTexts(_pick(texts, found) if is_held else distinct, hashes[found]), inverse


def _hashes_of(texts: Sequence[str], *, lowercase: bool) -> HashArray:
    """The hashes of all texts, (n, 16) uint8; of a large pool they are known since it was read."""
    if isinstance(texts, LazyTexts) and texts.hashes is not None and not lowercase:
        return texts.hashes
    joined = bytearray()
    for text in texts if isinstance(texts, list) else _checked(texts):
        joined += text_hash(text.lower() if lowercase else text)
    return np.frombuffer(joined, np.uint8).reshape(-1, HASH_BYTES)


def check_texts(texts: Any) -> Sequence[str]:
    """Texts as a list; lazy ones as they are, `distinct_texts` checks them as it reads them.

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
    if not len(texts):
        raise InputError("texts: expected at least one text, got none")
    return texts if isinstance(texts, LazyTexts) else list(_checked(texts))


def _checked(texts: Iterable[Any]) -> Iterator[str]:
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputTypeError(f"texts[{index}]: expected str, got {type(text).__name__}")
        if not text.isascii():
            _check_unicode(index, text)
        yield text


def _check_unicode(index: int, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"texts[{index}]: expected valid Unicode, got a lone surrogate "
            f"{text[error.start]!r} at character {error.start}"
        ) from error
