"""Searches that lie on disk: the bytes of those in memory, whatever became of runs before them."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import approximate_child as child
from ds2fast import _core, graph_search
from ds2fast.approximate import Found, approximate_graph, runner, search
from ds2fast.approximate.arrays import Lists
from ds2fast.approximate.rounds import Shape
from ds2fast.errors import InputError, OutputError
from ds2fast.graph import KnnGraph
from ds2fast.knn import knn_graph
from ds2fast.results import FloatArray
from ds2fast.work import WorkFolder
from graph_checks import assert_same_bytes, integer_rows, random_rows

METHODS = ("approximate", "exact")


def pool() -> FloatArray:
    rows = random_rows(2400, 7)
    rows[::40] = rows[3]
    return rows


@pytest.fixture(autouse=True)
def small_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves and blocks as the child has them, and an exact search that memory never holds."""
    monkeypatch.setattr(search, "shape_of", child.shape_of)
    local = partial(runner.LocalRunner, block_rows=child.BLOCK_ROWS)
    monkeypatch.setattr(search, "LocalRunner", local)


def in_memory(rows: FloatArray, method: str) -> KnnGraph:
    graph = knn_graph(rows, child.K, method=method, recall=child.RECALL, progress=False)  # type: ignore[arg-type]  # one of METHODS
    assert graph.method == method
    return graph


def on_disk(rows: FloatArray, method: str, folder: Path, **more: Any) -> KnnGraph:
    limit = child.least_memory(rows, method)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_search, "search_memory", lambda *_: 2**40)
        return knn_graph(
            rows, child.K, method=method, recall=child.RECALL, max_memory=limit, cache_dir=folder,  # type: ignore[arg-type]  # one of METHODS
            progress=False, **more,
        )  # fmt: skip


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if not path.is_dir()]


# --- Whole runs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_on_disk_it_is_the_graph_in_memory_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, dtype: type[np.floating]
) -> None:
    np.save(tmp_path / "rows.npy", pool().astype(dtype))
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    expected = in_memory(rows, method)
    opened: list[WorkFolder] = []
    enter = WorkFolder.__enter__

    def count(work: WorkFolder) -> WorkFolder:
        opened.append(work)
        return enter(work)

    monkeypatch.setattr(WorkFolder, "__enter__", count)
    for threads in (1, 3):
        graph = on_disk(rows, method, tmp_path / "kept", threads=threads)
        assert_same_bytes(graph, expected)
        assert (graph.method, graph.recall) == (expected.method, expected.recall)
        assert graph.recall_interval == expected.recall_interval
        assert files_in(tmp_path / "kept") == []
    assert len(opened) == 2  # it did go by way of the disk
    assert not isinstance(graph.indices.base, np.memmap)


def test_what_memory_holds_goes_to_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WorkFolder, "__init__", lambda *_: pytest.fail("a folder was made"))
    rows = pool()
    for method in METHODS:
        graph = knn_graph(
            rows, child.K, method=method, recall=child.RECALL, max_memory="1GiB",  # type: ignore[arg-type]  # one of METHODS
            cache_dir=tmp_path, progress=False,
        )  # fmt: skip
        assert_same_bytes(graph, in_memory(rows, method))


# --- Runs that were stopped -----------------------------------------------------------------------


class CrashError(Exception):
    """Where a process might have been killed."""


class Crasher:
    """Stops at one moment: in a block, its lists then torn, or before a line of the journal."""

    def __init__(self, patch: pytest.MonkeyPatch, moment: int) -> None:
        self._moment, self._seen = moment, 0
        finish, note = WorkFolder.finish, WorkFolder.note

        def torn_finish(work: WorkFolder, step: str, *given: Any) -> None:
            self._meet()
            finish(work, step, *given)

        def torn_note(work: WorkFolder, step: str, value: Any) -> None:
            self._meet()
            note(work, step, value)

        patch.setattr(WorkFolder, "finish", torn_finish)
        patch.setattr(WorkFolder, "note", torn_note)
        for name in ("join", "descend"):
            patch.setattr(runner, name, partial(self._torn, getattr(runner, name)))

    def _torn(self, run: Any, *given: Any, out: Lists, **more: Any) -> Lists:
        kept = Lists(out.entries.copy(), out.similarities.copy())
        written: Lists = run(*given, out=out, **more)
        touched = (out.entries != kept.entries) | (out.similarities != kept.similarities)
        whole = Lists(out.entries.copy(), out.similarities.copy())
        out.entries[touched], out.similarities[touched] = 7, 9.0
        self._meet()
        out.entries[:], out.similarities[:] = whole
        return written

    def _meet(self) -> None:
        self._seen += 1
        if self._seen == self._moment:
            raise CrashError


def search_small(rows: FloatArray, work: WorkFolder | None = None) -> Found:
    norms = _core.row_norms(rows, 1)
    found = approximate_graph(
        rows, norms, 3, recall=0.95, seed=1, threads=1, work=work, shape=Shape(16, 4, 4, 3),
        runner=runner.LocalRunner(1, work, block_rows=150),
    )  # fmt: skip
    assert found is not None
    return found


def test_a_run_that_stops_at_any_moment_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No power is cut here, so nothing has to wait for the disk.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(np.memmap, "flush", lambda _: None)
    rows = np.concatenate([random_rows(250, 6), integer_rows(150, 6, 1)])
    expected = search_small(rows)
    assert expected.trees > 2
    moment, crashed = 1, True
    while crashed:
        crashed = False
        key = {"moment": moment}
        with WorkFolder(tmp_path, key) as work, pytest.MonkeyPatch.context() as patch:
            Crasher(patch, moment)
            try:
                search_small(rows, work)
            except CrashError:
                crashed = True
        with WorkFolder(tmp_path, key) as work:
            found = search_small(rows, work)
            work.remove()
        assert found.ids.tobytes() == expected.ids.tobytes()
        assert found.similarities.tobytes() == expected.similarities.tobytes()
        assert (found.recall, found.trees) == (expected.recall, expected.trees)
        moment += 1 if moment < 30 else 4  # the first rounds, and later ones that are as they are
    assert moment > 3 * (2 * expected.trees - 1)  # three blocks or so a round


def test_what_is_finished_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = random_rows(400, 6)
    with WorkFolder(tmp_path, {}) as work:
        expected = search_small(rows, work)
        for name in ("join_leaves", "descend", "encode_rows"):
            monkeypatch.setattr(_core, name, lambda *_: pytest.fail("done again"))
        assert search_small(rows, work).ids.tobytes() == expected.ids.tobytes()


@contextmanager
def _child(rows: Path, folder: Path, *what: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, child.__file__, str(rows), str(folder), *what]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def _lines(process: subprocess.Popen[str]) -> list[str]:
    """What it says until its end, or until it is held."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        if line == "held\n":
            break
        lines.append(line.rstrip())
    return lines


@pytest.mark.parametrize(("method", "dead", "torn"), [("approximate", 3, 9), ("exact", 6, 4)])
def test_killed_processes_leave_work_that_goes_on_to_the_same_bytes(
    tmp_path: Path, method: str, dead: int, torn: int
) -> None:
    rows = pool()
    np.save(tmp_path / "rows.npy", rows)
    place = (tmp_path / "rows.npy", tmp_path / "kept")
    expected = in_memory(rows, method)
    with _child(*place, method, "dead", str(dead)) as process:
        first = _lines(process)
        assert process.wait() == -signal.SIGKILL
    with _child(*place, method, "torn", str(torn)) as process:
        second = _lines(process)
        # Held in the middle of a block, it keeps others out; a later run takes its work over.
        with pytest.raises(OutputError, match="another run is working there"):
            on_disk(rows, method, tmp_path / "kept")
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert files_in(tmp_path / "kept") != []
    with _child(*place, method, "run", "0") as process:
        third = _lines(process)
        assert process.wait() == 0
    graph = np.load(tmp_path / "kept" / "graph.npz")
    assert graph["ids"].tobytes() == expected.indices.tobytes()
    assert graph["similarities"].tobytes() == expected.similarities.tobytes()
    assert [path.name for path in files_in(tmp_path / "kept")] == ["graph.npz"]
    assert (len(first), len(second)) == (dead, torn)
    if method == "approximate":
        with _child(place[0], tmp_path / "other", method, "run", "0") as process:
            everything = _lines(process)
        # The block that was torn is the only one that ran twice.
        assert first + second[:-1] + third == everything


def test_a_run_for_less_recall_goes_its_own_way(tmp_path: Path) -> None:
    # The lists that a look at the recall was of are overwritten two rounds later.
    rows = random_rows(2400, 7)
    limit = child.least_memory(rows, "approximate")
    given: dict[str, Any] = {"method": "approximate", "max_memory": limit, "progress": False}
    expected = knn_graph(rows, child.K, recall=0.5, cache_dir=tmp_path / "other", **given)
    descend, seen = runner.LocalRunner.descend, []

    def stop(self: runner.LocalRunner, number: int, *more: Any) -> None:
        descend(self, number, *more)
        seen.append(number)
        if len(seen) == 3:
            raise CrashError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner.LocalRunner, "descend", stop)
        patch.setattr(search, "LocalRunner", runner.LocalRunner)
        with pytest.raises(CrashError):
            knn_graph(rows, child.K, recall=0.999, cache_dir=tmp_path / "kept", **given)
    assert seen[0] < seen[-1] - 2
    graph = knn_graph(rows, child.K, recall=0.5, cache_dir=tmp_path / "kept", **given)
    assert_same_bytes(graph, expected)
    assert graph.recall == expected.recall


# --- Refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_full_disk_is_an_error_that_says_so(tmp_path: Path, method: str) -> None:
    np.save(tmp_path / "rows.npy", pool())
    with _child(tmp_path / "rows.npy", tmp_path / "kept", method, "full", "20000") as process:
        (message,) = _lines(process)
    assert os.strerror(errno.EFBIG) in message
    assert str(tmp_path / "kept") in message


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for method in METHODS:
        with pytest.raises(OutputError, match=r"cannot work in .*file"):
            on_disk(pool(), method, tmp_path / "file")


@pytest.mark.parametrize("method", METHODS)
def test_too_little_memory_is_an_error_that_names_what_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(graph_search, "search_memory", lambda *_: 2**40)
    rows = pool()
    given: dict[str, Any] = {"method": method, "recall": child.RECALL, "progress": False}
    with pytest.raises(InputError, match=r"^max_memory: expected at least \d+ MiB for .*") as error:
        knn_graph(rows, child.K, max_memory=9000, cache_dir=tmp_path / "kept", **given)
    assert files_in(tmp_path) == []
    least = " ".join(str(error.value).split()[4:6]).replace(" ", "")
    graph = knn_graph(rows, child.K, max_memory=least, cache_dir=tmp_path / "kept", **given)
    assert_same_bytes(graph, in_memory(rows, method))
