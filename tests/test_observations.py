"""Patterns of what was seen of a row: which rows share one, and how likely each is."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2fast.observations import Observations, observe

T = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.0, 0.3, 0.7]])
OTHER = np.array([[0.5, 0.5, 0.0], [0.2, 0.6, 0.2], [0.1, 0.1, 0.8]])


def likelihood_of_rows(seen: Observations, matrices: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(N, K), NaN where a row has no pattern."""
    found = seen.likelihood(matrices)[seen.codes]
    found[seen.codes < 0] = np.nan
    return found


def test_one_rating_each_makes_one_pattern_a_level() -> None:
    seen = observe(np.array([[2], [0], [-1], [2], [1]]), 3)
    assert seen.num_raters == 1
    assert seen.codes.dtype == np.int32
    assert seen.codes[2] == -1
    assert seen.codes[0] == seen.codes[3]
    assert len(set(seen.codes.tolist()) - {-1}) == 3
    assert seen.shown[seen.codes[0], 0].tolist() == [0, 0, 1]
    assert seen.rows_with[seen.codes[[0, 1, 4]]].tolist() == [2, 1, 1]
    assert not seen.is_signal.any()
    assert (seen.gold == -1).all()


def test_likelihoods_by_hand() -> None:
    ratings = np.array([[0], [1], [2], [0]])
    repeats = np.array([[0, 1], [-1, -1], [2, -1], [-1, -1]])
    gold = np.array([-1, 1, -1, 2])
    seen = observe(ratings, 3, repeats, gold)
    expected = [
        T[:, 0] ** 2 * T[:, 1],
        T[:, 1] * [0, 1, 0],
        T[:, 2] ** 2,
        T[:, 0] * [0, 0, 1],
    ]
    np.testing.assert_allclose(likelihood_of_rows(seen, T[None]), expected, atol=1e-300)
    # More than one rating, or the truth; a row with just one rating is none.
    assert seen.is_signal[seen.codes].tolist() == [True, True, True, True]
    assert not observe(ratings, 3).is_signal.any()


def test_several_raters_have_their_own_matrices() -> None:
    seen = observe(np.array([[0, 2], [-1, 1], [1, -1], [-1, -1]]), 3)
    assert seen.num_raters == 2
    expected = [T[:, 0] * OTHER[:, 2], OTHER[:, 1], T[:, 1], [np.nan] * 3]
    np.testing.assert_allclose(
        likelihood_of_rows(seen, np.stack([T, OTHER])), expected, atol=1e-300
    )
    assert seen.is_signal[seen.codes[:3]].tolist() == [True, False, False]


def test_gold_of_an_unrated_row_is_no_pattern() -> None:
    seen = observe(np.array([[1], [-1]]), 3, gold=np.array([-1, 2]))
    assert seen.codes.tolist() == [0, -1]
    assert seen.gold.tolist() == [-1]


def test_patterns_that_differ_in_gold_alone_are_two() -> None:
    seen = observe(np.array([[1], [1], [1]]), 3, gold=np.array([-1, 1, 1]))
    assert seen.codes[0] != seen.codes[1]
    assert seen.codes[1] == seen.codes[2]
    assert seen.gold[seen.codes].tolist() == [-1, 1, 1]


@pytest.mark.parametrize("num_raters", [2, 40])
def test_many_raters_are_told_apart(num_raters: int) -> None:
    # 40 raters of 7 values each are more patterns than 64 bits count.
    ratings = np.random.default_rng(1).integers(-1, 6, (50, num_raters))
    ratings[7] = ratings[3]
    seen = observe(ratings, 6)
    rated = (ratings >= 0).any(axis=1)
    for row in np.flatnonzero(rated):
        shown = seen.shown[seen.codes[row]]
        for rater in range(num_raters):
            score = ratings[row, rater]
            expected = np.zeros(6) if score < 0 else np.eye(6)[score]
            np.testing.assert_array_equal(shown[rater], expected)
    assert seen.codes[7] == seen.codes[3]
    assert int(seen.rows_with.sum()) == int(rated.sum())


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), num_levels=st.integers(2, 5), num_repeats=st.integers(1, 3))
def test_a_pattern_is_the_multiset_of_ratings(seed: int, num_levels: int, num_repeats: int) -> None:
    generator = np.random.default_rng(seed)
    ratings = generator.integers(-1, num_levels, (30, 1))
    repeats = generator.integers(-1, num_levels, (30, num_repeats))
    repeats[ratings[:, 0] < 0] = -1
    gold = generator.integers(-1, num_levels, 30)
    seen = observe(ratings, num_levels, repeats, gold)
    for row in range(30):
        if ratings[row, 0] < 0:
            assert seen.codes[row] == -1
            continue
        all_of_row = [ratings[row, 0], *repeats[row][repeats[row] >= 0]]
        expected = np.bincount(all_of_row, minlength=num_levels)
        np.testing.assert_array_equal(seen.shown[seen.codes[row], 0], expected)
        assert seen.gold[seen.codes[row]] == gold[row]
    assert len(np.unique(seen.codes[seen.codes >= 0])) == len(seen.shown)


def test_how_often_repeats_are_equal() -> None:
    ratings = np.array([[0], [0], [1], [2], [-1]])
    repeats = np.array([[0, 1], [0, -1], [2, -1], [-1, -1], [-1, -1]])
    # Row 0 has three pairs, one of them equal; row 1 an equal pair, row 2 an unequal one.
    assert observe(ratings, 3, repeats).repeat_agreement == 2 / 5
    assert np.isnan(observe(ratings, 3).repeat_agreement)
    # Two raters of a row are no repeats.
    assert np.isnan(observe(np.array([[0, 0], [1, 1]]), 3).repeat_agreement)
