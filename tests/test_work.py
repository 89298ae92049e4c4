"""Work folders: what is finished survives a kill, a torn journal and a full disk."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ds2fast.errors import InputError, InputTypeError, OutputError
from ds2fast.work import WorkFolder, remove_abandoned
from work_child import KEY

CHILD = Path(__file__).with_name("work_child.py")
LEFT = "['journal', 'key.json', 'lock', 'small.npy']"


@contextmanager
def _child(what: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(CHILD), what, str(folder)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def _journal(folder: Path) -> Path:
    (found,) = folder.glob("*/journal")
    return found


@pytest.mark.parametrize("lines", [1, 37, 99])
def test_a_killed_process_loses_only_the_block_it_was_in(tmp_path: Path, lines: int) -> None:
    with _child("squares", tmp_path) as process:
        assert process.stdout is not None
        started = [int(process.stdout.readline()) for _ in range(lines)]
        process.kill()
        started += [int(line) for line in process.stdout if line.endswith("\n")]
    with WorkFolder(tmp_path, KEY) as work:
        finished = [first for first in range(0, 400, 4) if work.is_finished(str(first))]
        kept = work.array("squares", (400,), np.int64)
        # It may have got on between its last line and the kill, by a block at most.
        assert finished[: lines - 1] == started[: lines - 1]
        assert len(finished) in {len(started) - 1, len(started)}
        for first in finished:
            expected = [number**2 for number in range(first, first + 4)]
            assert kept[first : first + 4].tolist() == expected
            assert work.value(str(first)) == {"sum": sum(expected)}
    with _child("squares", tmp_path) as process:
        assert process.stdout is not None
        rest = [int(line) for line in process.stdout]
        assert process.wait() == 0
    assert rest == [first for first in range(0, 400, 4) if first not in finished]
    with WorkFolder(tmp_path, KEY) as work:
        assert (work.array("squares", (400,), np.int64) == np.arange(400) ** 2).all()


def test_a_torn_last_line_is_dropped_with_its_step(tmp_path: Path) -> None:
    with WorkFolder(tmp_path, KEY) as work:
        work.note("a", [1, 2])
        work.finish("a")
        before = _journal(tmp_path).stat().st_size
        work.finish("b")
    whole = _journal(tmp_path).read_bytes()
    for torn in range(before, len(whole)):
        _journal(tmp_path).write_bytes(whole[:torn])
        with WorkFolder(tmp_path, KEY) as work:
            assert work.is_finished("a")
            assert work.value("a") == [1, 2]
            assert not work.is_finished("b")
            work.finish("c")
        with WorkFolder(tmp_path, KEY) as work:  # what follows a torn line is read again
            assert [work.is_finished(step) for step in "abc"] == [True, False, True]


def test_a_line_that_is_not_what_was_written_ends_the_journal(tmp_path: Path) -> None:
    with WorkFolder(tmp_path, KEY) as work:
        for step in "abc":
            work.finish(step)
    journal = _journal(tmp_path)
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"b"', b'"d"')
    journal.write_bytes(b"".join(lines) + bytes(100))  # zeros: what a power cut may leave
    with WorkFolder(tmp_path, KEY) as work:
        assert [work.is_finished(step) for step in "abcd"] == [True, False, False, False]


def test_an_array_holds_the_same_bytes_when_it_is_opened_again(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    with WorkFolder(tmp_path, KEY) as work:
        made = work.array("rows", (7, 5), np.float32)
        assert isinstance(made, np.memmap)
        assert not made.any()
        made[:] = values
        work.finish("rows", made)
    with WorkFolder(tmp_path, KEY) as work:
        assert work.array("rows", (7, 5), np.float32).tobytes() == values.tobytes()
        assert work.array("empty", (0, 5), np.int8).shape == (0, 5)
        with pytest.raises(InputError, match=r"rows: expected \(5, 7\) float32.*\(7, 5\) float32"):
            work.array("rows", (5, 7), np.float32)
        with pytest.raises(InputError, match="rows: expected"):
            work.array("rows", (7, 5), np.int32)


def test_an_array_has_all_its_room_from_the_start(tmp_path: Path) -> None:
    with WorkFolder(tmp_path, KEY) as work:
        work.array("rows", (1 << 20,), np.uint8)
        assert (work.path / "rows.npy").stat().st_blocks * 512 >= 1 << 20


def test_other_keys_are_other_folders_and_the_order_of_names_says_nothing(tmp_path: Path) -> None:
    with WorkFolder(tmp_path, {"a": 1, "b": [2.5, None]}) as first:
        first.finish("step")
        with WorkFolder(tmp_path, {"a": 1, "b": [2.5, 1]}) as other:
            assert not other.is_finished("step")
    with WorkFolder(tmp_path, {"b": [2.5, None], "a": 1}) as again:
        assert again.is_finished("step")


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    with _child("hold", tmp_path) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(OutputError, match="another run is working there"):
            WorkFolder(tmp_path, KEY)
        WorkFolder(tmp_path, {**KEY, "rows": 3}).close()
        process.stdin.write("\n")
        process.stdin.close()
        assert process.wait() == 0
    WorkFolder(tmp_path, KEY).close()


def test_what_is_removed_is_gone_and_begins_anew(tmp_path: Path) -> None:
    with WorkFolder(tmp_path, KEY) as work:
        kept = work.array("rows", (3,), np.int64)
        kept[:] = 5
        work.finish("rows", kept)
        work.remove()
        assert list(tmp_path.iterdir()) == []
        assert kept.tolist() == [5, 5, 5]  # an open array outlives its name
        with WorkFolder(tmp_path, KEY) as other:  # a lock on what is removed keeps no one out
            assert not other.is_finished("rows")
            assert not other.array("rows", (3,), np.int64).any()


def test_folders_of_dead_runs_go_and_those_of_live_ones_stay(tmp_path: Path) -> None:
    old = time.time() - 40 * 86_400
    for number, when in enumerate((old, time.time(), old)):
        with WorkFolder(tmp_path, {**KEY, "number": number}) as work:
            work.finish("step")
            os.utime(work.path / "journal", (when, when))
    with WorkFolder(tmp_path, {**KEY, "number": 2}) as live:
        os.utime(live.path / "journal", (old, old))
        assert remove_abandoned(tmp_path) == 1
        assert live.is_finished("step")
        assert len(list(tmp_path.iterdir())) == 2
    with WorkFolder(tmp_path, {**KEY, "number": 1}) as young:
        assert young.is_finished("step")
    with WorkFolder(tmp_path, {**KEY, "number": 0}) as dead:
        assert not dead.is_finished("step")


def test_what_is_no_work_folder_stays_as_it_is(tmp_path: Path) -> None:
    """Work may lie where all programs put their temporary files."""
    digits = "0123456789abcdef0123456789abcdef"
    for name in ("other", digits, digits[::-1], "f" * 32):
        (tmp_path / name).mkdir()
        (tmp_path / name / "journal").write_text("a log")
    (tmp_path / digits[::-1] / "key.json").write_text("{}")  # another key than it is named after
    (tmp_path / ("f" * 32) / "journal").unlink()
    (tmp_path / "database" / "journal").mkdir(parents=True)
    (tmp_path / "database" / "journal" / "log").write_text("of a database")
    (tmp_path / "elsewhere").mkdir()
    with WorkFolder(tmp_path / "elsewhere", KEY) as work:
        (tmp_path / work.path.name).symlink_to(work.path)
    before = sorted(tmp_path.rglob("*"))
    old = time.time() - 40 * 86_400
    for path in before:
        os.utime(path, (old, old))
    assert remove_abandoned(tmp_path) == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_left_of_a_folder_that_was_being_removed_goes_with_any_run(tmp_path: Path) -> None:
    digest = "0123456789abcdef0123456789abcdef"
    names = [f".{digest}.0123456789ab.tmp", ".notes.0123456789ab.tmp", f".{digest}.tmp"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.npy").write_bytes(b"the rest")
    (tmp_path / f".{digest}.ba9876543210.tmp").symlink_to(names[1])
    assert remove_abandoned(tmp_path) == 0
    assert not (tmp_path / names[0]).exists()
    assert all((tmp_path / name / "rows.npy").exists() for name in names[1:])


def test_leftovers_of_killed_processes_go(tmp_path: Path) -> None:
    with WorkFolder(tmp_path, KEY) as work:
        half = work.path / ".rows.npy.0123456789ab.tmp"
        half.write_bytes(b"half")
        removed = tmp_path / f".{work.path.name}.0123456789ab.tmp"
        removed.mkdir()
        (removed / "rows.npy").write_bytes(b"of a folder that was being removed")
    with WorkFolder(tmp_path, KEY):
        assert not half.exists()
        assert not removed.exists()


def _output(what: str, folder: Path, *before: str) -> list[str]:
    command = [*before, sys.executable, str(CHILD), what, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_an_array_beyond_the_largest_file_is_refused_when_it_is_made(tmp_path: Path) -> None:
    refused, kept = _output("limited", tmp_path)
    assert "large.npy, 0.008 GB on disk" in refused
    assert os.strerror(errno.EFBIG) in refused
    assert kept == f"True {LEFT}"


def test_a_full_disk_is_an_error_when_the_array_is_made(tmp_path: Path) -> None:
    probe = f"mount -t tmpfs -o size=64k tmpfs {tmp_path}"
    space = ("unshare", "--mount", "--map-root-user")
    if subprocess.run([*space, "sh", "-c", probe], capture_output=True, check=False).returncode:
        pytest.skip("no small file system can be mounted here")
    refused, kept = _output("full", tmp_path, *space)
    assert os.strerror(errno.ENOSPC) in refused
    assert kept == f"True {LEFT}"


def test_a_step_that_cannot_be_written_is_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with WorkFolder(tmp_path, KEY) as work:
        work.finish("a")
        whole = _journal(tmp_path).read_bytes()

        def refuse(_descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", refuse)
            with pytest.raises(OutputError, match=os.strerror(errno.ENOSPC)):
                work.finish("b")
        assert not work.is_finished("b")
        assert _journal(tmp_path).read_bytes() == whole
        work.finish("c")
    with WorkFolder(tmp_path, KEY) as work:
        assert [work.is_finished(step) for step in "abc"] == [True, False, True]


def test_what_cannot_be_a_key_a_value_or_a_name_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputTypeError, match="key: expected a mapping, got str"):
        WorkFolder(tmp_path, "rows")  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match="key: expected what JSON can hold"):
        WorkFolder(tmp_path, {"rows": np.arange(3)})
    with WorkFolder(tmp_path, KEY) as work:
        with pytest.raises(InputTypeError, match="value: expected what JSON can hold"):
            work.note("a", float("nan"))
        with pytest.raises(InputError, match="name: expected letters"):
            work.array("../rows", (3,), np.int64)
        assert work.value("a") is None


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match=r"cannot work in .*file"):
        WorkFolder(tmp_path / "file", KEY)
