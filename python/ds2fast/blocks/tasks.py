"""The two tasks that an exact graph consists of: pure functions of blocks of rows."""

from __future__ import annotations

from ds2fast import _core
from ds2fast.blocks.nearest import Nearest
from ds2fast.results import DoubleArray, RowArray


def within(
    rows: RowArray,
    first_id: int,
    k: int,
    threads: int,
    *,
    norms: DoubleArray | None = None,
    report: _core.Report | None = None,
) -> Nearest:
    """The k nearest of each row of a block among the block's other rows.

    Parameters
    ----------
    rows : (n, d) float32 or float16
        As `knn_graph` reads them in place; none of them zero, NaN or infinite. n may be 0.
    first_id : int
        Number of the block's first row in the pool.
    k : int
        Neighbours per row; lists end early where the block has fewer.
    threads : int
        Threads to use.
    norms : (n,) float64, optional
        Of `_core.row_norms`, where they are known.
    report : callable, optional
        Gets `(done, total)`.

    Returns
    -------
    Nearest
        Numbers of rows in the pool, and float64 similarities.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.array([[1, 0], [1, 1], [0, 1]], np.float32)
    >>> within(rows, 5, 1, threads=1).ids.ravel().tolist()
    [6, 5, 6]
    """
    return Nearest(*_core.exact_within(rows, _norms(rows, norms, threads), first_id, k, threads,
                                       report))  # fmt: skip


def between(
    rows_a: RowArray,
    first_id_a: int,
    rows_b: RowArray,
    first_id_b: int,
    k: int,
    threads: int,
    *,
    floor_a: DoubleArray | None = None,
    floor_b: DoubleArray | None = None,
    norms_a: DoubleArray | None = None,
    norms_b: DoubleArray | None = None,
    report: _core.Report | None = None,
) -> tuple[Nearest, Nearest]:
    """The k nearest of each row of block a among those of block b, and the reverse.

    Parameters
    ----------
    rows_a, rows_b : (n, d) float32 or float16
        Two blocks without a common row, of one type and depth, as in `within`.
    first_id_a, first_id_b : int
        Numbers of their first rows in the pool.
    k : int
        Neighbours per row; lists end early where the other block has fewer.
    threads : int
        Threads to use.
    floor_a, floor_b : (n,) float64, optional
        A row needs no neighbour that is less similar than this, and gets none: give the last
        similarities of the lists that are known (−inf where they end early), and there is much
        less to do. Merged with those lists, the result is the same as without floors.
    norms_a, norms_b : (n,) float64, optional
        Of `_core.row_norms`, where they are known.
    report : callable, optional
        Gets `(done, total)`.

    Returns
    -------
    Nearest, Nearest
        For the rows of a, with numbers of rows of b; for those of b.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.array([[1, 0], [1, 1], [0, 1]], np.float32)
    >>> for nearest in between(rows[:2], 0, rows[2:], 2, 2, threads=1):
    ...     print(nearest.ids.tolist())
    [[2, -1], [2, -1]]
    [[1, 0]]
    """
    a, b = _core.exact_between(
        rows_a, _norms(rows_a, norms_a, threads), first_id_a, floor_a,
        rows_b, _norms(rows_b, norms_b, threads), first_id_b, floor_b, k, threads, report,
    )  # fmt: skip
    return Nearest(*a), Nearest(*b)


def _norms(rows: RowArray, known: DoubleArray | None, threads: int) -> DoubleArray:
    return _core.row_norms(rows, threads) if known is None else known
