"""How often the given scores are right, as labels by hand tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ds2fast.audit.intervals import mean_interval, share_interval
from ds2fast.checks import check_num_levels, check_scores
from ds2fast.errors import InputError, InputTypeError
from ds2fast.results import DoubleArray, FrozenArrays, IntArray


@dataclass(frozen=True, eq=False, repr=False)
class AuditResult(FrozenArrays):
    """What labels by hand tell of the scores; intervals are of 95 %.

    Attributes
    ----------
    share_right : float
        Share of the pool's rated rows whose given score is right: of the labelled rows, each level
        weighing as much as it has rows in the pool.
    lower, upper : float
        Its interval.
    bias : float
        Mean of given − true level over the pool, found likewise: above 0 the judge is too kind.
    bias_lower, bias_upper : float
        Its interval.
    rated, labelled, right : (K,) int64
        Rows given each level: in the pool, labelled, and labelled the same.
    right_by_level, lower_by_level, upper_by_level, bias_by_level : (K,) float64
        Share right, its interval and the mean of given − true of the rows given each level; NaN
        where none is labelled.
    """

    share_right: float
    lower: float
    upper: float
    bias: float
    bias_lower: float
    bias_upper: float
    rated: IntArray
    labelled: IntArray
    right: IntArray
    right_by_level: DoubleArray
    lower_by_level: DoubleArray
    upper_by_level: DoubleArray
    bias_by_level: DoubleArray

    @property
    def num_labelled(self) -> int:
        """Number of rated rows with a label."""
        return int(self.labelled.sum())

    @property
    def unseen_levels(self) -> list[int]:
        """Levels that have rated rows but no labelled one; they count like the nearest level."""
        return np.flatnonzero((self.rated > 0) & (self.labelled == 0)).tolist()

    def __str__(self) -> str:
        lines = [
            f"{self.num_labelled} rows labelled: the given score is right in "
            f"{self.share_right:.1%} of the pool (95 % interval {self.lower:.1%} to "
            f"{self.upper:.1%})",
            f"given less true level: {self.bias:+.2f} on average (95 % interval "
            f"{self.bias_lower:+.2f} to {self.bias_upper:+.2f}): {self._verdict()}",
            "  given    rows labelled  right  95 % interval  given - true",
            *(self._line(level) for level in np.flatnonzero(self.rated).tolist()),
        ]
        if self.unseen_levels:
            names = ", ".join(map(str, self.unseen_levels))
            lines.append(f"no row given {names} is labelled: counted like the nearest level")
        return "\n".join(lines)

    def _verdict(self) -> str:
        if self.bias_lower > 0:
            return "the judge scores too high"
        if self.bias_upper < 0:
            return "the judge scores too low"
        return "neither too high nor too low, as far as can be told"

    def _line(self, level: int) -> str:
        start = f"  {level:>5} {self.rated[level]:>7} {self.labelled[level]:>8}"
        if self.labelled[level] == 0:
            return f"{start}      -              -             -"
        interval = f"{self.lower_by_level[level]:.0%} to {self.upper_by_level[level]:.0%}"
        share, bias = self.right_by_level[level], self.bias_by_level[level]
        return f"{start} {share:>6.0%} {interval:>14} {bias:>+13.2f}"


def assess(
    gold: npt.ArrayLike, scores: npt.ArrayLike, *, num_levels: int | None = None
) -> AuditResult:
    """How often the scores are right, by labels of a sample that was stratified by them.

    Levels of which no row is labelled are joined to the nearest that has some, the lower of two.

    Parameters
    ----------
    gold : (N,) integers
        Labels as levels, −1 where there is none.
    scores : (N,) integers
        Given levels, −1 where a row is unrated; labels of such rows do not count.
    num_levels : int, optional
        K; by default the highest level of the two + 1.

    Returns
    -------
    AuditResult
        `str` of it is a table to read.

    Raises
    ------
    InputError
        Arrays of different lengths, values that are no levels, no rated row with a label.
    InputTypeError
        Arrays of other types.

    Examples
    --------
    >>> given = np.repeat([0, 1], [300, 100])
    >>> gold = np.full(400, -1)
    >>> gold[:10], gold[300:310] = 0, [1] * 5 + [0] * 5  # ten of each level are labelled
    >>> found = assess(gold, given)
    >>> found.share_right, found.bias  # 300 rows as those of level 0, 100 as those of level 1
    (0.875, 0.125)
    """
    given = check_scores(scores, np.size(scores))
    labels = check_labels(gold, len(given))
    counted = (given >= 0) & (labels >= 0)
    if not counted.any():
        raise InputError("gold: expected labels (0 or more) of rated rows, got none")
    count = check_num_levels(num_levels, np.concatenate((given, labels, [0, 1])))
    errors = given[counted] - labels[counted]
    at = given[counted]
    rated = np.bincount(given[given >= 0], minlength=count)
    labelled = np.bincount(at, minlength=count)
    right = np.bincount(at[errors == 0], minlength=count)
    strata = _joined(rated, labelled)
    share, lower, upper = _pool_share(rated, labelled, right, strata)
    bias, bias_lower, bias_upper = _pool_bias(errors, strata[at], rated, strata)
    return AuditResult(
        share, lower, upper, bias, bias_lower, bias_upper, rated, labelled, right,
        *_by_level(rated, labelled, right), _means(at, errors, count),
    )  # fmt: skip


def check_labels(gold: npt.ArrayLike, num_rows: int) -> IntArray:
    """Labels as (N,) int64, −1 where there is none; errors as those of `assess`."""
    try:
        return check_scores(gold, num_rows)
    except InputError as error:
        raise InputError(str(error).replace("scores:", "gold:", 1)) from None
    except InputTypeError as error:
        raise InputTypeError(str(error).replace("scores:", "gold:", 1)) from None


def _joined(rated: IntArray, labelled: IntArray) -> IntArray:
    """(K,) the labelled level that stands for each level."""
    seen = np.flatnonzero(labelled)
    distances = np.abs(np.arange(len(rated))[:, None] - seen)
    nearest: IntArray = seen[distances.argmin(axis=1)]
    return nearest


def _pool_share(
    rated: IntArray, labelled: IntArray, right: IntArray, strata: IntArray
) -> tuple[float, float, float]:
    used = np.unique(strata)
    sizes = np.bincount(strata, rated).astype(np.int64)[used]
    share = float((sizes / sizes.sum() * (right[used] / labelled[used])).sum())
    lower, upper = share_interval(right[used], labelled[used], sizes)
    return share, float(lower), float(upper)


def _pool_bias(
    errors: IntArray, at: IntArray, rated: IntArray, strata: IntArray
) -> tuple[float, float, float]:
    used, place = np.unique(at, return_inverse=True)
    sizes = np.bincount(strata, rated).astype(np.int64)[used]
    return mean_interval(errors.astype(np.float64), place.astype(np.int64), sizes)


def _by_level(
    rated: IntArray, labelled: IntArray, right: IntArray
) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    share, lower, upper = (np.full(len(rated), np.nan) for _ in range(3))
    seen = labelled > 0
    share[seen] = right[seen] / labelled[seen]
    lower[seen], upper[seen] = share_interval(
        right[seen, None], labelled[seen, None], rated[seen, None]
    )
    return share, lower, upper


def _means(at: IntArray, errors: IntArray, count: int) -> DoubleArray:
    labelled = np.bincount(at, minlength=count)
    sums = np.bincount(at, errors, minlength=count)
    return np.where(labelled > 0, sums / np.maximum(labelled, 1), np.nan)
