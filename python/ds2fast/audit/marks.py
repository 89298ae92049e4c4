"""What ties a row of a sheet to its row of the pool, through whatever a spreadsheet saves."""

from __future__ import annotations

import hashlib

from ds2fast.embedding.hashes import text_hash
from ds2fast.errors import InputError
from ds2fast.pool import Pool

_HEX = 16


def scores_mark(pool: Pool) -> str:
    """Digest of the pool's levels: a sample is stratified by these and no others."""
    if pool.scores is None:
        raise InputError("pool: expected one with scores, got one that was read without")
    return hashlib.sha256(pool.scores.astype("<i8").tobytes()).hexdigest()[:_HEX]


def row_mark(scores: str, text: str) -> str:
    """The mark of a row: letters before the digits, lest a spreadsheet take it for a number.

    Examples
    --------
    >>> split_mark(row_mark("0123456789abcdef", "a frog"))[0]
    '0123456789abcdef'
    """
    return f"s{scores}-t{text_mark(text)}"


def text_mark(text: str) -> str:
    """The part of a mark that stands for the text."""
    return text_hash(text).hex()[:_HEX]


def split_mark(mark: str) -> tuple[str, str] | None:
    """The parts of a mark that stand for the scores and for the text; None where it is none."""
    scores, _, text = mark.strip().partition("-")
    whole = len(scores) == len(text) == _HEX + 1
    return (scores[1:], text[1:]) if whole and (scores[0], text[0]) == ("s", "t") else None
