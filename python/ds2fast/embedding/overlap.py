"""How alike the neighbourhoods of two sets of vectors of the same texts are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ds2fast.errors import InputError
from ds2fast.knn import knn_graph

_BLOCK = 65_536  # rows compared at once: bounds the memory of the comparison


def neighbour_overlap(
    a: npt.ArrayLike, b: npt.ArrayLike, k: int = 10, *, threads: int | None = None
) -> float:
    """Share of the k nearest neighbours that two sets of vectors of the same texts have in common.

    For each row, the k most cosine-similar other rows are found exactly in `a` and in `b`; the
    share of those found in both is averaged over all rows. It is the same for (a, b) and (b, a)
    and lies between 0 and 1; two unrelated sets of N rows share k / (N - 1) on average. The order
    among the k does not count. Copies of a text are neighbours of one another in both sets (ties
    go to the smaller index), so drop them where they are many. The share depends on N and on how
    dense the pool is: figures compare for one pool only.

    Parameters
    ----------
    a, b : (N, d) and (N, e) floats
        Vectors of the same N texts in the same order, of any widths and norms but 0.
    k : int
        Neighbours of a row, 1 ≤ k < N.
    threads : int, optional
        Threads of the search; None is what CPU affinity and cgroup allow.

    Returns
    -------
    float
        The mean share.

    Raises
    ------
    InputError
        Two numbers of rows, or what `knn_graph` refuses.

    Examples
    --------
    >>> from ds2fast.embedding.overlap import neighbour_overlap
    >>> vectors = [[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]]
    >>> neighbour_overlap(vectors, vectors, k=1)
    1.0
    >>> neighbour_overlap(vectors, [vectors[i] for i in (0, 2, 1, 3)], k=1)
    0.0
    """
    first, second = np.asarray(a), np.asarray(b)
    if first.ndim != 2 or second.ndim != 2 or len(first) != len(second):
        raise InputError(
            "a, b: expected two matrices with a row for each text, "
            f"got {first.shape} and {second.shape}"
        )
    graphs = [knn_graph(rows, k, threads=threads, progress=False) for rows in (first, second)]
    num_common = 0
    for begin in range(0, len(first), _BLOCK):
        ours, theirs = (graph.indices[begin : begin + _BLOCK] for graph in graphs)
        # Neighbours of a row are distinct, so that those in both stand twice in the sorted union.
        union = np.sort(np.concatenate([ours, theirs], axis=1), axis=1)
        num_common += int((union[:, 1:] == union[:, :-1]).sum())
    return num_common / graphs[0].indices.size
