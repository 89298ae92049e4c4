"""One reply as it is kept: criteria, or the reason why there are none."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ds2fast.embedding.hashes import HASH_BYTES
from ds2fast.errors import InputError, InputTypeError

MOST_CONTENT = 4096
"""Bytes of a reply's own words that are kept."""

COLUMNS = (
    "sample",
    "turn",
    "criteria",
    "expected",
    "reason",
    "content",
    "prompt_tokens",
    "completion_tokens",
    "requests",
    "seconds",
)


@dataclass(frozen=True)
class StoredReply:
    """What came back in the end for one sample and turn.

    Attributes
    ----------
    sample : bytes
        16 bytes, `text_hash` of the sample as it was sent.
    turn : int
        0 is the rating itself, 1, 2, ... are its repeats.
    criteria : mapping of str to int, or None
        Each a whole number from 1 to 10; None where the reply failed.
    expected : float or None
        Expected level, 0 to 5, where the server told probabilities.
    reason : str or None
        Why there are no criteria; None where there are.
    content : str or None
        The reply's own words; the store keeps the first 4096 bytes of them.
    prompt_tokens, completion_tokens : int
        As the server counted them, over all requests of the reply.
    requests : int
        HTTP requests that it took.
    seconds : float
        That the last of them took.

    Raises
    ------
    InputTypeError, InputError
        A value of another type or outside its range, both criteria and a reason, or neither.

    Examples
    --------
    >>> reply = StoredReply(bytes(16), 0, {"overall": 7}, None, None, '{"overall": 7}', 90, 9, 1, 2)
    >>> reply.is_rated
    True
    """

    sample: bytes
    turn: int
    criteria: Mapping[str, int] | None
    expected: float | None
    reason: str | None
    content: str | None
    prompt_tokens: int
    completion_tokens: int
    requests: int
    seconds: float

    def __post_init__(self) -> None:
        if not isinstance(self.sample, bytes) or len(self.sample) != HASH_BYTES:
            raise InputError(f"sample: expected {HASH_BYTES} bytes, got {self.sample!r}")
        for name in ("turn", "prompt_tokens", "completion_tokens", "requests"):
            _check_count(name, getattr(self, name))
        _check_real("seconds", self.seconds, math.inf)
        _check_outcome(self.criteria, self.expected, self.reason)
        if not isinstance(self.content, str | None):
            raise InputTypeError(f"content: expected text or None, got {self.content!r}")

    @property
    def is_rated(self) -> bool:
        """Whether there are criteria."""
        return self.criteria is not None


def _check_count(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputTypeError(f"{name}: expected a whole number, got {value!r}")
    if not 0 <= value < 2**63:
        raise InputError(f"{name}: expected a number from 0, got {value}")


def _check_real(name: str, value: Any, most: float) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InputTypeError(f"{name}: expected a number, got {value!r}")
    if not (0 <= value <= most and math.isfinite(value)):
        raise InputError(f"{name}: expected a number from 0 to {most}, got {value}")


def _check_outcome(
    criteria: Mapping[str, int] | None, expected: float | None, reason: str | None
) -> None:
    if criteria is None:
        if not isinstance(reason, str) or not reason:
            raise InputError(f"reason: expected words where there are no criteria, got {reason!r}")
        if expected is not None:
            raise InputError(f"expected: expected None beside no criteria, got {expected}")
        return
    if reason is not None:
        raise InputError(f"reason: expected None beside criteria, got {reason!r}")
    if not isinstance(criteria, Mapping) or not criteria:
        raise InputTypeError(f"criteria: expected a mapping with entries, got {criteria!r}")
    for name, value in criteria.items():
        if not isinstance(name, str):
            raise InputTypeError(f"criteria: expected names, got {name!r}")
        if type(value) is not int or not 1 <= value <= 10:
            raise InputError(f"criteria: expected 1 to 10 for {name!r}, got {value!r}")
    if expected is not None:
        _check_real("expected", expected, 5)


def as_row(reply: StoredReply) -> tuple[Any, ...]:
    """The reply as the columns of its row."""
    criteria = None if reply.criteria is None else json.dumps(dict(reply.criteria))
    return (
        reply.sample,
        reply.turn,
        criteria,
        reply.expected,
        _storable(reply.reason),
        _storable(reply.content),
        reply.prompt_tokens,
        reply.completion_tokens,
        reply.requests,
        reply.seconds,
    )


def _storable(text: str | None) -> str | None:
    """The text's beginning; a lone surrogate, which has no UTF-8, as its escape."""
    if text is None:
        return None
    return text.encode("utf-8", "backslashreplace")[:MOST_CONTENT].decode("utf-8", "ignore")


def as_reply(row: tuple[Any, ...]) -> StoredReply:
    """The reply in a row; see `StoredReply` for the errors."""
    sample, turn, criteria, *others = row
    return StoredReply(sample, turn, None if criteria is None else json.loads(criteria), *others)
