"""From the scores that a rater gave to the levels 0..K−1 that the method counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ds2fast.arguments import as_count, as_numbers
from ds2fast.checks import MAX_LEVELS, UNRATED
from ds2fast.errors import InputError
from ds2fast.io.fields import Place, row_place
from ds2fast.io.numbers import read_numbers
from ds2fast.results import BoolArray, DoubleArray, IntArray

PAPER_LEVELS = 6
_PAPER_HIGHEST = (9, 10)
LONGEST_SCALE = 32
"""More integer levels than this are a measure and no rating scale: each would hold few rows."""

UNEVEN = 2.0
"""Quantiles that put this many times a level's even share of the rows in one level are told of."""


@dataclass(frozen=True, eq=False)
class ScoreLevels:
    """Scores as levels, and what was done to them.

    Attributes
    ----------
    levels : (N,) int64
        Level of each row in 0..K−1, −1 where it is unrated.
    raw : (N,) float64
        The scores as they came, NaN where there is none.
    num_levels : int
        Number of levels K.
    mapping : str
        One sentence that says how the scores became levels.
    values : (N,) float64 or None
        Where scores were cut at edges or quantiles the scores themselves, NaN where unrated: they
        tell apart the rows of a level. None where a level holds one score, or whole ones by scale.
    edges : (K−1,) float64 or None
        The cut points, where they were given.
    """

    levels: IntArray
    raw: DoubleArray
    num_levels: int
    mapping: str
    values: DoubleArray | None = None
    edges: DoubleArray | None = None

    @property
    def num_unrated(self) -> int:
        """Number of rows without a score."""
        return int(np.count_nonzero(self.levels == UNRATED))


def map_scores(
    scores: Any,
    *,
    num_levels: int | None = None,
    label: str = "scores",
    place: Place = row_place,
    edges: npt.ArrayLike | None = None,
) -> ScoreLevels:
    """Map scores of any scale to levels 0..K−1.

    Null, NaN and −1 are unrated. Integral floats are integers. Then, by the scores present:

    - integers within 0..5 are levels already and stay as they are, so 1..5 keeps its own words
      (level 0 is then absent, which the method allows for);
    - integers whose largest is 9 or 10 are compressed as the paper does its scale of 1..10:
      `clip(score, 4, 9) - 4`;
    - other integers are shifted so that the smallest becomes 0, if that gives at most 32 levels;
    - reals, and integers over a longer range, are cut at their 1/6, ..., 5/6 quantiles: level =
      number of cuts below the score, so equal scores share a level. Up to six different values are
      levels of their own, in ascending order.

    Given `edges` come before all of these: level = number of edges at or below the score. Scores
    may then be negative, but −1 stays unrated.

    Parameters
    ----------
    scores : (N,) array-like
        Numbers and nulls.
    num_levels : int, optional
        K. The scores are then levels as they stand, and must be integers in [0, K).
    label : str
        Name of the argument in messages.
    place : callable(row) -> str
        Where a row stands, for messages.
    edges : (K−1,) floats, optional
        Cut points, ascending: the first edge is the lowest score of level 1, and so on.

    Returns
    -------
    ScoreLevels
        `num_levels` is K where it was given or follows from `edges`, else the highest level + 1.

    Raises
    ------
    InputError
        Words, bools, infinite numbers, negative integers other than −1, levels outside
        [0, num_levels), no rated row, or fewer than two levels present. Edges that are not finite
        and ascending, more than 63 of them, or not num_levels − 1.
    InputTypeError
        `scores` is no sequence, `num_levels` no integer, `edges` no numbers.

    Examples
    --------
    >>> mapped = map_scores([1, 10, 6, None])
    >>> mapped.levels.tolist()
    [0, 5, 2, -1]
    >>> map_scores([1, 7, 6]).mapping
    'scores 1..7 shifted to 0..6: score - 1; num_levels= (--num-levels) takes scores as they stand'
    >>> map_scores([3, 7, 0], num_levels=8).levels.tolist()
    [3, 7, 0]
    >>> map_scores([-2.5, -0.3, -1.2], edges=[-2, -0.5]).levels.tolist()
    [0, 2, 1]
    """
    _check_num_levels(num_levels)
    cuts = None if edges is None else check_edges(edges, num_levels)
    raw = read_numbers(scores, label=label, place=place)
    rated = ~np.isnan(raw) & (raw != UNRATED)
    if not rated.any():
        raise InputError(f"{label}: expected rated rows, got {len(raw)} rows and none is rated")
    if cuts is not None:
        values, mapping = _cut_at_edges(raw[rated], cuts)
        num_levels = len(cuts) + 1
    elif num_levels is None:
        values, mapping = _map_rated(raw, rated, label, place)
    else:
        values, mapping = _take_as_levels(raw, rated, num_levels, label, place)
    _check_two_levels(values, raw[rated], mapping, label)
    levels = np.full(len(raw), UNRATED, dtype=np.int64)
    levels[rated] = values
    return ScoreLevels(
        levels,
        raw,
        num_levels or int(values.max()) + 1,
        mapping + _unrated_words(raw, rated),
        np.where(rated, raw, np.nan) if _is_cut(raw[rated], values, cuts) else None,
        cuts,
    )


def check_edges(edges: npt.ArrayLike, num_levels: int | None = None) -> DoubleArray:
    """`edges` as (K−1,) float64, finite and ascending, 1 to 63 of them.

    Raises
    ------
    InputError
        Another shape or number of edges (num_levels − 1 where that is given), edges that are not
        finite or do not ascend.
    InputTypeError
        No numbers.
    """
    cuts = as_numbers(edges, "edges").astype(np.float64)
    if cuts.ndim != 1 or not 1 <= len(cuts) < MAX_LEVELS:
        raise InputError(
            f"edges: expected 1 to {MAX_LEVELS - 1} cut points in one row, got shape {cuts.shape}"
        )
    if not np.isfinite(cuts).all() or (np.diff(cuts) <= 0).any():
        raise InputError(
            f"edges: expected finite cut points, each above the last, got {cuts.tolist()}"
        )
    if num_levels not in {None, len(cuts) + 1}:
        raise InputError(
            f"edges: expected num_levels - 1 = {int(num_levels or 0) - 1} cut points, "
            f"got {len(cuts)}; leave num_levels= (--num-levels) out, it follows from them"
        )
    return cuts


def _check_num_levels(num_levels: int | None) -> None:
    if num_levels is None:
        return
    if as_count(num_levels, "num_levels", minimum=2) > MAX_LEVELS:
        raise InputError(f"num_levels: expected at most {MAX_LEVELS}, got {num_levels}")


def _map_rated(
    raw: DoubleArray, rated: BoolArray, label: str, place: Place
) -> tuple[IntArray, str]:
    values = raw[rated]
    if (values != np.floor(values)).any():
        return _cut_at_quantiles(values, "real scores")
    if (values < 0).any():
        row = int((rated & (raw < 0)).argmax())
        raise InputError(
            f"{label}: expected integer scores of at least 0, or -1 for unrated, got "
            f"{raw[row]:g} in {place(row)} (the first such)"
        )
    levels, mapping = _map_integers(values)
    if int(values.max()) < MAX_LEVELS and (levels != values).any():
        mapping += "; num_levels= (--num-levels) takes scores as they stand"
    return levels, mapping


def _map_integers(values: DoubleArray) -> tuple[IntArray, str]:
    low, high = int(values.min()), int(values.max())
    if high - low >= LONGEST_SCALE:
        return _cut_at_quantiles(values, "scores")
    levels = values.astype(np.int64)
    if high in _PAPER_HIGHEST:
        words = f"scores {low}..{high} compressed to 0..5: clip(score, 4, 9) - 4"
        return np.clip(levels, 4, 9) - 4, words
    if high < PAPER_LEVELS or low == 0:
        return levels, f"scores {low}..{high} taken as they are"
    return levels - low, f"scores {low}..{high} shifted to 0..{high - low}: score - {low}"


def _take_as_levels(
    raw: DoubleArray, rated: BoolArray, num_levels: int, label: str, place: Place
) -> tuple[IntArray, str]:
    wrong = rated & ((raw != np.floor(raw)) | (raw < 0) | (raw >= num_levels))
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{label}: expected levels 0..{num_levels - 1} as num_levels={num_levels} says, or -1 "
            f"for unrated, got {raw[row]:g} in {place(row)} (the first such)"
        )
    words = f"scores taken as levels 0..{num_levels - 1}, as num_levels={num_levels} says"
    return raw[rated].astype(np.int64), words


def _is_cut(scores: DoubleArray, levels: IntArray, cuts: DoubleArray | None) -> bool:
    """Whether levels are cuts of a finer measure: given edges, fractions or a long range."""
    measure = (scores != np.floor(scores)).any() or np.ptp(scores) >= LONGEST_SCALE
    if cuts is None and not measure:
        return False
    return len(np.unique(scores)) > len(np.unique(levels))


def _cut_at_edges(values: DoubleArray, cuts: DoubleArray) -> tuple[IntArray, str]:
    levels = np.searchsorted(cuts, values, side="right").astype(np.int64)
    words = (
        f"scores {values.min():g}..{values.max():g} mapped to 0..{len(cuts)}: cut at edges, from "
        f"{_list_words(cuts)} upwards{_count_words(levels, len(cuts) + 1)}"
    )
    return levels, words


def _cut_at_quantiles(values: DoubleArray, what: str) -> tuple[IntArray, str]:
    distinct = np.unique(values)
    if len(distinct) <= PAPER_LEVELS:
        cuts = distinct[:-1]
        how = "each value a level of its own"
    else:
        shares = np.arange(1, PAPER_LEVELS) / PAPER_LEVELS
        # Cuts are values that occur, below the highest: so every level up to the last has rows.
        cuts = np.quantile(values, shares, method="inverted_cdf")
        cuts = np.unique(np.minimum(cuts, distinct[-2]))
        how = f"cut at quantiles, above {_list_words(cuts)}"
    spread = f"{distinct[0]:g}..{distinct[-1]:g}"
    levels = np.searchsorted(cuts, values, side="left").astype(np.int64)
    words = f"{what} {spread} mapped to 0..{len(cuts)}: {how}"
    words += _count_words(levels, len(cuts) + 1)
    if len(distinct) > PAPER_LEVELS:
        words += _uneven_words(levels)
    return levels, words


def _list_words(numbers: npt.NDArray[Any]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)


def _count_words(levels: IntArray, num_levels: int) -> str:
    counts = ", ".join(map(str, np.bincount(levels, minlength=num_levels)))
    return f" ({counts} rows in levels 0..{num_levels - 1})"


def _uneven_words(levels: IntArray) -> str:
    """What equal scores did to quantiles: a score is never split between two levels."""
    counts = np.bincount(levels)
    shares = counts / counts.sum()
    effects = []
    if len(counts) < PAPER_LEVELS:
        effects.append(f"{len(counts)} levels in place of {PAPER_LEVELS}")
    if shares.max() > UNEVEN / PAPER_LEVELS:
        effects.append(f"{shares.max():.0%} of the rated rows in level {shares.argmax()}")
    if not effects:
        return ""
    return f"; equal scores share a level: {', '.join(effects)}; edges= (--edges) cuts elsewhere"


def _check_two_levels(levels: IntArray, values: DoubleArray, mapping: str, label: str) -> None:
    if levels.min() == levels.max():
        raise InputError(
            f"{label}: expected at least two levels among the rated rows, got only level "
            f"{levels[0]} in {len(values)} rated rows ({mapping})"
        )


def _unrated_words(raw: DoubleArray, rated: BoolArray) -> str:
    count = int(np.count_nonzero(~rated))
    if not count:
        return ""
    words = f"; {count} row{'s' * (count != 1)} unrated"
    marked = int(np.count_nonzero(raw == UNRATED))
    if marked and (raw[rated] < 0).any():  # -1 may have been meant as a score then
        words += f", {marked} of them for a score of just -1, which means unrated"
    return words
