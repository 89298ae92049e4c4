"""Long-tail scores: how rare a row is among its neighbours (paper section 3.4)."""

from __future__ import annotations

from ds2fast import _core
from ds2fast.arguments import as_count
from ds2fast.checks import check_graph
from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.results import FloatArray
from ds2fast.threads import resolve_threads


def long_tail_scores(
    graph: KnnGraph, *, k: int | None = None, threads: int | None = None
) -> FloatArray:
    """Rarity of each row: 2 / (1 + e^(−d̄)) − 1, d̄ the mean cosine distance to its k nearest rows.

    Parameters
    ----------
    graph : KnnGraph
        Neighbours of the N rows.
    k : int, optional
        Neighbours to average over, at most the graph's; None is all of them.
    threads : int, optional
        Threads to use; None is what CPU affinity and cgroup allow.

    Returns
    -------
    (N,) float32
        Higher is rarer; 0 for a row whose neighbours all equal it, less than 1 always.

    Raises
    ------
    InputError
        `k` beyond the graph's.

    Notes
    -----
    Not rounded to four decimals as the authors' release does, which makes ties.

    Examples
    --------
    >>> graph = KnnGraph.from_arrays([[1], [0], [0]], [[1.0], [1.0], [0.0]])
    >>> long_tail_scores(graph).round(3).tolist()
    [0.0, 0.0, 0.4620000123977661]
    """
    check_graph(graph)
    width = graph.k if k is None else as_count(k, "k")
    if width > graph.k:
        raise InputError(f"k: expected at most the graph's {graph.k} neighbours, got {width}")
    return _core.long_tail_scores(graph.similarities, width, resolve_threads(threads))
