"""The true neighbours of some rows, by float64 brute force, and what they say of others' ids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ds2fast.results import DoubleArray, FloatArray, IntArray

TIE = 1e-12
"""Float64 cosines that are nearer than this are tied.

Two sums of d products of unit rows, in whatever orders, differ by at most 2·d·2^-53: 1e-12 at d =
4096, which is wider than any case here.
"""

_BLOCK = 8192


def rounding_slack(width: int) -> float:
    """How far below the k-th best an exact search in float32 may pick.

    With u = 2^-24, a float32 sum of d products of unit rows is off by at most d·u whatever its
    order; the norms, which inner products take for 1, add u each; a rival that normalises again,
    or turns the cosine into a distance, a few u more: (d + 8)·u covers all. A row that is picked
    looks no worse than one left out, and both may be off by that: twice.
    """
    return 2 * (width + 8) * 2.0**-24


@dataclass(frozen=True)
class Verdict:
    """What was found of the ids of the checked rows.

    Attributes
    ----------
    recall : float
        Share of the ids whose float64 cosine reaches the k-th best one's; what ties with it counts.
    rows_right, rows_checked : int
        Rows with all ids right, of how many.
    problem : str or None
        The first thing that is wrong.
    """

    recall: float
    rows_right: int
    rows_checked: int
    problem: str | None


@dataclass(frozen=True)
class Truth:
    """Neighbours of the checked rows in float64, best first, ties by the smaller index."""

    pool: FloatArray
    checked: IntArray
    ids: IntArray
    cosines: DoubleArray

    @classmethod
    def find(cls, pool: FloatArray, checked: IntArray, k: int) -> Truth:
        """The k best other rows of each checked row."""
        queries = _unit(pool[checked])
        ids = np.empty((len(checked), 0), dtype=np.int64)
        cosines = np.empty((len(checked), 0))
        for begin in range(0, len(pool), _BLOCK):
            block = queries @ _unit(pool[begin : begin + _BLOCK]).T
            columns = np.arange(begin, begin + block.shape[1])
            block[checked[:, None] == columns] = -np.inf
            columns = np.broadcast_to(columns, block.shape)
            ids, cosines = _best(np.hstack([ids, columns]), np.hstack([cosines, block]), k)
        return cls(pool, checked, ids, cosines)

    def judge_ranking(self, ids: IntArray) -> Verdict:
        """Of ours: at every place the float64 cosine must be that of the float64 ranking."""
        own, misplaced = self._cosines_of(ids), self._invalid(ids)
        misplaced |= np.abs(own - self._best(ids)) > TIE
        return self._verdict(ids, own, misplaced)

    def judge_set(self, ids: IntArray, slack: float) -> Verdict:
        """Of a rival: in any order, none may be further below the k-th best than `slack`."""
        own = self._cosines_of(ids)
        return self._verdict(ids, own, self._invalid(ids) | (own < self._last(ids) - slack))

    def _verdict(self, ids: IntArray, own: DoubleArray, wrong: npt.NDArray[np.bool_]) -> Verdict:
        reached = (own >= self._last(ids) - TIE) & ~self._invalid(ids)
        rows_right = int((~wrong.any(axis=1)).sum())
        problem = self._describe(ids, own, wrong) if wrong.any() else None
        return Verdict(float(reached.mean()), rows_right, len(ids), problem)

    def _best(self, ids: IntArray) -> DoubleArray:
        return self.cosines[:, : ids.shape[1]]

    def _last(self, ids: IntArray) -> DoubleArray:
        return self.cosines[:, ids.shape[1] - 1 : ids.shape[1]]

    def _invalid(self, ids: IntArray) -> npt.NDArray[np.bool_]:
        """Where an id is no row, the row itself, or one that stands before it as well."""
        invalid = (ids < 0) | (ids >= len(self.pool)) | (ids == self.checked[:, None])
        order = np.argsort(ids, axis=1, kind="stable")
        ascending = np.take_along_axis(ids, order, axis=1)
        again = np.zeros(ids.shape, dtype=np.bool_)
        again[:, 1:] = ascending[:, 1:] == ascending[:, :-1]
        repeated = np.empty_like(again)
        np.put_along_axis(repeated, order, again, axis=1)
        return np.asarray(invalid | repeated)

    def _cosines_of(self, ids: IntArray) -> DoubleArray:
        """Float64 cosines with the given rows; of an id that is no row, some row's."""
        queries = _unit(self.pool[self.checked])
        cosines = np.empty(ids.shape)
        for place, row in enumerate(ids):
            cosines[place] = _unit(self.pool[np.clip(row, 0, len(self.pool) - 1)]) @ queries[place]
        return cosines

    def _describe(self, ids: IntArray, own: DoubleArray, wrong: npt.NDArray[np.bool_]) -> str:
        row, place = divmod(int(wrong.argmax()), ids.shape[1])
        return (
            f"{int(wrong.any(axis=1).sum())} of {len(ids)} rows differ from float64; row "
            f"{self.checked[row]}: neighbour {place} is {ids[row, place]} (cosine "
            f"{own[row, place]:.15f}), float64 ranks {self.ids[row, place]} there "
            f"({self.cosines[row, place]:.15f})"
        )


def _unit(rows: FloatArray) -> DoubleArray:
    doubles = rows.astype(np.float64)
    norms = np.linalg.norm(doubles, axis=1, keepdims=True)
    return np.asarray(doubles / norms)


def _best(ids: IntArray, cosines: DoubleArray, k: int) -> tuple[IntArray, DoubleArray]:
    """The k best of each row, best first, ties by the smaller index."""
    if cosines.shape[1] > k:
        kept = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        ids = np.take_along_axis(ids, kept, axis=1)
        cosines = np.take_along_axis(cosines, kept, axis=1)
    order = np.lexsort((ids, -cosines), axis=1)
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(cosines, order, axis=1)
