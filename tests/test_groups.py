"""Shares, caps and rounding of groups, by hand."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from ds2fast.errors import Ds2fastError, InputError, InputTypeError
from ds2fast.groups import code_labels, group_rule, label_words
from ds2fast.selection import dual_sort

LABELS = ["a"] * 6 + ["b"] * 3 + ["c"]


@pytest.mark.parametrize(
    ("labels", "n", "quotas"),
    [
        (LABELS, 10, [6, 3, 1]),
        (LABELS, 5, [3, 2, 0]),  # 3, 1.5, 0.5: of equal remainders the larger group's counts
        (LABELS, 4, [3, 1, 0]),  # 2.4, 1.2, 0.4: a and c are equal, and a is larger
        (["a", "b", "c"], 1, [1, 0, 0]),  # of groups of one size the first
        (["x"] * 4, 3, [3]),
    ],
)
def test_each_group_gets_its_share_of_the_rated_rows(
    labels: list[str], n: int, quotas: list[int]
) -> None:
    rule = group_rule(labels, [True] * len(labels), n)
    assert rule.quotas is not None
    assert rule.caps is None
    assert rule.quotas.tolist() == quotas


def test_unrated_rows_give_no_share() -> None:
    rated = [False] * 6 + [True] * 4
    rule = group_rule(LABELS, rated, 4)
    assert rule.quotas is not None
    assert rule.quotas.tolist() == [0, 3, 1]


@pytest.mark.parametrize(
    ("shares", "n", "quotas"),
    [
        ({"c": 0.5}, 6, [2, 1, 3]),  # the rest, 3 rows, to a and b by size: 2 and 1
        ({"a": 0.29, "b": 0.71}, 100, [29, 71, 0]),  # 0.29 * 100 is 28.999999999999996
        ({"a": 0.0}, 4, [0, 3, 1]),
        ({"a": 0.2, "b": 0.2, "c": 0.1}, 10, [2, 2, 1]),  # the other 5 by rank
        ({"a": 1.0}, 7, [7, 0, 0]),
        ({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, 10, [4, 3, 3]),
    ],
)
def test_shares_by_name(shares: dict[str, float], n: int, quotas: list[int]) -> None:
    rule = group_rule(LABELS, [True] * 10, n, shares=shares)
    assert rule.quotas is not None
    assert rule.quotas.tolist() == quotas


@pytest.mark.parametrize(
    ("caps", "expected"),
    [
        (3, [3, 3, 3]),
        (0.29, [29, 29, 29]),
        (1, [1, 1, 1]),  # one row
        (1.0, [100, 100, 100]),  # all rows
        ({"b": 2, "c": 0.5}, [100, 2, 50]),
        ({"a": 0}, [0, 100, 100]),
    ],
)
def test_caps_are_rows_or_shares(caps: Any, expected: list[int]) -> None:
    rule = group_rule(LABELS, [True] * 10, 100, caps=caps)
    assert rule.quotas is None
    assert rule.caps is not None
    assert rule.caps.tolist() == expected


def test_rounded_quotas_sum_to_n() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        labels = random.integers(0, 9, 300)
        n = int(random.integers(1, 300))
        rule = group_rule(labels, np.ones(300, dtype=bool), n)
        assert rule.quotas is not None
        sizes = rule.held(np.arange(300))
        assert rule.quotas.sum() == n
        assert (abs(rule.quotas - n * sizes / 300) < 1).all()  # rounded up or down, no further
        assert (rule.quotas <= sizes).all()


def test_of_equal_groups_those_with_the_best_rows_are_rounded_up() -> None:
    labels, order = list("abcdea"), np.array([4, 2, 1, 0, 3, 5])
    rule = group_rule(labels, [True] * 6, 3, order=order)
    # a has 1 row of 1.0; of b, c, d and e with 0.5 each e and c hold the first rows of the order.
    assert rule.names == tuple("abcde")
    assert rule.quotas is not None
    assert rule.quotas.tolist() == [1, 0, 1, 0, 1]


def test_a_group_for_each_row_leaves_the_order_as_it_is() -> None:
    random = np.random.default_rng(0)
    scores, long_tail = random.integers(-1, 6, 400), random.random(400)
    by_rank = dual_sort(scores, long_tail, 50)
    assert dual_sort(scores, long_tail, 50, groups=np.arange(400)).tolist() == by_rank.tolist()


def test_labels_are_compared_in_words() -> None:
    names, codes = code_labels([1, "1", None, 2.5, True], 5)
    assert names == ["1", "none given", "2.5", "True"]
    assert codes.tolist() == [0, 0, 1, 2, 3]
    assert code_labels(np.array([7, 7, 3]), 3)[0] == ["7", "3"]


@pytest.mark.parametrize(
    "labels",
    [
        np.array([1.0, np.nan]),
        pd.Series([1.0, None]),
        pl.Series([1.0, None]),
        pa.array([1.0, None]),
        pa.chunked_array([[1.0], [None]]),
        [1.0, float("nan")],
        (1.0, None),
    ],
)
def test_labels_come_in_any_column(labels: Any) -> None:
    assert label_words(labels, 2) == ("1.0", "none given")


def test_nulls_of_pandas_are_none_given() -> None:
    assert label_words(pd.Series([1, None], dtype="Int64"), 2) == ("1", "none given")
    assert label_words(pd.Series([None], dtype="datetime64[ns]"), 1) == ("none given",)
    assert label_words(["<NA>", "nan"], 2) == ("<NA>", "nan")  # words are what they are


BAD: list[tuple[dict[str, Any], type[Ds2fastError], str]] = [
    ({"labels": ["a"]}, InputError, "groups: expected one label a row (10), got 1"),
    ({"labels": np.zeros((10, 2))}, InputError,
     "groups: expected one label a row, shape (10,), got (10, 2)"),
    ({"labels": set(range(10))}, InputTypeError,
     "groups: expected a field name or a label a row, got set"),
    ({"labels": "source"}, InputTypeError,
     "groups: expected one label a row, got the string 'source'"),
    ({"shares": {"d": 0.5}}, InputError,
     "group_shares: expected groups of the rows ('a', 'b', 'c'), got 'd'"),
    ({"caps": {"d": 5}}, InputError,
     "group_caps: expected groups of the rows ('a', 'b', 'c'), got 'd'"),
    ({"shares": {"a": 0.6, "b": 0.5}}, InputError,
     "group_shares: expected shares that sum to 1 at most, got 1.1"),
    ({"shares": {"a": -0.1}}, InputError, "group_shares['a']: expected 0 to 1, got -0.1"),
    ({"shares": {"a": "half"}}, InputTypeError, "group_shares['a']: expected a number, got 'half'"),
    ({"caps": -1}, InputError, "group_caps: expected at least 0, got -1"),
    ({"caps": 1.5}, InputError,
     "group_caps: expected rows, or a share of n from 0.0 to 1.0, got 1.5"),
    ({"caps": {"a": True}}, InputTypeError, "group_caps['a']: expected an integer, got True"),
    ({"caps": 0}, InputError, "group_caps: expected room for a rated row, got 0 of 4 rows"),
    ({"caps": 0.2}, InputError, "group_caps: expected room for a rated row, got 0.2 of 4 rows"),
    ({"caps": {"a": 0, "b": 0, "c": 0}}, InputError,
     "group_caps: expected room for a rated row, got {'a': 0, 'b': 0, 'c': 0} of 4 rows"),
    ({"n": 0}, InputError, "n: expected at least 1, got 0"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "error", "message"), BAD)
def test_bad_arguments_are_named(
    changed: dict[str, Any], error: type[Ds2fastError], message: str
) -> None:
    arguments: dict[str, Any] = {"labels": LABELS, "rated": [True] * 10, "n": 4} | changed
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        group_rule(**arguments)


def test_dual_sort_within_groups() -> None:
    scores, long_tail = [5, 5, 4, 4, 3, 3, -1, 5], [0.1] * 8
    groups = ["x", "x", "x", "x", "y", "y", "y", "x"]
    # Of 7 rated rows 5 are x: of 3 rows 2.14 and 0.86, so 2 and 1.
    assert dual_sort(scores, long_tail, 3, groups=groups).tolist() == [0, 1, 4]
    assert dual_sort(scores, long_tail, groups=groups).tolist() == [0, 1, 7, 2, 3, 4, 5]
    assert dual_sort([-1, -1], [0.1, 0.1], groups=["x", "y"]).tolist() == []
    with pytest.raises(InputError, match=r"^groups: expected one label a row \(8\), got 2$"):
        dual_sort(scores, long_tail, 3, groups=["x", "y"])
