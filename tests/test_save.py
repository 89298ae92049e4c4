"""A selection as files: what they say, what they replace, and what an interruption leaves."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from ds2fast.errors import OutputError
from ds2fast.graph import KnnGraph
from ds2fast.io.output import check_output_dir
from ds2fast.io.read import read
from ds2fast.outcome import Selection
from ds2fast.pipeline import select
from ds2fast.pool import Pool
from ds2fast.results import Curation
from ds2fast.save import save_selection, score_columns
from planted import plant

LINES = [f'{{"text": "row {n}",  "score": {score}}}' for n, score in enumerate((1, 4, "null", 3))]
RESULTS = ["manifest.json", "scores.parquet", "selected.jsonl"]


def make_pool(folder: Path) -> Pool:
    (folder / "pool.jsonl").write_text("\n".join(LINES))
    return read(folder / "pool.jsonl")


def make_selection(pool: Pool | None, rows: tuple[int, ...] = (0, 1)) -> Selection:
    """Row 0 was corrected from 1 to 4 and is the best, row 3 from 3 to 2, row 2 is unrated."""
    curation = Curation(
        scores=np.array([4, 4, -1, 2]),
        misrated=np.array([True, False, False, True]),
        suggested=np.array([4, 4, -1, 2]),
        confidence=np.array([0.834, 0.1, np.nan, 0.5]),
        error_probability=np.array([0.9, 0.2, np.nan, 0.75]),
        method="simifeat", min_confidence=0.5, k=2, rounds=51, seed=0,
    )  # fmt: skip
    graph = KnnGraph.from_arrays(
        np.array([[1], [0], [3], [2]], np.int32), np.full((4, 1), 0.5, np.float32)
    )
    return Selection(
        indices=np.array(rows),
        given_scores=np.array([1, 4, -1, 3]),
        keys=np.array([4.0, 4.0, -1.0, 2.0]),
        long_tail=np.array([0.4, 0.3, 0.2, 0.1], np.float32),
        graph=graph,
        transition=None,
        curation=curation,
        pool=pool,
        settings={"n": len(rows)},
    )


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def manifest_in(folder: Path) -> dict[str, Any]:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert isinstance(manifest, dict)
    return manifest


def check_results(folder: Path, rows: tuple[int, ...] = (0, 1)) -> None:
    assert files(folder) == RESULTS
    expected = "".join(LINES[row] + "\n" for row in rows)
    assert (folder / "selected.jsonl").read_text() == expected
    manifest = manifest_in(folder)
    assert manifest["complete"] is True
    assert manifest["files"] == {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("selected.jsonl", "scores.parquet")
    }


# --- what the files say ------------------------------------------------------------------------


def test_every_column_of_the_scores(tmp_path: Path) -> None:
    save_selection(make_selection(make_pool(tmp_path)), tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "scores.parquet")
    nan = pytest.approx(float("nan"), nan_ok=True)
    assert table.to_pydict() == {
        "index": [0, 1, 2, 3],
        "raw_score": [1.0, 4.0, nan, 3.0],
        "given_score": [1, 4, -1, 3],
        "curated_score": [4, 4, -1, 2],
        "misrated": [True, False, False, True],
        "error_probability": [0.9, 0.2, nan, 0.75],
        "suggested_score": [4, 4, -1, 2],
        "confidence": [0.834, 0.1, nan, 0.5],
        "expected_score": [4.0, 4.0, -1.0, 2.0],
        "rank_key": [4.0, 4.0, -1.0, 2.0],
        "long_tail": pytest.approx([0.4, 0.3, 0.2, 0.1]),
        "rank": [0, 1, -1, -1],
        "selected": [True, True, False, False],
        "reason": [
            "selected; corrected 1 to 4 (confidence 0.83)",
            "selected",
            "unrated",
            "below the cut; corrected 3 to 2 (confidence 0.50)",
        ],
    }


def test_the_manifest_and_the_columns_say_how_rows_were_ranked(tmp_path: Path) -> None:
    pool = plant(900, own=0.2)
    selection = select(
        scores=pool.scores, embeddings=pool.rows, repeats=pool.repeat(300), n=150, trust=0.5
    )
    selection.save(tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "scores.parquet").to_pydict()
    assert selection.curation.expected is not None
    assert table["expected_score"] == selection.curation.expected.tolist()
    half = pool.scores + 0.5 * (selection.curation.expected - pool.scores)
    assert table["rank_key"] == (np.round(4 * half) / 4).tolist()
    ranked = sorted(zip(table["rank"], table["rank_key"], strict=True))
    keys = [key for rank, key in ranked if rank >= 0]
    assert keys == sorted(keys, reverse=True)
    manifest = manifest_in(tmp_path / "out")
    assert manifest["verdict"] == {
        "word": selection.verdict.word,
        "causes": list(selection.verdict.causes),
    }
    assert manifest["transition"]["verdict"]["word"] == "verified"
    assert manifest["transition"]["signal"] == ["repeats"]
    assert manifest["transition"]["signal_rows"] == 300
    assert manifest["transition"]["bands"] is None
    assert len(manifest["transition"]["sharing"]["shares"]) == 8
    assert (manifest["settings"]["solver"], manifest["settings"]["method"]) == (
        "sharing",
        "posterior",
    )
    chosen = manifest["selection"]
    decided = chosen["decided"]
    assert chosen["trust"] == 0.5
    assert chosen["cut_key"] == keys[-1]
    assert chosen["above_cut"] == sum(key > keys[-1] for key in keys)
    assert decided["by_score"] + decided["by_correction"] + decided["by_rarity"] == 150
    # Rows that the scores as given would have selected too.
    same = np.isin(selection.indices, selection.ranked_as_given()).sum()
    assert chosen["same_as_given"] == same
    assert decided["by_correction"] == 150 - same
    assert decided["overlap_given"] == pytest.approx(same / 150)


def test_reasons_of_many_rows_take_no_long_time() -> None:
    many = 300_000
    small = make_selection(None)
    selection = Selection(
        indices=np.arange(many // 2),
        given_scores=np.ones(many, np.int64),
        keys=np.full(many, 2.0),
        long_tail=np.ones(many, np.float32),
        graph=small.graph,
        transition=None,
        curation=Curation(
            scores=np.full(many, 2), misrated=np.ones(many, bool), suggested=np.full(many, 2),
            confidence=np.ones(many), error_probability=np.ones(many),
            method="simifeat", min_confidence=0.5, k=2, rounds=51, seed=0,
        ),
    )  # fmt: skip
    start = time.process_time()
    reasons = score_columns(selection)["reason"]
    assert time.process_time() - start < 5  # about a second at most; every row is corrected here
    assert len(reasons) == many


def test_the_manifest_names_the_input(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)
    expected = hashlib.sha256((tmp_path / "pool.jsonl").read_bytes()).hexdigest()
    (tmp_path / "pool.jsonl").unlink()  # what was read is what counts, and it is not read again
    save_selection(make_selection(pool), tmp_path / "out")
    check_results(tmp_path / "out")
    assert manifest_in(tmp_path / "out")["input"]["sha256"] == expected
    assert manifest_in(tmp_path / "out")["input"]["path"] == str(tmp_path / "pool.jsonl")


# --- what is replaced --------------------------------------------------------------------------


def test_a_new_an_empty_and_a_deep_directory(tmp_path: Path) -> None:
    selection = make_selection(make_pool(tmp_path))
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tmp_path / "deep" / "new", str(tmp_path / "text")):
        assert check_output_dir(place) == Path(place)
        save_selection(selection, place)
        check_results(Path(place))


def test_results_of_ours_need_overwrite(tmp_path: Path) -> None:
    out = tmp_path / "out"
    selection = make_selection(make_pool(tmp_path))
    save_selection(selection, out)
    before = contents(out)
    for attempt in (check_output_dir, lambda place: save_selection(selection, place)):
        with pytest.raises(OutputError, match=r"results already; overwrite=True \(--overwrite\)"):
            attempt(out)
    assert contents(out) == before
    check_output_dir(out, overwrite=True)
    assert contents(out) == before
    save_selection(make_selection(selection.pool, (1,)), out, overwrite=True)
    check_results(out, (1,))


@pytest.mark.parametrize("link", [None, os.symlink, os.link])
def test_the_input_is_never_overwritten(link: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    save_selection(make_selection(make_pool(tmp_path)), out)
    source = out / "selected.jsonl"
    if link is not None:
        link(source, tmp_path / "alias.jsonl")
        source = tmp_path / "alias.jsonl"
    pool = read(source)
    before = contents(out)
    expected = r"the input .*(alias|selected)\.jsonl is the file .*out/selected\.jsonl"
    with pytest.raises(OutputError, match=expected):
        check_output_dir(out, overwrite=True, source=source)
    with pytest.raises(OutputError, match=expected):
        save_selection(make_selection(pool), out, overwrite=True)
    assert contents(out) == before
    check_output_dir(out, overwrite=True, source=tmp_path / "pool.jsonl")
    check_output_dir(out, overwrite=True, source=tmp_path / "missing.jsonl")


def test_a_relative_input_is_known_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_selection(make_selection(make_pool(tmp_path)), tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    pool = read("selected.jsonl")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="the input"):
        save_selection(make_selection(pool), "out", overwrite=True)


def test_results_that_are_not_written_again_go(tmp_path: Path) -> None:
    out = tmp_path / "out"
    save_selection(make_selection(make_pool(tmp_path)), out)
    (out / "report.html").write_text("of the old selection")
    save_selection(make_selection(None), out, overwrite=True)  # from arrays: it has no rows
    assert files(out) == ["manifest.json", "scores.parquet"]
    assert list(manifest_in(out)["files"]) == ["scores.parquet"]


@pytest.mark.parametrize("name", ["notes.txt", ".git", ".notes.txt.0123456789ab.tmp"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_files_of_others_are_refused_before_the_work(
    name: str, overwrite: bool, tmp_path: Path
) -> None:
    (tmp_path / name).write_text("theirs")
    with pytest.raises(OutputError, match="hold only results of ds2fast, but it holds"):
        check_output_dir(tmp_path, overwrite=overwrite)
    assert contents(tmp_path) == {name: b"theirs"}


def test_files_of_others_that_appear_during_the_work_are_left_alone(tmp_path: Path) -> None:
    selection = make_selection(make_pool(tmp_path))
    out = tmp_path / "out"
    check_output_dir(out)
    out.mkdir()
    (out / "notes.txt").write_text("theirs")
    save_selection(selection, out)
    assert (out / "notes.txt").read_text() == "theirs"
    (out / "notes.txt").unlink()
    check_results(out)


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "._selected.jsonl", ".nfs00000a1b"])
def test_clutter_of_desktops_does_not_count(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("clutter")
    check_output_dir(out)
    save_selection(make_selection(make_pool(tmp_path)), out)
    assert (out / name).read_text() == "clutter"
    assert files(out) == sorted([*RESULTS, name])


@pytest.mark.parametrize("manifest", [None, "{}", "[]", "no json", '{"made_by": "others"}'])
def test_our_names_without_our_manifest_are_refused(manifest: str | None, tmp_path: Path) -> None:
    selection = make_selection(make_pool(tmp_path))
    out = tmp_path / "out"
    out.mkdir()
    (out / "selected.jsonl").write_text("theirs")
    (out / ".scores.parquet.0123456789ab.tmp").touch()
    if manifest is not None:
        (out / "manifest.json").write_text(manifest)
    before = contents(out)
    with pytest.raises(OutputError, match=r"but no manifest\.json of ds2fast beside it"):
        check_output_dir(out, overwrite=True)
    with pytest.raises(OutputError, match=r"but no manifest\.json of ds2fast beside it"):
        save_selection(selection, out, overwrite=True)
    assert contents(out) == before


def test_a_file_in_the_place_of_the_directory(tmp_path: Path) -> None:
    selection = make_selection(make_pool(tmp_path))
    (tmp_path / "out").touch()
    for attempt in (check_output_dir, lambda place: save_selection(selection, place)):
        with pytest.raises(OutputError, match="expected a directory, got the file"):
            attempt(tmp_path / "out")
        with pytest.raises(OutputError, match=r"output directory: cannot write to .*Not a direct"):
            attempt(tmp_path / "out" / "deeper")


def test_a_directory_in_the_place_of_a_result(tmp_path: Path) -> None:
    out = tmp_path / "out"
    selection = make_selection(make_pool(tmp_path))
    save_selection(selection, out)
    (out / "report.html").mkdir()
    with pytest.raises(OutputError, match=r"expected a file, got the directory 'report\.html'"):
        save_selection(selection, out, overwrite=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_without_write_permission(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(OutputError, match=r"output directory: cannot write to .*Permission denied"):
        check_output_dir(tmp_path)


# --- what an interruption leaves ---------------------------------------------------------------

# A save asks for the disk seven times: after each of three files, after the mark that it is not
# complete, after that mark has its name, before the manifest gets its name, and after.
SYNCS_BEFORE_THE_MARK = 4
SYNCS = 7


class Stop(BaseException):
    """Stands for Ctrl-C."""


def stop_at(sync: int, monkeypatch: pytest.MonkeyPatch, error: BaseException | None) -> None:
    """Fail, or die where no error is given, when the disk is asked for the n-th time."""
    asked = 0
    real = os.fsync

    def fsync(descriptor: int) -> None:
        nonlocal asked
        asked += 1
        if asked == sync and error is None:
            os._exit(9)
        if asked == sync and error is not None:
            raise error
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), Stop()])
@pytest.mark.parametrize("sync", range(1, SYNCS_BEFORE_THE_MARK + 1))
def test_a_failure_while_writing_changes_nothing(
    sync: int, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    pool = make_pool(tmp_path)
    save_selection(make_selection(pool), out)
    before = contents(out)
    with monkeypatch.context() as patched:
        stop_at(sync, patched, error)
        with pytest.raises((OutputError, Stop)) as caught:
            save_selection(make_selection(pool, (1,)), out, overwrite=True)
    assert contents(out) == before
    if isinstance(error, OSError):
        assert "No space left on device; what was there is unchanged" in str(caught.value)
    with monkeypatch.context() as patched:
        stop_at(sync, patched, error)
        with pytest.raises((OutputError, Stop)):
            save_selection(make_selection(pool), tmp_path / "new" / "deep")
    assert not (tmp_path / "new").exists()


def test_the_old_manifest_goes_first_and_the_new_one_comes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    pool = make_pool(tmp_path)
    save_selection(make_selection(pool), out)
    seen: list[tuple[str, bool]] = []
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        seen.append((target.name, manifest_in(out)["complete"]))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    save_selection(make_selection(pool, (1,)), out, overwrite=True)
    assert seen[0] == ("manifest.json", True)
    assert sorted(seen[1:-1]) == [("scores.parquet", False), ("selected.jsonl", False)]
    assert seen[-1] == ("manifest.json", False)
    check_results(out, (1,))


def test_a_rename_that_fails_is_told_and_can_be_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    pool = make_pool(tmp_path)
    save_selection(make_selection(pool), out)
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if target.name == "scores.parquet":
            raise OSError(5, "Input/output error")
        return real(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", replace)
        with pytest.raises(OutputError, match=r"Input/output error; .* not complete: save again"):
            save_selection(make_selection(pool, (1,)), out, overwrite=True)
    assert manifest_in(out)["complete"] is False
    assert files(out) == RESULTS
    save_selection(make_selection(pool, (1,)), out, overwrite=True)
    check_results(out, (1,))


def die_while_saving(source: str, out: str, sync: str) -> None:
    """What the process that dies runs."""
    stop_at(int(sync), pytest.MonkeyPatch(), None)
    save_selection(make_selection(read(source), (1,)), out, overwrite=True)


def kill_while_saving(source: Path, out: Path, sync: int) -> None:
    code = f"import test_save; test_save.die_while_saving({str(source)!r}, {str(out)!r}, '{sync}')"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=False)
    assert done.returncode == 9


@pytest.mark.parametrize("sync", range(1, SYNCS + 1))
def test_a_killed_save_is_seen_and_mended_by_the_next(sync: int, tmp_path: Path) -> None:
    pool = make_pool(tmp_path)
    old, new = tmp_path / "old", tmp_path / "new"
    save_selection(make_selection(pool), old)
    before = contents(old)
    for out in (old, new):
        kill_while_saving(tmp_path / "pool.jsonl", out, sync)
    if sync <= SYNCS_BEFORE_THE_MARK:
        assert {name: old.joinpath(name).read_bytes() for name in RESULTS} == before
        check_output_dir(new)  # what has only temporary names is nobody's loss
    else:
        assert manifest_in(old)["complete"] == manifest_in(new)["complete"] == (sync == SYNCS)
        holds = "results already" if sync == SYNCS else "a save that was cut short"
        with pytest.raises(OutputError, match=rf"holds {holds}; overwrite=True"):
            check_output_dir(new)
    for out in (old, new):
        check_output_dir(out, overwrite=True)
        save_selection(make_selection(pool, (1, 0)), out, overwrite=True)
        check_results(out, (1, 0))


def test_a_foreign_file_beside_what_a_killed_save_left_is_safe(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)
    out = tmp_path / "out"
    kill_while_saving(tmp_path / "pool.jsonl", out, 3)
    shutil.copy(tmp_path / "pool.jsonl", out / "selected.jsonl")
    before = contents(out)
    with pytest.raises(OutputError, match=r"no manifest\.json of ds2fast"):
        save_selection(make_selection(pool), out, overwrite=True)
    assert contents(out) == before
