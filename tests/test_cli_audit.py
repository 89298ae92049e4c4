"""`ds2fast audit` as a user runs it: a sheet, labels, what is printed and what is refused."""

from __future__ import annotations

import csv
import io
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ds2fast_cli.commands import program
from waiting import PATIENCE

SECRET = "nobody prints this"


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(program, ["audit", *map(str, arguments)])


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """200 rows scored 1 to 5, every fifth of them a point too high, and one unrated."""
    rows = [{"text": f"{SECRET} {i}", "score": 1 + i % 5} for i in range(200)]
    path = tmp_path / "my pool.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"text": "unrated"}]))
    return path


def true_score(row: int) -> int:
    return max(1, 1 + row % 5 - (row % 25 >= 20))


def fill_in(sheet: Path, blank: int = 0) -> None:
    head, *rows = csv.reader(io.StringIO(sheet.read_text("utf-8-sig"), newline=""))
    content = io.StringIO(newline="")
    labels = ["" if i < blank else true_score(int(row[0])) for i, row in enumerate(rows)]
    csv.writer(content).writerow(head)
    csv.writer(content).writerows(
        [*row[:3], label] for row, label in zip(rows, labels, strict=True)
    )
    sheet.write_text(content.getvalue())


def test_from_a_pool_to_gold_by_the_commands_that_are_printed(pool: Path, tmp_path: Path) -> None:
    sheet, gold = tmp_path / "sheet.csv", tmp_path / "gold.jsonl"
    drawn = run(pool, "-n", 60, "-o", sheet)
    assert drawn.exit_code == 0, drawn.stderr
    assert drawn.stdout == ""
    assert "60 rows written to" in drawn.stderr
    assert "1 to 5 as in the data" in drawn.stderr
    assert "scores 1..5 taken as they are" in drawn.stderr
    following = shlex.split(drawn.stderr.splitlines()[-1].removeprefix("next: "))
    assert following[:5] == ["ds2fast", "audit", str(pool), "--labels", str(sheet)]
    assert {entry.name for entry in tmp_path.iterdir()} == {"my pool.jsonl", "sheet.csv"}

    fill_in(sheet, blank=3)
    found = run(*following[2:5], "--gold-out", gold)
    assert found.exit_code == 0, found.stderr
    assert "57 rows labelled: the given score is right in" in found.stdout
    assert "rows of the sheet without a label: 3" in found.stderr
    following = shlex.split(found.stderr.splitlines()[-1].removeprefix("next: "))
    assert following[:5] == ["ds2fast", "select", str(pool), "--gold", str(gold)]
    entries = [json.loads(line) for line in gold.read_text().splitlines()]
    assert len(entries) == 57
    assert all(entry["level"] == true_score(entry["row"]) for entry in entries)
    assert SECRET not in drawn.output + found.output


def test_all_rows_labelled_give_the_true_share_as_json(pool: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    assert run(pool, "-n", 200, "-o", sheet, "-q").stderr == ""
    fill_in(sheet)
    result = run(pool, "--labels", sheet, "--json", "-q")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    found = json.loads(result.stdout)
    right = sum(true_score(row) == 1 + row % 5 for row in range(200)) / 200
    assert found["audit"]["share_right"] == pytest.approx(right)
    assert found["audit"]["lower"] == pytest.approx(found["audit"]["upper"])
    assert found["audit"]["labelled"] == [0, 40, 40, 40, 40, 40]
    assert (found["labelled"], found["skipped"], found["same_scores"]) == (200, 0, True)


def test_how_the_data_are_read_goes_on_to_the_next_command(tmp_path: Path) -> None:
    pool = tmp_path / "p.jsonl"
    rows = [{"q": f"text {i}", "judge": i % 3} for i in range(30)]
    pool.write_text("".join(json.dumps(row) + "\n" for row in rows))
    how = ("--scores", "judge", "--text", "q", "--num-levels", "4")
    result = run(pool, "-n", 9, "-o", tmp_path / "s.jsonl", *how)
    assert result.exit_code == 0, result.stderr
    assert shlex.join(how) in result.stderr.splitlines()[-1]


def test_labels_are_never_lost(pool: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    run(pool, "-n", 20, "-o", sheet)
    fill_in(sheet)
    labelled = sheet.read_bytes()
    again = run(pool, "-n", 20, "-o", sheet)
    assert again.exit_code == 2
    assert "is there already, maybe with labels in it" in again.stderr
    assert "--overwrite" in again.stderr
    assert sheet.read_bytes() == labelled
    assert run(pool, "-n", 20, "-o", sheet, "--overwrite").exit_code == 0
    assert sheet.read_bytes() != labelled


def test_gold_replaces_neither_sheet_nor_pool(pool: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.jsonl"
    run(pool, "-n", 20, "-o", sheet)
    before = sheet.read_bytes(), pool.read_bytes()
    for place in (sheet, pool):
        result = run(pool, "--labels", sheet, "--gold-out", place, "--overwrite")
        assert result.exit_code == 2
        assert "would be replaced" in result.stderr
    assert (sheet.read_bytes(), pool.read_bytes()) == before


def test_the_seed_decides_the_rows(pool: Path, tmp_path: Path) -> None:
    for name, seed in (("a.csv", 1), ("b.csv", 1), ("c.csv", 2)):
        assert run(pool, "-n", 20, "-o", tmp_path / name, "--seed", seed).exit_code == 0
    a, b, c = ((tmp_path / f"{name}.csv").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_a_pool_rated_anew_is_told_of_also_in_quiet(pool: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    run(pool, "-n", 20, "-o", sheet)
    fill_in(sheet)
    rows = [json.loads(line) for line in pool.read_text().splitlines()]
    rows[0]["score"] = 5
    pool.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run(pool, "--labels", sheet, "-q")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.startswith("WARNING: the sheet was drawn by other scores")


def test_a_wrong_label_is_told_by_row_and_column(pool: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    run(pool, "-n", 20, "-o", sheet)
    fill_in(sheet)
    lines = sheet.read_text().splitlines()
    lines[7] = lines[7].rpartition(",")[0] + ",great"
    sheet.write_text("\n".join(lines))
    result = run(pool, "--labels", sheet)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        f"error: {sheet}, row 8 of the sheet, column 'label (1 to 5)': expected a score as the "
        "data have them (1 to 5) or nothing, got 'great'"
    )
    assert SECRET not in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "expected -o to draw a sheet, or --labels to read one"),
        (("-o", "s.csv", "--labels", "l.csv"), "expected -o to draw a sheet, or --labels"),
        (("--labels", "l.csv", "-n", 5), "-n has no effect beside --labels"),
        (("--labels", "l.csv", "--seed", 5), "--seed has no effect beside --labels"),
        (("--labels", "l.csv", "--overwrite"), "--overwrite has no effect without"),
        (("-o", "s.csv", "--gold-out", "g.jsonl"), "--gold-out has no effect beside -o"),
        (("-o", "s.csv", "--json"), "--json has no effect beside -o"),
        (("-o", "s.xlsx"), "expected a file of .csv, .jsonl"),
        (("-o", "s.csv", "-n", 201), "n: expected at most the 200 rated rows, got 201"),
        (("-o", "s.csv", "-n", 4), "n: expected at least 5"),
        (("--labels", "none.csv"), "labels: cannot read none.csv"),
    ],
)
def test_wrong_use_is_told(
    pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Any, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(pool, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == [pool.name]


def test_help_comes_without_numpy() -> None:
    code = (
        "import sys; from ds2fast_cli.commands import program\n"
        "try: program(['audit', '--help'])\n"
        "finally: assert 'numpy' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "  ds2fast audit data.jsonl -n 100 -o sheet.csv\n" in done.stdout


def test_edges_of_real_scores_go_through_to_the_gold(tmp_path: Path) -> None:
    rows = [{"text": f"row {i}", "score": round(i / 200, 3)} for i in range(200)]
    path, sheet, gold = tmp_path / "pool.jsonl", tmp_path / "sheet.csv", tmp_path / "gold.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    drawn = run(path, "-n", 20, "-o", sheet, "--edges", "0.25,0.5,0.75")
    assert drawn.exit_code == 0, drawn.stderr
    assert "--edges 0.25,0.5,0.75" in drawn.stderr.splitlines()[-1]
    head, *table = csv.reader(io.StringIO(sheet.read_text("utf-8-sig"), newline=""))
    content = io.StringIO(newline="")
    csv.writer(content).writerow(head)
    csv.writer(content).writerows([*row[:3], "0.6"] for row in table)
    sheet.write_text(content.getvalue())
    read = run(path, "--labels", sheet, "--gold-out", gold, "--edges", "0.25,0.5,0.75")
    assert read.exit_code == 0, read.stderr
    lines = [json.loads(line) for line in gold.read_text().splitlines()]
    assert {(line["label"], line["level"]) for line in lines} == {(0.6, 2)}  # of 0.5 <= x < 0.75
