"""Checks of plain number arguments."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from ds2fast.arguments import as_count, as_number, as_numbers, as_share
from ds2fast.errors import Ds2fastError, InputError, InputTypeError


class Seven:
    """An integer of another library."""

    def __index__(self) -> int:
        return 7


@pytest.mark.parametrize("value", [7, np.int8(7), np.uint64(7), np.array(7), Seven()])
def test_a_count_is_any_integer(value: Any) -> None:
    count = as_count(value, "rounds")
    assert count == 7
    assert type(count) is int


def test_a_count_has_a_minimum() -> None:
    assert as_count(0, "seed", minimum=0) == 0
    assert as_count(1, "k") == 1
    with pytest.raises(InputError, match=r"^k: expected at least 1, got 0$"):
        as_count(0, "k")
    with pytest.raises(InputError, match=r"^levels: expected at least 2, got 1$"):
        as_count(1, "levels", minimum=2)


@pytest.mark.parametrize(
    "value", [True, False, np.True_, 7.0, np.float32(7), "7", None, [7], 7j, Fraction(7)]
)
def test_a_count_is_nothing_else(value: Any) -> None:
    with pytest.raises(InputTypeError, match=r"^k: expected an integer, got ") as caught:
        as_count(value, "k")
    assert str(caught.value).endswith(str(value) if isinstance(value, bool) else repr(value))
    assert caught.value.__cause__ is None  # the user sees one error, not the one behind it


@pytest.mark.parametrize("value", [0.25, np.float32(0.25), Fraction(1, 4)])
def test_a_number_is_any_real_number(value: Any) -> None:
    number = as_number(value, "recall")
    assert number == 0.25
    assert type(number) is float


def test_an_integer_is_a_number() -> None:
    assert as_number(3, "recall") == 3.0
    assert math.isinf(as_number(math.inf, "recall"))


@pytest.mark.parametrize(
    "value",
    [True, np.True_, "0.5", np.str_("0.5"), b"1", bytearray(b"1"), None, [0.5], 1j,
     np.array([0.5, 0.6]), 10**400],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_a_number_is_nothing_else(value: Any) -> None:
    with pytest.raises(Ds2fastError, match=r"^recall: expected a number.*, got "):
        as_number(value, "recall")


@pytest.mark.parametrize("value", [1e-300, 0.5, 1.0, 1, np.float64(0.9)])
def test_a_share_is_above_zero_and_at_most_one(value: Any) -> None:
    assert as_share(value, "fraction") == value


@pytest.mark.parametrize("value", [0, 0.0, -0.5, 1.0000001, 2, math.inf, math.nan])
def test_what_is_no_share_is_refused(value: Any) -> None:
    expected = f"fraction: expected a share in (0, 1], got {value!r}"
    with pytest.raises(InputError, match=f"^{re.escape(expected)}$"):
        as_share(value, "fraction")


def test_a_share_of_the_wrong_type_is_a_type_error() -> None:
    with pytest.raises(InputTypeError, match=r"^fraction: expected a number, got '10%'$"):
        as_share("10%", "fraction")  # type: ignore[arg-type]  # the wrong type is the test


def test_nulls_become_nan_where_they_are_taken() -> None:
    values: Any = [1, None, np.int8(3)]
    numbers = as_numbers(values, "scores", nulls=True)
    np.testing.assert_array_equal(numbers, [1.0, np.nan, 3.0])
    with pytest.raises(InputTypeError, match=r"^scores: expected an array of real numbers"):
        as_numbers(values, "scores")


@pytest.mark.parametrize("value", ["4", True, 1j, 10**400])
def test_what_is_no_number_among_nulls_is_refused(value: Any) -> None:
    with pytest.raises(Ds2fastError, match=r"^scores: expected numbers"):
        as_numbers([1, None, value], "scores", nulls=True)


def test_our_errors_are_the_standard_ones_and_have_one_base() -> None:
    assert issubclass(InputError, (ValueError,))
    assert issubclass(InputTypeError, (TypeError,))
    for error in (InputError, InputTypeError):
        assert issubclass(error, Ds2fastError)
