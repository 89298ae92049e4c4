"""The k-NN graph of a pool under cosine similarity; every later stage reads it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ds2fast import _core
from ds2fast.arguments import as_count, as_numbers, as_type
from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.progress import Progress, Reporter
from ds2fast.results import RowArray
from ds2fast.sizes import as_size
from ds2fast.threads import resolve_threads

MAX_ROWS = 2**31 - 1
MAX_WIDTH = 2**16


def knn_graph(
    embeddings: npt.ArrayLike,
    k: int = 10,
    *,
    threads: int | None = None,
    progress: Progress | Reporter = None,
) -> KnnGraph:
    """The k most cosine-similar other rows of every row, exact.

    The similarity that decides is ⟨x, y⟩ / (|x| |y|) of the float32 (or float16) input in float64,
    by one order of summation; ties go to the smaller index. So the result is that of a float64
    brute force, byte for byte the same for any number of threads, every SIMD level and whatever the
    order of work. Each pair is multiplied once, in int8; a bound of the error that always holds
    decides which pairs may be dropped, and float64 ranks the few that are left.

    Parameters
    ----------
    embeddings : (N, d) floats
        Any norm but 0; rows are normalised. float32 and float16 are read in place, memory-mapped or
        not, wherever each row begins, as long as its values lie side by side. Anything else is
        converted to float32 once (float64 is rounded): a copy of 4·N·d bytes.
    k : int
        Neighbours per row, 1 ≤ k < N. A row is never its own neighbour; exact duplicates of it are.
    threads : int, optional
        Threads to use; None is what CPU affinity and cgroup allow.
    progress : bool or callable, optional
        None shows a bar on a terminal; a callable gets `(stage, done, total)`.

    Returns
    -------
    KnnGraph
        `.indices` (N, k) int32 and `.similarities` (N, k) float32, most similar first.

    Raises
    ------
    InputError
        Not a matrix, or wider than 65 536; N ≤ k; a row with NaN or infinity, or of norm 0 (the
        first one is named).

    Notes
    -----
    Memory beyond the input, results included: at most N·(d + 32·k + 64) bytes resident, some
    200·d bytes a thread and some megabytes. The progress bar shows how much that is.

    Copies cost nothing: of rows that are byte for byte the same, k + 1 are searched. Thousands of
    rows that are nearly the same (cosines that differ by less than an int8 product can tell, some
    0.01) are exact too, but slow: their pairs are left to float64.

    Examples
    --------
    >>> graph = knn_graph([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]], k=1)
    >>> graph.indices.ravel().tolist()
    [1, 0, 1]
    """
    width = as_count(k, "k")
    num_threads = resolve_threads(threads)
    reporter = Reporter.of(progress)
    rows = as_embedding_rows(embeddings)
    if len(rows) <= width:
        raise InputError(f"k: expected fewer than the number of rows ({len(rows)}), got {width}")
    norms = _core.row_norms(rows, num_threads)
    _refuse_unusable_rows(rows, norms)
    needed = search_memory(len(rows), rows.shape[1], width)
    with reporter.stage(
        "k-NN graph", unit=" pair blocks", note=f"needs {as_size(needed)}"
    ) as report:
        indices, similarities = _core.exact_knn(rows, norms, width, num_threads, report)
    return KnnGraph(indices, similarities, method="exact", recall=1.0)


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
