"""Two numbers a row to draw it by: like rows lie near one another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ds2fast.arguments import as_numbers
from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.results import DoubleArray, FloatArray

SAMPLED_ROWS = 10_000
"""Rows that the axes are found from; two axes of many more would look the same."""

DECOMPOSED_COLUMNS = 64
BLOCK_COLUMNS, ITERATIONS = 10, 12

CHUNK_ROWS = 16_384
SMOOTHED_COLUMNS = 4
SMOOTHED_NEIGHBOURS = 8
SMOOTHINGS = 30


def principal_plane(vectors: npt.ArrayLike) -> FloatArray:
    """Coordinates of the rows on the two axes along which they differ most.

    Axes come from at most 10 000 rows, evenly spaced over the pool; the same rows give the same
    places.

    Parameters
    ----------
    vectors : (N, d) floats
        Embeddings of the rows; float16 and float32 are never copied as a whole.

    Returns
    -------
    (N, 2) float32
        Centred; of each axis the largest weight is positive. What has no second axis has 0 there.

    Raises
    ------
    InputError
        No two-dimensional array with at least one row and one column.

    Examples
    --------
    >>> principal_plane([[0.0, 0.0], [4.0, 0.0], [2.0, 1.0], [2.0, -1.0]]).tolist()
    [[-2.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, -1.0]]
    """
    rows = as_numbers(vectors, "vectors")
    if rows.ndim != 2 or 0 in rows.shape:
        raise InputError(f"vectors: expected shape (N, d) with rows and columns, got {rows.shape}")
    mean, axes = _principal_axes(rows[:: -(-len(rows) // SAMPLED_ROWS)])
    positions = np.empty((len(rows), 2), dtype=np.float32)
    middle = (mean @ axes).astype(np.float32)
    for start in range(0, len(rows), CHUNK_ROWS):
        chunk = np.asarray(rows[start : start + CHUNK_ROWS], dtype=np.float32)
        positions[start : start + CHUNK_ROWS] = chunk @ axes.astype(np.float32) - middle
    positions -= positions.mean(axis=0, dtype=np.float64).astype(np.float32)  # of all rows
    return positions + np.float32(0.0)  # no -0.0


def graph_plane(graph: KnnGraph, *, seed: int = 0) -> FloatArray:
    """Coordinates of the rows from their graph alone, where no vectors are at hand.

    Random columns are averaged over neighbours again and again, and kept apart: what stays are the
    slowest changes over the graph. Both axes are then spread evenly by rank.

    Parameters
    ----------
    graph : KnnGraph
        Neighbours of each row; the first eight are used.
    seed : int
        Of the random columns.

    Returns
    -------
    (N, 2) float32
        In [-1, 1].

    Examples
    --------
    Rows 0 and 1 name each other, and so do 2 and 3: each pair lies together.

    >>> plane = graph_plane(KnnGraph.from_arrays([[1], [0], [3], [2]], [[0.9]] * 4))
    >>> bool(abs(plane[0] - plane[1]).max() < abs(plane[0] - plane[2]).max())
    True
    """
    near = np.ascontiguousarray(graph.indices[:, :SMOOTHED_NEIGHBOURS].T)
    columns = np.random.default_rng(seed).normal(size=(graph.num_rows, SMOOTHED_COLUMNS))
    taken = np.empty_like(columns)
    for _ in range(SMOOTHINGS):
        smooth = columns.copy()
        for neighbours in near:  # one column of the graph at a time: no (N, k, 4) array
            # Without a look at the bounds, which the graph keeps: eight times as fast as [...].
            smooth += np.take(columns, neighbours, axis=0, out=taken, mode="clip")
        columns = _kept_apart(smooth / (len(near) + 1))
    pair = _spread(columns[:, :1]), _spread(columns[:, 1:2])
    return np.hstack(pair).astype(np.float32)


def _principal_axes(sample: npt.NDArray[np.generic]) -> tuple[DoubleArray, DoubleArray]:
    """Mean (d,) and the two axes (d, 2); zeros stand for an axis that is not there."""
    rows = np.asarray(sample, dtype=np.float32)
    width = rows.shape[1]
    mean = rows.mean(axis=0, dtype=np.float64)
    centred = rows - mean.astype(np.float32)
    axes = _largest_axes(centred)
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])]
    signed = axes * np.where(largest < 0, -1.0, 1.0)
    return mean, np.hstack([signed, np.zeros((width, 2 - signed.shape[1]))])


def _largest_axes(centred: FloatArray) -> DoubleArray:
    """(d, 2 at most) directions of most variance, by subspace iteration.

    A full decomposition takes d³, which for the 3 072 columns of an embedding service is longer
    than all other stages. Two axes for a picture need a few products with some more columns.
    """
    width = centred.shape[1]
    if width <= DECOMPOSED_COLUMNS:
        products = (centred.T @ centred).astype(np.float64)
        return np.asarray(np.linalg.eigh(products)[1][:, ::-1][:, :2])  # eigenvalues ascend
    block = np.random.default_rng(0).normal(size=(width, BLOCK_COLUMNS)).astype(np.float32)
    for _ in range(ITERATIONS):
        block = np.linalg.qr(centred.T @ (centred @ block))[0]
    seen = (centred @ block).astype(np.float64)
    turns = np.linalg.eigh(seen.T @ seen)[1][:, ::-1][:, :2]
    return np.asarray(block @ turns)


def _kept_apart(columns: DoubleArray) -> DoubleArray:
    """Orthonormal columns without their mean, which tells no row from another."""
    centred = columns - columns.mean(axis=0)
    apart: DoubleArray = np.linalg.qr(centred)[0]
    if apart.shape[1] < columns.shape[1]:  # fewer rows than columns
        apart = np.pad(apart, ((0, 0), (0, columns.shape[1] - apart.shape[1])))
    return apart


def _spread(column: DoubleArray) -> DoubleArray:
    """Ranks in [-1, 1]; values that differ by rounding alone share the mean of their ranks."""
    from ds2fast.decided import average_ranks

    ranks = average_ranks(np.round(column[:, 0], 9))
    last = max(len(ranks) - 1, 1)
    return (2.0 * (ranks - 1.0) / last - 1.0)[:, None]
