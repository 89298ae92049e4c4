"""Scores, repeats and gold labels become levels together, from fields or from arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ds2fast
from ds2fast.audit import Labels
from ds2fast.errors import InputError
from ds2fast.io.read import read
from ds2fast.pool import Pool
from ds2fast.ratings import Scale, is_names, read_ratings


def make_pool(**fields: list[Any]) -> Pool:
    """Rows with these fields, read by the field `score`."""
    names = list(fields)
    rows = [
        {"text": f"row {n}", **dict(zip(names, values, strict=True))}
        for n, values in enumerate(zip(*fields.values(), strict=True))
    ]
    return read(rows)


def test_scores_alone_are_those_of_the_pool() -> None:
    pool = make_pool(score=[1, 10, 6, None])
    seen = read_ratings(pool, "score", None, None, Scale())
    assert seen.ratings.tolist() == [[0], [5], [2], [-1]]  # clip(score, 4, 9) - 4
    assert seen.num_levels == 6
    assert seen.repeats is None
    assert seen.gold is None


def test_repeats_and_gold_are_on_the_scale_of_the_scores() -> None:
    # Alone, repeats and gold up to 6 would be a scale of 0..6, and not one of 1..10.
    pool = make_pool(
        score=[1, 10, 6, 7],
        again=[5, None, 6, -1],
        more=[None, 6, 6, None],
        true=[None, 6, 5, None],
    )
    seen = read_ratings(pool, "score", ["again", "more"], "true", Scale())
    assert seen.ratings.tolist() == [[0], [5], [2], [3]]
    assert seen.repeats is not None
    assert seen.repeats.tolist() == [[1, -1], [-1, 2], [2, 2], [-1, -1]]
    assert seen.gold is not None
    assert seen.gold.tolist() == [-1, 2, 1, -1]
    assert seen.num_levels == 6


def test_arrays_and_fields_give_the_same() -> None:
    pool = make_pool(score=[3, 1, 2, 5], again=[3, None, None, 4], true=[None, 1, None, None])
    by_field = read_ratings(pool, "score", "again", "true", Scale())
    by_array = read_ratings(
        None, [3, 1, 2, 5], [3, np.nan, np.nan, 4], [None, 1, None, None], Scale()
    )
    for one in (by_field, by_array):
        assert one.ratings.tolist() == [[3], [1], [2], [5]]
        assert one.repeats is not None
        assert one.repeats.tolist() == [[3], [-1], [-1], [4]]
        assert one.gold is not None
        assert one.gold.tolist() == [-1, 1, -1, -1]
        assert one.num_levels == 6


def test_a_level_that_only_gold_has_counts() -> None:
    seen = read_ratings(None, [0, 1, 2, 0], None, [-1, -1, -1, 4], Scale())
    assert seen.num_levels == 5


def test_a_pool_read_with_num_levels_keeps_them() -> None:
    rows = [{"text": str(score), "score": score, "true": 9} for score in (1, 9, 4)]
    pool = read(rows, num_levels=12)
    seen = read_ratings(pool, "score", None, "true", Scale())
    assert seen.ratings.tolist() == [[1], [9], [4]]
    assert seen.num_levels == 12
    assert seen.gold is not None
    assert seen.gold.tolist() == [9, 9, 9]


def test_gold_and_repeats_are_cut_where_the_scores_are() -> None:
    rows = [
        {"text": str(score), "score": score, "again": again, "true": true}
        for score, again, true in [(0.5, 1.0, None), (1.0, None, 7.5), (2.5, 0.9, -4.0)]
    ]
    edges = np.array([1.0, 2.0])
    pool = read(rows, edges=edges)
    for seen in (
        read_ratings(pool, "score", "again", "true", Scale()),
        read_ratings(read(rows, edges=edges), "score", "again", "true", Scale(edges=edges)),
        read_ratings(pool, "score", "again", "true", Scale(num_levels=3)),
        read_ratings(
            None, [0.5, 1.0, 2.5], [1.0, None, 0.9], [None, 7.5, -4.0], Scale(edges=edges)
        ),
    ):
        assert seen.ratings.tolist() == [[0], [1], [2]]
        assert seen.num_levels == 3
        assert seen.repeats is not None
        assert seen.repeats.tolist() == [[1], [-1], [0]]
        assert seen.gold is not None
        assert seen.gold.tolist() == [-1, 2, 0]


def test_several_raters_are_several_columns_on_one_scale() -> None:
    pool = make_pool(score=[1, 2, 3, 4], b=[10, 4, None, 6], c=[5, 5, 5, -1])
    seen = read_ratings(pool, ["score", "b", "c"], None, None, Scale())
    assert seen.ratings.tolist() == [[0, 5, 1], [0, 0, 1], [0, -1, 1], [0, 2, -1]]
    assert seen.num_levels == 6
    table = np.array([[1, 10, 5], [2, 4, 5], [3, np.nan, 5], [4, 6, -1]])
    for where in (None, pool):
        beside = read_ratings(where, table, None, None, Scale())
        assert beside.ratings.tolist() == seen.ratings.tolist()


def test_raters_of_unlike_scales_are_refused() -> None:
    up_to = np.arange(200)
    table = np.stack([up_to % 6, up_to % 11], axis=1).astype(float)
    said = r"scores: expected raters on one scale, got column 0 up to 5, column 1 up to 10"
    with pytest.raises(InputError, match=said):
        read_ratings(None, table, None, None, Scale())
    near = np.stack([up_to % 9, up_to % 11], axis=1).astype(float)
    assert read_ratings(None, near, None, None, Scale()).num_levels == 6


def test_repeats_beyond_the_scale_are_refused() -> None:
    scores = np.arange(12) % 6
    with pytest.raises(InputError, match=r"repeats: expected values on the scale of the scores"):
        read_ratings(None, scores, np.full(12, 7), None, Scale())


def test_a_name_is_no_list_of_names() -> None:
    assert is_names(["a", "b"])
    assert is_names(("a",))
    for value in ("ab", [], [1, 2], None, np.array([1.0])):
        assert not is_names(value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"repeats": "nowhere"}, "column: expected a field of the rows, got 'nowhere'"),
        ({"gold": "nowhere"}, "column: expected a field of the rows, got 'nowhere'"),
        ({"scores": ["score", "nowhere"]}, "got 'nowhere'"),
        ({"repeats": [1, 2, 3]}, r"repeats: expected one row a score \(4\), got \(3, 1\)"),
        ({"gold": [1, 2, 3]}, r"gold: expected one row a score \(4\), got \(3, 1\)"),
        ({"gold": ["score", "again"]}, r"gold: expected one true score a row, got .*\(4, 2\)"),
        ({"gold": "word"}, "gold: expected a number"),
        ({"repeats": "word"}, "repeats: expected a number"),
        ({"repeats": np.zeros((4, 1, 1))}, r"repeats: expected shape \(N,\) or \(N, M\), got"),
        ({"scores": np.zeros((3, 2))}, r"scores: expected one score a row \(4\), got 3"),
        ({"num_levels": 3}, r"num_levels: expected that of the pool \(6"),
    ],
)
def test_what_cannot_be_read_is_named(arguments: dict[str, Any], message: str) -> None:
    pool = make_pool(score=[3, 1, 2, 5], again=[3, None, None, 4], word=["a", "b", "c", "d"])
    scale = Scale(arguments.pop("num_levels", None))
    given = {"scores": "score", "repeats": None, "gold": None, "scale": scale, **arguments}
    with pytest.raises(InputError, match=message):
        read_ratings(pool, **given)


def test_what_would_change_the_scale_of_the_scores_is_refused() -> None:
    # A 9 makes it the paper's scale of 1..10, in which 0, 1 and 2 are one level.
    message = r"gold: expected values on the scale of the scores \(.*\), got others"
    with pytest.raises(InputError, match=message):
        read_ratings(None, [0, 1, 2, 0], None, [-1, -1, -1, 9], Scale())
    # Of 7..12 the level is score - 7; with a 6 it would be score - 6.
    with pytest.raises(InputError, match="repeats and gold: expected values on the scale"):
        read_ratings(None, [7, 8, 12, 7], [6, -1, -1, -1], [-1, -1, -1, 12], Scale())


def test_labels_of_an_audit_are_gold_as_they_were_written() -> None:
    pool = make_pool(score=[4, 10, 6, 8])
    written = np.array([np.nan, 9.0, np.nan, 6.0])
    labels = Labels(np.array([-1, 5, -1, 2]), written, num_skipped=0, same_scores=True)
    seen = read_ratings(pool, "score", None, labels, Scale())
    assert seen.gold is not None
    assert seen.gold.tolist() == [-1, 5, -1, 2]


def test_names_need_rows() -> None:
    for name in ("repeats", "gold"):
        given: dict[str, Any] = {"repeats": None, "gold": None, name: "field"}
        message = f"{name}: expected an array where there are no rows, got \\['field'\\]"
        with pytest.raises(InputError, match=message):
            read_ratings(None, [0, 1, 2, 3], **given, scale=Scale())
    with pytest.raises(InputError, match="data: expected rows, a path or a Pool"):
        read_ratings(None, "score", None, None, Scale())


def test_a_pool_without_scores_has_none() -> None:
    pool = read(["one", "two"], scores=None)
    with pytest.raises(InputError, match="data: expected a pool with scores"):
        read_ratings(pool, "score", None, None, Scale())


def test_raters_by_name_through_select() -> None:
    generator = np.random.default_rng(0)
    level = np.repeat(generator.integers(0, 4, 20), 15)
    rows = np.repeat(generator.normal(size=(20, 8)), 15, axis=0)
    rows = rows + 0.2 * generator.normal(size=rows.shape)
    noisy = [np.where(generator.random(300) < 0.2, generator.integers(0, 4, 300), level)
             for _ in range(3)]  # fmt: skip
    fields = [{"text": f"row {n}", "a": int(a), "b": int(b), "c": int(c)}
              for n, (a, b, c) in enumerate(zip(*noisy, strict=True))]  # fmt: skip
    by_name = ds2fast.select(fields, scores=["a", "b", "c"], embeddings=rows, n=60)
    by_table = ds2fast.select(scores=np.stack(noisy, axis=1), embeddings=rows, n=60)
    assert by_name.indices.tolist() == by_table.indices.tolist()
    assert by_name.settings["raters"] == by_table.settings["raters"] == 3
    assert (by_name.settings["scores_given"], by_table.settings["scores_given"]) == (True, True)
