"""What in the pool itself speaks against a selection: junk, copies, one level, nothing but rarity.

Every check gives a `Finding` or None. Texts are looked at by cheap signs, no model: the first 2 000
characters of at most 20 000 rows, evenly spaced, so the time is linear and the answer the same each
time.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.io.texts import pick_texts
from ds2fast.results import BoolArray, DoubleArray, FloatArray, IntArray

COPY_SIMILARITY = 0.999
"""Rows of this cosine or more are copies of each other."""

LOOKED_AT = 10_000
"""Rows of the pool, and as many of the selection, whose texts are looked at."""

LONGEST_LOOK = 2_000
"""Characters of each text that are looked at."""

SIGNS = ("very short", "repetitive", "hardly any letters", "in another script than most")
_SHORT_BYTES = 32
_COMPRESSED_BYTES = 1_000
_LEAST_COMPRESSED_BYTES = 64  # below it the frame of a compressed text outweighs the text
_REPETITIVE_RATIO = 0.25
_LEAST_LETTERS = 0.4

_JUNK_SHARE = 0.05
_JUNK_LIFT = 3.0
_JUNK_ERRORS = 4.0
_JUNK_ROWS = 3

_ROLE = re.compile(r"^###[\w-]+: ", re.MULTILINE)
_OTHER, _SPACE = 0, 1  # classes of characters; letters have the class of their script, from 2 on
_EAST_ASIAN = {"HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "BOPOMOFO", "IDEOGRAPHIC"}
_BATCH = 512
_NO_LETTERS = ""

Severity = Literal["note", "weak", "unreliable"]


@dataclass(frozen=True)
class Finding:
    """What speaks against trusting a selection.

    Attributes
    ----------
    severity : {"note", "weak", "unreliable"}
        How much it weighs: to be known, reason to trust corrections less, reason not to.
    cause : str
        What was found, in plain words with figures.
    of_scores : bool
        Whether it is the scores that it speaks against, and so what is estimated from them.
    """

    severity: Severity
    cause: str
    of_scores: bool = False

    def __str__(self) -> str:
        return f"{self.severity}: {self.cause}"


def check_pool(
    texts: Sequence[str] | None,
    given: IntArray,
    graph: KnnGraph,
    indices: IntArray | None,
    keys: DoubleArray,
    long_tail: FloatArray,
    num_levels: int,
) -> tuple[Finding, ...]:
    """All checks of a pool and a selection from it.

    Parameters
    ----------
    texts : (N,) strings or None
        The rows' texts; None leaves out what needs them.
    given : (N,) int64
        Scores as levels, −1 unrated.
    graph : KnnGraph
        Neighbours of the N rows.
    indices : (n,) int64 or None
        The selected rows. None for a pool without a selection: in place of the selected rows the
        rarest tenth of the highest level is looked at.
    keys : (N,) float64
        What the rows were ranked by before rarity.
    long_tail : (N,) float32
        Rarity of each row.
    num_levels : int
        Number of levels K.

    Returns
    -------
    tuple of Finding

    Raises
    ------
    InputError
        `texts` of another length than `given`.

    Examples
    --------
    >>> graph = KnnGraph.from_arrays([[1], [0], [0]], [[1.0], [1.0], [0.4]])
    >>> rarity = np.array([0.0, 0.0, 0.4], np.float32)
    >>> scores = np.array([1, 1, 0])
    >>> found = check_pool(None, scores, graph, None, scores.astype(float), rarity, 6)
    >>> [finding.severity for finding in found]
    ['weak', 'weak']
    """
    findings = [find_one_level(given, num_levels), find_copies(graph, given)]
    if indices is not None:
        findings.append(find_rarity_alone(indices, given, keys))
    if texts is not None:
        if len(texts) != len(given):
            raise InputError(f"texts: expected one a row ({len(given)}), got {len(texts)}")
        findings.append(find_junk(texts, given, indices, long_tail))
    return tuple(finding for finding in findings if finding is not None)


def find_one_level(given: IntArray, num_levels: int) -> Finding | None:
    """A rater who uses one level: over 60 % of the rated rows (80 % where there are two levels).

    Weak, and unreliable over 90 %: two neighbours then agree in 81 % of the rows by chance, and
    too few other rows are left to learn from. Real raters of six levels give the most frequent one
    to 29 to 39 % of the rows.

    Examples
    --------
    >>> print(find_one_level(np.array([3, 3, 3, 1, -1]), 6))
    weak: the rater gave level 3 to 75% of the 4 rated rows: there is little to tell rows apart by
    """
    counts = np.bincount(given[given >= 0], minlength=num_levels)
    if not counts.sum():
        return None
    share = float(counts.max() / counts.sum())
    if share <= max(0.6, 1.6 / num_levels):
        return None
    cause = (
        f"the rater gave level {counts.argmax()} to {share:.0%} of the {counts.sum()} rated rows: "
        "there is little to tell rows apart by"
    )
    return Finding("unreliable" if share > 0.9 else "weak", cause, of_scores=True)


def find_copies(graph: KnnGraph, given: IntArray) -> Finding | None:
    """Rated rows with a copy (a neighbour of cosine 0.999 or more): a note over 10 %, weak over 50.

    A rater gives copies the same wrong score, which looks like agreement.

    Examples
    --------
    >>> graph = KnnGraph.from_arrays([[1], [0], [0]], [[1.0], [1.0], [0.4]])
    >>> found = find_copies(graph, np.array([1, 1, 0]))
    >>> found.severity, found.cause.startswith("67% of the 3 rated rows have a copy")
    ('weak', True)
    """
    nearest = graph.similarities[given >= 0, 0]
    # 0.999 as the graph's own type holds it, so that a similarity of just that counts.
    share = float((nearest >= np.float32(COPY_SIMILARITY)).mean()) if len(nearest) else 0.0
    if share <= 0.1:
        return None
    cause = (
        f"{share:.0%} of the {len(nearest)} rated rows have a copy (cosine {COPY_SIMILARITY} or "
        "more): copies agree without being right"
    )
    return Finding("weak" if share > 0.5 else "note", cause)


def find_rarity_alone(indices: IntArray, given: IntArray, keys: DoubleArray) -> Finding | None:
    """A top so homogeneous that rarity decides over 80 % of the places.

    That is the rule of the method where scores are levels, and the likelier the fewer rows are
    wanted: a note, where there are at least twice as many rows as places.

    Examples
    --------
    >>> scores = np.repeat([0, 5], [10, 40])
    >>> print(find_rarity_alone(np.array([10, 11]), scores, scores.astype(float)))
    note: rarity alone decided 2 of 2 places, among 40 rows of one ranking value
    """
    if not len(indices):
        return None
    last = keys[indices].min()
    places = int((keys[indices] == last).sum())
    candidates = int((keys[given >= 0] == last).sum())
    if places <= 0.8 * len(indices) or candidates < 2 * places:
        return None
    cause = (
        f"rarity alone decided {places} of {len(indices)} places, among {candidates} rows of one "
        "ranking value"
    )
    return Finding("note", cause)


def find_junk(
    texts: Sequence[str], given: IntArray, indices: IntArray | None, long_tail: FloatArray
) -> Finding | None:
    """Signs of junk that the chosen rows show much more often than the pool's rated rows.

    Rarest first favours what is unlike all else, which junk is too. The signs of a text, without
    its role markers: under 32 bytes; its first 1 000 bytes shrink to under a quarter; under 40 % of
    its characters are letters; most letters are of another script than in most rows of the pool. A
    sign counts where more than 5 % of the chosen rows show it, more than three times the share in
    the pool, by more than four standard errors and in three rows at least. Rows with a counted
    sign: a note, weak over 20 % of the chosen, unreliable over 50 %.

    Another language of the same script is not seen.

    Parameters
    ----------
    texts, given, indices, long_tail
        As for `check_pool`.

    Examples
    --------
    >>> texts = [f"Please explain to me why the number {n} is so well liked." for n in range(99)]
    >>> scores = np.ones(102, dtype=np.int64)
    >>> rarity = np.zeros(102, np.float32)
    >>> print(find_junk([*texts, "Hm", "Ok", "No"], scores, np.arange(99, 102), rarity))
    unreliable: 100% of the selected rows look like junk: very short 100% (in the pool 2.9%)
    """
    rated = np.flatnonzero(given >= 0)
    chosen, words = indices, "the selected rows"
    if chosen is None:
        chosen, words = _rarest_at_the_top(given, long_tail), "the rarest rows of the highest level"
    if not len(chosen):
        return None
    of_pool, pool_scripts = _look_at(_beginnings(texts, _evenly(rated)))
    of_chosen, chosen_scripts = _look_at(_beginnings(texts, _evenly(chosen)))
    usual = _most_frequent(pool_scripts)
    of_pool[:, 3] = _is_other(pool_scripts, usual)
    of_chosen[:, 3] = _is_other(chosen_scripts, usual)
    signs = [s for s in range(len(SIGNS)) if _much_more_often(of_chosen[:, s], of_pool[:, s])]
    if not signs:
        return None
    share = float(of_chosen[:, signs].any(axis=1).mean())
    shares = ", ".join(
        f"{SIGNS[s]} {of_chosen[:, s].mean():.0%} (in the pool {of_pool[:, s].mean():.1%})"
        for s in signs
    )
    cause = f"{share:.0%} of {words} look like junk: {shares}"
    return Finding("unreliable" if share > 0.5 else "weak" if share > 0.2 else "note", cause)


def _rarest_at_the_top(given: IntArray, long_tail: FloatArray) -> IntArray:
    """The rarest tenth of the rows with the highest level, rarest first."""
    top = np.flatnonzero((given == given.max()) & (given >= 0))
    order = np.lexsort((top, -long_tail[top]))
    return top[order[: -(-len(top) // 10)]]


def _evenly(rows: IntArray) -> IntArray:
    if len(rows) <= LOOKED_AT:
        return rows
    return rows[np.arange(LOOKED_AT) * len(rows) // LOOKED_AT]


def _beginnings(texts: Sequence[str], rows: IntArray) -> list[str]:
    return [text[:LONGEST_LOOK] for text in pick_texts(texts, rows)]


def _much_more_often(in_chosen: BoolArray, in_pool: BoolArray) -> bool:
    share = in_chosen.mean()
    # One row more of each kind: a share of 0 among few rows does not mean never.
    expected = (in_pool.sum() + 1) / (len(in_pool) + 2)
    error = np.sqrt(expected * (1 - expected) / len(in_chosen))
    return bool(
        in_chosen.sum() >= _JUNK_ROWS
        and share > _JUNK_SHARE
        and share > _JUNK_LIFT * expected
        and share - expected > _JUNK_ERRORS * error
    )


def _look_at(texts: list[str]) -> tuple[BoolArray, list[str]]:
    """(M, 4) bool with the signs but the last one filled in, and the script of each text."""
    signs = np.zeros((len(texts), len(SIGNS)), dtype=bool)
    scripts: list[str] = []
    characters = _Characters()
    for start in range(0, len(texts), _BATCH):
        bodies = [_body(text) for text in texts[start : start + _BATCH]]
        part = signs[start : start + _BATCH]
        coded = [body.encode("utf-8", "surrogatepass") for body in bodies]
        part[:, 0] = [len(code) < _SHORT_BYTES for code in coded]
        part[:, 1] = [_is_repetitive(code[:_COMPRESSED_BYTES]) for code in coded]
        letters, of_batch = characters.look_at(bodies)
        part[:, 2] = letters < _LEAST_LETTERS
        scripts += of_batch
    return signs, scripts


def _body(text: str) -> str:
    return _ROLE.sub("", text).strip()


def _is_repetitive(code: bytes) -> bool:
    if len(code) < _LEAST_COMPRESSED_BYTES:
        return False
    return len(zlib.compress(code, 1)) < _REPETITIVE_RATIO * len(code)


def _most_frequent(scripts: list[str]) -> str:
    known = [script for script in scripts if script != _NO_LETTERS]
    names, counts = np.unique(known, return_counts=True)
    return str(names[counts.argmax()]) if known else _NO_LETTERS


def _is_other(scripts: list[str], usual: str) -> BoolArray:
    return np.array([script not in {usual, _NO_LETTERS} for script in scripts], dtype=bool)


class _Characters:
    """Classes of characters, each looked up once: other, space, or a letter of some script."""

    def __init__(self) -> None:
        self._classes = np.full(0x110000, -1, dtype=np.int16)
        self._scripts: list[str] = ["", ""]

    def look_at(self, texts: list[str]) -> tuple[DoubleArray, list[str]]:
        """Share of letters among each text's characters but spaces, and its most frequent script.

        A text without characters has a share of 1: that it is short says it all.
        """
        points = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4")
        classes = self._classes_of(points)
        rows = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
        width = len(self._scripts)
        counts = np.bincount(rows * width + classes, minlength=len(texts) * width)
        counts = counts.reshape(len(texts), width)
        visible = counts.sum(axis=1) - counts[:, _SPACE]
        letters = counts[:, _SPACE + 1 :]
        shares = np.where(visible > 0, letters.sum(axis=1) / np.maximum(visible, 1), 1.0)
        if not letters.shape[1]:
            return shares, [_NO_LETTERS] * len(texts)
        most = letters.argmax(axis=1)
        found = letters.max(axis=1) > 0
        return shares, [
            self._scripts[_SPACE + 1 + script] if some else _NO_LETTERS
            for script, some in zip(most, found, strict=True)
        ]

    def _classes_of(self, points: np.ndarray[tuple[int], np.dtype[np.uint32]]) -> IntArray:
        classes = self._classes[points]
        unknown = classes < 0
        if unknown.any():
            for point in np.unique(points[unknown]):
                self._classes[point] = self._class_of(chr(point))
            classes = self._classes[points]
        return classes.astype(np.int64)

    def _class_of(self, character: str) -> int:
        if character.isspace():
            return _SPACE
        if unicodedata.category(character)[0] not in "LM":
            return _OTHER
        # A letter's name starts with its script: "CYRILLIC SMALL LETTER A".
        script = unicodedata.name(character, "UNNAMED").split()[0]
        script = "CJK" if script in _EAST_ASIAN else script
        if script not in self._scripts[_SPACE + 1 :]:
            self._scripts.append(script)
        return self._scripts.index(script, _SPACE + 1)
