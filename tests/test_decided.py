"""What decided a selection: counted by hand, and against plain loops."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2fast.decided import average_ranks, decide, find_sources, rank_correlation
from ds2fast.errors import InputError
from ds2fast.selection import dual_sort

# Eight rated rows and an unrated one; four are selected.
#   as given (score, then rarity): 0, 2, 1, 3   by the keys: 0, 5, 2, 1 or 3 (rarity: 3 is rarer)
GIVEN = [5, 4, 4, 3, 2, 1, 0, 0, -1]
KEYS = [4.8, 3.0, 3.5, 3.0, 1.0, 4.0, 0.5, 0.25, np.nan]
RARITY = [0.1, 0.1, 0.2, 0.3, 0.1, 0.1, 0.1, 0.9, 0.9]


def test_every_selected_row_counts_once() -> None:
    indices = dual_sort(KEYS, RARITY, 4)
    assert indices.tolist() == [0, 5, 2, 3]
    decided = decide(indices, GIVEN, KEYS, RARITY)
    # 5 is in by correction (given 1), 3 by rarity (1 has its key and is left out), 0 and 2 by score
    assert (decided.by_score, decided.by_correction, decided.by_rarity) == (2, 1, 1)
    assert (decided.selected, decided.overlap_given) == (4, 0.75)
    assert decided.length_correlation is None
    assert str(decided) == (
        "of 4 selected rows 2 were decided by score, 1 by correction, 1 by rarity; "
        "75.0% would be selected by the scores as given too"
    )


def test_correction_comes_before_rarity() -> None:
    # Row 2, given 0, shares its key with row 1, which is left out; as given it would not be in.
    decided = decide([0, 2], [5, 4, 0], [5, 4, 4], [0.0, 0.1, 0.2])
    assert (decided.by_score, decided.by_correction, decided.by_rarity) == (1, 1, 0)


def test_a_level_taken_whole_is_decided_by_score() -> None:
    decided = decide([0, 1, 2], [5, 4, 4, 3], [5, 4, 4, 3], [0.0, 0.1, 0.2, 0.3])
    assert (decided.by_score, decided.by_correction, decided.by_rarity) == (3, 0, 0)
    assert decided.overlap_given == 1.0


def test_ties_of_given_score_and_rarity_go_to_the_smaller_index() -> None:
    assert decide([0], [4, 4], [4, 4], [0.5, 0.5]).by_rarity == 1
    assert decide([1], [4, 4], [4, 5], [0.5, 0.5]).by_correction == 1


def test_real_scores_rank_the_pool_as_given() -> None:
    given = [1, 1, 0]
    decided = decide([0], given, [1, 0.5, 0], [0.1, 0.9, 0.1])
    assert decided.by_correction == 1  # of two equal levels the rarer one would be first
    values = [-0.25, -0.5, -3.0]
    decided = decide([0], given, [1, 0.5, 0], [0.1, 0.9, 0.1], values=values)
    assert (decided.by_score, decided.by_correction) == (1, 0)


@given(st.data())
@settings(deadline=None)
def test_counts_of_any_selection(data: st.DataObject) -> None:
    num_rows = data.draw(st.integers(2, 30))
    levels = st.lists(st.integers(0, 3), min_size=num_rows, max_size=num_rows)
    scores, keys, rarity = (data.draw(levels) for _ in range(3))
    count = data.draw(st.integers(1, num_rows))
    indices = dual_sort(keys, rarity, count)
    decided = decide(indices, scores, keys, rarity)
    given_first = sorted(range(num_rows), key=lambda row: (-scores[row], -rarity[row], row))
    as_given = set(given_first[:count])
    last = keys[indices[-1]]
    left_out = [row for row in range(num_rows) if keys[row] == last and row not in set(indices)]
    correction = [row for row in indices if row not in as_given]
    rarest = [row for row in indices if row in as_given and keys[row] == last and left_out]
    assert (decided.by_correction, decided.by_rarity) == (len(correction), len(rarest))
    assert decided.by_score + decided.by_correction + decided.by_rarity == count


def test_ranks_of_ties_by_hand() -> None:
    assert average_ranks([3, 1, 3, 2, 3]).tolist() == [4, 1, 4, 2, 4]
    assert average_ranks([]).tolist() == []


def test_rank_correlation_by_hand() -> None:
    # Ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4: deviations -1.5, 0, 0, 1.5 and -1.5, .5, -.5, 1.5;
    # their products sum to 4.5, squares to 4.5 and 5: 4.5 / sqrt(22.5) = 3 / sqrt(10).
    found = rank_correlation([10, 20, 20, 90], [1, 7, 5, 8])
    assert found == pytest.approx(3 / np.sqrt(10), rel=1e-15)
    assert rank_correlation([1, 2, 3], [-1, -10, -100]) == -1.0
    assert rank_correlation([1, 2, 3], [4, 4, 4]) is None
    assert rank_correlation([], []) is None
    with pytest.raises(InputError, match="second: expected as many values"):
        rank_correlation([1, 2], [1])


def test_length_is_correlated_over_the_rated_rows() -> None:
    lengths = [80, 70, 60, 50, 40, 30, 20, 10, 9999]
    decided = decide([0], GIVEN, KEYS, RARITY, lengths=lengths)
    # Given 5 4 4 3 2 1 0 0 has ranks 8 6.5 6.5 5 4 3 1.5 1.5 to lengths' 8 7 6 5 4 3 2 1:
    # squares of the first sum to 42 - 2 * 0.5 = 41, of the second to 42, their products to 41.
    assert decided.length_correlation == pytest.approx(np.sqrt(41 / 42), rel=1e-14)
    # Keys' ranks 8 4.5 6 4.5 3 7 2 1: products with the lengths' less 8 * 4.5**2 = 162 are
    # 64 + 31.5 + 36 + 22.5 + 12 + 21 + 4 + 1 - 162 = 30; squares 42 - 0.5 and 42.
    expected = 30 / np.sqrt(41.5 * 42)
    assert decided.length_correlation_ranking == pytest.approx(expected, rel=1e-14)
    assert str(decided).splitlines()[1] == (
        "rank correlation with text length: 0.99 for the scores as given, 0.72 for the ranking"
    )
    constant = decide([0], GIVEN, KEYS, RARITY, lengths=[5] * 9)
    assert constant.length_correlation is None
    assert "length" not in str(constant)


def test_sources_by_hand() -> None:
    groups = ["a", "b", "a", None, "b", "a", "a", "b", "c"]
    sources = find_sources(groups, GIVEN, KEYS, [0, 5, 4])
    assert [source.name for source in sources] == ["a", "b", "c", "none given"]
    figures = [(s.rows, s.rated, s.selected, s.mean_given, s.mean_key) for s in sources]
    assert figures == [
        (4, 4, 2, 2.5, (4.8 + 3.5 + 4.0 + 0.5) / 4),
        (3, 3, 1, 2.0, (3.0 + 1.0 + 0.25) / 3),
        (1, 0, 0, None, None),
        (1, 1, 0, 3.0, 3.0),
    ]
    assert all(source.transition_matrix is None for source in sources)
    decided = decide([0, 5, 4], GIVEN, KEYS, RARITY, groups=np.array(groups, dtype=object))
    lines = str(decided).splitlines()
    assert lines[1].startswith("by source: rows, selected, mean score as given, mean it ranks by")
    assert lines[2].split() == ["a", "4", "2", "2.50", "3.20"]
    assert lines[4].split() == ["c", "1", "0", "none", "none"]


def test_many_sources_are_counted() -> None:
    rows = np.arange(40)
    decided = decide([39, 38], rows % 3, rows, rows, groups=rows // 2)
    lines = str(decided).splitlines()
    assert len(lines) == 2 + 12 + 1
    assert lines[-1] == "  and 8 more with 16 rows, 0 of them selected"  # names in word order


def test_matrix_of_a_source_against_loops() -> None:
    rng = np.random.default_rng(3)
    given = rng.integers(-1, 3, 2000)
    groups = rng.choice(["many", "few"], 2000, p=[0.8, 0.2])
    posterior = rng.dirichlet([1.0, 0.5, 2.0], 2000)
    posterior[given < 0] = np.nan  # says nothing
    many, few = find_sources(groups, given, given.astype(float), posterior=posterior)
    counts = np.zeros((3, 3))
    for row in range(2000):
        if groups[row] == "many" and given[row] >= 0:
            counts[:, given[row]] += posterior[row]
    assert many.transition_matrix is not None
    expected = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(many.transition_matrix, expected, rtol=1e-12)
    assert few.rated < 500
    assert few.transition_matrix is None


def test_a_level_without_mass_is_nan_and_null_in_the_record() -> None:
    given = np.tile([0, 1], 250)
    posterior = np.zeros((500, 3))
    posterior[np.arange(500), given] = 1.0
    decided = decide([1], given, given, np.zeros(500), groups=["x"] * 500, posterior=posterior)
    matrix = decided.sources[0].transition_matrix
    np.testing.assert_array_equal(matrix, [[1, 0, 0], [0, 1, 0], [np.nan] * 3])
    record = json.loads(json.dumps(decided.record(), allow_nan=False))
    assert record["sources"][0]["transition_matrix"][2] == [None] * 3
    assert record["by_rarity"] == 1
    assert "1.00 1.00 nan" in str(decided)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"indices": []}, r"indices: expected row numbers in \[0, 3\)"),
        ({"indices": [3]}, r"indices: expected row numbers in \[0, 3\)"),
        ({"indices": [0.0]}, r"indices: expected row numbers in \[0, 3\)"),
        ({"indices": [0, 0]}, "indices: expected different rated rows"),
        ({"indices": [2]}, "indices: expected different rated rows"),
        ({"keys": [1, 2]}, "keys: expected one value a row"),
        ({"long_tail": [1, 2]}, "long_tail: expected one value a row"),
        ({"lengths": [1, 2]}, "lengths: expected one value a row"),
        ({"values": [1, 2]}, "values: expected one value a row"),
        ({"groups": ["a"]}, r"groups: expected one label a row \(3\), got 1"),
        (
            {"groups": ["a", "b", "c"], "posterior": np.ones((3, 5))},
            r"posterior: expected shape \(3, K\) with K above 5, got \(3, 5\)",
        ),
    ],
)
def test_arrays_that_do_not_fit(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "indices": [0],
        "given": [5, 4, -1],
        "keys": [5.0, 4.0, 0.0],
        "long_tail": [0.0, 0.0, 0.0],
    }
    with pytest.raises(InputError, match=message):
        decide(**{**arguments, **change})
