"""The k-NN graph of a pool under cosine similarity; every later stage reads it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ds2fast import _core
from ds2fast.arguments import as_count, as_numbers, as_type
from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.progress import Progress, Reporter
from ds2fast.results import FloatArray
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

    The ranking is that of float64 arithmetic on the float32 input, ties broken by the smaller
    index: the same bytes for any number of threads and every SIMD level. An int8 or float32 pass
    over each pair once picks the candidates; a bound of its error that always holds decides what it
    may drop.

    Parameters
    ----------
    embeddings : (N, d) floats
        Any norm but 0; rows are normalised. float32 that is C-contiguous is read in place; anything
        else is converted to float32 once (float64 is rounded): a copy of 4·N·d bytes.
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
    Memory beyond the input: N·d bytes of int8 codes (4·N·d where the processor has no fast int8
    products) and 8·max(4k, 64) + 36 bytes a row.

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
    with reporter.stage("k-NN graph", unit="pair blocks") as report:
        indices, similarities = _core.exact_knn(rows, norms, width, num_threads, report)
    return KnnGraph(indices, similarities, method="exact", recall=1.0)


def as_embedding_rows(embeddings: npt.ArrayLike) -> FloatArray:
    """`embeddings` as a C-contiguous float32 matrix: itself where it is one, else a copy."""
    array = as_numbers(embeddings, "embeddings")
    if array.ndim != 2 or array.shape[1] < 1:
        raise InputError(f"embeddings: expected shape (N, d) with d >= 1, got {array.shape}")
    if array.shape[1] > MAX_WIDTH:
        raise InputError(f"embeddings: expected at most {MAX_WIDTH} columns, got {array.shape[1]}")
    if not 2 <= len(array) <= MAX_ROWS:
        raise InputError(f"embeddings: expected 2 to {MAX_ROWS} rows, got {len(array)}")
    return as_type(array, np.float32)  # what overflows becomes inf and is named later


def _refuse_unusable_rows(rows: FloatArray, norms: npt.NDArray[np.float64]) -> None:
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
