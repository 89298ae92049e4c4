"""One search for the neighbours of all rows: exact or approximate, in memory or on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from ds2fast import _core
from ds2fast.approximate import Found, approximate_graph, approximate_memory, list_width
from ds2fast.approximate.runner import Runner
from ds2fast.arguments import as_count, as_share, check_choice, in_range
from ds2fast.blocks import blocks_memory, choose_block_rows, exact_blocks
from ds2fast.blocks.layout import LEAST_BLOCK
from ds2fast.blocks.mapped import is_mapped
from ds2fast.cache_dir import CacheDir, resolve_cache_dir
from ds2fast.checks import MAX_SEED
from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.graph_work import open_graph_work
from ds2fast.memory.amount import as_memory
from ds2fast.progress import Progress, Reporter
from ds2fast.results import DoubleArray, RowArray
from ds2fast.sizes import as_size
from ds2fast.threads import resolve_threads
from ds2fast.vector_rows import as_embedding_rows, row_norms
from ds2fast.work import WorkFolder

GraphMethod = Literal["auto", "exact", "approximate"]
GRAPH_METHODS = get_args(GraphMethod)
DEFAULT_RECALL = 0.98

EXACT_UP_TO = 3.5e13
"""N²·d up to which "auto" is exact: 300 000 rows of 384 numbers, half a minute of two cores."""

_PAIR_BYTES = 8  # of a neighbour in the result: an int32 and a float32
_NORM_BYTES = 8


def check_search(
    embeddings: npt.ArrayLike,
    k: int,
    *,
    method: GraphMethod = "auto",
    recall: float = DEFAULT_RECALL,
    seed: int = 0,
    threads: int | None = None,
    max_memory: int | str | None = None,
    cache_dir: CacheDir = False,
    progress: Progress | Reporter = None,
) -> GraphSearch:
    """A search with the arguments of `knn_graph`, each checked."""
    width = as_count(k, "k")
    check_choice(method, "method", GRAPH_METHODS)
    share, number = as_share(recall, "recall"), in_range(seed, "seed", 0, MAX_SEED)
    num_threads = resolve_threads(threads)
    limit = None if max_memory is None else as_memory(max_memory)
    resolve_cache_dir(cache_dir)
    reporter = Reporter.of(progress)
    rows = as_embedding_rows(embeddings)
    if len(rows) <= width:
        raise InputError(f"k: expected fewer than the number of rows ({len(rows)}), got {width}")
    norms = row_norms(rows, num_threads)
    wants_all = share == 1.0 or is_exact(method, *rows.shape)
    return GraphSearch(
        rows, norms, width, wants_all, share, number, num_threads, limit, cache_dir, reporter
    )


def is_exact(method: str, num_rows: int, depth: int) -> bool:
    """Whether a method is the exact one for so many rows.

    Examples
    --------
    >>> is_exact("auto", 100_000, 384), is_exact("auto", 1_000_000, 384)
    (True, False)
    """
    return method == "exact" or (method == "auto" and num_rows**2 * depth <= EXACT_UP_TO)


@dataclass(frozen=True, eq=False)
class GraphSearch:
    """One search, in memory or on disk.

    Attributes
    ----------
    rows : (N, d) float32 or float16
    norms : (N,) float64
    k : int
        Neighbours of each row.
    is_exact : bool
        Whether all of them are to be found.
    recall : float
        Else this share.
    seed : int
        Of an approximate search.
    threads : int
    limit : int or None
        Bytes that it may hold.
    cache_dir : path, False or None
        Where files lie.
    reporter : Reporter
        Hears how far it is.
    """

    rows: RowArray
    norms: DoubleArray
    k: int
    is_exact: bool
    recall: float
    seed: int
    threads: int
    limit: int | None
    cache_dir: CacheDir
    reporter: Reporter

    def run(self) -> KnnGraph:
        """The graph that was asked for; an exact one where it is cheaper."""
        found = None if self.is_exact else self.approximate()
        return self.exact() if found is None else found

    def exact(self) -> KnnGraph:
        """All neighbours."""
        num_rows, depth = self.rows.shape
        needed = search_memory(num_rows, depth, self.k)
        on_disk = self._is_beyond(needed)
        # Before there is a folder: too small a limit leaves none behind.
        block_rows = self._block_rows(self.limit) if on_disk and self.limit is not None else None
        with (
            self._work(on_disk, way="exact") as work,
            self._stage(" pair blocks", needed) as report,
        ):
            if work is None:
                found = _core.exact_knn(self.rows, self.norms, self.k, self.threads, report)
            else:
                mapped = exact_blocks(
                    self.rows, self.norms, self.k, threads=self.threads, report=report,
                    work=work, block_rows=block_rows,
                )  # fmt: skip
                found = np.array(mapped[0]), np.array(mapped[1])
        return KnnGraph(*found, method="exact", recall=1.0)

    def approximate(self, runner: Runner | None = None) -> KnnGraph | None:
        """Most neighbours; None where all of them are cheaper. `runner` runs the rounds."""
        shape = (*self.rows.shape, self.k)
        needed = approximate_memory(*shape)
        on_disk = self._is_beyond(needed)
        least = approximate_memory(*shape, on_disk=True)
        self.refuse_below(least)
        with (
            # What a look at the recall decided, holds for that recall: later rounds took its lists.
            self._work(
                on_disk,
                way="approximate",
                seed=self.seed,
                recall=self.recall,
                width=list_width(self.k),
            ) as work,
            self._stage(" rows", least if on_disk else needed) as report,
        ):
            found = approximate_graph(
                self.rows, self.norms, self.k, recall=self.recall, seed=self.seed,
                threads=self.threads, report=report, work=work, runner=runner,
            )  # fmt: skip
        return None if found is None else graph_of(found)

    def result_memory(self) -> int:
        """Bytes of an exact graph and the norms: where all else lies on disk, they do not."""
        num_rows = len(self.rows)
        return num_rows * (_PAIR_BYTES * self.k + _NORM_BYTES)

    def refuse_below(self, least: int) -> None:
        """Refuse a limit that is too small even where all lies on disk that can.

        Raises
        ------
        InputError
            The message says what is enough.
        """
        if self.limit is None or least <= self.limit:
            return
        whole_mib = -(-least // 2**20) * 2**20  # rounded up: as much is enough
        raise InputError(
            f"max_memory: expected at least {as_size(whole_mib)} for a graph of {len(self.rows)} "
            f"rows with {self.k} neighbours each, got {as_size(self.limit)}"
        )

    def _block_rows(self, limit: int) -> int:
        """Rows of the largest blocks for which the limit has room beside the norms."""
        num_rows, depth = self.rows.shape
        itemsize = self.rows.itemsize if is_mapped(self.rows) else 0
        least = blocks_memory(num_rows, depth, self.k, LEAST_BLOCK, itemsize=itemsize)
        self.refuse_below(max(least + self.norms.nbytes, self.result_memory()))
        left = limit - self.norms.nbytes
        return choose_block_rows(num_rows, depth, self.k, left, itemsize=itemsize)

    def _is_beyond(self, needed: int) -> bool:
        return self.limit is not None and needed > self.limit

    @contextmanager
    def _work(self, on_disk: bool, **settings: Any) -> Iterator[WorkFolder | None]:
        """A folder for what has no room in memory; gone when the search has ended."""
        if not on_disk:
            yield None
            return
        with open_graph_work(self.rows, self.cache_dir, k=self.k, **settings) as work:
            yield work
            work.remove()

    def _stage(
        self, unit: str, needed: int
    ) -> AbstractContextManager[Callable[[int, int], None] | None]:
        return self.reporter.stage("k-NN graph", unit=unit, note=f"needs {as_size(needed)}")


def graph_of(found: Found) -> KnnGraph:
    """What an approximate search found, as a graph."""
    seen = found.recall
    return KnnGraph(
        found.ids, found.similarities, method="approximate", recall=seen.share,
        recall_interval=seen.interval, recall_tied=seen.tied,
    )  # fmt: skip


def search_memory(num_rows: int, depth: int, k: int) -> int:
    """Bytes that an exact search takes beyond its input, but for what a thread works with.

    N·(d + 32·k + 64): the codes of the first pass are d bytes a row; candidates, results and all
    else are the rest.

    Examples
    --------
    >>> search_memory(300_000, 384, 10) / 2**20  # MiB
    219.7265625
    """
    return num_rows * (depth + 32 * k + 64)
