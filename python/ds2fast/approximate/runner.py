"""What runs the blocks of a round, and keeps those that are finished."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from ds2fast import _core
from ds2fast.approximate.arrays import Codes, Lists
from ds2fast.approximate.rounds import Shape, Tree, descend, join
from ds2fast.work import WorkFolder

BLOCK_ROWS = 1_000_000
"""Rows of a block that is kept when it is finished: some seconds of work."""


class Runner(Protocol):
    """Runs rounds: each writes `out`, all of it, from `lists`."""

    def join(
        self, number: int, codes: Codes, tree: Tree, lists: Lists, out: Lists,
        report: _core.Report | None,
    ) -> None:  # fmt: skip
        """Each row meets the others of its leaf."""

    def descend(
        self, number: int, codes: Codes, shape: Shape, lists: Lists, out: Lists,
        report: _core.Report | None,
    ) -> None:  # fmt: skip
        """Each row meets the neighbours of its neighbours."""


class LocalRunner:
    """Runs rounds in this process.

    Parameters
    ----------
    threads : int
        Threads to use.
    work : WorkFolder, optional
        Where the lists lie; a block that was finished before does not run again.
    block_rows : int
        Rows of a block, where there is a work folder.
    """

    def __init__(self, threads: int, work: WorkFolder | None, block_rows: int = BLOCK_ROWS) -> None:
        self._threads = threads
        self._work = work
        self._block_rows = block_rows

    def join(
        self, number: int, codes: Codes, tree: Tree, lists: Lists, out: Lists,
        report: _core.Report | None,
    ) -> None:  # fmt: skip
        """Each row meets the others of its leaf."""
        rows = len(tree.order) if self._work is None else self._block_rows

        def run(block: tuple[int, int], told: _core.Report | None) -> None:
            join(codes, tree, block, lists, self._threads, told, out=out)

        self._run(number, tree.blocks(rows), len(tree.bounds) - 1, run, out, report)

    def descend(
        self, number: int, codes: Codes, shape: Shape, lists: Lists, out: Lists,
        report: _core.Report | None,
    ) -> None:  # fmt: skip
        """Each row meets the neighbours of its neighbours."""
        total = len(lists.entries)
        rows = total if self._work is None else self._block_rows
        blocks = ((first, min(first + rows, total)) for first in range(0, total, rows))

        def run(block: tuple[int, int], told: _core.Report | None) -> None:
            descend(codes, shape, block, lists, self._threads, told, out=out)

        self._run(number, blocks, total, run, out, report)

    def _run(
        self, number: int, blocks: Iterable[tuple[int, int]], total: int,
        run: Callable[[tuple[int, int], _core.Report | None], None], out: Lists,
        report: _core.Report | None,
    ) -> None:  # fmt: skip
        for first, last in blocks:
            step = f"round {number} from {first}"
            if self._work is not None and self._work.is_finished(step):
                continue
            run((first, last), _part_of(report, first, last, total))
            if self._work is not None:
                self._work.finish(step, out.entries, out.similarities)  # type: ignore[arg-type]


def _part_of(report: _core.Report | None, first: int, last: int, total: int) -> _core.Report | None:
    """What a block reports to: the round is from 0 to `total`."""
    if report is None:
        return None
    return lambda done, of: report(first + (last - first) * done // max(of, 1), total)
