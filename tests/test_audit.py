"""Audits: what is drawn, what comes back from a sheet, and intervals that hold the truth."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ds2fast
from ds2fast.audit import (
    assess,
    auditable_scores,
    draw_sample,
    read_labels,
    read_sheet,
    write_gold,
    write_sheet,
)
from ds2fast.audit.draw import allot
from ds2fast.audit.intervals import Z, share_interval
from ds2fast.audit.scale import LabelScale
from ds2fast.errors import InputError, InputFileError, InputTypeError, OutputError
from ds2fast.pool import Pool

SIZES = np.array([400, 900, 3000, 8000, 6000, 1700])


def make_pool(scores: list[Any], texts: list[str] | None = None, **how: Any) -> Pool:
    texts = texts or [f"text {row}" for row in range(len(scores))]
    rows = [{"text": text, "score": score} for text, score in zip(texts, scores, strict=True)]
    return ds2fast.read(rows, **how)


def read_csv(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))


def label(path: Path, label_of: Callable[[int], Any]) -> None:
    """Fill in the label column as a spreadsheet would save it: no mark of bytes, \\n line ends."""
    head, *rows = read_csv(path)
    content = io.StringIO(newline="")
    writer = csv.writer(content, lineterminator="\n")
    writer.writerows([head, *([*row[:3], label_of(int(row[0]))] for row in rows)])
    path.write_text(content.getvalue(), "utf-8")


# Drawing


def test_draw_is_of_rated_rows_distinct_and_the_same_by_seed() -> None:
    scores = np.random.default_rng(1).integers(-1, 4, 500)
    rows = draw_sample(scores, 80, seed=3)
    assert rows.dtype == np.int64
    assert len(set(rows.tolist())) == 80
    assert (scores[rows] >= 0).all()
    assert np.array_equal(rows, draw_sample(scores, 80, seed=3))
    assert not np.array_equal(np.sort(rows), np.sort(draw_sample(scores, 80, seed=4)))


def test_each_level_gets_its_few_then_its_share() -> None:
    scores = np.repeat(np.arange(6), SIZES)
    counts = np.bincount(scores[draw_sample(scores, 100)])
    assert counts.sum() == 100
    assert counts.min() == 5  # 100 // 12 is more than 5
    # Levels 0 and 1 have shares of 2 and 4.5 rows and get 5; the others share 90 rows by size.
    assert counts[:2].tolist() == [5, 5]
    assert np.abs(counts[2:] - 90 * SIZES[2:] / SIZES[2:].sum()).max() <= 1


def test_a_level_with_fewer_rows_than_its_few_is_drawn_whole() -> None:
    scores = np.array([0] * 2 + [1] * 500 + [3] * 100 + [-1] * 50)
    drawn = scores[draw_sample(scores, 60)]
    assert (drawn == 0).sum() == 2
    assert (drawn == 2).sum() == 0
    assert len(drawn) == 60


@pytest.mark.parametrize("n", [3, 5, 6, 11, 30, 610])
def test_allotments_sum_to_n_within_bounds(n: int) -> None:
    sizes = np.array([600, 1, 9])
    shares = allot(sizes, n)
    assert shares.sum() == n
    assert ((shares >= 1) & (shares <= sizes)).all()


def test_all_rated_rows_can_be_drawn() -> None:
    scores = np.array([0, 1, -1, 1, 0, 2])
    assert sorted(draw_sample(scores, 5).tolist()) == [0, 1, 3, 4, 5]


def test_the_order_of_the_draw_tells_nothing_of_the_level() -> None:
    scores = np.repeat([0, 1], 5000)
    places = [scores[draw_sample(scores, 100, seed=seed)] for seed in range(200)]
    mean_place = np.stack([np.flatnonzero(levels == 1).mean() for levels in places])
    # The mean place of 50 of 100 has mean 49.5 and sd 29 √(1/50 · 50/99) = 2.9; of 200 draws 0.2.
    assert abs(mean_place.mean() - 49.5) < 1.0


def test_every_row_of_a_level_can_be_drawn() -> None:
    scores = np.array([0] * 20 + [1] * 20)
    seen = {row for seed in range(200) for row in draw_sample(scores, 4, seed=seed).tolist()}
    assert seen == set(range(40))  # a row is missed with probability 0.9^200


@pytest.mark.parametrize(
    ("scores", "n", "words"),
    [
        ([0, 1, -1], 3, "n: expected at most the 2 rated rows, got 3"),
        ([0, 1, 2], 2, "n: expected at least 3, one row for each level"),
        ([0, 1], 0, "n: expected at least 1"),
        ([-1, -1], 1, "expected rated rows"),
        ([[0, 1]], 1, "scores: expected shape"),
    ],
)
def test_draws_that_cannot_be_are_refused(scores: Any, n: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        draw_sample(scores, n)


def test_draw_refuses_other_types_and_negative_seeds() -> None:
    with pytest.raises(InputTypeError, match="n: expected an integer"):
        draw_sample([0, 1], 1.5)  # type: ignore[arg-type]  # the wrong type is the test
    with pytest.raises(InputError, match="seed: expected at least 0"):
        draw_sample([0, 1], 2, seed=-1)


def test_rows_without_a_text_are_not_drawn() -> None:
    pool = make_pool([1, 2, 3, None], ["a", "", "c", "d"])
    assert auditable_scores(pool).tolist() == [1, -1, 3, -1]


# Sheets


def test_a_sheet_is_blind(tmp_path: Path) -> None:
    """The same rows with other scores make the same sheet, but for the pool's mark."""
    texts = [f"text {row}" for row in range(20)]
    sheets = []
    for scores in ([1, 5] * 10, [5, 1] * 10):
        path = tmp_path / f"{scores[0]}.csv"
        write_sheet(path, make_pool(scores, texts), [3, 8, 4])
        sheets.append(read_csv(path))
    assert sheets[0][0] == ["row", "check", "text", "label (1 to 5)"]
    for one, other in zip(*sheets, strict=True):
        assert (one[0], one[2:]) == (other[0], other[2:])
        assert one[1].partition("-")[2] == other[1].partition("-")[2]
    assert [row[0] for row in sheets[0][1:]] == ["3", "8", "4"]
    assert [row[3] for row in sheets[0][1:]] == ["", "", ""]
    # The pool's mark is one for all rows: it tells the levels of none.
    assert len({row[1].partition("-")[0] for row in sheets[0][1:]}) == 1


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\n=1", "＝1"])
def test_cells_that_a_spreadsheet_would_run_are_guarded(tmp_path: Path, text: str) -> None:
    pool = make_pool([1, 2], [text, "plain = text"])
    write_sheet(tmp_path / "s.csv", pool, [0, 1])
    _, first, second = read_csv(tmp_path / "s.csv")
    assert first[2] == "'" + text
    assert second[2] == "plain = text"
    assert all(cell[:1] not in set("=+-@\t\r\n") for row in (first, second) for cell in row)
    label(tmp_path / "s.csv", lambda row: row + 1)
    assert read_labels(tmp_path / "s.csv", pool).tolist() == [1, 2]


def test_long_and_odd_texts_come_back_tied(tmp_path: Path) -> None:
    texts = ["x" * 40_000, 'a "quoted", text;\r\nof\nlines\u2028\x0b', "\ud800 lone", "naïve 漢字"]
    pool = make_pool([1, 2, 3, 4], texts)
    write_sheet(tmp_path / "s.csv", pool, [3, 0, 1, 2])
    rows = read_csv(tmp_path / "s.csv")
    assert rows[1][2] == texts[3]
    assert len(rows[2][2]) < 32_767
    assert "8000 more characters" in rows[2][2]
    assert rows[3][2] == texts[1]
    label(tmp_path / "s.csv", lambda row: row + 1)
    assert read_labels(tmp_path / "s.csv", pool).tolist() == [1, 2, 3, 4]


def test_json_lines_hold_whole_texts_and_come_back(tmp_path: Path) -> None:
    pool = make_pool([1, 5, 3], ["=a", "x" * 40_000, "c"])
    path = write_sheet(tmp_path / "s.jsonl", pool, [1, 0])
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(entry["row"], entry["text"], entry["label"]) for entry in entries] == [
        (1, "x" * 40_000, None),
        (0, "=a", None),
    ]
    entries[0]["label"] = 4
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    found = read_sheet(path, pool)
    assert found.gold.tolist() == [-1, 4, -1]
    assert (found.num_labelled, found.num_skipped, found.same_scores) == (1, 1, True)


def test_a_sheet_is_not_replaced_unless_told(tmp_path: Path) -> None:
    pool = make_pool([1, 2])
    path = write_sheet(tmp_path / "s.csv", pool, [0])
    path.write_text("half labelled")
    with pytest.raises(OutputError, match="is there already, maybe with labels in it"):
        write_sheet(path, pool, [1])
    assert path.read_text() == "half labelled"
    write_sheet(path, pool, [1], overwrite=True)
    assert read_csv(path)[1][0] == "1"
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.csv"]


def test_places_that_a_sheet_cannot_go_to_are_refused(tmp_path: Path) -> None:
    pool = make_pool([1, 2])
    (tmp_path / "dir.csv").mkdir()
    for name, words in [
        ("s.xlsx", "expected a file of .csv, .jsonl"),
        ("dir.csv", "got the directory"),
        ("none/s.csv", "cannot write"),
    ]:
        with pytest.raises(OutputError, match=words):
            write_sheet(tmp_path / name, pool, [0])
    data = tmp_path / "data.jsonl"
    data.write_text('{"text": "a", "score": 1}\n{"text": "b", "score": 2}\n')
    with pytest.raises(OutputError, match=r"the input .* would be replaced"):
        write_sheet(data, ds2fast.read(data), [0], overwrite=True)


# Labels


@pytest.fixture
def sheet(tmp_path: Path) -> tuple[Path, Pool]:
    pool = make_pool([1, 2, 3, 4, 5, None])
    return write_sheet(tmp_path / "sheet.csv", pool, [4, 0, 2]), pool


def test_blank_labels_are_skipped(sheet: tuple[Path, Pool]) -> None:
    path, pool = sheet
    label(path, lambda row: {4: " 3 ", 0: "", 2: "1.0"}[row])
    found = read_sheet(path, pool)
    assert found.gold.tolist() == [-1, -1, 1, -1, 3, -1]
    assert found.given[4] == 3.0
    assert found.num_skipped == 1


def test_what_spreadsheets_do_to_a_sheet_is_understood(sheet: tuple[Path, Pool]) -> None:
    """Sorted, `;` between cells, UTF-16, quotes, a column more, empty rows at the end."""
    path, pool = sheet
    head, *rows = read_csv(path)
    table = [[*head, "note"]]
    table += [[row[0], row[1], row[2], "2,0", "é;"] for row in sorted(rows)]
    content = io.StringIO(newline="")
    csv.writer(content, delimiter=";").writerows([*table, [""] * 5])
    for encoding in ("utf-16", "utf-8", "cp1252"):
        path.write_bytes(content.getvalue().encode(encoding))
        assert read_labels(path, pool).tolist() == [2, -1, 2, -1, 2, -1]


@pytest.mark.parametrize("bad", ["good", "6", "2.5", "-1", "nan", "inf"])
def test_a_label_off_the_scale_is_named(sheet: tuple[Path, Pool], bad: str) -> None:
    path, pool = sheet
    label(path, lambda row: bad if row == 0 else 1)
    with pytest.raises(InputError) as caught:
        read_labels(path, pool)
    message = str(caught.value)
    assert "sheet.csv, row 3 of the sheet, column 'label (1 to 5)'" in message
    assert f"(1 to 5) or nothing, got '{bad}'" in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: [*rows[:2], ["9", *rows[2][1:]], *rows[3:]], "row 3 .*'row'.*0 to 5.*'9'"),
        (lambda rows: [*rows[:2], ["1", *rows[2][1:]], *rows[3:]], "has another text than"),
        (lambda rows: [*rows[:2], ["0", "1E+16", "", "1"]], "column 'check': expected the mark"),
        (lambda rows: [*rows, rows[1]], "row 5 of the sheet: row 4 of the data stands in .*row 2"),
        (lambda rows: [["row", "check", "text"], *rows[1:]], "expected the columns"),
        (lambda rows: [], "expected the columns .* got none"),
    ],
)
def test_a_sheet_that_does_not_fit_is_refused(
    sheet: tuple[Path, Pool], change: Callable[[list[list[str]]], list[list[str]]], words: str
) -> None:
    path, pool = sheet
    label(path, lambda _: 1)
    content = io.StringIO(newline="")
    csv.writer(content).writerows(change(read_csv(path)))
    path.write_text(content.getvalue())
    with pytest.raises(InputError, match=words):
        read_labels(path, pool)


def test_files_that_are_no_labels_are_refused(sheet: tuple[Path, Pool], tmp_path: Path) -> None:
    path, pool = sheet
    with pytest.raises(InputError, match="3 rows and none is labelled"):
        read_labels(path, pool)
    with pytest.raises(InputFileError, match="cannot read"):
        read_labels(tmp_path / "none.csv", pool)
    with pytest.raises(InputError, match="expected a file of"):
        read_labels(tmp_path / "sheet.ods", pool)
    broken = tmp_path / "sheet.jsonl"
    broken.write_text('{"row": 0, "check"\n')
    with pytest.raises(InputError, match=r"sheet\.jsonl, line 1: expected one JSON object, got b"):
        read_labels(broken, pool)
    broken.write_text("[1]\n")
    with pytest.raises(InputError, match="line 1: expected one JSON object, got list"):
        read_labels(broken, pool)
    without = ds2fast.read(["a", "b"], scores=None)
    with pytest.raises(InputError, match="read without"):
        read_labels(path, without)


def test_labels_of_a_pool_rated_anew_hold_and_it_is_told(sheet: tuple[Path, Pool]) -> None:
    path, _ = sheet
    label(path, lambda _: 5)
    found = read_sheet(path, make_pool([5, 4, 3, 2, 1, None]))
    assert found.gold.tolist() == [5, -1, 5, -1, 5, -1]
    assert not found.same_scores


def test_gold_comes_back_as_it_was_written(sheet: tuple[Path, Pool], tmp_path: Path) -> None:
    path, pool = sheet
    label(path, lambda row: row + 1 if row else "")
    labels = read_sheet(path, pool)
    gold = write_gold(tmp_path / "gold.jsonl", labels, pool)
    entries = [json.loads(line) for line in gold.read_text().splitlines()]
    assert [(entry["row"], entry["label"], entry["level"]) for entry in entries] == [
        (2, 3.0, 3),
        (4, 5.0, 5),
    ]
    assert np.array_equal(read_labels(gold, pool), labels.gold)
    with pytest.raises(OutputError, match="is there already"):
        write_gold(gold, labels, pool)
    with pytest.raises(OutputError, match=r"expected a file of \.jsonl"):
        write_gold(tmp_path / "gold.csv", labels, pool)


# Scales


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([1, 2, 5], {0: 0, 1: 1, 4: 4, 5: 5, 6: None, 2.5: None, -1: None}),
        ([1, 5, 10], {1: 0, 4: 0, 5: 1, 7: 3, 9: 5, 10: 5, 11: None, 6.5: None}),
        ([4, 6, 9], {3: 0, 4: 0, 6: 2, 10: 5}),
        ([2, 7], {2: 0, 3: 1, 7: 5, 1: None, 8: None}),
        ([0.5, 1.25, 4.5], {0.5: 0, 1: 1, 1.25: 1, 4.5: 2, 4.6: None, 0.4: None}),
        ([0, 90, 100], {0: 0, 50: 1, 90: 1, 91: 2, 101: None}),
    ],
)
def test_labels_are_mapped_like_the_scores(
    scores: list[float], expected: dict[float, int | None]
) -> None:
    scale = LabelScale.of(make_pool(scores))
    assert {value: scale.level_of(value) for value in expected} == expected


def test_levels_as_they_stand_are_taken_by_num_levels() -> None:
    scale = LabelScale.of(make_pool([0, 9, 4], num_levels=11))
    assert [scale.level_of(value) for value in (3, 9, 10, 11)] == [3, 9, 10, None]


def test_given_edges_tell_the_level_of_a_label() -> None:
    pool = ds2fast.read([{"text": str(s), "score": s} for s in (0.5, 1.0, 4.0)], edges=[1.0, 2.0])
    scale = LabelScale.of(pool)
    # 1.5 lies below the edge 2, though the next higher score is of level 2; no score was above 4.
    expected = {0.5: 0, 0.0: 0, 1.0: 1, 1.5: 1, 2.0: 2, 9.0: 2, -1: None, -3.0: 0}
    assert {value: scale.level_of(value) for value in expected} == expected


def test_every_score_of_a_cut_scale_has_its_own_level() -> None:
    values = np.random.default_rng(0).normal(10.0, size=300).round(2)
    pool = make_pool(values.tolist())
    assert pool.scores is not None
    scale = LabelScale.of(pool)
    assert [scale.level_of(value) for value in values] == pool.scores.tolist()


# Results


def test_one_level_alone_has_wilsons_interval() -> None:
    for right in (0, 3, 17, 20):
        found, n = right / 20, 20
        middle = (found + Z**2 / (2 * n)) / (1 + Z**2 / n)
        half = Z / (1 + Z**2 / n) * np.sqrt(found * (1 - found) / n + Z**2 / (4 * n * n))
        bounds = share_interval(np.array([right]), np.array([n]), np.array([10**12]))
        assert np.allclose(bounds, (middle - half, middle + half), atol=1e-9)


def test_a_share_is_weighted_by_the_pool() -> None:
    scores = np.repeat([0, 1], [900, 100])
    gold = np.full(1000, -1)
    gold[:10] = [0] * 9 + [1]  # 9 of 10 given 0 are right
    gold[900:910] = [1] * 4 + [0] * 6  # 4 of 10 given 1
    found = assess(gold, scores)
    assert found.share_right == pytest.approx(0.9 * 0.9 + 0.1 * 0.4)
    assert found.bias == pytest.approx(0.9 * -0.1 + 0.1 * 0.6)
    assert found.lower < found.share_right < found.upper
    assert found.bias_lower < found.bias < found.bias_upper
    assert found.right_by_level.tolist() == [0.9, 0.4]
    assert found.bias_by_level == pytest.approx([-0.1, 0.6])
    assert found.labelled.tolist() == [10, 10]
    assert found.rated.tolist() == [900, 100]
    assert found.num_labelled == 20
    assert "right in 85.0% of the pool" in str(found)


def test_a_pool_labelled_whole_leaves_no_doubt_of_the_share() -> None:
    scores = np.array([0, 0, 1, 1, 1, -1])
    found = assess([0, 1, 1, 1, 1, 1], scores)
    assert (found.lower, found.upper) == pytest.approx((0.8, 0.8))
    assert found.bias_lower == pytest.approx(found.bias_upper)
    assert found.bias == pytest.approx(-0.2)


def test_levels_without_labels_count_like_the_nearest_and_are_named() -> None:
    scores = np.repeat([0, 1, 3], 100)
    gold = np.full(300, -1)
    gold[:4] = [0, 0, 0, 1]
    gold[200:204] = [3, 0, 0, 0]
    found = assess(gold, scores, num_levels=5)
    assert found.unseen_levels == [1]  # joined to 0, which is nearer than 3
    assert found.share_right == pytest.approx((200 * 0.75 + 100 * 0.25) / 300)
    assert np.isnan(found.right_by_level[[1, 2, 4]]).all()
    assert "no row given 1 is labelled" in str(found)


def test_labels_outside_the_given_levels_and_of_unrated_rows() -> None:
    found = assess([4, -1, 0, 2], [0, 1, 0, -1])
    assert found.num_labelled == 2
    assert len(found.rated) == 5
    assert found.right.tolist() == [1, 0, 0, 0, 0]


def test_all_right_is_no_certainty() -> None:
    scores = np.repeat(np.arange(6), SIZES)
    gold = np.full(len(scores), -1)
    rows = draw_sample(scores, 100)
    gold[rows] = scores[rows]
    found = assess(gold, scores)
    assert found.share_right == found.upper == 1.0
    assert 0.94 < found.lower < 0.98  # 1 − 3/n, the rule of three, is 0.97
    assert found.bias_lower < 0.0 < found.bias_upper


@pytest.mark.parametrize(
    ("gold", "scores", "error", "words"),
    [
        ([0, 1], [0, 1, 1], InputError, "gold: expected shape"),
        ([-1, 1], [0, -1], InputError, "gold: expected labels"),
        ([-1, -1], [0, 1], InputError, "gold: "),
        ([0.5, 1], [0, 1], InputError, "gold: expected whole numbers"),
        (["a", "b"], [0, 1], InputTypeError, "gold: "),
        ([0, 1], [-1, -1], InputError, "scores: expected rated rows"),
    ],
)
def test_labels_that_cannot_be_are_refused(
    gold: Any, scores: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        assess(gold, scores)


RATES = {
    "half": [0.5] * 6,
    "seven of ten": [0.7] * 6,
    "nine of ten": [0.9] * 6,
    "nearly all": [0.97] * 6,
    "by level": [0.2, 0.3, 0.5, 0.7, 0.6, 0.4],
    "all at the top": [0.3, 0.5, 0.9, 0.97, 1.0, 0.8],
}


@pytest.mark.parametrize("name", RATES)
def test_share_intervals_hold_the_truth_in_95_of_100_audits(name: str) -> None:
    """2 000 audits of n = 100; the share of 2 000 that hold it has a standard error of 0.005."""
    random = np.random.default_rng(0)
    correct = random.random(SIZES.sum()) < np.repeat(RATES[name], SIZES)
    in_pool = np.array([part.sum() for part in np.split(correct, SIZES.cumsum()[:-1])])
    labelled = allot(SIZES, 100)
    right = random.hypergeometric(in_pool, SIZES - in_pool, labelled, size=(2000, 6))
    shape = np.broadcast_to(labelled, right.shape), np.broadcast_to(SIZES, right.shape)
    lower, upper = share_interval(right, *shape)
    truth = correct.mean()
    held = ((lower <= truth) & (truth <= upper)).mean()
    print(f"{name}: {held:.3f} held, width {np.mean(upper - lower):.3f}")  # shown by pytest -rP
    assert 0.93 <= held <= 0.98


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.3, 0.6])
def test_bias_intervals_hold_the_truth_in_95_of_100_audits(rate: float) -> None:
    """A judge who is too kind, seen through 500 audits by the functions that users call."""
    random = np.random.default_rng(1)
    scores = np.repeat(np.arange(6), SIZES // 10)
    wrong = random.random(len(scores)) < rate
    truth = np.clip(scores - wrong * random.integers(1, 3, len(scores)), 0, 5)
    bias = (scores - truth).mean()
    held = 0
    for seed in range(500):
        rows = draw_sample(scores, 100, seed=seed)
        gold = np.full(len(scores), -1)
        gold[rows] = truth[rows]
        found = assess(gold, scores)
        held += found.bias_lower <= bias <= found.bias_upper
    print(f"{rate}: {held / 500:.3f} held")  # shown by pytest -rP; standard error 0.010
    assert 0.925 <= held / 500 <= 0.98
