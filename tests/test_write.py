"""Results out: whole files or none."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from ds2fast.errors import InputError, InputTypeError, OutputError
from ds2fast.io.atomic import atomic_file
from ds2fast.io.read import read
from ds2fast.io.write import (
    prepare_output_dir,
    write_manifest,
    write_rows,
    write_scores,
)

resource = pytest.importorskip("resource", reason="file size limits are a POSIX thing")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_rows_of_objects(tmp_path: Path) -> None:
    pool = read([{"text": "a", "n": 1}, {"text": "b\n", "n": 2}], scores=None)
    write_rows(pool, [1, 0], tmp_path / "selected.jsonl")
    assert (tmp_path / "selected.jsonl").read_bytes() == (
        b'{"text":"b\\n","n":2}\n{"text":"a","n":1}\n'
    )
    assert files(tmp_path) == ["selected.jsonl"]


def test_rows_outside_the_pool(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"indices: expected row numbers in \[0, 1\), got 1"):
        write_rows(read(["a"], scores=None), [1], tmp_path / "selected.jsonl")
    assert files(tmp_path) == []


def test_scores_become_columns(tmp_path: Path) -> None:
    columns = {
        "index": np.arange(3),
        "error_probability": np.array([0.5, np.nan, 1.0], dtype=np.float32),
        "selected": np.array([True, False, True]),
        "reason": ["best", None, "rare"],
    }
    write_scores(tmp_path / "scores.parquet", columns)
    table = pq.read_table(tmp_path / "scores.parquet")
    assert table.column_names == list(columns)
    assert [str(field.type) for field in table.schema] == ["int64", "float", "bool", "string"]
    assert table["index"].to_pylist() == [0, 1, 2]
    assert table["reason"].to_pylist() == ["best", None, "rare"]
    np.testing.assert_array_equal(table["error_probability"].to_numpy(), [0.5, np.nan, 1.0])
    assert table["error_probability"].null_count == 0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "expected at least one column"),
        ({"a": [1], "b": [1, 2]}, r"expected columns of one length, got \{'a': 1, 'b': 2\}"),
        ({"a": [object()]}, "cannot write 'a' as a column"),
        ({"a": [1, "x"]}, "cannot write 'a' as a column"),
        ({"a": np.zeros((2, 2))}, "cannot write 'a' as a column"),
        ({"a": 7}, "cannot write 'a' as a column"),
    ],
)
def test_columns_that_make_no_table(columns: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        write_scores(tmp_path / "scores.parquet", columns)
    assert files(tmp_path) == []


def test_manifest_is_readable_json_in_the_given_order(tmp_path: Path) -> None:
    manifest = {
        "version": "1.0",
        "seed": np.int64(3),
        "input": Path("rows.jsonl"),
        "timings": MappingProxyType({"knn": np.float32(0.5), "lost": float("nan")}),
        "order": np.array(["b", "a"]),
        "at": datetime(2025, 1, 2, tzinfo=UTC),
    }
    write_manifest(tmp_path / "manifest.json", manifest)
    text = (tmp_path / "manifest.json").read_text()
    assert text.startswith('{\n  "made_by": "ds2fast",\n  "version": "1.0",\n  "seed": 3,\n')
    assert text.endswith("}\n")
    assert json.loads(text) == {
        "made_by": "ds2fast",
        "version": "1.0",
        "seed": 3,
        "input": "rows.jsonl",
        "timings": {"knn": 0.5, "lost": None},
        "order": ["b", "a"],
        "at": "2025-01-02T00:00:00+00:00",
    }


def test_manifest_of_what_json_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(InputTypeError, match="manifest: expected values that JSON can hold"):
        write_manifest(tmp_path / "manifest.json", {"x": object()})
    assert files(tmp_path) == []


# --- whole or not at all -----------------------------------------------------------------------


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    with atomic_file(tmp_path / "new") as file:
        file.write(b"x")
    usual, new = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "new"))
    assert usual == new


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupted_write_leaves_the_old_file(
    error: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "selected.jsonl"
    path.write_bytes(b"old")

    def interrupted() -> None:
        with atomic_file(path) as file:
            file.write(b"half of the new")
            assert path.read_bytes() == b"old"
            raise error

    with pytest.raises(error):
        interrupted()
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == ["selected.jsonl"]


def test_a_file_system_that_takes_no_more(tmp_path: Path) -> None:
    """A real refusal by the kernel in the middle of a write: the limit on the size of a file."""
    path = tmp_path / "selected.jsonl"
    path.write_bytes(b"old")
    pool = read(["x" * 1000] * 200, scores=None)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(OutputError, match=r"cannot write .*selected\.jsonl: File too large;"):
            write_rows(pool, np.arange(200), path)
        with pytest.raises(OutputError, match=r"cannot write .*scores\.parquet: .*File too large"):
            write_scores(tmp_path / "scores.parquet", {"x": np.random.default_rng(0).random(9999)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == ["selected.jsonl"]


def test_a_full_disk_that_shows_at_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "manifest.json"
    write_manifest(path, {"seed": 1})
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"manifest\.json: No space left on device; what was"):
        write_manifest(path, {"seed": 2})
    assert path.read_bytes() == before
    assert files(tmp_path) == ["manifest.json"]


def test_a_directory_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*x\.json: No such file or directory"):
        write_manifest(tmp_path / "no" / "x.json", {})


# --- the output directory ----------------------------------------------------------------------


def finished_run(folder: Path) -> Path:
    folder.mkdir()
    pool = read(["a", "b"], scores=None)
    write_rows(pool, [0], folder / "selected.jsonl")
    write_scores(folder / "scores.parquet", {"index": [0, 1]})
    write_manifest(folder / "manifest.json", {"seed": 0})
    return folder


def test_a_new_and_an_empty_directory(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out"
    assert prepare_output_dir(target) == target
    assert prepare_output_dir(str(target)) == target
    assert files(target) == []


def test_results_of_ours_need_overwrite_and_stay_until_replaced(tmp_path: Path) -> None:
    out = finished_run(tmp_path / "out")
    before = {name: (out / name).read_bytes() for name in files(out)}
    with pytest.raises(OutputError, match=r"holds results already; overwrite=True \(--overwrite\)"):
        prepare_output_dir(out)
    assert prepare_output_dir(out, overwrite=True) == out
    assert {name: (out / name).read_bytes() for name in files(out)} == before


def test_what_a_killed_run_left_is_ours(tmp_path: Path) -> None:
    out = finished_run(tmp_path / "out")
    (out / ".scores.parquet.0123456789ab.tmp").touch()
    assert prepare_output_dir(out, overwrite=True) == out


@pytest.mark.parametrize("name", ["notes.txt", ".git", ".notes.txt.0123456789ab.tmp"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_files_that_are_not_ours_are_refused(name: str, overwrite: bool, tmp_path: Path) -> None:
    out = finished_run(tmp_path / "out")
    (out / name).write_text("mine")
    before = files(out)
    with pytest.raises(OutputError, match="hold only results of ds2fast, but it holds"):
        prepare_output_dir(out, overwrite=overwrite)
    assert files(out) == before


@pytest.mark.parametrize("manifest", [None, "{}", "[]", "no json", '{"made_by": "others"}'])
def test_our_names_without_our_manifest_are_refused(manifest: str | None, tmp_path: Path) -> None:
    (tmp_path / "selected.jsonl").touch()
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(OutputError, match=r"but no manifest\.json of ds2fast beside it"):
        prepare_output_dir(tmp_path, overwrite=True)


def test_a_file_in_the_place_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(OutputError, match="expected a directory, got the file"):
        prepare_output_dir(tmp_path / "out")
    with pytest.raises(OutputError, match=r"output directory: cannot write to .*Not a directory"):
        prepare_output_dir(tmp_path / "out" / "deeper")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_without_write_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match=r"output directory: cannot write to .*Permission denied"):
        prepare_output_dir(tmp_path)
