"""`difference`: which rows two selections share, and what sets the two apart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ds2fast.errors import InputError, InputFileError
from ds2fast.outcome import Selection
from ds2fast.pipeline import select
from ds2fast.run.difference import difference
from ds2fast.run.finished import FinishedRun
from ds2fast.save import score_columns
from ds2fast_cli.commands import program
from finished_runs import POOL, ROWS, UNRATED_ROW, edit_manifest, save_run, write_pool


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Selection, Selection]:
    """Two runs on one pool: the second selects 30 rows, has repeats, and leaves out rare rows."""
    folder = tmp_path_factory.mktemp("made")
    pool = write_pool(folder / "pool.jsonl")
    first = save_run(pool, folder / "first")
    repeats = np.where(np.arange(ROWS) == UNRATED_ROW, -1, POOL.repeat(ROWS))
    second = save_run(pool, folder / "second", n=30, max_rarity=0.8, repeats=repeats, trust=1)
    return folder, first, second


def run(*arguments: object) -> Result:
    return CliRunner().invoke(program, ["diff", *map(str, arguments)])


def test_rows_of_both_and_of_one_alone(made: tuple[Path, Selection, Selection]) -> None:
    folder, first, second = made
    found = difference(folder / "first", folder / "second")
    one, two = first.indices.tolist(), second.indices.tolist()
    assert found.both.tolist() == [row for row in one if row in two]
    assert found.only_first.tolist() == [row for row in one if row not in two]
    assert found.only_second.tolist() == [row for row in two if row not in one]
    assert min(len(found.both), len(found.only_first), len(found.only_second)) > 0
    assert found.overlap == len(set(one) & set(two)) / len(set(one) | set(two))
    assert found.rescored == int((first.curated_scores != second.curated_scores).sum())
    assert (found.first, found.second) == (str(folder / "first"), str(folder / "second"))


def test_examples_with_both_reasons(made: tuple[Path, Selection, Selection]) -> None:
    folder, first, second = made
    found = difference(FinishedRun.open(folder / "first"), folder / "second")
    reasons = [score_columns(selection)["reason"] for selection in (first, second)]
    for examples, rows in (
        (found.examples_first, found.only_first),
        (found.examples_second, found.only_second),
    ):
        assert [(seen.row, seen.first, seen.second) for seen in examples] == [
            (row, reasons[0][row], reasons[1][row]) for row in rows[:5].tolist()
        ]
        for seen in examples:
            assert f"  row {seen.row}: {seen.first} | {seen.second}" in str(found).splitlines()


def test_settings_that_differ(made: tuple[Path, Selection, Selection]) -> None:
    folder, _, _ = made
    found = difference(folder / "first", folder / "second")
    assert dict(found.settings) == {
        "n": (20, 30),
        "trust": (0.5, 1.0),
        "repeated_rows": (0, 239),
        "limits.max_rarity": (None, 0.8),
    }
    assert "  n: 20 | 30" in str(found).splitlines()


def test_a_plan_is_no_setting_and_long_numbers_are_short(
    made: tuple[Path, Selection, Selection], tmp_path: Path
) -> None:
    shutil.copytree(made[0] / "first", tmp_path / "other")
    manifest = json.loads((tmp_path / "other" / "manifest.json").read_text())
    settings = {**manifest["settings"], "recall": 0.123456789, "trust_of": 0.98000001}
    settings["memory_plan"] = {"limit": 5, "stages": {"checks": {"seconds": 0.25}}}
    graph = {**manifest["graph"], "recall_interval": [0.97912345, 0.98312345]}
    edit_manifest(tmp_path / "other", settings=settings, graph=graph)
    shutil.copytree(tmp_path / "other", tmp_path / "near")
    settings["trust_of"] = 0.98000002
    edit_manifest(tmp_path / "near", settings=settings)
    found = difference(made[0] / "first", tmp_path / "other")
    assert "memory_plan" not in str(found)
    lines = str(found).splitlines()
    assert "  recall: 0.98 | 0.1235" in lines
    assert "  graph.recall_interval: None | [0.9791, 0.9831]" in lines
    assert found.settings["recall"] == (0.98, 0.123456789)
    near = difference(tmp_path / "other", tmp_path / "near")
    assert "  trust_of: 0.98000001 | 0.98000002" in str(near).splitlines()


def test_what_was_excluded_is_told(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool.jsonl")
    (tmp_path / "eval.jsonl").write_text(pool.read_text().splitlines()[3])
    save_run(pool, tmp_path / "first")
    rules = {"exclude": tmp_path / "eval.jsonl", "exclude_similarity": None, "exclude_ngram": 5}
    save_run(pool, tmp_path / "second", **rules)
    told = difference(tmp_path / "first", tmp_path / "second").settings["exclude"]
    assert told == (None, "1 rows of eval.jsonl")


def test_where_t_differs_most(made: tuple[Path, Selection, Selection]) -> None:
    folder, first, second = made
    found = difference(folder / "first", folder / "second")
    assert first.transition is not None
    assert second.transition is not None
    matrices = first.transition.transition_matrix, second.transition.transition_matrix
    apart = np.abs(matrices[0] - matrices[1])
    assert found.matrix is not None
    assert apart[found.matrix.true, found.matrix.given] == apart.max()
    at = (found.matrix.true, found.matrix.given)
    assert (found.matrix.first, found.matrix.second) == (matrices[0][at], matrices[1][at])
    assert found.verdicts == (first.verdict.word, second.verdict.word)


def test_fates_are_counted(made: tuple[Path, Selection, Selection]) -> None:
    folder, first, second = made
    found = difference(folder / "first", folder / "second")
    assert first.choice is not None
    assert second.choice is not None
    assert [dict(fates) for fates in found.fates] == [
        first.choice.counts(), second.choice.counts()
    ]  # fmt: skip
    assert found.fates[0] == {"selected": 20, "below": 219, "unrated": 1}
    left = second.choice.counts()["too_rare"]
    assert f"  too_rare: 0 | {left}" in str(found).splitlines()


def test_a_run_and_itself(made: tuple[Path, Selection, Selection]) -> None:
    folder, first, _ = made
    found = difference(folder / "first", folder / "first")
    assert found.both.tolist() == first.indices.tolist()
    assert found.overlap == 1.0
    assert len(found.only_first) == len(found.only_second) == found.rescored == 0
    assert found.settings == {}
    assert found.matrix is not None
    assert found.matrix.first == found.matrix.second
    told = str(found)
    assert "T is the same" in told
    assert "all settings are the same" in told
    assert f"both estimates are {first.verdict.word}" in told
    assert "\nonly in the first" not in told


def test_it_does_not_need_the_graph_nor_the_rows(
    made: tuple[Path, Selection, Selection], tmp_path: Path
) -> None:
    folder, _, _ = made
    for name in ("first", "second"):
        shutil.copytree(folder / name, tmp_path / name)
        (tmp_path / name / "run.npz").unlink()
        (tmp_path / name / "selected.jsonl").unlink()
    here = difference(folder / "first", folder / "second")
    there = difference(tmp_path / "first", tmp_path / "second")
    assert there.both.tolist() == here.both.tolist()
    assert there.settings == here.settings


# --- what is refused -----------------------------------------------------------------------------


def test_other_rows_are_refused(made: tuple[Path, Selection, Selection], tmp_path: Path) -> None:
    folder, _, _ = made
    pool = tmp_path / "other.jsonl"
    pool.write_text((folder / "pool.jsonl").read_text().replace("row 3 ", "row three "))
    save_run(pool, tmp_path / "out")
    expected = r"from the same rows, but .*first has 240 rows of .*pool\.jsonl and .*out has 240 "
    with pytest.raises(InputError, match=expected):
        difference(folder / "first", tmp_path / "out")


def test_rows_from_memory_are_known_by_their_content(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in write_pool(tmp_path / "p").read_text().splitlines()]
    save_run(rows, tmp_path / "one")
    save_run(rows, tmp_path / "two", n=10)
    assert len(difference(tmp_path / "one", tmp_path / "two").both) == 10
    save_run([{**rows[0], "more": 1}, *rows[1:]], tmp_path / "three")
    with pytest.raises(InputError, match="rows of several files or memory"):
        difference(tmp_path / "one", tmp_path / "three")


def test_arrays_are_refused_and_so_is_what_is_no_run(
    made: tuple[Path, Selection, Selection], tmp_path: Path
) -> None:
    folder, _, _ = made
    chosen = select(scores=POOL.scores, embeddings=POOL.rows, n=5, trust=0, progress=False)
    chosen.save(tmp_path / "arrays")
    for pair in ((folder / "first", tmp_path / "arrays"), (tmp_path / "arrays", folder / "first")):
        with pytest.raises(InputError, match="arrays was made from arrays, without rows"):
            difference(*pair)
    with pytest.raises(InputFileError, match="nowhere is missing"):
        difference(folder / "first", tmp_path / "nowhere")


def test_estimates_that_cannot_be_compared(
    made: tuple[Path, Selection, Selection], tmp_path: Path
) -> None:
    folder, _, _ = made
    shutil.copytree(folder / "first", tmp_path / "out")
    edit_manifest(tmp_path / "out", transition=None)
    found = difference(tmp_path / "out", folder / "second")
    assert found.matrix is None
    assert "T cannot be compared" in str(found)
    edit_manifest(tmp_path / "out", transition={"transition_matrix": [[1.0, 0.0], [0.0, 1.0]]})
    found = difference(tmp_path / "out", folder / "second")
    assert found.matrix is None


# --- the command ---------------------------------------------------------------------------------


def test_the_command(made: tuple[Path, Selection, Selection], tmp_path: Path) -> None:
    folder, _, _ = made
    found = difference(folder / "first", folder / "second")
    assert run(folder / "first", folder / "second").stdout == f"{found}\n"
    record = json.loads(run(folder / "first", folder / "second", "--json").stdout)
    assert record["rows"] == {
        "both": len(found.both),
        "only_first": len(found.only_first),
        "only_second": len(found.only_second),
        "overlap": found.overlap,
    }
    assert record["only_first"] == found.only_first.tolist()
    assert record["settings"]["n"] == [20, 30]
    assert record["fates"][0]["below"] == ROWS - 21
    assert record["examples_first"][0]["row"] == found.only_first[0]
    nothing = run(folder / "first", tmp_path)
    assert nothing.exit_code == 2
    assert nothing.stderr.startswith("error: run: expected the folder of a selection")
    assert run(folder / "first").exit_code == 2
