"""Checks of number arguments: each names the argument, what was expected and what came."""

from __future__ import annotations

import math
import operator
from numbers import Real
from typing import Any, SupportsIndex, TypeVar

import numpy as np
import numpy.typing as npt

from ds2fast.errors import InputError, InputTypeError

Number = TypeVar("Number", bound=np.number[Any])


def as_count(value: SupportsIndex, name: str, *, minimum: int = 1) -> int:
    """`value` as an integer of at least `minimum`; bools and floats are refused."""
    count = as_integer(value, name)
    if count < minimum:
        raise InputError(f"{name}: expected at least {minimum}, got {count}")
    return count


def in_range(value: SupportsIndex, name: str, minimum: int, maximum: int) -> int:
    """`value` as an integer from `minimum` to `maximum`; bools and floats are refused."""
    count = as_count(value, name, minimum=minimum)
    if count > maximum:
        raise InputError(f"{name}: expected {minimum} to {maximum}, got {count}")
    return count


def as_integer(value: SupportsIndex, name: str) -> int:
    """`value` as an integer; bools and floats are refused."""
    if isinstance(value, bool | np.bool_):
        raise InputTypeError(f"{name}: expected an integer, got {value!r}")
    try:
        return operator.index(value)
    except TypeError:
        raise InputTypeError(f"{name}: expected an integer, got {value!r}") from None


def as_share(value: float, name: str) -> float:
    """`value` as a float in (0, 1]."""
    number = as_number(value, name)
    if not 0.0 < number <= 1.0:
        raise InputError(f"{name}: expected a share in (0, 1], got {value!r}")
    return number


def as_number(value: float, name: str) -> float:
    """`value` as a float; bools and words are refused."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputTypeError(f"{name}: expected a number, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise InputError(f"{name}: expected a number that a float can hold, got {value}") from None


def as_finite(value: float, name: str) -> float:
    """`value` as a float that is neither infinite nor NaN."""
    number = as_number(value, name)
    if not math.isfinite(number):
        raise InputError(f"{name}: expected a finite number, got {value!r}")
    return number


def check_choice(value: object, name: str, known: tuple[str, ...]) -> None:
    """Refuse what is none of the words that are known."""
    if value not in known:
        raise InputError(
            f"{name}: expected {', '.join(map(repr, known[:-1]))} or {known[-1]!r}, got {value!r}"
        )


def as_numbers(values: npt.ArrayLike, name: str, *, nulls: bool = False) -> npt.NDArray[Any]:
    """`values` as an array of real numbers; words, bools and ragged lists are refused.

    With `nulls` None is taken too and becomes NaN.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InputError(
            f"{name}: expected an array of numbers, got rows that differ: {error}"
        ) from error
    if nulls and array.dtype.kind in "OUS":  # one word turns all of a list into words
        array = _nulls_as_nan(np.asarray(values, dtype=object), name)
    if not (np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)):
        expected = "numbers" if nulls else "an array of real numbers"
        raise InputTypeError(f"{name}: expected {expected}, got dtype {array.dtype}")
    return array


def _nulls_as_nan(values: npt.NDArray[Any], name: str) -> npt.NDArray[np.float64]:
    for value in values.ravel():
        if isinstance(value, bool | np.bool_) or not isinstance(value, Real | None):
            raise InputTypeError(f"{name}: expected numbers, got {value!r}")
    try:
        return values.astype(np.float64)
    except OverflowError:
        raise InputError(f"{name}: expected numbers that a float can hold, got others") from None


def as_type(array: npt.NDArray[Any], dtype: type[Number]) -> npt.NDArray[Number]:
    """`array` C-contiguous, aligned and of `dtype`: itself where it is so, else a copy.

    What overflows becomes infinite and what underflows 0, whatever NumPy is told to do then.
    """
    with np.errstate(all="ignore"):
        return np.require(array, dtype, ["C_CONTIGUOUS", "ALIGNED"])
