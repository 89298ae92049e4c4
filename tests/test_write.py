"""Results out: whole files or none."""

from __future__ import annotations

import errno
import io
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
from ds2fast.io.write import write_manifest, write_rows, write_scores

resource = pytest.importorskip("resource", reason="file size limits are a POSIX thing")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_rows_of_objects() -> None:
    pool = read([{"text": "a", "n": 1}, {"text": "b\n", "n": 2}], scores=None)
    file = io.BytesIO()
    write_rows(file, pool, [1, 0])
    assert file.getvalue() == b'{"text":"b\\n","n":2}\n{"text":"a","n":1}\n'


def test_rows_outside_the_pool() -> None:
    file = io.BytesIO()
    with pytest.raises(InputError, match=r"indices: expected row numbers in \[0, 1\), got 1"):
        write_rows(file, read(["a"], scores=None), [0, 1])
    assert file.getvalue() == b""


def test_scores_become_columns() -> None:
    columns = {
        "index": np.arange(3),
        "error_probability": np.array([0.5, np.nan, 1.0], dtype=np.float32),
        "selected": np.array([True, False, True]),
        "reason": ["best", None, "rare"],
    }
    file = io.BytesIO()
    write_scores(file, columns)
    table = pq.read_table(io.BytesIO(file.getvalue()))
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
def test_columns_that_make_no_table(columns: dict[str, Any], message: str) -> None:
    file = io.BytesIO()
    with pytest.raises(InputError, match=message):
        write_scores(file, columns)
    assert file.getvalue() == b""


def test_manifest_is_readable_json_in_the_given_order() -> None:
    manifest = {
        "version": "1.0",
        "seed": np.int64(3),
        "input": Path("rows.jsonl"),
        "timings": MappingProxyType({"knn": np.float32(0.5), "lost": float("nan")}),
        "order": np.array(["b", "a"]),
        "at": datetime(2025, 1, 2, tzinfo=UTC),
    }
    file = io.BytesIO()
    write_manifest(file, manifest)
    text = file.getvalue().decode()
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


def test_manifest_of_what_json_cannot_hold() -> None:
    with pytest.raises(InputTypeError, match="manifest: expected values that JSON can hold"):
        write_manifest(io.BytesIO(), {"x": object()})


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
        with (
            pytest.raises(OutputError, match=r"cannot write .*selected\.jsonl: File too large;"),
            atomic_file(path) as file,
        ):
            write_rows(file, pool, np.arange(200))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == ["selected.jsonl"]


def test_a_full_disk_that_shows_at_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(OutputError, match=r"manifest\.json: No space left on device; what was"),
        atomic_file(path) as file,
    ):
        write_manifest(file, {"seed": 2})
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == ["manifest.json"]


def test_a_directory_that_is_missing(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"cannot write .*x\.json: No such file or directory"),
        atomic_file(tmp_path / "no" / "x.json"),
    ):
        pytest.fail("there is no file to write")
