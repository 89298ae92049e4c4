"""What a trainer is told about rows of one layout, and what it makes of each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ds2fast.io.fields import Row
from ds2fast.io.turns import calls_of
from ds2fast.trainers.layout import Layout
from ds2fast.trainers.survey import Seen

STRINGS_ONLY = "have a message whose content is no string"


class Finding(NamedTuple):
    """What becomes of a row.

    Attributes
    ----------
    words : str
        What was found, in words that follow "3 rows".
    lost : bool
        Whether the trainer drops such rows or stops at them, or a copy cannot hold them.
    """

    words: str
    lost: bool = False


def lost(words: str) -> Finding:
    """What makes a trainer drop a row, or stop at it."""
    return Finding(words, lost=True)


@dataclass(frozen=True)
class Plan:
    """How a trainer takes rows of one layout.

    Attributes
    ----------
    files : callable
        The trainer's files, given the name of the file with the rows.
    judge : callable
        What a row loses in the trainer; nothing for most rows.
    notes : tuple of str
        What holds for every row.
    """

    files: Callable[[str], dict[str, bytes]]
    judge: Callable[[Row], Iterable[Finding]]
    notes: tuple[str, ...] = ()


Planner = Callable[[Layout, Seen], Plan | str]
"""The plan for rows of a layout, or why there is none and what to do."""


def whole_messages(value: Any, keys: tuple[str, ...]) -> list[Row] | None:
    """Messages that all have a role under the first of the keys; None where they are no such."""
    messages = [value] if isinstance(value, Mapping) else value
    if not isinstance(messages, list | tuple) or not messages:
        return None
    whole = all(isinstance(one, Mapping) and one.get(keys[0]) is not None for one in messages)
    return list(messages) if whole else None


def contents_are_strings(messages: Iterable[Row], key: str) -> bool:
    """Whether every content is a string; null is fine beside a call of a tool."""
    return all(
        isinstance(message.get(key), str) or (message.get(key) is None and calls_of(message))
        for message in messages
    )


def is_text(value: Any) -> bool:
    """Whether a value is a string that says something."""
    return isinstance(value, str) and bool(value.strip())


def passed_over(row: Row, names: Iterable[str]) -> Iterable[Finding]:
    """A finding for each field that says something and that the trainer does not read."""
    for name in names:
        value = row.get(name)
        if is_text(value) or (value and not isinstance(value, str)):
            yield Finding(f"have a field {name}, which is not read")
