"""The k-NN graph of a pool under cosine similarity; every later stage reads it."""

from __future__ import annotations

import numpy.typing as npt

from ds2fast.cache_dir import CacheDir
from ds2fast.graph import KnnGraph
from ds2fast.graph_search import DEFAULT_RECALL, GraphMethod, check_search
from ds2fast.progress import Progress, Reporter


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
    many of them. The rows that look rarest (2 %, 4 096 at most) are then searched exactly, so that
    none counts as rare because its neighbours were missed. All similarities are exact.

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
        of so few rows, or for so high a recall (1, say), that an exact one is cheaper is exact.
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
    approximate N·(d + 16·w + 8·k + 80) with d rounded up to 64 and w = k + max(4, k/6); some 200·d
    bytes a thread, approximate 1 024·(d + 8·w), and some megabytes.

    Copies cost nothing: of rows that are byte for byte the same, k + 1 are searched. Thousands of
    rows that are nearly the same (cosines that differ by less than an int8 product can tell, some
    0.01) are exact too, but slow: their pairs are left to float64.

    Examples
    --------
    >>> graph = knn_graph([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]], k=1)
    >>> graph.indices.ravel().tolist(), graph.method
    ([1, 0, 1], 'exact')
    """
    search = check_search(
        embeddings, k, method=method, recall=recall, seed=seed, threads=threads,
        max_memory=max_memory, cache_dir=cache_dir, progress=progress,
    )  # fmt: skip
    return search.run()
