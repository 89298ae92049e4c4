"""The JSON objects that stand in a reply, with every member as it was written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_GAP = r"(?>\s+|//[^\n]*\n|\#[^\n]*\n|/\*(?:[^*]|\*(?!/))*\*/)*+"
_STRING = r'(?>"(?>[^"\\\n]|\\.)*"|' + r"'(?>[^'\\\n]|\\.)*')"
_NUMBER = r"-?\d{1,15}+(?:\.\d{1,15}+)?(?:\s*/\s*\d{1,15}+)?(?![\w./#])"
_SCALAR = rf"(?>{_STRING}|{_NUMBER}|(?:true|false|null|True|False|None)\b)"
_KEY = rf"(?>{_STRING}|[A-Za-z_]\w*)"


def _object_of(value: str) -> str:
    member = rf"{_KEY}{_GAP}:{_GAP}{value}{_GAP}"
    return rf"\{{{_GAP}(?:{member}(?:,{_GAP}{member})*(?:,{_GAP})?)?\}}"


# Damage that leaves no doubt: other quotes, bare keys, trailing commas, comments.
_HARMLESS = re.compile(_object_of(rf"(?:{_SCALAR}|{_object_of(_SCALAR)})"))
_MEMBER = re.compile(rf"(?P<key>{_KEY}){_GAP}:{_GAP}(?P<value>{_SCALAR})")
_CLOSED = re.compile(r"\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}")
_NUMERIC = re.compile(r"\s*-?\d")


class Members(tuple[tuple[str, Any], ...]):
    """An object's (key, value) pairs in order, doubles kept; numbers are text, as written."""

    __slots__ = ()


@dataclass(frozen=True)
class FoundObject:
    """An object and its place in the text; `members` is None where it is closed but damaged."""

    begin: int
    end: int
    members: Members | None


# Numbers stay text: no rounding, no limit of digits, one rule for 7 and "7".
_DECODER = json.JSONDecoder(
    object_pairs_hook=Members, parse_int=str, parse_float=str, parse_constant=str, strict=False
)


def find_objects(text: str) -> Iterator[FoundObject]:
    """The outermost closed objects of a text, in order; prose and fences are passed over.

    An object that is not closed is none, but closed objects inside it are found.

    Parameters
    ----------
    text
        Anything: it is not trusted.

    Yields
    ------
    FoundObject
        With members where the text is JSON, or JSON but for harmless damage.

    Examples
    --------
    >>> [found.members for found in find_objects('{"overall": 7} or {"overall": 8}')]
    [(('overall', '7'),), (('overall', '8'),)]
    >>> [found.members for found in find_objects("{overall: about 7} {overall: 7")]
    [None]
    """
    at = text.find("{")
    while at >= 0:
        found = _decoded(text, at) or _repaired(text, at)
        if found is not None:
            yield found
        at = text.find("{", at + 1 if found is None else found.end)


def _decoded(text: str, begin: int) -> FoundObject | None:
    try:
        members, end = _DECODER.raw_decode(text, begin)
    except (ValueError, RecursionError):
        return None
    return FoundObject(begin, end, members)


def _repaired(text: str, begin: int) -> FoundObject | None:
    """The object at `begin` by json-repair where the damage is harmless, else by its braces."""
    harmless = _HARMLESS.match(text, begin)
    if harmless is not None:
        return FoundObject(begin, harmless.end(), _repaired_members(harmless.group()))
    closed = _CLOSED.match(text, begin)
    return None if closed is None else FoundObject(begin, closed.end(), None)


def _repaired_members(damaged: str) -> Members | None:
    """What json-repair reads, or None where a number of it is not what stands in the text."""
    import json_repair

    try:
        repaired = json_repair.loads(damaged)
    except (ValueError, RecursionError):
        return None
    if not isinstance(repaired, dict):
        return None
    members = _as_members(repaired)
    written = [(_bare(m["key"]), _bare(m["value"])) for m in _MEMBER.finditer(damaged)]
    # Repair guesses and drops doubles; a guess must never become a rating.
    return members if _numbers(written) == _numbers(_leaves(members)) else None


def _as_members(repaired: dict[str, Any]) -> Members:
    return Members((str(key), _as_value(value)) for key, value in repaired.items())


def _as_value(value: Any) -> Any:
    if isinstance(value, dict):
        return _as_members(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


def _leaves(members: Members) -> Iterator[tuple[str, Any]]:
    for key, value in members:
        if isinstance(value, Members):
            yield from _leaves(value)
        else:
            yield key, value


def _numbers(pairs: Any) -> list[tuple[str, str]]:
    return [
        (key, value) for key, value in pairs if isinstance(value, str) and _NUMERIC.match(value)
    ]


def _bare(written: str) -> str:
    return written[1:-1] if written[:1] in {'"', "'"} else written
