"""Rules one by one and together: fates, causes and notes, by hand."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from ds2fast.choice import Choice, Fate, Rules, choose
from ds2fast.errors import Ds2fastError, InputError, InputTypeError
from ds2fast.exclusion import Exclusion, Repeats
from ds2fast.graph import KnnGraph
from ds2fast.groups import group_rule
from ds2fast.selection import dual_sort

# Order: 1 and 4 (5; 4 is rarer), 0 (4), 5 (3), 3 (2); row 2 is unrated.
KEYS = [4, 5, -1, 2, 5, 3]
LONG_TAIL = [0.1, 0.2, 0.9, 0.4, 0.3, 0.2]
ORDER = [4, 1, 0, 5, 3]
RATED = [key >= 0 for key in KEYS]
GRAPH = KnnGraph.from_arrays(
    [[1], [4], [0], [5], [1], [3]], [[0.5], [0.97], [0.1], [0.96], [0.97], [0.96]]
)


def excluding(rows: dict[int, int], how: Repeats = Repeats.NGRAM) -> Exclusion:
    because = np.full(6, -1, dtype=np.int64)
    for row, source in rows.items():
        because[row] = source
    ways = np.where(because >= 0, np.int8(how), np.int8(0))
    return Exclusion(because >= 0, because, ways, "eval.jsonl", 20, np.zeros(6, np.float32))


def fates(choice: Choice) -> list[str]:
    return [Fate(fate).name for fate in choice.fates]


def test_empty_rules_are_the_dual_sort() -> None:
    random = np.random.default_rng(0)
    keys, long_tail = random.integers(-1, 6, 500), random.random(500)
    choice = choose(keys, long_tail, 120, Rules())
    np.testing.assert_array_equal(choice.indices, dual_sort(keys, long_tail, 120))
    assert choice.counts() == {
        "selected": 120,
        "below": int((keys >= 0).sum()) - 120,
        "unrated": int((keys < 0).sum()),
    }
    assert (choice.asked, choice.notes, choice.unsettled) == (120, (), 0)
    assert set(choice.because.tolist()) == {-1}


@pytest.mark.parametrize(
    "rules",
    [
        Rules(min_score=0),
        Rules(max_rarity=1),
        Rules(max_similarity=1.0),
        Rules(excluded=excluding({})),
        Rules(group=group_rule(["a"] * 6, RATED, 3)),
        Rules(group=group_rule(list("abcabc"), RATED, 3, caps=1.0)),
    ],
)
def test_rules_that_hold_for_all_rows_change_nothing(rules: Rules) -> None:
    choice = choose(KEYS, LONG_TAIL, 3, rules, graph=GRAPH)
    assert choice.indices.tolist() == ORDER[:3]
    assert choice.counts() == {"selected": 3, "below": 2, "unrated": 1}


def test_min_score() -> None:
    choice = choose(KEYS, LONG_TAIL, 5, Rules(min_score=3.5))
    assert choice.indices.tolist() == [4, 1, 0]
    assert fates(choice) == ["SELECTED", "SELECTED", "UNRATED", "LOW_SCORE", "SELECTED",
                             "LOW_SCORE"]  # fmt: skip
    assert choice.notes == (
        "min_score: 2 rows below 3.5 left out; 2 of them would be selected without rules",
        "asked for 5 rows, selected 3: the rules let no more through",
    )


def test_max_rarity_is_a_quantile_of_the_rated_rows() -> None:
    # Rated long-tail scores 0.1, 0.2, 0.2, 0.3, 0.4: the quantile 0.6 is 0.24; row 2 is unrated.
    choice = choose(KEYS, LONG_TAIL, 2, Rules(max_rarity=0.6))
    assert choice.indices.tolist() == [1, 0]
    assert [fate == Fate.TOO_RARE for fate in choice.fates] == [False] * 3 + [True, True, False]
    assert choice.notes == (
        "max_rarity: 2 rows left out whose long-tail score lies above 0.24, the quantile 0.6; "
        "1 of them would be selected without rules (rows 4)",
    )


def test_excluded_rows_name_the_evaluation_row() -> None:
    choice = choose(KEYS, LONG_TAIL, 2, Rules(excluded=excluding({4: 7, 3: 0, 2: 9})))
    assert choice.indices.tolist() == [1, 0]
    assert choice.because.tolist() == [-1, -1, -1, 0, 7, -1]
    assert fates(choice)[2] == "UNRATED"
    assert choice.notes == (
        "exclude: 2 rows left out that repeat eval.jsonl (2 by a run of words, 0 by similarity); "
        "1 of them would be selected without rules",
    )


def test_near_duplicates_name_the_selected_row() -> None:
    choice = choose(KEYS, LONG_TAIL, 4, Rules(max_similarity=0.95), graph=GRAPH)
    # 1 is 4's double; 3 would be 5's, but there are no more rows then.
    assert choice.indices.tolist() == [4, 0, 5]
    assert choice.because.tolist() == [-1, 4, -1, 5, -1, -1]
    np.testing.assert_array_equal(
        choice.similarity, np.array([np.nan, 0.97, np.nan, 0.96, np.nan, np.nan], np.float32)
    )
    assert choice.notes[0] == (
        "max_similarity: 2 rows left out whose cosine to a selected row is at least 0.95; "
        "1 of them would be selected without rules"
    )


def test_what_lies_behind_the_last_row_is_not_reached() -> None:
    # Row 3, the last, is 5's double: of three rows nobody asks.
    choice = choose(KEYS, LONG_TAIL, 3, Rules(max_similarity=0.95), graph=GRAPH)
    assert choice.indices.tolist() == [4, 0, 5]
    assert fates(choice)[3] == "BELOW"
    assert choice.because[3] == -1


def test_unsettled_rows_are_told_where_there_are_no_vectors() -> None:
    graph = KnnGraph.from_arrays([[1], [0], [3], [2]], [[1.0], [1.0], [1.0], [1.0]])
    rules = Rules(max_similarity=0.9)
    choice = choose([5, 4, 3, 2], [0.1] * 4, 2, rules, graph=graph)
    assert (choice.indices.tolist(), choice.unsettled) == ([0, 2], 1)
    assert choice.notes[-1].startswith("max_similarity: 1 row selected that may still be near")
    vectors = np.array([[1, 0], [1, 0], [1, 0.01], [1, 0.01]])
    settled = choose([5, 4, 3, 2], [0.1] * 4, 2, rules, graph=graph, vectors=vectors)
    assert (settled.indices.tolist(), settled.unsettled) == ([0], 0)
    assert settled.notes[-1] == "asked for 2 rows, selected 1: the rules let no more through"


GROUPS = ["x", "x", "x", "y", "x", "y"]


def test_a_full_group_gives_way() -> None:
    # 3 of 5 rated rows are x: of 4 rows 2.4 and 1.6, so 2 and 2.
    choice = choose(KEYS, LONG_TAIL, 4, Rules(group=group_rule(GROUPS, RATED, 4)))
    assert choice.indices.tolist() == [4, 1, 5, 3]
    assert fates(choice)[0] == "GROUP_FULL"
    assert choice.notes == ("groups: 1 row of the first 4 gave way to other groups",)


def test_what_a_group_cannot_fill_goes_to_the_others_by_rank() -> None:
    rule = group_rule(GROUPS, RATED, 4, shares={"y": 1.0})
    choice = choose(KEYS, LONG_TAIL, 4, Rules(group=rule))
    assert choice.indices.tolist() == [4, 1, 5, 3]
    assert choice.notes[1:] == (
        "groups: 'y' could fill 2 of the 4 rows meant for it",
        "groups: rows that a group could not fill went to the others by rank",
    )


def test_caps_hold_when_rows_are_given_away() -> None:
    rule = group_rule(GROUPS, RATED, 4, shares={"y": 1.0}, caps={"x": 1})
    choice = choose(KEYS, LONG_TAIL, 4, Rules(group=rule))
    assert choice.indices.tolist() == [4, 5, 3]
    assert choice.counts() == {"selected": 3, "unrated": 1, "group_full": 2}


def test_a_row_has_the_first_fate_that_fits() -> None:
    rules = Rules(min_score=4.5, max_rarity=0.5, excluded=excluding({3: 1}))
    choice = choose(KEYS, LONG_TAIL, 1, rules)
    # 3 is also too rare and too low, 4 too rare, 0 and 5 too low.
    assert fates(choice) == ["LOW_SCORE", "SELECTED", "UNRATED", "EXCLUDED", "TOO_RARE",
                             "LOW_SCORE"]  # fmt: skip


def test_excluded_rows_make_no_duplicates_and_fill_no_group() -> None:
    rules = Rules(
        max_similarity=0.95,
        excluded=excluding({4: 7}),
        group=group_rule(GROUPS, RATED, 2, caps={"x": 1}),
    )
    choice = choose(KEYS, LONG_TAIL, 2, rules, graph=GRAPH)
    assert choice.indices.tolist() == [1, 5]  # 4, the double of 1 and of its group, is out


def test_counts_add_up_whatever_the_rules() -> None:
    random = np.random.default_rng(5)
    keys, long_tail = random.integers(-1, 6, 300).astype(float), random.random(300)
    lists = (np.arange(300)[:, None] + [1, 2]) % 300
    graph = KnnGraph.from_arrays(lists, np.sort(random.uniform(0.5, 1, (300, 2)))[:, ::-1])
    labels = random.integers(0, 4, 300)
    for count in (3, 40, 100):
        rules = Rules(
            group=group_rule(labels, keys >= 0, count, caps=0.4),
            max_similarity=0.8,
            min_score=1,
            max_rarity=0.9,
        )
        choice = choose(keys, long_tail, count, rules, graph=graph)
        selected = np.flatnonzero(choice.fates == Fate.SELECTED)
        assert sum(choice.counts().values()) == 300
        assert np.sort(choice.indices).tolist() == selected.tolist()
        order = dual_sort(keys, long_tail)
        assert choice.indices.tolist() == [row for row in order if row in set(selected)]
        if len(selected) == count:
            behind = order[np.flatnonzero(order == choice.indices[-1])[0] + 1 :]
            late = {Fate(fate).name for fate in choice.fates[behind]}
            assert late <= {"BELOW", "LOW_SCORE", "TOO_RARE"}


def test_there_may_be_no_row_where_that_is_asked_for() -> None:
    for rules, left_out in (
        (Rules(min_score=6), Fate.LOW_SCORE),
        (Rules(min_score=4, group=group_rule(GROUPS, RATED, 2, caps={"x": 0})), Fate.GROUP_FULL),
    ):
        choice = choose(KEYS, LONG_TAIL, 2, rules, may_be_none=True)
        assert choice.indices.tolist() == []
        assert choice.fates[4] == left_out
        assert choice.notes[-1] == ("asked for 2 rows, selected 0: the rules let no more through")


def test_groups_too_small_for_a_place_are_told() -> None:
    labels = ["a", "b", "x", "c", "c", "c"]  # c has 3 of the 5 rated rows: a and b have less than 1
    choice = choose(KEYS, LONG_TAIL, 1, Rules(group=group_rule(labels, RATED, 1)))
    assert (
        "groups: no place of its own for 2 of 4, whose share of 1 is less than a row"
        in choice.notes
    )


BAD: list[tuple[dict[str, Any], type[Ds2fastError], str]] = [
    ({"rules": Rules(min_score=6)}, InputError,
     "rules: expected some to let a rated row through, got 5 low_score"),
    ({"rules": Rules(min_score=5, excluded=excluding({1: 0, 4: 0}))}, InputError,
     "rules: expected some to let a rated row through, got 2 excluded, 3 low_score"),
    ({"rules": Rules(min_score=4, group=group_rule(GROUPS, RATED, 2, caps={"x": 0}))}, InputError,
     "rules: expected groups to have room for a rated row, got caps of 0"),
    ({"rules": Rules(max_similarity=0.9)}, InputError,
     "graph: expected one with max_similarity, got none"),
    ({"rules": Rules(max_similarity=0.9), "graph": KnnGraph.from_arrays([[1], [0]], [[0], [0]])},
     InputError, "graph: expected 6 rows, got 2"),
    ({"rules": Rules(group=group_rule(["a"] * 3, [True] * 3, 2))}, InputError,
     "group: expected a rule for 6 rows, got one for 3"),
    ({"rules": Rules(min_score=1), "count": 6}, InputError,
     "count: expected at most the number of rated rows (5), got 6"),
    ({"rules": Rules(min_score=1), "count": 0}, InputError, "count: expected at least 1, got 0"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "error", "message"), BAD)
def test_what_cannot_be_chosen_is_named(
    changed: dict[str, Any], error: type[Ds2fastError], message: str
) -> None:
    arguments: dict[str, Any] = {"keys": KEYS, "long_tail": LONG_TAIL, "count": 2} | changed
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        choose(**arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"max_similarity": 0}, InputError, "max_similarity: expected a share in (0, 1], got 0"),
        ({"max_rarity": 1.5}, InputError, "max_rarity: expected a share in (0, 1], got 1.5"),
        ({"max_rarity": "rare"}, InputTypeError, "max_rarity: expected a number, got 'rare'"),
        ({"min_score": float("nan")}, InputError, "min_score: expected a finite number, got nan"),
    ],
)
def test_limits_out_of_their_range_are_named(
    arguments: dict[str, Any], error: type[Ds2fastError], message: str
) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        Rules(**arguments)
