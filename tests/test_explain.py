"""`explain`: what each step did with a row, its neighbours, and what is said where texts lack."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ds2fast.errors import InputError, InputFileError, InputTypeError
from ds2fast.given import Given
from ds2fast.outcome import Selection
from ds2fast.pipeline import select
from ds2fast.run.explain import Explanation, explain
from ds2fast.save import score_columns
from ds2fast_cli.commands import program
from finished_runs import LONG_ROW, POOL, ROWS, UNRATED_ROW, save_run, text_of, write_pool


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Selection]:
    """A finished run whose pool is still there, and the selection that was saved."""
    folder = tmp_path_factory.mktemp("made")
    selection = save_run(write_pool(folder / "pool.jsonl"), folder / "out", repeats=POOL.repeat(60))
    return folder / "out", selection


def words_of(found: Explanation, step: str) -> str:
    (words,) = (told.words for told in found.steps if told.name == step)
    return words


def run(*arguments: object) -> Result:
    return CliRunner().invoke(program, ["explain", *map(str, arguments)])


def test_a_selected_row(made: tuple[Path, Selection]) -> None:
    out, selection = made
    row = int(selection.indices[3])
    found = explain(out, row)
    columns = score_columns(selection)
    assert found.row == row
    assert found.text == text_of(row)
    assert found.reason == columns["reason"][row]
    assert found.reason.startswith("selected at rank 3")
    assert found.figures["rank"] == 3
    for name in ("given_score", "curated_score", "long_tail", "rank_key", "raw_score"):
        assert found.figures[name] == columns[name][row]
    expected = ["score", "neighbours", "curation", "ranking", "rarity", "selection"]
    assert [step.name for step in found.steps] == expected
    assert f"given level {POOL.scores[row]} of 0 to 3" in words_of(found, "score")
    verdict = selection.verdict.word
    assert f"with a trust of 0.5 in the corrections (the estimate is {verdict})" in words_of(
        found, "ranking"
    )
    lowest = min(selection.keys[other] for other in selection.indices)
    assert f"20 rows are selected, and the lowest ranks by {lowest:.4g}" in words_of(
        found, "selection"
    )
    assert found.notes == ()


def test_its_neighbours_are_those_of_the_graph(made: tuple[Path, Selection]) -> None:
    out, selection = made
    graph = selection.graph
    row = int(np.flatnonzero((graph.indices == LONG_ROW).any(axis=1))[0])
    found = explain(out, row, neighbours=ROWS)
    assert [near.row for near in found.neighbours] == graph.indices[row].tolist()
    assert [near.similarity for near in found.neighbours] == graph.similarities[row].tolist()
    reasons = score_columns(selection)["reason"]
    for near in found.neighbours:
        assert near.given == selection.given_scores[near.row]
        assert near.curated == selection.curated_scores[near.row]
        assert near.reason == reasons[near.row]
        line = text_of(near.row).replace("\n ", " ")
        assert near.text == (line if near.row != LONG_ROW else line[:159] + "…")
    levels = [int(POOL.scores[near.row]) for near in found.neighbours if near.row != UNRATED_ROW]
    told = re.findall(r"(\d+) (?:were|was) given (\d)", words_of(found, "neighbours"))
    assert {int(level): int(count) for count, level in told} == {
        level: levels.count(level) for level in set(levels)
    }
    assert len(explain(out, row, neighbours=2).neighbours) == 2
    assert explain(out, row, neighbours=0).neighbours == ()


def test_where_it_stands_by_score_and_rarity(made: tuple[Path, Selection]) -> None:
    """Without rules the rank of a selected row is where it stands, and others follow."""
    _, selection = made
    for row in (*selection.indices[:3].tolist(), 100):
        order = sorted(
            np.flatnonzero(selection.given_scores >= 0).tolist(),
            key=lambda other: (-selection.keys[other], -selection.long_tail[other], other),
        )
        words = words_of(explain(selection, row), "rarity")
        assert words.endswith(f"it stands at {order.index(row)}, counted from 0")
        common = int((selection.long_tail[order] < selection.long_tail[row]).sum())
        assert f"higher than that of {common} of {ROWS - 1} rated rows" in words


@pytest.mark.parametrize(
    ("recall", "said"),
    [
        (0.98149, " (98.1% of all rows' true neighbours, by a sample)"),
        (float("nan"), ""),
    ],
)
def test_neighbours_of_an_approximate_graph_are_called_so(
    made: tuple[Path, Selection], tmp_path: Path, recall: float, said: str
) -> None:
    graph = replace(made[1].graph, method="approximate", recall=recall)
    save_run(write_pool(tmp_path / "pool.jsonl"), tmp_path / "out", graph=graph, embeddings=None)
    words = words_of(explain(tmp_path / "out", 3), "neighbours")
    assert words.startswith(
        f"the {graph.k} nearest that an approximate search found{said} have cosines of "
    )
    exact = words_of(explain(made[0], 3), "neighbours")
    assert exact.startswith(f"the {graph.k} nearest have cosines of ")


def test_an_unrated_row(made: tuple[Path, Selection]) -> None:
    found = explain(made[0], UNRATED_ROW)
    assert found.reason == "unrated"
    assert [step.name for step in found.steps] == ["score", "neighbours", "selection"]
    assert "unrated rows are neither curated nor selected" in str(found)


def test_corrected_and_kept_rows(made: tuple[Path, Selection]) -> None:
    _, selection = made
    given, new = selection.given_scores, selection.curated_scores
    curation = selection.curation
    row = int(np.flatnonzero((given != new) & (given >= 0))[0])
    wrong, sure = curation.error_probability[row], curation.confidence[row]
    assert words_of(explain(selection, row), "curation") == (
        f"the given score is wrong with probability {wrong:.2f}; corrected {given[row]} to "
        f"{new[row]} with confidence {sure:.2f}"
    )
    held = replace(selection, curation=replace(curation, scores=given, min_confidence=0.999))
    assert f"{new[row]} was suggested with confidence {sure:.2f}, and a correction needs" in (
        words_of(explain(held, row), "curation")
    )
    kept = int(np.flatnonzero((curation.suggested == given) & (given >= 0))[0])
    assert words_of(explain(selection, kept), "curation").endswith(
        "no other is more likely, so it stays"
    )


def test_a_ranking_more_cautious_than_the_correction_is_explained(
    made: tuple[Path, Selection],
) -> None:
    _, selection = made
    expected = selection.curation.expected
    assert expected is not None
    row = int(selection.indices[0])
    far = expected.copy()
    far[row] = selection.curated_scores[row] - 1.5
    moved = replace(selection, curation=replace(selection.curation, expected=far))
    assert "may have a quality of its own" in words_of(explain(moved, row), "ranking")
    far[row] = selection.curated_scores[row] - 0.5
    near = replace(selection, curation=replace(selection.curation, expected=far))
    assert "quality of its own" not in words_of(explain(near, row), "ranking")


def test_all_that_was_seen_of_a_score_is_told(made: tuple[Path, Selection]) -> None:
    _, selection = made
    again = POOL.repeat(60)
    row = int(np.flatnonzero(again >= 0)[0])
    assert f"rated again it was given {again[row]}" in words_of(explain(selection, row), "score")
    raters = np.stack([POOL.scores, np.where(np.arange(ROWS) == 3, -1, POOL.scores)], axis=1)
    given = Given(raters, 4, gold=np.where(np.arange(ROWS) == 3, 2, -1))
    words = words_of(explain(replace(selection, given=given), 3), "score")
    assert f"its raters gave {POOL.scores[3]}, none; its gold label is 2" in words
    bare = explain(replace(selection, given=None), 3)
    assert "raters" not in words_of(bare, "score")


def test_a_run_and_the_selection_say_the_same(made: tuple[Path, Selection]) -> None:
    out, selection = made
    for row in (0, UNRATED_ROW, int(selection.indices[0])):
        assert str(explain(out, row)) == str(explain(selection, row)) == str(selection.explain(row))


def test_long_texts_are_cut(made: tuple[Path, Selection]) -> None:
    found = explain(made[0], LONG_ROW)
    assert found.text == text_of(LONG_ROW)[:1999] + "…"


def test_texts_that_cannot_be_read_again_are_left_out_and_the_reason_told(
    made: tuple[Path, Selection], tmp_path: Path
) -> None:
    pool = write_pool(tmp_path / "pool.jsonl")
    save_run(pool, tmp_path / "out")
    pool.write_text("changed")
    found = explain(tmp_path / "out", 3)
    assert found.text is None
    assert {near.text for near in found.neighbours} == {None}
    (note,) = found.notes
    assert re.fullmatch(r"texts are not shown: run: expected .*pool\.jsonl as it was .*", note)
    assert note in str(found)
    chosen = select(scores=POOL.scores, embeddings=POOL.rows, n=5, trust=0, progress=False)
    assert explain(chosen, 3).notes == (
        "texts are not shown: the selection was made from arrays, without rows",
    )


def test_texts_that_were_moved_are_shown(made: tuple[Path, Selection], tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool.jsonl")
    save_run(pool, tmp_path / "out")
    now = pool.rename(tmp_path / "now.jsonl")
    lost = explain(tmp_path / "out", 3)
    assert lost.text is None
    assert "--data FILE" in lost.notes[0]
    assert explain(tmp_path / "out", 3, data=now).text == text_of(3)
    shown = run(tmp_path / "out", 3, "--data", now)
    assert shown.stdout == f"{explain(tmp_path / 'out', 3, data=[now])}\n"
    other = run(tmp_path / "out", 3, "--data", tmp_path / "out" / "selected.jsonl")
    assert other.exit_code == 2
    assert "selected.jsonl to hold what" in other.stderr
    with pytest.raises(InputError, match="data: expected beside a finished run, got a selection"):
        explain(made[1], 3, data=now)


def test_a_row_without_text_is_not_called_unrated(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool.jsonl")
    rows = [json.loads(line) for line in pool.read_text().splitlines()]
    rows[3] |= {"text": "", "score": 2}
    pool.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    selection = save_run(pool, tmp_path / "out")
    for found in (explain(tmp_path / "out", 3), explain(selection, 3)):
        assert found.reason == "no text"
        assert [step.name for step in found.steps] == ["score", "neighbours", "selection"]
        assert words_of(found, "score") == "no text, so no score counts (2 as it came)"
        assert "text= (--text)" in words_of(found, "selection")
        assert "unrated" not in str(found)
    other = int(np.flatnonzero((selection.graph.indices[:, :10] == 3).any(axis=1))[0])
    (line,) = [line for line in str(explain(selection, other)).splitlines() if "row 3," in line]
    assert re.fullmatch(r"  row 3, cosine 0\.\d+; no text", line)
    assert explain(selection, UNRATED_ROW).reason == "unrated"


@pytest.mark.parametrize("row", [-1, ROWS, 10**9])
def test_a_row_that_is_not_there(row: int, made: tuple[Path, Selection]) -> None:
    with pytest.raises(InputError, match=f"row: expected .*, got {row}"):
        explain(made[1], row)


def test_arguments_that_cannot_be_used(made: tuple[Path, Selection], tmp_path: Path) -> None:
    with pytest.raises(InputTypeError, match=r"row: expected an integer, got 1\.5"):
        explain(made[0], 1.5)  # type: ignore[arg-type]
    with pytest.raises(InputFileError, match="run: expected the folder of a selection"):
        explain(tmp_path / "nowhere", 0)


def test_the_command_prints_the_explanation(made: tuple[Path, Selection]) -> None:
    out, _ = made
    shown = run(out, 5)
    assert shown.exit_code == 0
    assert shown.stdout == f"{explain(out, 5)}\n"
    record = json.loads(run(out, 5, "--neighbours", 3, "--json").stdout)
    expected = explain(out, 5, neighbours=3)
    assert record["made_by"] == "ds2fast"
    assert record["row"] == 5
    assert record["reason"] == expected.reason
    assert [near["row"] for near in record["neighbours"]] == [
        near.row for near in expected.neighbours
    ]
    assert record["steps"][0] == {"name": "score", "words": expected.steps[0].words}
    assert record["figures"]["given_score"] == POOL.scores[5]


def test_the_command_names_what_is_wrong(made: tuple[Path, Selection], tmp_path: Path) -> None:
    beyond = run(made[0], ROWS)
    assert (beyond.exit_code, beyond.stderr) == (2, "error: row: expected 0 to 239, got 240\n")
    nothing = run(tmp_path, 0)
    assert nothing.exit_code == 2
    assert nothing.stderr.startswith("error: run: expected the folder of a selection")
    assert run(made[0]).exit_code == 2
    assert run(made[0], "first").exit_code == 2


def test_what_a_text_holds_cannot_steer_a_terminal(tmp_path: Path) -> None:
    """A row may hold anything: escape sequences of a terminal are shown as marks."""
    pool = write_pool(tmp_path / "pool.jsonl")
    lines = pool.read_text().splitlines()
    lines[3] = json.dumps({"text": "a\x1b[2Jb\x07\r\nc\td\xa0e\ud800", "score": 1, "source": "a"})
    pool.write_text("\n".join(lines))
    selection = save_run(pool, tmp_path / "out")
    shown = str(explain(tmp_path / "out", 3))
    assert "a�[2Jb�\n  | c\td\xa0e?" in shown
    other = int(np.flatnonzero((selection.graph.indices[:, :10] == 3).any(axis=1))[0])
    assert "\x1b" not in str(explain(tmp_path / "out", other))
    assert run(tmp_path / "out", 3, "--json").exit_code == 0
