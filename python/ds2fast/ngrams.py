"""Runs of words that texts share with other texts: lower case, letters and digits only."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat

import numpy as np
import numpy.typing as npt

from ds2fast.results import BoolArray, IntArray

LEAST_WORDS = 6
"""A short text counts as a run where it is contained whole, but one of fewer words says little."""

TEMPLATE_ROWS, TEMPLATE_SHARE = 5, 0.01
"""A run that more different texts share, and a greater share of them, is a template of theirs."""

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(r"[^\W_]+")
_WORD_OR_SIGN = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\W_])+")
_ROLE = re.compile(r"^###[^\s:]+:", re.MULTILINE)

_WORDS_AT_ONCE = 1 << 20
_UNKNOWN = -1
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_INVERSE = np.uint64(pow(int(_FACTOR), -1, 2**64))

UintArray = npt.NDArray[np.uint64]


def words_of(text: str) -> list[str]:
    r"""The words of a rendered text: lower case, letters and digits only, without its roles.

    In scripts that put no spaces between words (Chinese, Japanese, Thai, ...) each sign is a word.

    Examples
    --------
    >>> words_of("###user: What's 1+1?\n###assistant: It is TWO.")
    ['what', 's', '1', '1', 'it', 'is', 'two']
    """
    if "###" in text:
        text = _ROLE.sub(" ", text)
    if text.isascii():
        return _WORD.findall(text.lower())
    return _WORD_OR_SIGN.findall(unicodedata.normalize("NFKC", text).lower())


class Runs:
    """The runs of `length` words of some texts; of a shorter text (6 words at least) all of it.

    A shorter question in a text counts alike, also where its answer does not follow. What more than
    5 different texts and 1 % of them share (a system prompt or a stock question, say) tells nothing
    about any, and is left out.

    Parameters
    ----------
    texts : iterable of str
        Rendered texts.
    length : int
        Words in a run.
    questions : iterable of sequences of str, optional
        The parts of each text that count on their own.

    Examples
    --------
    >>> runs = Runs(["The quick brown fox jumps over the lazy dog"], 5)
    >>> runs.found_in(["a quick brown fox jumps over me", "no fox jumps over us"]).tolist()
    [0, -1]
    """

    def __init__(
        self, texts: Iterable[str], length: int, questions: Iterable[Sequence[str]] = ()
    ) -> None:
        self._ids: dict[str, int] = {}
        self._num_texts = 0
        whole: dict[bytes, int] = {}  # of each text the first row that has it
        for row, text in enumerate(texts):
            whole.setdefault(self._numbers(text), row)
            self._num_texts += 1
        asked = dict(whole)
        for row, parts in enumerate(questions):
            for part in parts:
                numbers = self._numbers(part)
                asked[numbers] = min(row, asked.get(numbers, row))
        self._tables = _tables(whole, asked, length)

    def _numbers(self, text: str) -> bytes:
        """The numbers of a text's words, as the bytes of an array."""
        numbers = [self._ids.setdefault(word, len(self._ids)) for word in words_of(text)]
        return np.array(numbers, dtype=np.int64).tobytes()

    def found_in(self, texts: Iterable[str]) -> IntArray:
        """For each text the row that it shares most runs with, −1 where there is none.

        One pass over `texts`; some million words are held at once. Of rows that share as many the
        first counts, and a run that stands in several rows is the first one's.
        """
        found = [self._found_in_batch(words, sizes) for words, sizes in self._batches(texts)]
        return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)

    def _batches(self, texts: Iterable[str]) -> Iterator[tuple[IntArray, IntArray]]:
        """The numbers of the texts' words one behind the other, and how many each text has."""
        numbers: list[int] = []
        sizes: list[int] = []
        for text in texts:
            words = words_of(text)
            numbers.extend(map(self._ids.get, words, repeat(_UNKNOWN)))
            sizes.append(len(words))
            if len(numbers) >= _WORDS_AT_ONCE:
                yield np.array(numbers, np.int64), np.array(sizes, np.int64)
                numbers, sizes = [], []
        if sizes:
            yield np.array(numbers, np.int64), np.array(sizes, np.int64)

    def _found_in_batch(self, words: IntArray, sizes: IntArray) -> IntArray:
        found = np.full(len(sizes), -1, dtype=np.int64)
        if self._num_texts == 0:
            return found
        texts, owners = np.concatenate([table.find(words, sizes) for table in self._tables], axis=1)
        pairs, counts = np.unique(texts * self._num_texts + owners, return_counts=True)
        texts, owners = np.divmod(pairs, self._num_texts)
        last = np.lexsort((-owners, counts))  # the row that is written last stays
        found[texts[last]] = owners[last]
        return found


class _Table:
    """The runs of one length: their hashes in order, where one of each stands, and whose it is."""

    def __init__(
        self, words: IntArray, starts: IntArray, owners: IntArray, length: int, most: int
    ) -> None:
        self._length = length
        self._words = words
        hashes = _hashes(words, starts, length)
        order = np.lexsort((owners, hashes))
        firsts = np.flatnonzero(np.r_[True, np.diff(hashes[order]) != 0]) if len(order) else order
        is_run = np.ones(len(firsts), dtype=bool)
        if len(firsts):
            different = np.r_[True, np.diff(owners[order]) != 0]
            different[firsts] = True
            is_run = np.add.reduceat(different, firsts, dtype=np.int64) <= most
        kept = order[firsts[is_run]]
        self._hashes, self._starts, self._owners = hashes[kept], starts[kept], owners[kept]

    def find(self, words: IntArray, sizes: IntArray) -> IntArray:
        """(2, P) texts that hold a run, and whose it is; a pair for each place where one stands."""
        texts, runs = self._places(words, sizes)
        return np.stack([texts, self._owners[runs]])

    def drop_shared(self, words: IntArray, sizes: IntArray, most: int) -> None:
        """Drop the runs that stand in more than `most` of these texts."""
        texts, runs = self._places(words, sizes)
        pairs = np.unique(runs * len(sizes) + texts)
        kept = np.bincount(pairs // max(1, len(sizes)), minlength=len(self._hashes)) <= most
        self._hashes, self._starts = self._hashes[kept], self._starts[kept]
        self._owners = self._owners[kept]

    def _places(self, words: IntArray, sizes: IntArray) -> tuple[IntArray, IntArray]:
        """Texts that hold a run, and which run it is."""
        starts, rows = _windows(sizes, self._length)
        unknown = np.r_[0, np.cumsum(words == _UNKNOWN)]
        is_known = unknown[starts + self._length] == unknown[starts]
        starts, rows = starts[is_known], rows[is_known]
        if len(starts) == 0 or len(self._hashes) == 0:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        hashes = _hashes(words, starts, self._length)
        at = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        same = np.flatnonzero(self._hashes[at] == hashes)
        at, starts, rows = at[same], starts[same], rows[same]
        equal = self._is_equal(words, starts, self._starts[at])  # two runs may have one hash
        return rows[equal], at[equal]

    def _is_equal(self, words: IntArray, starts: IntArray, own: IntArray) -> BoolArray:
        equal = np.ones(len(starts), dtype=bool)
        for step in range(self._length):
            equal &= words[starts + step] == self._words[own + step]
        return equal


def _tables(whole: dict[bytes, int], asked: dict[bytes, int], length: int) -> list[_Table]:
    """A table for runs of `length` words of whole texts, and one for each length of shorter ones.

    The texts, and those with their questions, are bytes of numbers with the row that each is of.
    """
    words, sizes, owners = _joined(whole)
    most = max(TEMPLATE_ROWS, int(TEMPLATE_SHARE * len(sizes)))
    starts, texts = _windows(sizes, length)
    tables = [_Table(words, starts, owners[texts], length, most)]
    for size in range(min(LEAST_WORDS, length), length):
        short = {numbers: row for numbers, row in asked.items() if len(numbers) == size * 8}
        if short:
            own, same, rows = _joined(short)
            table = _Table(own, np.cumsum(same) - same, rows, size, most)
            table.drop_shared(words, sizes, most)
            tables.append(table)
    return tables


def _joined(texts: dict[bytes, int]) -> tuple[IntArray, IntArray, IntArray]:
    """The numbers of the words of all texts, how many each has, and the row that it is of."""
    sizes = np.array([len(numbers) // 8 for numbers in texts], dtype=np.int64)
    rows = np.array(list(texts.values()), dtype=np.int64)
    return np.frombuffer(b"".join(texts), dtype=np.int64), sizes, rows


def _windows(sizes: IntArray, length: int) -> tuple[IntArray, IntArray]:
    """Where runs of `length` words begin that lie within one text, and in which."""
    texts = np.repeat(np.arange(len(sizes)), sizes)
    left = np.repeat(np.cumsum(sizes), sizes) - np.arange(len(texts))
    starts = np.flatnonzero(left >= length)
    return starts, texts[starts]


def _hashes(words: IntArray, starts: IntArray, length: int) -> UintArray:
    """A 64-bit number of each run: Σ h(word i)·f^i mod 2^64 with i from 0, by running sums.

    The sum from the start of all words is f^start times it, and f is odd: it has an inverse.
    """
    powers = _powers(_FACTOR, len(words))
    sums = np.zeros(len(words) + 1, dtype=np.uint64)
    np.cumsum(_scatter(words.astype(np.uint64)) * powers, out=sums[1:])
    ends: UintArray = sums[starts + length] - sums[starts]
    return ends * _powers(_INVERSE, len(words))[starts] if len(starts) else ends


def _powers(factor: np.uint64, count: int) -> UintArray:
    """factor^0, factor^1, ... mod 2^64."""
    powers = np.full(count, factor, dtype=np.uint64)
    powers[:1] = 1
    return np.cumprod(powers, out=powers)


def _scatter(numbers: UintArray) -> UintArray:
    """Small numbers spread over 64 bits (splitmix64), so that few different runs share a hash."""
    mixed = numbers * _FACTOR
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
