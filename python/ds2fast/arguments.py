"""Checks of plain number arguments: each names the argument, what was expected and what came."""

from __future__ import annotations

import operator
from typing import SupportsIndex

from ds2fast.errors import InputError, InputTypeError


def as_count(value: SupportsIndex, name: str, *, minimum: int = 1) -> int:
    """`value` as an integer of at least `minimum`; bools and floats are refused."""
    if isinstance(value, bool):
        raise InputTypeError(f"{name}: expected an integer, got {value}")
    try:
        count = operator.index(value)
    except TypeError:
        raise InputTypeError(f"{name}: expected an integer, got {value!r}") from None
    if count < minimum:
        raise InputError(f"{name}: expected at least {minimum}, got {count}")
    return count


def as_share(value: float, name: str) -> float:
    """`value` as a float in (0, 1]."""
    number = as_number(value, name)
    if not 0.0 < number <= 1.0:
        raise InputError(f"{name}: expected a share in (0, 1], got {value!r}")
    return number


def as_number(value: float, name: str) -> float:
    """`value` as a float; bools and words are refused."""
    if isinstance(value, (bool, str)):
        raise InputTypeError(f"{name}: expected a number, got {value!r}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputTypeError(f"{name}: expected a number, got {value!r}") from None
