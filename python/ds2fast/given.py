"""What was seen of the rows' scores: all that the stages know of them beside the graph."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ds2fast.raters import given_levels
from ds2fast.results import DoubleArray, FrozenArrays, IntArray


@dataclass(frozen=True, eq=False, repr=False)
class Given(FrozenArrays):
    """Scores as levels, as they were given.

    Attributes
    ----------
    ratings : (N, R) int64
        A column a rater, −1 where it did not rate.
    num_levels : int
        Number of levels K.
    repeats : (N, M) int64 or None
        Further ratings by the only rater, −1 where there are none.
    gold : (N,) int64 or None
        True levels, −1 where they are not known.
    values : (N,) float64 or None
        The measure that levels were cut from, if finer; NaN where unrated.
    """

    ratings: IntArray
    num_levels: int
    repeats: IntArray | None = None
    gold: IntArray | None = None
    values: DoubleArray | None = None

    def __len__(self) -> int:
        return len(self.ratings)

    @cached_property
    def scores(self) -> IntArray:
        """(N,) int64: the level that a row was given, the mean of several raters rounded."""
        return given_levels(self.ratings)

    @property
    def num_rated(self) -> int:
        """Number of rows with a level."""
        return int((self.scores >= 0).sum())
