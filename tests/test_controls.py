"""Controls: as many rows as were selected, out of all that could have been."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ds2fast.controls import CONTROLS, controls_of
from ds2fast.exclusion import Exclusion
from ds2fast.graph import KnnGraph
from ds2fast.io.read import read
from ds2fast.outcome import Selection
from ds2fast.results import Curation
from ds2fast.rules import Rules

LEVELS = np.array([0, 3, 3, -1, 2, 3, 1, 3, 2, 0])
LENGTHS = np.array([5, 9, 2, 30, 9, 7, 9, 1, 20, 3])


def make_selection(count: int, **changes: Any) -> Selection:
    rated = np.flatnonzero(LEVELS >= 0)
    curation = Curation(
        scores=LEVELS, misrated=np.zeros(10, bool), suggested=LEVELS, confidence=np.zeros(10),
        error_probability=np.zeros(10), method="simifeat", min_confidence=0.5, k=2, rounds=1,
        seed=0,
    )  # fmt: skip
    neighbours = (np.arange(10, dtype=np.int32)[:, None] + 1) % 10
    plain = Selection(
        indices=rated[:count],
        given_scores=LEVELS,
        keys=LEVELS.astype(float),
        long_tail=np.zeros(10, np.float32),
        graph=KnnGraph.from_arrays(neighbours, np.ones((10, 1), np.float32)),
        transition=None,
        curation=curation,
        pool=read(["x" * length for length in LENGTHS.tolist()], scores=None),
    )
    return replace(plain, **changes)


def excluding(*rows: int) -> Rules:
    which = np.isin(np.arange(10), rows)
    because = np.where(which, 0, -1)
    return Rules(excluded=Exclusion(which, because, which.astype(np.int8), "eval", 1))


@pytest.mark.parametrize("seed", range(5))
def test_the_longest_and_the_best_as_given(seed: int) -> None:
    found = controls_of(make_selection(5), seed)
    assert tuple(found) == CONTROLS
    assert all(rows.dtype == np.int64 and rows.shape == (5,) for rows in found.values())
    # Row 3, the longest text, is unrated; rows 1, 4 and 6 are equally long.
    longest = found["longest"].tolist()
    assert longest[0] == 8
    assert sorted(longest[1:4]) == [1, 4, 6]
    assert longest[4] == 5
    best = found["top_given"].tolist()
    assert sorted(best[:4]) == [1, 2, 5, 7]
    assert best[4] in {4, 8}


def test_ties_come_in_each_order_and_each_row_is_drawn() -> None:
    made = [controls_of(make_selection(1), seed) for seed in range(200)]
    assert {int(found["top_given"][0]) for found in made} == {1, 2, 5, 7}
    # Each of the 9 rated rows is missed by one draw with 8/9: by 200 with 6e-11.
    assert {int(found["random"][0]) for found in made} == set(np.flatnonzero(LEVELS >= 0).tolist())
    assert {int(found["longest"][0]) for found in made} == {8}


def test_the_draw_follows_the_seed_and_nothing_else() -> None:
    first, again = (controls_of(make_selection(6), 3) for _ in range(2))
    for name in CONTROLS:
        np.testing.assert_array_equal(first[name], again[name])
    arrays = controls_of(make_selection(6, pool=None), 3)
    assert tuple(arrays) == ("random", "top_given")  # without texts none is the longest
    for name, rows in arrays.items():
        np.testing.assert_array_equal(first[name], rows)
    others = [controls_of(make_selection(6), seed)["random"].tolist() for seed in range(20)]
    assert len({tuple(rows) for rows in others}) > 10  # of 60480 orders


def test_rows_that_repeat_an_evaluation_file_are_in_no_control() -> None:
    found = controls_of(make_selection(6, rules=excluding(8, 1, 5)), 0)
    for rows in found.values():
        assert len(set(rows.tolist())) == 6
        assert not {8, 1, 5, 3} & set(rows.tolist())
    assert sorted(found["longest"][:2].tolist()) == [4, 6]


def test_a_finer_measure_comes_before_the_levels() -> None:
    finer = np.where(LEVELS < 0, -1.0, LEVELS + np.arange(10) / 100)
    found = controls_of(make_selection(4, given_keys=finer), 0)
    assert found["top_given"].tolist() == [7, 5, 2, 1]


def test_all_rated_rows() -> None:
    for rows in controls_of(make_selection(9), 0).values():
        assert sorted(rows.tolist()) == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_ties_of_one_control_are_drawn_apart_from_those_of_another() -> None:
    equal = make_selection(9, given_scores=np.where(LEVELS >= 0, 1, -1))
    found = controls_of(equal, 0)
    # Nine rows come in one order twice with 1/9!.
    assert found["top_given"].tolist() != found["random"].tolist()
