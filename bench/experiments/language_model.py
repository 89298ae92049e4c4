"""A small model to train on selected rows: it foretells the words of an answer to a prompt.

Words of the answer are foretold by an interpolated Kneser-Ney model of word triples, or copied from
the prompt; how often which is learned on a tenth of the training rows. Nothing else of the prompt
is understood: this is no language model as they are built today, but it learns from texts alone,
is worse after bad ones, and is trained in a second.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ds2fast.results import DoubleArray, IntArray

DISCOUNT = 0.75
LEAST_COUNT = 2
"""Of a word of the vocabulary."""

HELD_OUT = 10
"""Every tenth training row tells how often words are copied."""

UNKNOWN, START, END = 0, 1, 2
_WORDS = re.compile(r"\w+|[^\w\s]")

Pair = tuple[IntArray, IntArray]
"""Word numbers of a prompt, and of its answer."""


def words_of(text: str) -> list[str]:
    return _WORDS.findall(text.lower())


class Vocabulary:
    """Numbers of the words that models know; the same for all selections.

    Parameters
    ----------
    texts : iterable of str
        Words that occur twice in them are known.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        counts = Counter(word for text in texts for word in words_of(text))
        known = sorted(word for word, count in counts.items() if count >= LEAST_COUNT)
        self._numbers = {word: number for number, word in enumerate(known, END + 1)}

    def __len__(self) -> int:
        return len(self._numbers) + END + 1

    def numbers(self, text: str) -> IntArray:
        """(words,) int64; `UNKNOWN` for words that are not in it."""
        found = [self._numbers.get(word, UNKNOWN) for word in words_of(text)]
        return np.array(found, dtype=np.int64)


# --- Triples of words -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Counts:
    """How often each word follows each context, discounted, as a sorted table of keys.

    Attributes
    ----------
    keys, counts : (M,) int64
        context · size + word, ascending, and how often it was seen.
    contexts, totals, kinds : (C,) int64
        Contexts, ascending; sum of the counts, and number of different words, after each.
    """

    keys: IntArray
    counts: IntArray
    contexts: IntArray
    totals: IntArray
    kinds: IntArray
    size: int

    @classmethod
    def of(cls, context: IntArray, word: IntArray, size: int) -> Counts:
        """The table of all pairs of a context and the word after it."""
        keys, counts = np.unique(context * size + word, return_counts=True)
        contexts, start, kinds = np.unique(keys // size, return_index=True, return_counts=True)
        totals = np.add.reduceat(counts, start) if len(start) else counts
        return cls(keys, counts, contexts, totals, kinds, size)

    def smoothed(self, context: IntArray, word: IntArray, below: DoubleArray) -> DoubleArray:
        """P(word | context), what discounting leaves going to the shorter context's `below`."""
        total = _found(self.contexts, self.totals, context)
        kinds = _found(self.contexts, self.kinds, context)
        count = _found(self.keys, self.counts, context * self.size + word)
        seen = np.maximum(total, 1)
        mixed = np.maximum(count - DISCOUNT, 0.0) / seen + DISCOUNT * kinds / seen * below
        return np.where(total > 0, mixed, below)


def _found(keys: IntArray, values: IntArray, wanted: IntArray) -> IntArray:
    """The values of the wanted keys; 0 for keys that are not there."""
    if not len(keys):
        return np.zeros(len(wanted), dtype=np.int64)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0)


class KneserNey:
    """P(word | two words before it), interpolated with pairs, single words and equal shares.

    Pairs and single words are counted by the different words that they follow.
    """

    def __init__(self, answers: Sequence[IntArray], size: int) -> None:
        first, second, word = triples(answers)
        none = np.zeros(1, dtype=np.int64)
        self._size = size
        self._triples = Counts.of(first * size + second, word, size)
        kinds = self._triples.keys
        self._pairs = Counts.of((kinds // size) % size, kinds % size, size)
        pairs = self._pairs.keys
        self._words = Counts.of(np.broadcast_to(none, len(pairs)), pairs % size, size)

    def probabilities(self, first: IntArray, second: IntArray, word: IntArray) -> DoubleArray:
        """(M,) P(word | first, second); over all words but `START` they sum to 1."""
        equal = np.full(len(word), 1.0 / (self._size - 1))
        words = self._words.smoothed(np.zeros_like(word), word, equal)
        pairs = self._pairs.smoothed(second, word, words)
        return self._triples.smoothed(first * self._size + second, word, pairs)


def triples(answers: Sequence[IntArray]) -> tuple[IntArray, IntArray, IntArray]:
    """The two words before each, and the word; an answer starts twice, and ends."""
    padded = [np.concatenate([[START, START], answer, [END]]) for answer in answers]
    return (
        np.concatenate([answer[:-2] for answer in padded]),
        np.concatenate([answer[1:-1] for answer in padded]),
        np.concatenate([answer[2:] for answer in padded]),
    )


# --- With words copied from the prompt ------------------------------------------------------------


def copied(pairs: Sequence[Pair], size: int) -> DoubleArray:
    """(M,) share that each word of the answers, ends included, has in its own prompt."""
    found = []
    for prompt, answer in pairs:
        shares = np.bincount(prompt, minlength=size) / max(1, len(prompt))
        found.append(np.append(shares[answer], shares[END]))
    return np.concatenate(found)


def share_copied(foretold: DoubleArray, from_prompt: DoubleArray, steps: int = 50) -> float:
    """The share of words copied that makes the words most likely (expectation-maximisation)."""
    share = 0.1
    for _ in range(steps):
        both = share * from_prompt + (1.0 - share) * foretold
        share = float(np.mean(share * from_prompt / both))
    return share


@dataclass(frozen=True)
class AnswerModel:
    """Triples of words, and the share of words that are copied."""

    triples: KneserNey
    copied: float
    size: int

    @classmethod
    def trained(cls, pairs: Sequence[Pair], size: int) -> AnswerModel:
        """At least two rows; each tenth tells the share copied, then all rows are counted."""
        told = [pair for place, pair in enumerate(pairs) if place % HELD_OUT]
        asked = pairs[::HELD_OUT]
        half = KneserNey([answer for _, answer in told], size)
        foretold = half.probabilities(*triples([answer for _, answer in asked]))
        share = share_copied(foretold, copied(asked, size))
        return cls(KneserNey([answer for _, answer in pairs], size), share, size)

    def bits(self, pairs: Sequence[Pair], from_prompt: DoubleArray | None = None) -> float:
        """Bits a known word; unknown words are read, and not scored.

        `from_prompt` is `copied(pairs, size)`, where it is there already.
        """
        given = copied(pairs, self.size) if from_prompt is None else from_prompt
        first, second, word = triples([answer for _, answer in pairs])
        foretold = self.triples.probabilities(first, second, word)
        both = self.copied * given + (1.0 - self.copied) * foretold
        return float(-np.log2(both[word != UNKNOWN]).mean())
