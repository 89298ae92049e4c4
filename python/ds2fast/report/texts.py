"""Texts of rows as a page can show them: cut, and without characters that nobody sees."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ds2fast.io.unicode import visible

SHOWN_TEXT = 700
SHOWN_NEIGHBOUR = 160

_TURN = re.compile(r"^###([\w.-]{1,24}): ?", re.MULTILINE)


@dataclass(frozen=True)
class Turn:
    """A part of a text: who says what; the role is "" in a bare text."""

    role: str
    words: str


def shown(text: str, length: int) -> str:
    r"""The first `length` characters; what nobody sees becomes the sign for unknown ones.

    Examples
    --------
    >>> shown("one two three", 7), shown("a\x00b", 9)
    ('one two…', 'a�b')
    """
    cut = text[:length].rstrip() + "…" if len(text) > length else text
    return visible(cut)


def turns_of(text: str, length: int = SHOWN_TEXT) -> list[Turn]:
    r"""A cut text by its `###role:` lines.

    Examples
    --------
    >>> [(turn.role, turn.words) for turn in turns_of("###user: Hi\n###assistant: Ho")]
    [('user', 'Hi'), ('assistant', 'Ho')]
    """
    first, *parts = _TURN.split(shown(text, length))
    turns = [Turn("", first.strip())] if first.strip() else []
    said = zip(parts[::2], parts[1::2], strict=True)
    return turns + [Turn(role, words.strip()) for role, words in said]


def in_one_line(text: str, length: int = SHOWN_NEIGHBOUR) -> str:
    r"""A cut text without line ends.

    Examples
    --------
    >>> in_one_line("one\n  two")
    'one two'
    """
    # A text of megabytes is not walked for the sake of its first words.
    return shown(" ".join(text[: 4 * length].split()), length)
