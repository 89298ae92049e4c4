"""The exact graph of more rows than a search can hold: block against block, merged."""

from __future__ import annotations

from ds2fast import _core
from ds2fast.blocks.layout import Layout, choose_block_rows
from ds2fast.blocks.mapped import is_mapped, read_block
from ds2fast.blocks.nearest import Nearest
from ds2fast.blocks.state import State, open_state
from ds2fast.blocks.tasks import between, within
from ds2fast.results import DoubleArray, FloatArray, IdArray, RowArray
from ds2fast.work import WorkFolder


def exact_blocks(
    rows: RowArray,
    norms: DoubleArray,
    k: int,
    *,
    block_rows: int | None = None,
    threads: int,
    report: _core.Report | None = None,
    work: WorkFolder | None = None,
    max_memory: int | None = None,
) -> tuple[IdArray, FloatArray]:
    """The graph of `_core.exact_knn`, byte for byte, from pairs of blocks of rows.

    What it holds in memory, `blocks_memory` says. Of the rows, two blocks are read at a time; where
    they lie in a file, each pass reads it once from one end to the other.

    Parameters
    ----------
    rows : (N, d) float32 or float16
        As `knn_graph` reads them in place; memory-mapped or not.
    norms : (N,) float64
        Of `_core.row_norms`, all finite and above 0.
    k : int
        1 ≤ k < N; it may be larger than a block.
    block_rows : int, optional
        Rows of a block. None is the most that `max_memory` allows, or all.
    threads : int
        Threads to use.
    report : callable, optional
        Gets `(done, total)`, in pairs of rows.
    work : WorkFolder, optional
        Keeps the lists on disk: a run that was stopped, or killed, goes on after the last pair of
        blocks that it finished, with the same result. Its key says of which rows it is, and of
        which k. A run with larger blocks than it began with keeps to those; one with smaller blocks
        begins again.
    max_memory : int, optional
        Bytes; read where `block_rows` is None.

    Returns
    -------
    indices : (N, k) int32
    similarities : (N, k) float32
        Both memory-mapped where there is a work folder.

    Raises
    ------
    InputError
        `max_memory` is too little for any blocks.
    OutputError
        The work folder cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.random.default_rng(0).standard_normal((500, 8), dtype=np.float32)
    >>> norms = _core.row_norms(rows, 1)
    >>> ids, _ = exact_blocks(rows, norms, 5, block_rows=120, threads=1)
    >>> bool((ids == _core.exact_knn(rows, norms, 5, 1)[0]).all())
    True
    """
    if block_rows is None:
        block_rows = _most_rows(rows, k, max_memory, on_disk=work is not None)
    layout, state = open_state(Layout(len(rows), min(block_rows, len(rows))), k, work)
    blocks = _Blocks(rows, norms, layout)
    count = _Count(len(rows), report)
    finished = (pair for pair in layout.pairs() if state.has(*pair))
    count.add(sum(layout.num_comparisons(*pair) for pair in finished))
    for a, b in layout.pairs():
        if not state.has(a, b):
            comparisons = layout.num_comparisons(a, b)
            blocks.hold(a, b)
            found = _search(a, b, blocks, state, k, threads, count.of(comparisons))
            state.add(a, b, found, threads)
            count.add(comparisons)
    return state.result()


def _most_rows(rows: RowArray, k: int, max_memory: int | None, *, on_disk: bool) -> int:
    if max_memory is None:
        return len(rows)
    num_rows, depth = rows.shape
    itemsize = rows.itemsize if is_mapped(rows) else 0
    return choose_block_rows(num_rows, depth, k, max_memory, itemsize=itemsize, on_disk=on_disk)


def _search(
    a: int, b: int, blocks: _Blocks, state: State, k: int, threads: int,
    report: _core.Report | None,
) -> dict[int, Nearest]:  # fmt: skip
    """What a pair of blocks brings to each of the two."""
    rows_a, norms_a, first_a = blocks.read(a)
    if a == b:
        return {a: within(rows_a, first_a, k, threads, norms=norms_a, report=report)}
    rows_b, norms_b, first_b = blocks.read(b)
    found = between(
        rows_a, first_a, rows_b, first_b, k, threads,
        floor_a=state.floors(a), floor_b=state.floors(b),
        norms_a=norms_a, norms_b=norms_b, report=report,
    )  # fmt: skip
    return dict(zip((a, b), found, strict=True))


class _Blocks:
    """The rows of the blocks that are worked on, read when they are needed first."""

    def __init__(self, rows: RowArray, norms: DoubleArray, layout: Layout) -> None:
        self._rows = rows
        self._norms = norms
        self._layout = layout
        self._held: dict[int, RowArray] = {}

    def hold(self, *blocks: int) -> None:
        """Let go of all other blocks."""
        self._held = {block: self._held[block] for block in blocks if block in self._held}

    def read(self, block: int) -> tuple[RowArray, DoubleArray, int]:
        """A block's rows, their norms and the number of its first row."""
        span = self._layout.rows_of(block)
        if block not in self._held:
            self._held[block] = read_block(self._rows, span)
        return self._held[block], self._norms[span], span.start


class _Count:
    """Tells how far the whole is, from how far its parts are."""

    def __init__(self, num_rows: int, report: _core.Report | None) -> None:
        self._done, self._total = 0, num_rows * (num_rows - 1) // 2
        self._report = report

    def of(self, comparisons: int) -> _core.Report | None:
        """What a part of so many pairs of rows reports to."""
        report = self._report
        if report is None:
            return None
        return lambda done, total: report(self._done + comparisons * done // total, self._total)

    def add(self, comparisons: int) -> None:
        """So many pairs of rows are done."""
        self._done += comparisons
        if self._report is not None:
            self._report(self._done, self._total)
