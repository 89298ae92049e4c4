"""The walk down an order of rows that respects groups and leaves out near-duplicates."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from ds2fast import _core
from ds2fast.arguments import as_type
from ds2fast.checks import check_graph
from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.groups import GroupRule
from ds2fast.results import FloatArray, FrozenArrays, IntArray
from ds2fast.threads import resolve_threads
from ds2fast.vector_rows import as_embedding_rows

_NONE = np.zeros(0, dtype=np.int64)


class Step(IntEnum):
    """What the walk did with a row."""

    NOT_REACHED = 0
    SELECTED = 1
    GROUP_FULL = 2
    DUPLICATE = 3


@dataclass(frozen=True, eq=False, repr=False)
class Walk(FrozenArrays):
    """One entry for each of the M rows of the order.

    Attributes
    ----------
    steps : (M,) int8
        A `Step` each.
    because : (M,) int64
        The selected row that a duplicate is nearest to; −1 elsewhere.
    similarities : (M,) float32
        Their cosine; NaN elsewhere.
    unsettled : int
        Selected rows that only vectors could have compared with all other selected ones.
    """

    steps: npt.NDArray[np.int8]
    because: IntArray
    similarities: FloatArray
    unsettled: int


def walk_down(
    order: IntArray,
    count: int,
    *,
    group: GroupRule | None = None,
    max_similarity: float | None = None,
    graph: KnnGraph | None = None,
    vectors: npt.ArrayLike | None = None,
    threads: int | None = None,
) -> Walk:
    """Select up to `count` rows, best first.

    A row is passed over where its group has its quota or its cap, or where its cosine to a selected
    row is `max_similarity` or more. Places that groups leave empty go, in a second walk, to rows
    that were passed over for their group, by rank and within the caps.

    The graph tells cosines first. Where the whole list of a row lies at or above the limit, there
    may be more such rows than it names: then it is compared with the selected rows of the same
    kind, for which `vectors` are needed. With an exact graph this finds every pair.

    Parameters
    ----------
    order : (M,) int64
        Different row numbers, best first.
    count : int
        Rows to select at most.
    group : GroupRule, optional
        Limits of groups.
    max_similarity : float, optional
        In (0, 1]; needs `graph`.
    graph : KnnGraph, optional
        Neighbours of all N rows.
    vectors : (N, d) floats, optional
        The rows' vectors, of any norm.
    threads : int, optional
        Threads that compare vectors; the result does not depend on them.

    Returns
    -------
    Walk

    Raises
    ------
    InputError
        `max_similarity` without a graph; vectors that are not one a row of it.

    Examples
    --------
    >>> graph = KnnGraph.from_arrays([[1], [0], [1]], [[0.99], [0.99], [0.4]])
    >>> walk = walk_down(np.array([0, 1, 2]), 2, max_similarity=0.95, graph=graph)
    >>> walk.steps.tolist(), walk.because.tolist()
    ([1, 3, 1], [-1, 0, -1])
    """
    lists, similarities, rows = _nearness(max_similarity, graph, vectors)
    num_threads = resolve_threads(threads)
    norms = _core.row_norms(rows, num_threads) if len(rows) else np.zeros(0)
    limits = [None, None] if group is None else [group.quotas, group.caps]
    steps, because, cosines, unsettled = _core.walk_down(
        as_type(order, np.int64),
        count,
        codes=_NONE if group is None else group.codes,
        quotas=_NONE if limits[0] is None else limits[0],
        caps=_NONE if limits[1] is None else limits[1],
        indices=lists,
        similarities=similarities,
        least=0.0 if max_similarity is None else max_similarity,
        embeddings=rows,
        norms=norms,
        threads=num_threads,
    )
    return Walk(steps, because, cosines, unsettled)


def _nearness(
    max_similarity: float | None, graph: KnnGraph | None, vectors: npt.ArrayLike | None
) -> tuple[npt.NDArray[np.int32], FloatArray, npt.NDArray[np.float32] | npt.NDArray[np.float16]]:
    """Lists, their similarities and vectors; without rows where there is nothing to look at."""
    none = np.zeros((0, 1), dtype=np.float32)
    if max_similarity is None:
        return np.zeros((0, 1), dtype=np.int32), none, none
    if graph is None:
        raise InputError("graph: expected one with max_similarity, got none")
    check_graph(graph)
    rows = none if vectors is None else as_embedding_rows(vectors)
    if vectors is not None and len(rows) != graph.num_rows:
        raise InputError(
            f"vectors: expected one a row of the graph ({graph.num_rows}), got {len(rows)}"
        )
    return (
        as_type(graph.indices, np.int32),
        as_type(graph.similarities, np.float32),
        rows,
    )
