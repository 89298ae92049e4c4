"""The k-NN graph: the one structure that every stage after the embeddings reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ds2fast.arguments import as_numbers, as_type
from ds2fast.errors import InputError
from ds2fast.results import FloatArray, FrozenArrays, IdArray, IntArray


@dataclass(frozen=True, eq=False, repr=False)
class KnnGraph(FrozenArrays):
    """The k most similar other rows of every row.

    Attributes
    ----------
    indices : (N, k) int32
        Neighbours of each row, most similar first, ties by the smaller index; never the row itself.
    similarities : (N, k) float32
        Their cosine similarities, descending.
    method : str
        `"exact"`, `"approximate"`, or `"given"` for a graph made by `from_arrays`.
    recall : float
        Share of the true neighbours that the graph holds: 1.0 for exact, NaN where it is not known;
        of an approximate graph that of a sample of rows, whose true neighbours were searched.
    recall_interval : (float, float) or None
        95 % interval of an approximate graph's recall, by bootstrap over the sample.
    recall_tied : float or None
        Its recall where any row that is as similar as the last true neighbour counts as one.
    """

    indices: IdArray
    similarities: FloatArray
    method: str = "given"
    recall: float = float("nan")
    recall_interval: tuple[float, float] | None = None
    recall_tied: float | None = None

    @property
    def num_rows(self) -> int:
        """Number of rows N."""
        return len(self.indices)

    @property
    def k(self) -> int:
        """Number of neighbours per row."""
        return int(self.indices.shape[1])

    @classmethod
    def from_arrays(cls, indices: npt.ArrayLike, similarities: npt.ArrayLike) -> KnnGraph:
        """Make a graph from neighbours found elsewhere (faiss, a GPU, another program).

        Parameters
        ----------
        indices : (N, k) integers
            Row numbers in [0, N); a row must not name itself, nor one neighbour twice.
        similarities : (N, k) floats
            Cosine similarities, descending along each row.

        Raises
        ------
        InputError
            A shape, an index or an order that is not as above; the message names the first bad row.

        Examples
        --------
        >>> graph = KnnGraph.from_arrays([[1], [0], [1]], [[0.9], [0.9], [0.4]])
        >>> graph.num_rows, graph.k
        (3, 1)
        """
        ids = as_numbers(indices, "indices")
        sims = as_type(as_numbers(similarities, "similarities"), np.float32)
        if ids.ndim != 2 or ids.shape != sims.shape or ids.shape[1] < 1:
            raise InputError(
                "indices, similarities: expected two arrays of one shape (N, k) with k >= 1, "
                f"got {ids.shape} and {sims.shape}"
            )
        if not np.issubdtype(ids.dtype, np.integer):
            raise InputError(f"indices: expected integers, got {ids.dtype}")
        _check_neighbours(ids, sims)
        return cls(as_type(ids, np.int32), sims)

    def to_csr(self) -> tuple[FloatArray, IdArray, IntArray]:
        """The graph as `(data, indices, indptr)`: pass it to `scipy.sparse.csr_matrix`.

        Examples
        --------
        >>> graph = KnnGraph.from_arrays([[1], [0]], [[0.5], [0.5]])
        >>> graph.to_csr()[2].tolist()
        [0, 1, 2]
        """
        indptr = np.arange(self.num_rows + 1, dtype=np.int64) * self.k
        return self.similarities.ravel(), self.indices.ravel(), indptr


def _check_neighbours(ids: npt.NDArray[np.integer], sims: FloatArray) -> None:
    n = len(ids)
    own = np.arange(n)[:, None]
    _refuse_rows(((ids < 0) | (ids >= n)).any(axis=1), f"indices: expected values in [0, {n})")
    _refuse_rows((ids == own).any(axis=1), "indices: expected no row among its own neighbours")
    ordered = np.sort(ids, axis=1)
    _refuse_rows(
        (ordered[:, 1:] == ordered[:, :-1]).any(axis=1), "indices: expected distinct neighbours"
    )
    _refuse_rows(~np.isfinite(sims).all(axis=1), "similarities: expected finite values")
    _refuse_rows((sims < -1.001).any(axis=1) | (sims > 1.001).any(axis=1),
                 "similarities: expected cosines in [-1, 1]")  # fmt: skip
    _refuse_rows((np.diff(sims, axis=1) > 0).any(axis=1), "similarities: expected descending order")


def _refuse_rows(bad: npt.ArrayLike, expected: str) -> None:
    rows = np.asarray(bad)
    if rows.any():
        raise InputError(f"{expected}; first offending row: {int(rows.argmax())}")
