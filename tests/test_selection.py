"""`dual_sort` against orders by hand and the reference."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from ds2fast import _core, reference
from ds2fast.errors import Ds2fastError, InputError, InputTypeError
from ds2fast.selection import dual_sort

NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("scores", "long_tail", "expected"),
    [
        ([1, 3, 2], [0.9, 0.1, 0.5], [1, 2, 0]),  # the score comes first
        ([2, 2, 2], [0.1, 0.3, 0.2], [1, 2, 0]),  # then the long-tail score
        ([2, 2, 2, 2], [0.5, 0.7, 0.5, 0.7], [1, 3, 0, 2]),  # then the index
        ([0, 0], [0.1, 0.1], [0, 1]),  # 0 is a rating
        ([-1, 4, NAN, 5, -7], [0.1] * 5, [3, 1]),  # unrated rows are never selected
        ([2.25, 2.5, 2.5], [0.9, 0.1, 0.2], [2, 1, 0]),  # a posterior mean is a score
        ([-0.0, 0.0], [0.1, 0.2], [1, 0]),  # zeros of both signs are one score
        ([5, 5], [0.0, -0.0], [0, 1]),
        ([INFINITY, 3], [0.1, 0.2], [0, 1]),
        ([5, 5], [-0.5, 0.5], [1, 0]),
        ([-1, NAN], [0.1, 0.1], []),
        ([], [], []),
    ],
)
def test_order_by_hand(scores: Any, long_tail: Any, expected: list[int]) -> None:
    selected = dual_sort(scores, long_tail)
    assert selected.dtype == np.int64
    assert selected.tolist() == expected


def random_case(num_rows: int, seed: int) -> tuple[Any, Any]:
    """Six levels, some rows unrated; few long-tail values, so that ties reach the index."""
    random = np.random.default_rng(seed)
    scores = random.integers(-1, 6, num_rows).astype(np.float64)
    scores[random.random(num_rows) < 0.1] = NAN
    return scores, (random.integers(0, 30, num_rows) / 64).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_reference(seed: int) -> None:
    scores, long_tail = random_case(2000, seed)
    num_rated = int((scores >= 0).sum())
    for n in (1, 2, 500, num_rated - 1, num_rated, None):
        np.testing.assert_array_equal(
            dual_sort(scores, long_tail, n), reference.dual_sort(scores, long_tail, n)
        )


def test_equals_the_reference_without_ties() -> None:
    random = np.random.default_rng(0)
    scores = random.uniform(-1, 5, 3000)
    long_tail = random.random(3000, dtype=np.float32)
    np.testing.assert_array_equal(
        dual_sort(scores, long_tail, 700), reference.dual_sort(scores, long_tail, 700)
    )


def test_all_rows_equal_come_in_their_order() -> None:
    scores, long_tail = np.full(5000, 3), np.full(5000, 0.25)
    assert dual_sort(scores, long_tail, 4999).tolist() == list(range(4999))


def test_a_smaller_selection_is_the_beginning_of_a_larger_one() -> None:
    scores, long_tail = random_case(700, 9)
    ranking = dual_sort(scores, long_tail)
    for n in (1, 10, 333):
        np.testing.assert_array_equal(dual_sort(scores, long_tail, n), ranking[:n])


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, np.float16, np.float32])
def test_scores_of_every_number_type(dtype: type[np.generic]) -> None:
    scores = np.array([3, 5, 5, 1], dtype=dtype)
    assert dual_sort(scores, [0.1, 0.2, 0.3, 0.9]).tolist() == [2, 1, 0, 3]


def test_arrays_of_any_layout() -> None:
    table = np.array([[3, 0.1], [5, 0.2], [5, 0.3], [1, 0.9]])
    assert dual_sort(table[:, 0], table[::-1, 1][::-1]).tolist() == [2, 1, 0, 3]


def test_long_tail_scores_are_compared_as_they_came() -> None:
    closer_than_float32 = [0.5, 0.5 + 1e-12, 0.5 + 2e-12]
    assert dual_sort([5, 5, 5], closer_than_float32).tolist() == [2, 1, 0]


def test_n_may_be_a_numpy_integer() -> None:
    two = np.int32(2)
    best = dual_sort([1, 2, 3], [0.1] * 3, two)  # type: ignore[arg-type]  # NumPy integers count
    assert best.tolist() == [2, 1]


BAD_ARGUMENTS: list[tuple[str, dict[str, Any], type[Ds2fastError], str]] = [
    ("words", {"scores": ["good", "bad", "bad"]}, InputTypeError,
     "scores: expected an array of real numbers, got dtype <U4"),
    ("missing scores", {"scores": [1, None, 2]}, InputTypeError,
     "scores: expected an array of real numbers, got dtype object"),
    ("flags", {"scores": [True, False, True]}, InputTypeError,
     "scores: expected an array of real numbers, got dtype bool"),
    ("complex scores", {"scores": [1j, 2, 3]}, InputTypeError,
     "scores: expected an array of real numbers, got dtype complex128"),
    ("a matrix of scores", {"scores": [[1, 2, 3]]}, InputError,
     "scores: expected shape (N,), got (1, 3)"),
    ("one score", {"scores": 5}, InputError, "scores: expected shape (N,), got ()"),
    ("words for rarity", {"long_tail": ["a", "b", "c"]}, InputTypeError,
     "long_tail: expected an array of real numbers, got dtype <U1"),
    ("a matrix of rarity", {"long_tail": np.zeros((3, 1))}, InputError,
     "long_tail: expected shape (N,), got (3, 1)"),
    ("too few", {"long_tail": [0.1, 0.2]}, InputError,
     "long_tail: expected as many values as scores (3), got 2"),
    ("too many", {"long_tail": [0.1] * 4}, InputError,
     "long_tail: expected as many values as scores (3), got 4"),
    ("NaN for rarity", {"long_tail": [0.1, NAN, NAN]}, InputError,
     "long_tail: expected finite values; row 1 holds nan"),
    ("infinite rarity", {"long_tail": [0.1, 0.1, -INFINITY]}, InputError,
     "long_tail: expected finite values; row 2 holds -inf"),
    ("n beyond the rated rows", {"n": 3}, InputError,
     "n: expected at most the number of rated rows (2), got 3"),
    ("n of 0", {"n": 0}, InputError, "n: expected at least 1, got 0"),
    ("n below 0", {"n": -1}, InputError, "n: expected at least 1, got -1"),
    ("n beyond any integer", {"n": 10**30}, InputError,
     f"n: expected at most the number of rated rows (2), got {10**30}"),
    ("a float n", {"n": 2.0}, InputTypeError, "n: expected an integer, got 2.0"),
    ("a bool for n", {"n": True}, InputTypeError, "n: expected an integer, got True"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [case[1:] for case in BAD_ARGUMENTS],
    ids=[case[0] for case in BAD_ARGUMENTS],
)
def test_bad_arguments_are_named_before_any_work(
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, Any],
    error: type[Ds2fastError],
    message: str,
) -> None:
    monkeypatch.setattr(_core, "dual_sort", lambda *_: pytest.fail("work was begun"))
    given: dict[str, Any] = {"scores": [3, -1, 4], "long_tail": [0.1, 0.2, 0.3]} | arguments
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        dual_sort(given.pop("scores"), given.pop("long_tail"), **given)


@pytest.mark.parametrize("name", ["scores", "long_tail"])
def test_ragged_input_is_named(name: str) -> None:
    given: dict[str, Any] = {"scores": [3, 4], "long_tail": [0.1, 0.2]} | {
        name: [[1.0], [1.0, 2.0]]
    }
    with pytest.raises(InputError, match=f"^{name}: expected "):
        dual_sort(**given)


def test_a_finite_long_tail_score_beyond_float32_is_no_infinity() -> None:
    # Nothing that long_tail_scores gives, but finite numbers are what the argument asks for.
    assert dual_sort([1, 1], [1.0, 1e300]).tolist() == [1, 0]


def test_a_programming_error_in_the_binding_is_an_error_not_a_crash() -> None:
    with pytest.raises(ValueError, match="as many scores as long-tail scores"):
        _core.dual_sort(np.zeros(3), np.zeros(2), 1)
    assert _core.dual_sort(np.zeros(3), np.zeros(3), 9).tolist() == [0, 1, 2]
