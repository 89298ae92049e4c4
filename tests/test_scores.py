"""From raw scores to levels."""

from __future__ import annotations

import decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2fast.errors import InputError, InputTypeError
from ds2fast.io.numbers import read_numbers
from ds2fast.io.scores import map_scores

AS_THEY_STAND = "; num_levels= (--num-levels) takes scores as they stand"


@pytest.mark.parametrize(
    ("scores", "levels", "num_levels", "mapping"),
    [
        ([0, 5, 3], [0, 5, 3], 6, "scores 0..5 taken as they are"),
        ([1, 5, 3], [1, 5, 3], 6, "scores 1..5 taken as they are"),
        ([2.0, 4.0], [2, 4], 5, "scores 2..4 taken as they are"),
        (
            list(range(1, 11)),
            [0, 0, 0, 0, 1, 2, 3, 4, 5, 5],
            6,
            "scores 1..10 compressed to 0..5: clip(score, 4, 9) - 4" + AS_THEY_STAND,
        ),
        (
            [0, 9, 5],
            [0, 5, 1],
            6,
            "scores 0..9 compressed to 0..5: clip(score, 4, 9) - 4" + AS_THEY_STAND,
        ),
        ([0, 6, 5], [0, 6, 5], 7, "scores 0..6 taken as they are"),
        ([1, 6, 3], [0, 5, 2], 6, "scores 1..6 shifted to 0..5: score - 1" + AS_THEY_STAND),
        ([1, 7, 3], [0, 6, 2], 7, "scores 1..7 shifted to 0..6: score - 1" + AS_THEY_STAND),
        ([1, 8, 3], [0, 7, 2], 8, "scores 1..8 shifted to 0..7: score - 1" + AS_THEY_STAND),
        (
            [12, 10, 20],
            [2, 0, 10],
            11,
            "scores 10..20 shifted to 0..10: score - 10" + AS_THEY_STAND,
        ),
        ([70, 79], [0, 9], 10, "scores 70..79 shifted to 0..9: score - 70"),
        ([0, 31], [0, 31], 32, "scores 0..31 taken as they are"),
    ],
)
def test_integer_scales(
    scores: list[float], levels: list[int], num_levels: int, mapping: str
) -> None:
    mapped = map_scores(scores)
    assert mapped.levels.tolist() == levels
    assert mapped.levels.dtype == np.int64
    assert (mapped.num_levels, mapped.mapping) == (num_levels, mapping)
    assert mapped.raw.tolist() == scores


def test_unrated_rows() -> None:
    mapped = map_scores([4, None, float("nan"), -1, -1.0, 2])
    assert mapped.levels.tolist() == [4, -1, -1, -1, -1, 2]
    assert mapped.num_unrated == 4
    assert mapped.mapping == "scores 2..4 taken as they are; 4 rows unrated"
    np.testing.assert_array_equal(mapped.raw, [4, np.nan, np.nan, -1, -1, 2])


def test_reals_are_cut_into_six_equal_parts() -> None:
    scores = np.random.default_rng(0).permutation(np.arange(600) + 0.5)
    mapped = map_scores(scores)
    assert mapped.levels.tolist() == (scores // 100).astype(int).tolist()
    assert mapped.num_levels == 6
    assert mapped.mapping == (
        "real scores 0.5..599.5 mapped to 0..5: cut at quantiles, "
        "above 99.5, 199.5, 299.5, 399.5, 499.5 (100, 100, 100, 100, 100, 100 rows in levels 0..5)"
    )


def test_long_integer_ranges_are_cut_like_reals() -> None:
    mapped = map_scores(np.arange(60) * 2)
    assert mapped.levels.tolist() == np.repeat(np.arange(6), 10).tolist()
    assert mapped.mapping.startswith("scores 0..118 mapped to 0..5: cut at quantiles")


def test_only_scores_that_can_stand_as_they_are_are_said_to() -> None:
    assert AS_THEY_STAND in map_scores([0, 20, 50]).mapping
    assert AS_THEY_STAND not in map_scores([0, 20, 64]).mapping  # 65 levels are too many
    assert AS_THEY_STAND not in map_scores([0.5, 1.5]).mapping


@pytest.mark.parametrize(
    ("scores", "num_levels"), [([1, "x"], None), ([1, -3], None), ([1, np.inf], None), ([1, 9], 4)]
)
def test_errors_name_the_place_of_the_row(scores: list[Any], num_levels: int | None) -> None:
    with pytest.raises(InputError, match=r"in line 17\b"):
        map_scores(scores, num_levels=num_levels, place=lambda row: f"line {row + 16}")


def test_few_distinct_reals_are_levels_of_their_own() -> None:
    mapped = map_scores([0.5] * 98 + [0.25, 1.0])
    assert mapped.levels.tolist() == [1] * 98 + [0, 2]
    assert mapped.mapping == (
        "real scores 0.25..1 mapped to 0..2: each value a level of its own "
        "(1, 98, 1 rows in levels 0..2)"
    )
    assert mapped.values is None  # no level holds two scores to tell apart


def test_reals_with_most_rows_at_the_highest_value() -> None:
    mapped = map_scores([0.1, 0.2, 0.3, 0.4, 0.5, 0.6] + [1.0] * 94)
    assert mapped.levels.tolist() == [0] * 6 + [1] * 94
    assert mapped.mapping.endswith(
        "(6, 94 rows in levels 0..1); equal scores share a level: 2 levels in place of 6, "
        "94% of the rated rows in level 1; edges= (--edges) cuts elsewhere"
    )


def test_uneven_quantiles_are_told_of() -> None:
    # Cuts fall on ranks 17, 34, 50, 67 and 84 of the 100 rows; ranks 31 to 70 share a score, so
    # three cuts are one and all rows of ranks 18 to 70 are in one level.
    scores = np.concatenate([np.arange(30) / 100, np.full(40, 0.5), 0.6 + np.arange(30) / 100])
    mapped = map_scores(scores)
    assert mapped.mapping.endswith(
        "4 levels in place of 6, 53% of the rated rows in level 1; edges= (--edges) cuts elsewhere"
    )
    assert np.bincount(mapped.levels).tolist() == [17, 53, 14, 16]


def test_a_level_has_the_edges_at_or_below_the_score() -> None:
    mapped = map_scores([0.0, 0.5, 0.49, 3.0, None, 2.0, 7.5], edges=[0.5, 2, 3, 9])
    assert mapped.levels.tolist() == [0, 1, 0, 3, -1, 2, 3]
    assert mapped.num_levels == 5  # the fifth stays empty
    assert mapped.mapping == (
        "scores 0..7.5 mapped to 0..4: cut at edges, from 0.5, 2, 3, 9 upwards "
        "(2, 1, 1, 2, 0 rows in levels 0..4); 1 row unrated"
    )


@given(
    st.lists(st.integers(-9, 9), min_size=1, max_size=6, unique=True).map(sorted),
    st.lists(st.integers(-20, 20), min_size=1, max_size=30),
)
def test_edges_are_counted(edges: list[int], scores: list[int]) -> None:
    scores = [*(score for score in scores if score != -1), -30, 30]  # below and above every edge
    mapped = map_scores(scores, edges=edges)
    assert mapped.levels.tolist() == [sum(edge <= score for edge in edges) for score in scores]
    assert mapped.num_levels == len(edges) + 1


def test_the_score_is_kept_where_levels_are_cuts() -> None:
    mapped = map_scores([-2.5, -1, None, -0.5, -0.25], edges=[-1.5, -0.4])
    np.testing.assert_array_equal(mapped.levels, [0, -1, -1, 1, 2])
    assert mapped.values is None  # every level holds one score
    mapped = map_scores([-2.5, -1, None, -0.5, -0.25], edges=[-0.6])
    assert mapped.values is not None
    np.testing.assert_array_equal(mapped.values, [-2.5, np.nan, np.nan, -0.5, -0.25])
    assert mapped.mapping.endswith(
        "2 rows unrated, 1 of them for a score of just -1, which means unrated"
    )
    by_quantiles = map_scores([0.5, *range(60)])
    np.testing.assert_array_equal(by_quantiles.values, [0.5, *range(60)])
    assert map_scores(np.arange(60)).values is not None  # too long a range for a scale


@pytest.mark.parametrize(
    ("scores", "num_levels"), [([1, 10, 5], None), (list(range(64)), 64), ([0, 5, 3], None)]
)
def test_whole_levels_keep_no_score(scores: list[int], num_levels: int | None) -> None:
    assert map_scores(scores, num_levels=num_levels).values is None


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([], r"expected 1 to 63 cut points in one row, got shape \(0,\)"),
        ([[1, 2]], r"expected 1 to 63 cut points in one row, got shape \(1, 2\)"),
        (range(64), r"expected 1 to 63 cut points in one row, got shape \(64,\)"),
        ([2, 1], r"each above the last, got \[2\.0, 1\.0\]"),
        ([1, 1], r"each above the last"),
        ([1, np.nan], r"expected finite cut points"),
        ([1, np.inf], r"expected finite cut points"),
    ],
)
def test_bad_edges(edges: Any, message: str) -> None:
    with pytest.raises(InputError, match=rf"^edges: .*{message}"):
        map_scores([0, 1, 2], edges=edges)


def test_edges_beside_num_levels() -> None:
    assert map_scores([0, 1, 2], edges=[0.5, 1.5], num_levels=3).levels.tolist() == [0, 1, 2]
    with pytest.raises(InputError, match=r"^edges: expected num_levels - 1 = 3 cut points, got 2"):
        map_scores([0, 1, 2], edges=[0.5, 1.5], num_levels=4)
    with pytest.raises(InputTypeError, match="edges: expected an array of real numbers"):
        map_scores([0, 1, 2], edges=["low"])
    with pytest.raises(InputError, match=r"at least two levels .* cut at edges, from 7 upwards"):
        map_scores([0, 1, 2], edges=[7])


@given(st.lists(st.floats(0, 100).map(lambda x: round(x, 1)), min_size=2))
def test_levels_keep_the_order_of_the_scores(scores: list[float]) -> None:
    if len(set(scores)) < 2 or max(scores) - min(scores) < 32:
        scores = [*scores, 0.5, 50.5]
    levels = map_scores(scores).levels
    by_score = np.argsort(scores, kind="stable")
    assert (np.diff(levels[by_score]) >= 0).all()
    assert len({(score, level) for score, level in zip(scores, levels, strict=True)}) == len(
        set(scores)
    )
    assert set(levels.tolist()) == set(range(levels.max() + 1))


def test_num_levels_takes_scores_as_they_are() -> None:
    mapped = map_scores([1, 9, -1], num_levels=10)
    assert mapped.levels.tolist() == [1, 9, -1]
    assert mapped.num_levels == 10
    assert mapped.mapping == ("scores taken as levels 0..9, as num_levels=10 says; 1 row unrated")


@pytest.mark.parametrize("scores", [[0, 1, 4], [0, 1, -2], [0, 1, 2.5]])
def test_num_levels_refuses_scores_outside(scores: list[float]) -> None:
    with pytest.raises(InputError, match=r"levels 0\.\.3 as num_levels=4 says.*row 2"):
        map_scores(scores, num_levels=4)


def test_num_levels_itself_is_checked() -> None:
    with pytest.raises(InputError, match="num_levels: expected at least 2, got 1"):
        map_scores([0, 1], num_levels=1)
    with pytest.raises(InputError, match="num_levels: expected at most 64, got 65"):
        map_scores([0, 1], num_levels=65)
    with pytest.raises(InputTypeError, match=r"num_levels: expected an integer, got 6\.0"):
        map_scores([0, 1], num_levels=6.0)  # type: ignore[arg-type]  # the wrong type is the test
    with pytest.raises(InputTypeError, match="num_levels: expected an integer, got True"):
        map_scores([0, 1], num_levels=True)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([3, "good", "bad"], r"got 'good' in row 1"),
        ([3, "4"], r"got '4' in row 1"),
        ([3, True], r"got True in row 1"),
        (np.array([True, False]), r"got True in row 0"),
        (np.array(["a", "b"]), r"got 'a' in row 0"),
        (pa.array(["a", None]), r"got 'a' in row 0"),
        ([3, [4]], r"got \[4\] in row 1"),
        ([3, np.inf], r"got inf in row 1"),
        ([3, 10**400], r"got inf in row 1"),
        ([3, -2, 1], r"at least 0, or -1 for unrated, got -2 in row 1"),
        ([4, 4, None], r"at least two levels among the rated rows, got only level 4 in 2 rated"),
        ([9, 10], r"got only level 5 in 2 rated rows \(scores 9\.\.10 compressed"),
        ([2.5, 2.5], r"got only level 0 in 2 rated rows"),
        ([None, -1], r"expected rated rows, got 2 rows and none is rated"),
        ([], r"expected rated rows, got 0 rows"),
        (np.zeros((3, 2)), r"shape \(N,\), got shape \(3, 2\)"),
    ],
)
def test_bad_scores(scores: Any, message: str) -> None:
    with pytest.raises(InputError, match=rf"^scores: .*{message}"):
        map_scores(scores)


@pytest.mark.parametrize("scores", [7, {"a": 1}, {1, 2}, object()])
def test_scores_of_another_type(scores: Any) -> None:
    with pytest.raises(InputTypeError, match=r"^scores: expected a column name, an \(N,\) array"):
        map_scores(scores)


class Series:
    """Stands for a column of a data frame: it has `__array__` and little else."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array([1, None, 3], dtype=object)


class ArrowSeries:
    """Stands for a column that speaks Arrow's stream protocol, as those of polars do."""

    def __arrow_c_stream__(self, schema: Any = None) -> Any:
        return pa.chunked_array([[1], [None, 3]]).__arrow_c_stream__(schema)


@pytest.mark.parametrize(
    "scores",
    [
        ArrowSeries(),
        [1, None, 3],
        (1, float("nan"), 3.0),
        [np.int8(1), None, np.float32(3)],
        np.array([1, np.nan, 3], dtype=np.float16),
        np.array([1, None, 3], dtype=object),
        np.ma.MaskedArray(np.array([1, 2, 3]), mask=[False, True, False]),
        pa.array([1, None, 3]),
        pa.chunked_array([[1, None], [3]]),
        pa.array([1.0, None, 3.0]),
        pa.array([decimal.Decimal("1.00"), None, decimal.Decimal("3.00")]),
        pa.array([1, None, 3]).dictionary_encode(),
        Series(),
    ],
)
def test_containers_of_scores(scores: Any) -> None:
    np.testing.assert_array_equal(read_numbers(scores), [1, np.nan, 3])


def test_the_given_array_is_left_alone() -> None:
    scores = np.array([1.0, 10.0])
    mapped = map_scores(scores)
    mapped.raw[0] = 7
    assert scores.tolist() == [1, 10]
