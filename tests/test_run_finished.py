"""A finished selection is opened again as it was saved; any other folder is refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ds2fast.errors import InputError, InputFileError
from ds2fast.outcome import Selection
from ds2fast.pipeline import select
from ds2fast.run.finished import FinishedRun
from ds2fast.save import score_columns
from finished_runs import POOL, ROWS, edit_manifest, rehash, same, save_run, text_of, write_pool
from planted import plant


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Selection]:
    """A folder with a pool and a run, and the selection that was saved."""
    folder = tmp_path_factory.mktemp("made")
    repeats = POOL.repeat(60)
    selection = save_run(
        write_pool(folder / "pool.jsonl"), folder / "out", repeats=repeats, groups="source"
    )
    return folder, selection


@pytest.fixture
def out(made: tuple[Path, Selection], tmp_path: Path) -> Path:
    """A copy of the run, to be damaged; its pool stays where it is."""
    shutil.copytree(made[0] / "out", tmp_path / "out")
    return tmp_path / "out"


def test_all_is_as_it_was_saved(made: tuple[Path, Selection]) -> None:
    folder, selection = made
    run = FinishedRun.open(folder / "out")
    assert len(run) == ROWS
    saved = score_columns(selection)
    assert list(run.scores) == list(saved)
    assert [name for name in saved if not same(run.scores[name], saved[name])] == []
    assert same(run.graph.indices, selection.graph.indices)
    assert same(run.graph.similarities, selection.graph.similarities)
    assert selection.given is not None
    assert same(run.given.ratings, selection.given.ratings)
    assert same(run.given.repeats, selection.given.repeats)
    assert run.given.num_levels == selection.given.num_levels
    assert run.groups == selection.groups == ("a", "b") * (ROWS // 2)
    assert run.positions is not None
    assert same(run.positions, selection.positions)
    assert run.excluded is None
    assert run.settings["n"] == 20
    assert run.encoder is None  # the vectors were given


def test_the_rows_are_read_again(made: tuple[Path, Selection]) -> None:
    folder, selection = made
    run = FinishedRun.open(str(folder / "out"))
    assert run.rows(selection.indices) == selection.selected
    assert list(run.pool().texts) == [text_of(row) for row in range(ROWS)]
    assert same(run.pool().raw_scores, run.scores["raw_score"])
    assert run.pool() is run.pool()  # read once


def test_rows_of_several_files_and_another_field_for_the_text(tmp_path: Path) -> None:
    first = write_pool(tmp_path / "a.jsonl", range(100))
    second = write_pool(tmp_path / "b.jsonl", range(100, ROWS))
    save_run([first, second], tmp_path / "out", text="{source}: {text}")
    run = FinishedRun.open(tmp_path / "out")
    expected = [f"{'ab'[row % 2]}: {text_of(row)}" for row in range(ROWS)]
    assert list(run.pool().texts) == expected
    second.write_text(second.read_text() + "\n")
    with pytest.raises(InputFileError, match=r"expected .*b\.jsonl as it was when rows were"):
        FinishedRun.open(tmp_path / "out").pool()


def test_rows_that_changed_or_went_are_refused(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool.jsonl")
    save_run(pool, tmp_path / "out")
    content = pool.read_text()
    pool.write_text(content.replace("row 1 of", "row I of"))
    run = FinishedRun.open(tmp_path / "out")
    with pytest.raises(InputFileError, match=r"pool\.jsonl .*changed since; select again"):
        run.pool()
    pool.unlink()
    with pytest.raises(InputFileError, match=r"pool\.jsonl, .*cannot be read: No such file"):
        run.rows([0])
    pool.write_text(content)
    assert run.rows([1])[0]["text"] == text_of(1)


def test_rows_that_were_moved_are_known_by_their_hashes(tmp_path: Path) -> None:
    names = ("a.jsonl", "b.jsonl")
    first, second = write_pool(tmp_path / "a.jsonl", range(100)), tmp_path / "b.jsonl"
    write_pool(second, range(100, ROWS))
    save_run([first, second], tmp_path / "out")
    (tmp_path / "now").mkdir()
    moved = [(tmp_path / name).rename(tmp_path / "now" / name) for name in names]
    run = FinishedRun.open(tmp_path / "out")
    with pytest.raises(InputFileError, match=r"a\.jsonl, .*cannot be read: .*data= \(explain"):
        run.pool()
    wrong: list[tuple[object, str]] = [
        (
            moved[::-1],
            r"b\.jsonl to hold what .*a\.jsonl held .* in this order: a\.jsonl, b\.jsonl",
        ),
        (moved[0], r"expected the 2 files that .*out came from \(a\.jsonl, b\.jsonl\), got 1"),
        ([*moved, moved[0]], "got 3"),
        ([], "got 0"),
        ([tmp_path / "nowhere.jsonl", moved[1]], r"nowhere\.jsonl does not exist"),
        ("-", "expected the 2 files"),
    ]
    for data, match in wrong:
        with pytest.raises(InputFileError, match=match):
            run.pool(data)  # type: ignore[arg-type]
    for data in (moved, tuple(map(str, moved)), str(tmp_path / "now" / "*.jsonl")):
        run = FinishedRun.open(tmp_path / "out")
        assert list(run.pool(data).texts) == [text_of(row) for row in range(ROWS)]
        assert run.rows([101])[0]["text"] == text_of(101)  # there from now on


def test_rows_from_memory_and_arrays_cannot_be_read_again(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in write_pool(tmp_path / "p").read_text().splitlines()]
    save_run(rows, tmp_path / "memory")
    for data in (None, tmp_path / "p"):
        with pytest.raises(
            InputError, match=r"came from memory or standard input; Selection\.report\(\)"
        ):
            FinishedRun.open(tmp_path / "memory").pool(data)
    chosen = select(scores=POOL.scores, embeddings=POOL.rows, n=5, trust=0, progress=False)
    chosen.save(tmp_path / "arrays")
    run = FinishedRun.open(tmp_path / "arrays")
    with pytest.raises(InputError, match="came as arrays, without rows"):
        run.rows([0])
    assert same(run.given.scores, POOL.scores)


# --- folders that are no finished run of ours ----------------------------------------------------


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


NOT_A_RUN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, "out is missing"),
    "no manifest": (lambda out: (out / "manifest.json").unlink(), "holds no manifest.json"),
    "a broken manifest": (
        lambda out: cut_in_half(out / "manifest.json"),
        r"manifest\.json as ds2fast wrote it, but it is damaged",
    ),
    "a manifest that is a list": (
        lambda out: (out / "manifest.json").write_text("[]"),
        "was not written by ds2fast",
    ),
    "a manifest of others": (
        lambda out: edit_manifest(out, made_by="theirs"),
        "was not written by ds2fast",
    ),
    "a save cut short": (
        lambda out: (out / "manifest.json").write_text('{"made_by":"ds2fast","complete":false}'),
        "the save in .* was cut short; select again",
    ),
    "a manifest that says little": (
        lambda out: edit_manifest(out, files=None),
        "another version of ds2fast, or holds something else .*says nothing of 'files'",
    ),
}


@pytest.mark.parametrize("damage", NOT_A_RUN)
def test_what_is_no_run_is_refused_at_once(damage: str, out: Path) -> None:
    spoil, message = NOT_A_RUN[damage]
    spoil(out)
    with pytest.raises(InputFileError, match=f"run: .*{message}"):
        FinishedRun.open(out)


@pytest.mark.parametrize(
    ("section", "content", "named"),
    [
        ("verdict", {"word": None}, "verdict.word"),
        ("selection", {}, "selection.trust"),
        ("input", {"files": [{"path": "pool.jsonl"}]}, "input.files"),
        ("input", {"files": "pool.jsonl"}, "input.files"),
        ("input", {"read": "text"}, "input.read"),
        ("rules", "none", "rules"),
    ],
)
def test_a_manifest_that_was_changed_by_hand_is_refused(
    section: str, content: object, named: str, out: Path
) -> None:
    edit_manifest(out, **{section: content})
    with pytest.raises(InputFileError, match=f"says nothing of '{named}'"):
        FinishedRun.open(out)


def test_a_file_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("theirs")
    with pytest.raises(InputFileError, match=r"out is a file"):
        FinishedRun.open(tmp_path / "out")


def without_column(out: Path) -> None:
    """As an earlier version wrote it."""
    path = out / "scores.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["fate"]), path)
    rehash(out, path.name)


def not_parquet(out: Path) -> None:
    (out / "scores.parquet").write_text("theirs")
    rehash(out, "scores.parquet")


BAD_SCORES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut short": (lambda out: cut_in_half(out / "scores.parquet"), "or was replaced"),
    "missing": (lambda out: (out / "scores.parquet").unlink(), "No such file"),
    "of an earlier version": (without_column, "another version .* has no column 'fate'"),
    "another file": (not_parquet, "it is damaged or was replaced"),
}


@pytest.mark.parametrize("damage", BAD_SCORES)
def test_damaged_scores_are_refused(damage: str, out: Path) -> None:
    spoil, message = BAD_SCORES[damage]
    spoil(out)
    run = FinishedRun.open(out)
    with pytest.raises(InputFileError, match=rf"(?s)run: .*{message}.*; select again"):
        _ = run.scores
    with pytest.raises(InputFileError, match="select again"):
        _ = run.graph


def test_the_state_of_another_run_is_refused(out: Path, tmp_path: Path) -> None:
    pool = plant(600)
    chosen = select(scores=pool.scores, embeddings=pool.rows, n=60, trust=0, progress=False)
    chosen.save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "run.npz", out)
    with pytest.raises(InputFileError, match=r"run\.npz .*is not the one that manifest\.json"):
        _ = FinishedRun.open(out).graph
    rehash(out, "run.npz")
    with pytest.raises(InputFileError, match=r"run\.npz .*it is of 600 rows"):
        _ = FinishedRun.open(out).given


def test_a_run_of_an_earlier_version_has_scores_but_no_graph(out: Path) -> None:
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["files"].pop("run.npz")
    edit_manifest(out, files=manifest["files"])
    (out / "run.npz").unlink()
    run = FinishedRun.open(out)
    assert len(run) == ROWS
    with pytest.raises(InputFileError, match=r"another version of ds2fast.* has no run\.npz"):
        _ = run.graph


def test_scores_are_taken_in_any_width_of_words(out: Path) -> None:
    path = out / "scores.parquet"
    table = pq.read_table(path)
    at = table.column_names.index("reason")
    table = table.set_column(at, "reason", table.column(at).cast(pa.large_string()))
    pq.write_table(table, path)
    rehash(out, path.name)
    run = FinishedRun.open(out)
    assert isinstance(run.scores["reason"][0], str)
    assert isinstance(run.scores["rank"], np.ndarray)
