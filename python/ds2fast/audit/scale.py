"""The scale that a person labels on: that of the scores as they came."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ds2fast.checks import UNRATED
from ds2fast.errors import InputError
from ds2fast.pool import Pool
from ds2fast.results import DoubleArray, IntArray


@dataclass(frozen=True, eq=False)
class LabelScale:
    """The scores of a pool as they came, each value once, and their levels.

    Attributes
    ----------
    values : (V,) float64
        Ascending.
    levels : (V,) int64
        The level of each value.
    num_levels : int
        Number of levels K.
    edges : (K−1,) float64 or None
        The cut points that levels were made by, where they were given.
    """

    values: DoubleArray
    levels: IntArray
    num_levels: int
    edges: DoubleArray | None = None

    @classmethod
    def of(cls, pool: Pool) -> LabelScale:
        """The scale of a pool that was read with scores.

        Raises
        ------
        InputError
            It was read without.
        """
        if pool.scores is None or pool.raw_scores is None or pool.num_levels is None:
            raise InputError("pool: expected one with scores, got one that was read without")
        rated = pool.scores != UNRATED
        values, first = np.unique(pool.raw_scores[rated], return_index=True)
        return cls(values, pool.scores[rated][first], pool.num_levels, pool.score_edges)

    @property
    def words(self) -> str:
        """The lowest and the highest score given, say `"1 to 5"`."""
        return f"{self.values[0]:g} to {self.values[-1]:g}"

    def level_of(self, label: float) -> int | None:
        """The level of a label, None where it is no value of the scale.

        Given edges tell the level of any number but −1, which is no score. Else a score that was
        given has the level that it was mapped to. Of other values an integer on a shifted or
        compressed scale of integers is mapped in the same way; on a scale that was cut at quantiles
        a value between the lowest and the highest score has the level of the next higher one.

        Examples
        --------
        >>> scale = LabelScale(np.array([1.0, 2.0, 5.0]), np.array([1, 2, 5]), 6)
        >>> scale.level_of(5), scale.level_of(4), scale.level_of(4.5), scale.level_of(6)
        (5, 4, None, None)
        """
        if self.edges is not None:
            below = np.searchsorted(self.edges, label, side="right")
            return None if label == UNRATED else int(below)
        if self._is_compressed:
            whole = float(label).is_integer() and 0 <= label <= 10
            return int(np.clip(label, 4, 9)) - 4 if whole else None
        if self._is_shifted:
            level = float(label - self.values[0]) + int(self.levels[0])
            return int(level) if level.is_integer() and 0 <= level < self.num_levels else None
        if not self.values[0] <= label <= self.values[-1]:
            return None
        return int(self.levels[np.searchsorted(self.values, label)])

    @property
    def _is_compressed(self) -> bool:
        highest = self.values[-1] in {9, 10}
        return highest and np.array_equal(self.levels, np.clip(self.values, 4, 9) - 4)

    @property
    def _is_shifted(self) -> bool:
        return len(np.unique(self.values - self.levels)) == 1
