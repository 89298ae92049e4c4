"""Characters that no UTF-8 holds, such as Python gives for odd file names, or that nobody sees."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn"}  # controls, formats (also of direction), surrogates
_JOINERS = {"\u200c", "\u200d"}  # they shape letters and emoji


def storable(words: str) -> str:
    r"""Words as UTF-8 holds them: a lone surrogate is spelt out.

    Examples
    --------
    >>> storable("caf\udce9.jsonl")
    'caf\\udce9.jsonl'
    """
    return words.encode(errors="backslashreplace").decode()


def all_storable(value: Any) -> Any:
    r"""A tree of plain values with all words of it `storable`.

    Examples
    --------
    >>> all_storable({"\ud800": ["\ud800", 1]})
    {'\\ud800': ['\\ud800', 1]}
    """
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {all_storable(name): all_storable(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [all_storable(part) for part in value]
    return value


def visible(text: str) -> str:
    r"""The text with a sign in place of each character that nobody sees, or that steers a terminal.

    Examples
    --------
    >>> visible("one\x1b[2J\ttwo\u202e")
    'one�[2J\ttwo�'
    """
    return text if text.isprintable() else "".join(map(_seen, text))


def _seen(character: str) -> str:
    if character in "\n\t" or character in _JOINERS:
        return character
    return "\ufffd" if unicodedata.category(character) in _UNSEEN else character
