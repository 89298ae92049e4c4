"""The distinct samples of a pool, as they are sent."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ds2fast.embedding.hashes import text_hash
from ds2fast.rating.prompt import fit_sample
from ds2fast.results import IntArray


@dataclass(frozen=True, eq=False)
class Samples:
    """Distinct samples, cut to what a request may hold; rows of equal texts share one.

    Attributes
    ----------
    texts : list of str
        S texts as they are sent.
    keys : list of bytes
        Their hashes: what replies are kept by.
    of_row : (N,) int64
        Each row's place among them, −1 where it has no text.
    num_cut : int
        Samples that were too long and are sent in part.
    """

    texts: list[str]
    keys: list[bytes]
    of_row: IntArray
    num_cut: int

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def num_copies(self) -> int:
        """Rows that take the score of an earlier row with the same text."""
        return int((self.of_row >= 0).sum()) - len(self)

    def order(self, seed: int) -> list[int]:
        """Places in an order drawn by their hashes: wherever a run stops, what it has is a sample.

        It does not depend on the order of the rows.
        """
        salt = seed.to_bytes(8, "little")
        drawn = [hashlib.blake2b(key, digest_size=8, salt=salt).digest() for key in self.keys]
        return sorted(range(len(self)), key=lambda place: (drawn[place], self.keys[place]))


def distinct_samples(texts: Sequence[str], max_tokens: int) -> Samples:
    """The distinct samples of a pool's texts; an empty text is none.

    Examples
    --------
    >>> samples = distinct_samples(["a", "b", "", "a"], 100)
    >>> samples.texts, samples.of_row.tolist(), samples.num_copies
    (['a', 'b'], [0, 1, -1, 0], 1)
    """
    places: dict[bytes, int] = {}
    sent: list[str] = []
    of_row = np.full(len(texts), -1, dtype=np.int64)
    num_cut = 0
    for row, text in enumerate(texts):
        if not text:
            continue
        fitted, was_cut = fit_sample(text, max_tokens)
        key = text_hash(fitted)
        if key not in places:
            places[key] = len(sent)
            sent.append(fitted)
            num_cut += was_cut
        of_row[row] = places[key]
    return Samples(sent, list(places), of_row, num_cut)
