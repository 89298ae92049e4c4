"""Searches on disk, to be killed: `approximate_child.py ROWS FOLDER METHOD WHAT NUMBER`.

Each block that runs is told of in a line. What happens at block NUMBER:

    dead    it is written and finished, and the process dies
    torn    some of its lists are written, others hold neither old nor new; then the process waits
    run     nothing; NUMBER is of no meaning
    full    the same, but no file may have more than NUMBER bytes
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ds2fast import approximate, blocks, graph_search
from ds2fast.approximate import runner, search
from ds2fast.approximate.arrays import Lists
from ds2fast.approximate.rounds import Shape
from ds2fast.blocks import blocks_memory, state
from ds2fast.errors import OutputError
from ds2fast.knn import knn_graph
from ds2fast.results import RowArray
from ds2fast.work import WorkFolder

K = 5
RECALL = 0.97
BLOCK_ROWS = 700


def shape_of(k: int) -> Shape:
    """Leaves so small that searches of some thousand rows are worth it."""
    return Shape(64, search.list_width(k) + 1, 8, k)


def least_memory(rows: RowArray, method: str) -> int:
    """So much memory that a search goes by way of the disk."""
    num_rows, depth = rows.shape
    if method == "exact":
        return blocks_memory(num_rows, depth, K, 700, itemsize=4)
    return approximate.approximate_memory(num_rows, depth, K, on_disk=True)


class Watch:
    """Tells of blocks and ends or holds the process at one of them."""

    def __init__(self, what: str, number: int) -> None:
        self._what, self._number, self._seen = what, number, 0

    def run(self, kind: str, rounds: Callable[..., Lists], *given: Any, **more: Any) -> Lists:
        """One block of an approximate search."""
        out = rounds(*given, **more)
        self._tell(kind, given[2][0])
        if self._what == "torn" and self._seen == self._number:
            out.entries[::2] = 7
            out.similarities[1::3] = 9.0
            self.hold()
        return out

    def merge(self, merged: Callable[..., Any], *given: Any, **more: Any) -> Any:
        """Lists of one block of an exact search."""
        found = merged(*given, **more)
        self._tell("merge", self._seen)
        if self._what == "torn" and self._seen == self._number:
            found.ids[::2] = 7
            found.similarities[1::3] = 9.0
            self.hold()
        return found

    def finish(self, work: WorkFolder, step: str, *arrays: Any) -> None:
        """After the block it dies."""
        FINISH(work, step, *arrays)
        if self._what == "dead" and self._seen == self._number:
            os.kill(os.getpid(), signal.SIGKILL)

    def hold(self) -> None:
        """Until it is killed."""
        print("held", flush=True)
        sys.stdin.readline()

    def _tell(self, kind: str, first: int) -> None:
        self._seen += 1
        print(kind, first, flush=True)


FINISH = WorkFolder.finish


def main(path: str, folder: str, method: str, what: str, number: str) -> None:
    """Search with what is patched in."""
    watch = Watch(what, int(number))
    rows = np.load(path, mmap_mode="r")

    def finish(*given: Any) -> None:  # becomes a method
        watch.finish(*given)

    patch = pytest.MonkeyPatch()
    for name in ("join", "descend"):
        patch.setattr(runner, name, partial(watch.run, name, getattr(runner, name)))
    patch.setattr(state, "merge", partial(watch.merge, blocks.merge))
    patch.setattr(WorkFolder, "finish", finish)
    patch.setattr(search, "LocalRunner", partial(runner.LocalRunner, block_rows=BLOCK_ROWS))
    patch.setattr(search, "shape_of", shape_of)
    patch.setattr(graph_search, "search_memory", lambda *_: 2**40)
    if what == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(number), int(number)))
    try:
        graph = knn_graph(
            rows, K, method=method, recall=RECALL, threads=2, cache_dir=Path(folder),  # type: ignore[arg-type]
            max_memory=least_memory(rows, method), progress=False,
        )  # fmt: skip
    except OutputError as error:
        print(error)
    else:
        np.savez(Path(folder) / "graph.npz", ids=graph.indices, similarities=graph.similarities)


if __name__ == "__main__":
    main(*sys.argv[1:])
