"""The k-NN graph of a pool under cosine similarity; every later stage reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from ds2fast import _core
from ds2fast.approximate import Found, approximate_graph, approximate_memory
from ds2fast.arguments import as_count, as_numbers, as_share, as_type, check_choice
from ds2fast.blocks import exact_blocks
from ds2fast.embedding.cache import CacheDir
from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.graph_work import open_graph_work
from ds2fast.memory.amount import as_memory
from ds2fast.progress import Progress, Reporter
from ds2fast.results import DoubleArray, RowArray
from ds2fast.sizes import as_size
from ds2fast.threads import resolve_threads
from ds2fast.work import WorkFolder

GraphMethod = Literal["auto", "exact", "approximate"]
GRAPH_METHODS = get_args(GraphMethod)
DEFAULT_RECALL = 0.98

EXACT_UP_TO = 3.5e13
"""N²·d up to which "auto" is exact: 300 000 rows of 384 numbers, half a minute of two cores."""

MAX_ROWS = 2**31 - 1
MAX_WIDTH = 2**16


def knn_graph(
    embeddings: npt.ArrayLike,
    k: int = 10,
    *,
    method: GraphMethod = "auto",
    recall: float = DEFAULT_RECALL,
    seed: int = 0,
    threads: int | None = None,
    max_memory: int | str | None = None,
    cache_dir: CacheDir = False,
    progress: Progress | Reporter = None,
) -> KnnGraph:
    """The k most cosine-similar other rows of every row: all of them, or most.

    The similarity that decides is ⟨x, y⟩ / (|x| |y|) of the float32 (or float16) input in float64,
    by one order of summation; ties go to the smaller index. An exact graph is that of a float64
    brute force. Each pair is multiplied once, in int8; a bound of the error that always holds
    decides which pairs may be dropped, and float64 ranks the few that are left.

    An approximate graph lacks some neighbours. How many it has is measured: the exact neighbours of
    1 000 rows, drawn beforehand, are searched too, and the search goes on until it has found so
    many of them. Its similarities are exact.

    Either is byte for byte the same for any number of threads, every SIMD level and whatever the
    order of work.

    Parameters
    ----------
    embeddings : (N, d) floats
        Any norm but 0; rows are normalised. float32 and float16 are read in place, memory-mapped or
        not, wherever each row begins, as long as its values lie side by side. Anything else is
        converted to float32 once (float64 is rounded): a copy of 4·N·d bytes.
    k : int
        Neighbours per row, 1 ≤ k < N. A row is never its own neighbour; exact duplicates of it are.
    method : {"auto", "exact", "approximate"}
        "auto" is exact up to N²·d = 3.5·10¹³ (300 000 rows of 384 numbers). An approximate search
        of so few rows, or for so high a recall, that an exact one is cheaper is exact.
    recall : float
        Share of the sample's true neighbours that an approximate graph has to hold, in (0, 1].
    seed : int
        Of an approximate search.
    threads : int, optional
        Threads to use; None is what CPU affinity and cgroup allow.
    max_memory : int or str, optional
        Bytes, or words such as "4GiB", that the search may hold beyond its input. What does not fit
        lies on disk: the search is slower, finds the same, and goes on where it was when it was
        killed.
    cache_dir : path, False or None
        Where such files lie: in its folder `work`; None is `DS2FAST_CACHE_DIR` or the user's cache
        folder, False the folder for temporary files. They are removed at the end.
    progress : bool or callable, optional
        None shows a bar on a terminal; a callable gets `(stage, done, total)`.

    Returns
    -------
    KnnGraph
        `.indices` (N, k) int32 and `.similarities` (N, k) float32, most similar first; `.method`,
        and `.recall` with its `.recall_interval`.

    Raises
    ------
    InputError
        Not a matrix, or wider than 65 536; N ≤ k; a row with NaN or infinity, or of norm 0 (the
        first one is named); `max_memory` too small whatever lies on disk.
    OutputError
        Files that have to lie on disk cannot be written.

    Notes
    -----
    Memory beyond the input, results included: exact at most N·(d + 32·k + 64) bytes resident,
    approximate N·(d + 30·k + 80) or so, some 200·d bytes a thread and some megabytes.

    Copies cost nothing: of rows that are byte for byte the same, k + 1 are searched. Thousands of
    rows that are nearly the same (cosines that differ by less than an int8 product can tell, some
    0.01) are exact too, but slow: their pairs are left to float64.

    Examples
    --------
    >>> graph = knn_graph([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]], k=1)
    >>> graph.indices.ravel().tolist(), graph.method
    ([1, 0, 1], 'exact')
    """
    width = as_count(k, "k")
    check_choice(method, "method", GRAPH_METHODS)
    wanted = as_share(recall, "recall")
    number = as_count(seed, "seed", minimum=0)
    num_threads = resolve_threads(threads)
    limit = None if max_memory is None else as_memory(max_memory)
    reporter = Reporter.of(progress)
    rows = as_embedding_rows(embeddings)
    if len(rows) <= width:
        raise InputError(f"k: expected fewer than the number of rows ({len(rows)}), got {width}")
    norms = row_norms(rows, num_threads)
    search = _Search(rows, norms, width, num_threads, limit, cache_dir, reporter)
    if is_exact(method, *rows.shape):
        return search.exact()
    return search.approximate(wanted, number) or search.exact()


def is_exact(method: str, num_rows: int, depth: int) -> bool:
    """Whether a method is the exact one for so many rows.

    Examples
    --------
    >>> is_exact("auto", 100_000, 384), is_exact("auto", 1_000_000, 384)
    (True, False)
    """
    return method == "exact" or (method == "auto" and num_rows**2 * depth <= EXACT_UP_TO)


class _Search:
    """One search, in memory or on disk."""

    def __init__(
        self, rows: RowArray, norms: DoubleArray, k: int, threads: int, limit: int | None,
        cache_dir: CacheDir, reporter: Reporter,
    ) -> None:  # fmt: skip
        self._rows, self._norms, self._k, self._threads = rows, norms, k, threads
        self._limit, self._cache_dir, self._reporter = limit, cache_dir, reporter

    def exact(self) -> KnnGraph:
        """All neighbours."""
        num_rows, depth = self._rows.shape
        needed = search_memory(num_rows, depth, self._k)
        on_disk = self._is_beyond(needed)
        with (
            self._work(on_disk, way="exact") as work,
            self._stage(" pair blocks", needed) as report,
        ):
            if work is None:
                found = _core.exact_knn(self._rows, self._norms, self._k, self._threads, report)
            else:
                mapped = exact_blocks(
                    self._rows, self._norms, self._k, threads=self._threads, report=report,
                    work=work, max_memory=self._limit,
                )  # fmt: skip
                found = np.array(mapped[0]), np.array(mapped[1])
        return KnnGraph(*found, method="exact", recall=1.0)

    def approximate(self, recall: float, seed: int) -> KnnGraph | None:
        """Most neighbours; None where all of them are cheaper."""
        shape = (*self._rows.shape, self._k)
        needed = approximate_memory(*shape)
        on_disk = self._is_beyond(needed)
        least = approximate_memory(*shape, on_disk=True)
        if on_disk and self._is_beyond(least):
            raise InputError(
                f"max_memory: expected at least {as_size(least)} for the numbers of the "
                f"neighbours alone, got {as_size(self._limit or 0)}"
            )
        with (
            self._work(on_disk, way="approximate", seed=seed) as work,
            self._stage(" rows", least if on_disk else needed) as report,
        ):
            found = approximate_graph(
                self._rows, self._norms, self._k, recall=recall, seed=seed, threads=self._threads,
                report=report, work=work,
            )  # fmt: skip
        return None if found is None else graph_of(found)

    def _is_beyond(self, needed: int) -> bool:
        return self._limit is not None and needed > self._limit

    @contextmanager
    def _work(self, on_disk: bool, **settings: Any) -> Iterator[WorkFolder | None]:
        """A folder for what has no room in memory; gone when the search has ended."""
        if not on_disk:
            yield None
            return
        with open_graph_work(self._rows, self._cache_dir, k=self._k, **settings) as work:
            yield work
            work.remove()

    def _stage(
        self, unit: str, needed: int
    ) -> AbstractContextManager[Callable[[int, int], None] | None]:
        return self._reporter.stage("k-NN graph", unit=unit, note=f"needs {as_size(needed)}")


def graph_of(found: Found) -> KnnGraph:
    """What an approximate search found, as a graph."""
    seen = found.recall
    return KnnGraph(
        found.ids, found.similarities, method="approximate", recall=seen.share,
        recall_interval=seen.interval, recall_tied=seen.tied,
    )  # fmt: skip


def row_norms(rows: RowArray, threads: int) -> DoubleArray:
    """Norms of rows that can be searched.

    Raises
    ------
    InputError
        A row with NaN or infinity, or of norm 0; the first one is named.
    """
    norms = _core.row_norms(rows, threads)
    _refuse_unusable_rows(rows, norms)
    return norms


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


def as_embedding_rows(embeddings: npt.ArrayLike) -> RowArray:
    """`embeddings` as the search reads them: themselves where they are so, else a float32 copy."""
    array = as_numbers(embeddings, "embeddings")
    if array.ndim != 2 or array.shape[1] < 1:
        raise InputError(f"embeddings: expected shape (N, d) with d >= 1, got {array.shape}")
    if array.shape[1] > MAX_WIDTH:
        raise InputError(f"embeddings: expected at most {MAX_WIDTH} columns, got {array.shape[1]}")
    if not 2 <= len(array) <= MAX_ROWS:
        raise InputError(f"embeddings: expected 2 to {MAX_ROWS} rows, got {len(array)}")
    if _can_be_read_in_place(array):
        return array
    return as_type(array, np.float32)  # what overflows becomes inf and is named later


def _can_be_read_in_place(array: npt.NDArray[Any]) -> bool:
    size = array.itemsize
    return (
        array.dtype in (np.float32, np.float16)
        and (array.strides[1] == size or array.shape[1] == 1)
        and array.strides[0] % size == 0
        and array.flags.aligned
    )


def _refuse_unusable_rows(rows: RowArray, norms: npt.NDArray[np.float64]) -> None:
    bad = ~(np.isfinite(norms) & (norms > 0))
    if not bad.any():
        return
    first = int(bad.argmax())
    if norms[first] == 0:
        found = "only zeros in float32, which have no direction"
    elif np.isnan(rows[first]).any():
        found = "NaN"
    else:
        found = "infinity (or a value beyond float32)"
    raise InputError(
        f"embeddings: expected finite rows of norm > 0; row {first} holds {found} "
        f"({int(bad.sum())} such rows in all)"
    )
