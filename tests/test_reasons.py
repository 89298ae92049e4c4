"""Why each row is where it is: every fate in words, and whose scores corrected a row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ds2fast.choice import Choice, Fate, Rules
from ds2fast.exclusion import Exclusion, Repeats
from ds2fast.given import Given
from ds2fast.graph import KnnGraph
from ds2fast.groups import GroupRule
from ds2fast.outcome import Selection
from ds2fast.reasons import fate_names, fates_of, reasons_of, supporters
from ds2fast.results import Curation, IntArray
from ds2fast.sharing import independent_neighbours
from planted import plant


def make_curation(
    given: list[int], curated: list[int], *, method: str = "simifeat", k: int = 10
) -> Curation:
    changed = np.array(given) != np.array(curated)
    return Curation(
        scores=np.array(curated),
        misrated=changed,
        suggested=np.array(curated),
        confidence=np.where(changed, 0.834, 0.0),
        error_probability=np.full(len(given), 0.5),
        method=method,
        min_confidence=0.5,
        k=k,
        rounds=51,
        seed=0,
    )


def ring(count: int, width: int = 3) -> KnnGraph:
    """Row i has i + 1, i + 2, ... as its neighbours, nearest first."""
    ids = (np.arange(count)[:, None] + np.arange(1, width + 1)) % count
    similarities = np.tile(np.linspace(0.9, 0.5, width), (count, 1))
    return KnnGraph.from_arrays(ids, similarities)


def make_selection(
    scores: list[int], keys: list[float], indices: list[int], **more: Any
) -> Selection:
    return Selection(
        indices=np.array(indices),
        given_scores=np.array(scores),
        keys=np.array(keys),
        long_tail=np.linspace(0.9, 0.1, len(scores), dtype=np.float32),
        transition=None,
        **{"graph": ring(len(scores)), "curation": make_curation(scores, scores)} | more,
    )


# --- fates ---------------------------------------------------------------------------------------


def test_by_the_order_alone() -> None:
    selection = make_selection([3, 2, 2, 2, 1, -1], [3, 2, 2, 2, 1, -1], [0, 1])
    assert reasons_of(selection) == [
        "selected at rank 0",
        "selected at rank 1, among the rarest 1 of 3",
        "left out: not rare enough",
        "left out: not rare enough",
        "below the cut",
        "unrated",
    ]
    assert fate_names(selection) == ["selected"] * 2 + ["below"] * 3 + ["unrated"]


def test_where_all_of_a_level_are_in_rarity_is_not_named() -> None:
    selection = make_selection([3, 2, 2, 1], [3, 2, 2, 1], [0, 2, 1])
    assert reasons_of(selection)[:3] == [f"selected at rank {rank}" for rank in (0, 2, 1)]


def test_every_fate_in_words() -> None:
    fates = np.array(list(Fate), dtype=np.int8)
    fates = np.append(fates, Fate.EXCLUDED).astype(np.int8)
    count = len(fates)
    because, cosine = np.full(count, -1), np.full(count, np.nan, np.float32)
    because[Fate.DUPLICATE], cosine[Fate.DUPLICATE] = 0, 0.984
    because[Fate.EXCLUDED], because[-1] = 3, 5
    how = np.zeros(count, np.int8)
    how[Fate.EXCLUDED], how[-1] = Repeats.NGRAM, Repeats.SIMILARITY
    nearest = np.linspace(0.5, 0.93, count, dtype=np.float32)
    rules = Rules(
        group=GroupRule(np.arange(count) % 2, ("code" + "s" * 90, "chat's")),
        max_similarity=0.95,
        min_score=1.5,
        max_rarity=0.99,
        excluded=Exclusion(fates == Fate.EXCLUDED, because, how, "eval.jsonl", 9, nearest),
    )
    keys = [4.0] * count
    keys[Fate.LOW_SCORE], keys[Fate.UNRATED] = 1.25, -1.0
    selection = make_selection(
        [-1 if fate == Fate.UNRATED else 4 for fate in fates], keys, [0],
        rules=rules, choice=Choice(np.array([0]), fates, because, cosine, asked=3),
    )  # fmt: skip
    expected = {
        Fate.SELECTED: "selected at rank 0",
        Fate.BELOW: "below the cut",  # each group has a cut of its own
        Fate.UNRATED: "unrated",
        Fate.EXCLUDED: "repeats row 3 of eval.jsonl (a run of words)",
        Fate.LOW_SCORE: "left out: ranks by 1.25, below min_score 1.5",
        Fate.TOO_RARE: "left out: rarer than 0.99 of the rated rows (max_rarity)",
        Fate.GROUP_FULL: "left out: its group 'code" + "s" * 75 + "…' is full",
        Fate.DUPLICATE: "duplicate of row 0 (similarity 0.98)",
    }
    assert set(expected) == set(Fate)
    reasons = reasons_of(selection)
    assert reasons[:-1] == [expected[fate] for fate in Fate]
    assert reasons[-1] == "repeats row 5 of eval.jsonl (similarity 0.93)"
    assert fates_of(selection).tolist() == fates.tolist()
    assert fate_names(selection)[:-1] == [fate.name.lower() for fate in Fate]


def test_rarity_is_said_to_choose_only_among_rows_that_the_rules_left() -> None:
    fates = np.array([Fate.SELECTED, Fate.SELECTED, Fate.DUPLICATE, Fate.BELOW], np.int8)
    because = np.array([-1, -1, 1, -1])
    cosine = np.array([np.nan, np.nan, 1.0, np.nan], np.float32)
    selection = make_selection(
        [3, 2, 2, 2], [3, 2, 2, 2], [0, 1], rules=Rules(max_similarity=1.0),
        choice=Choice(np.array([0, 1]), fates, because, cosine, asked=2),
    )  # fmt: skip
    assert reasons_of(selection) == [
        "selected at rank 0",
        "selected at rank 1, among the rarest 1 of 2",  # rows 1 and 3
        "duplicate of row 1 (similarity 1.00)",
        "left out: not rare enough",
    ]


# --- corrections ---------------------------------------------------------------------------------


def corrected(given: list[int], new: int, **more: Any) -> str:
    """The reason of row 0, corrected to `new`; its neighbours are rows 1, 2, ... in this order."""
    curated = [new, *given[1:]]
    width = len(given) - 1
    selection = make_selection(
        given, [float(score) for score in curated], [0],
        graph=ring(len(given), width), curation=make_curation(given, curated, **more),
    )  # fmt: skip
    return reasons_of(selection)[0].split("; ")[1]


def test_neighbours_of_the_new_score_come_first_and_nearest_first() -> None:
    assert corrected([1, 4, 0, 3, 4, 4, 4], 4) == (
        "corrected 1 to 4 (confidence 0.83) because of rows 1, 4, 5"
    )
    # Only one was given a 4; then a 3 and a 5, equally near, come by nearness.
    assert corrected([1, 2, 5, 4, 3], 4).endswith("because of rows 3, 2, 4")


def test_only_neighbours_that_speak_for_it_are_named() -> None:
    assert corrected([1, -1, 1, 4, 0], 4).endswith("(confidence 0.83) because of row 3")
    assert corrected([1, -1, 1, 1, 0], 4) == "corrected 1 to 4 (confidence 0.83)"
    # As far from the new score as the row's own: that says nothing.
    assert corrected([1, 3, 1, 1, 2], 2).endswith("because of row 4")


def test_simifeat_hears_one_neighbour_less_than_k() -> None:
    assert corrected([1, 0, 4, 4, 4], 4, k=3).endswith("because of row 2")


def test_a_gold_label_is_the_cause_where_it_is_known() -> None:
    given, curated = [1, 4, 4, 4], [4, 4, 4, 4]
    selection = make_selection(
        given, [4.0] * 4, [0], curation=make_curation(given, curated),
        given=Given(np.array(given)[:, None], 5, gold=np.array([4, -1, -1, -1])),
    )  # fmt: skip
    assert reasons_of(selection)[0].endswith(
        "; corrected 1 to 4 (confidence 0.83) because of its gold label"
    )


def naive_supporters(
    voters: IntArray, given: IntArray, new: IntArray, rows: IntArray
) -> list[list[int]]:
    """The same by plain sorting."""
    found = []
    for row in rows.tolist():
        own = abs(int(given[row] - new[row]))
        heard = [
            (abs(int(given[other] - new[row])), place, other)
            for place, other in enumerate(voters[row].tolist())
            if other >= 0 and given[other] >= 0 and abs(int(given[other] - new[row])) < own
        ]
        named = [other for _, _, other in sorted(heard)][:3]
        found.append(named + [-1] * (3 - len(named)))
    return found


@pytest.mark.parametrize("method", ["simifeat", "posterior"])
def test_against_plain_sorting(method: str) -> None:
    pool = plant(600)
    generator = np.random.default_rng(1)
    given = np.where(generator.random(600) < 0.2, -1, pool.scores)
    new = np.where(given < 0, -1, generator.integers(0, 4, 600))
    selection = make_selection(
        given.tolist(), new.astype(float).tolist(), [0], graph=pool.graph,
        curation=make_curation(given.tolist(), new.tolist(), method=method),
    )  # fmt: skip
    rows = np.flatnonzero(given != new)
    heard = pool.graph.indices[:, :9]  # k is 10
    if method == "posterior":
        heard = independent_neighbours(given, pool.graph, 1, 10).ids
    expected = naive_supporters(heard.astype(np.int64), given, new, rows)
    assert supporters(selection, rows).tolist() == expected
    assert any(-1 in named for named in expected)
    assert any(-1 not in named for named in expected)


def test_copies_of_a_row_speak_once() -> None:
    """Neighbours 1 and 2 are equal, so the second says nothing that the first has not said."""
    similarities = np.array(
        [[0.9, 0.9, 0.5], [1.0, 0.9, 0.4], [1.0, 0.9, 0.4], [0.5, 0.4, 0.4]], np.float32
    )
    graph = KnnGraph.from_arrays([[1, 2, 3], [2, 0, 3], [1, 0, 3], [0, 1, 2]], similarities)
    given = [0, 3, 3, 3]
    selection = make_selection(
        given, [3.0] * 4, [0], graph=graph,
        curation=make_curation(given, [3, 3, 3, 3], method="posterior", k=3),
    )  # fmt: skip
    assert supporters(selection, np.array([0])).tolist() == [[1, 3, -1]]
