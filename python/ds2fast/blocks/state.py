"""The lists of all rows while pairs of blocks are searched, in memory or in a work folder."""

from __future__ import annotations

from typing import Any

import numpy as np

from ds2fast.blocks.layout import Layout
from ds2fast.blocks.mapped import release
from ds2fast.blocks.merge import merge
from ds2fast.blocks.nearest import Nearest
from ds2fast.results import DoubleArray, FloatArray, IdArray
from ds2fast.work import WorkFolder

_CHUNK = 65_536  # rows that are rounded at a time


class MemoryState:
    """Lists in memory, which end with the process."""

    def __init__(self, layout: Layout, k: int) -> None:
        self._layout = layout
        self._nearest = Nearest.none(layout.num_rows, k)

    def has(self, a: int, b: int) -> bool:  # noqa: ARG002 (in memory nothing is left from before)
        """Whether a pair of blocks is in the lists."""
        return False

    def floors(self, block: int) -> DoubleArray:
        """How similar the last one in each list of a block is, −inf in lists that end early."""
        return _floors(self._of(block))

    def add(self, a: int, b: int, found: dict[int, Nearest], threads: int) -> None:  # noqa: ARG002
        """Merge what a pair of blocks brought into the lists of both."""
        for block, nearest in found.items():
            lists = self._of(block)
            merge(lists, nearest, into=lists, threads=threads)

    def result(self) -> tuple[IdArray, FloatArray]:
        """Ids (N, k) and similarities (N, k), rounded to float32."""
        return self._nearest.ids, self._nearest.similarities.astype(np.float32)

    def _of(self, block: int) -> Nearest:
        rows = self._layout.rows_of(block)
        return Nearest(self._nearest.ids[rows], self._nearest.similarities[rows])


class DiskState:
    """Lists in a work folder: a killed run goes on after the last pair that it finished.

    Each block has two places for its lists. A pair of blocks reads one and writes the other, brings
    it to the disk and only then notes that the pair is finished: what was is whole until what comes
    is. Which place holds, follows from the number of pairs that the block has been in.
    """

    def __init__(self, layout: Layout, k: int, work: WorkFolder, attempt: int) -> None:
        self._layout = layout
        self._work = work
        self._attempt = attempt
        shape = (2, layout.num_rows, k)
        self._ids = work.array("exact-ids", shape, np.int32)
        self._similarities = work.array("exact-similarities", shape, np.float64)
        self._num_pairs = [0] * layout.num_blocks
        for a, b in layout.pairs():
            if self.has(a, b):
                self._count(a, b)

    def has(self, a: int, b: int) -> bool:
        """Whether a pair of blocks is in the lists."""
        return self._work.is_finished(self._step(a, b))

    def floors(self, block: int) -> DoubleArray:
        """How similar the last one in each list of a block is, −inf in lists that end early."""
        return _floors(self._of(block))

    def add(self, a: int, b: int, found: dict[int, Nearest], threads: int) -> None:
        """Merge what a pair of blocks brought into the lists of both, on the disk, too."""
        for block, nearest in found.items():
            # What is left there by a run with other blocks is no list of this one.
            known = nearest if self._num_pairs[block] == 0 else self._of(block)
            merge(known, nearest, into=self._of(block, ahead=1), threads=threads)
        self._work.finish(self._step(a, b), self._ids, self._similarities)
        self._count(a, b)
        release(self._ids)
        release(self._similarities)

    def result(self) -> tuple[IdArray, FloatArray]:
        """Ids (N, k) and similarities (N, k), rounded to float32: in the folder, too.

        Every block has been in as many pairs as there are blocks, so all lists are in one place.
        """
        place = self._place(0)
        rounded = self._work.array("exact-rounded", self._ids.shape[1:], np.float32)
        for first in range(0, self._layout.num_rows, _CHUNK):
            rows = slice(first, first + _CHUNK)
            rounded[rows] = self._similarities[place, rows]
            release(self._similarities)
            if first % (16 * _CHUNK) == 0:
                rounded.flush()
                release(rounded)
        rounded.flush()
        return self._ids[place], rounded

    def _of(self, block: int, ahead: int = 0) -> Nearest:
        place, rows = self._place(block, ahead), self._layout.rows_of(block)
        return Nearest(_plain(self._ids[place, rows]), _plain(self._similarities[place, rows]))

    def _place(self, block: int, ahead: int = 0) -> int:
        return (self._num_pairs[block] + ahead) % 2

    def _count(self, a: int, b: int) -> None:
        for block in {a, b}:
            self._num_pairs[block] += 1

    def _step(self, a: int, b: int) -> str:
        return f"exact graph {self._attempt}: blocks {a} and {b}"


State = MemoryState | DiskState


def open_state(layout: Layout, k: int, work: WorkFolder | None) -> tuple[Layout, State]:
    """The lists as they were left, and the blocks that they are of.

    Blocks of another size than those that a stopped run had begun with are taken where they are
    larger than its; where they are smaller, there may be too little memory now, so it begins again.
    """
    if work is None:
        return layout, MemoryState(layout, k)
    begun: Any = work.value("exact graph") or {"block_rows": layout.block_rows + 1, "attempt": 0}
    if begun["block_rows"] > layout.block_rows:
        begun = {"block_rows": layout.block_rows, "attempt": begun["attempt"] + 1}
        work.note("exact graph", begun)
    layout = Layout(layout.num_rows, begun["block_rows"])
    return layout, DiskState(layout, k, work, begun["attempt"])


def _floors(nearest: Nearest) -> DoubleArray:
    return np.ascontiguousarray(nearest.similarities[:, -1])


def _plain(array: Any) -> Any:
    return np.asarray(array)  # a view without memmap's own ways
