"""What was seen of each row's score: ratings by one or several raters, repeats, gold labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ds2fast.checks import UNRATED
from ds2fast.results import BoolArray, DoubleArray, IdArray, IntArray, ShortRepr

MOST_PLACES = 2**62
LEAST_TO_CORRELATE = 20
"""Gold labels from which on their correlation with the scores says something."""


@dataclass(frozen=True, eq=False, repr=False)
class Observations(ShortRepr):
    """The distinct patterns of what was seen of a row, and which pattern each row has.

    Rows with the same pattern are alike to every model of raters that err independently, so work is
    done once a pattern, not once a row.

    Attributes
    ----------
    codes : (N,) int32
        Pattern of each row; −1 where it is unrated.
    shown : (U, R, K) int32
        How often each of R raters gave each level in a pattern.
    gold : (U,) int32
        The true level where it is known, else −1.
    """

    codes: IdArray
    shown: npt.NDArray[np.int32]
    gold: npt.NDArray[np.int32]

    @property
    def num_raters(self) -> int:
        """Number of raters R."""
        return int(self.shown.shape[1])

    @cached_property
    def rows_with(self) -> IntArray:
        """(U,) int64: how many rows have each pattern."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.shown))

    @cached_property
    def is_signal(self) -> BoolArray:
        """(U,) bool: patterns that hold more than one rating, or the truth."""
        ratings = self.shown.sum(axis=(1, 2))
        return np.asarray((ratings > 1) | ((ratings > 0) & (self.gold >= 0)))

    @property
    def repeat_agreement(self) -> float:
        """How often two ratings of one row by the same rater are equal; NaN without such."""
        equal = self.rows_with @ (self.shown * (self.shown - 1)).sum(axis=(1, 2))
        number = self.shown.sum(axis=2)
        pairs = self.rows_with @ (number * (number - 1)).sum(axis=1)
        return float(equal / pairs) if pairs else float("nan")

    @property
    def gold_correlation(self) -> float:
        """Correlation of gold labels with the rows' mean rating; NaN without, or of one kind."""
        chosen = np.flatnonzero((self.gold >= 0) & self.is_signal)
        weights = self.rows_with[chosen].astype(np.float64)
        if weights.sum() < LEAST_TO_CORRELATE:
            return float("nan")
        shown = self.shown[chosen].sum(axis=1)
        ratings = shown @ np.arange(shown.shape[1]) / shown.sum(axis=1)
        gold = self.gold[chosen].astype(np.float64)
        ratings, gold = (value - weights @ value / weights.sum() for value in (ratings, gold))
        scale = np.sqrt((weights @ ratings**2) * (weights @ gold**2))
        return float(weights @ (ratings * gold) / scale) if scale > 0.0 else float("nan")

    def likelihood(self, matrices: DoubleArray) -> DoubleArray:
        """(U, K) float64: P(pattern | true level i), for the raters' matrices (R, K, K).

        It is the product of T_r[i, a] over all ratings of the pattern, and 0 where i is not the
        known truth.
        """
        logs = np.log(np.maximum(matrices, np.finfo(float).tiny))
        likelihood = np.exp(np.einsum("ura,ria->ui", self.shown, logs))
        known = self.gold >= 0
        likelihood[known] *= self.gold[known, None] == np.arange(likelihood.shape[1])
        return np.asarray(likelihood)


def observe(
    ratings: IntArray,
    num_levels: int,
    repeats: IntArray | None = None,
    gold: IntArray | None = None,
) -> Observations:
    """Patterns of rows.

    Parameters
    ----------
    ratings : (N, R) int64
        A column a rater, −1 where it did not rate.
    num_levels : int
        K.
    repeats : (N, M) int64, optional
        Further ratings by the only rater, −1 where there are none.
    gold : (N,) int64, optional
        True levels, −1 where they are not known.
    """
    num_raters = ratings.shape[1]
    columns = [ratings]
    if repeats is not None:
        columns.append(-np.sort(-repeats, axis=1))  # the order of repeats means nothing
    if gold is not None:
        columns.append(gold[:, None])
    table = np.hstack(columns)
    rated = (ratings >= 0).any(axis=1)
    rows, codes_of_rated = _distinct_rows(table[rated], num_levels)
    codes = np.full(len(ratings), UNRATED, dtype=np.int32)
    codes[rated] = codes_of_rated
    known = np.full(len(rows), UNRATED) if gold is None else rows[:, -1]
    last = table.shape[1] - (gold is not None)
    shown = np.zeros((len(rows), num_raters, num_levels), dtype=np.int32)
    for column in range(last):
        seen = np.flatnonzero(rows[:, column] >= 0)
        np.add.at(shown, (seen, min(column, num_raters - 1), rows[seen, column]), 1)
    return Observations(codes=codes, shown=shown, gold=known.astype(np.int32))


def _distinct_rows(table: IntArray, num_levels: int) -> tuple[IntArray, IntArray]:
    """Distinct rows of a table with values in [−1, K), and which of them each row is."""
    base = num_levels + 1
    if base ** table.shape[1] > MOST_PLACES:
        rows, codes = np.unique(table, axis=0, return_inverse=True)
        return rows, codes.ravel()
    places = base ** np.arange(table.shape[1], dtype=np.int64)
    keys, first, codes = np.unique((table + 1) @ places, return_index=True, return_inverse=True)
    return table[first].reshape(len(keys), table.shape[1]), codes.ravel()
