"""From the scores that a rater gave to the levels 0..K−1 that the method counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ds2fast.arguments import as_count
from ds2fast.checks import MAX_LEVELS, UNRATED
from ds2fast.errors import InputError
from ds2fast.io.fields import Place, row_place
from ds2fast.io.numbers import read_numbers
from ds2fast.results import BoolArray, DoubleArray, IntArray

PAPER_LEVELS = 6
_PAPER_HIGHEST = (9, 10)
LONGEST_SCALE = 32
"""More integer levels than this are a measure and no rating scale: each would hold few rows."""


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
    """

    levels: IntArray
    raw: DoubleArray
    num_levels: int
    mapping: str

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

    Returns
    -------
    ScoreLevels
        `num_levels` is the highest level + 1 unless it was given.

    Raises
    ------
    InputError
        Words, bools, infinite numbers, negative integers other than −1, levels outside
        [0, num_levels), no rated row, or fewer than two levels present.
    InputTypeError
        `scores` is no sequence, `num_levels` no integer.

    Examples
    --------
    >>> mapped = map_scores([1, 10, 6, None])
    >>> mapped.levels.tolist()
    [0, 5, 2, -1]
    >>> map_scores([1, 7, 6]).mapping
    'scores 1..7 shifted to 0..6: score - 1; num_levels= (--num-levels) takes scores as they stand'
    >>> map_scores([3, 7, 0], num_levels=8).levels.tolist()
    [3, 7, 0]
    """
    _check_num_levels(num_levels)
    raw = read_numbers(scores, label=label, place=place)
    rated = ~np.isnan(raw) & (raw != UNRATED)
    if not rated.any():
        raise InputError(f"{label}: expected rated rows, got {len(raw)} rows and none is rated")
    if num_levels is None:
        values, mapping = _map_rated(raw, rated, label, place)
    else:
        values, mapping = _take_as_levels(raw, rated, num_levels, label, place)
    _check_two_levels(values, raw[rated], mapping, label)
    levels = np.full(len(raw), UNRATED, dtype=np.int64)
    levels[rated] = values
    highest = int(values.max()) + 1
    return ScoreLevels(levels, raw, num_levels or highest, mapping + _unrated_words(~rated))


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
        how = f"cut at quantiles, above {', '.join(f'{cut:g}' for cut in cuts)}"
    spread = f"{distinct[0]:g}..{distinct[-1]:g}"
    levels = np.searchsorted(cuts, values, side="left").astype(np.int64)
    return levels, f"{what} {spread} mapped to 0..{len(cuts)}: {how}"


def _check_two_levels(levels: IntArray, values: DoubleArray, mapping: str, label: str) -> None:
    if levels.min() == levels.max():
        raise InputError(
            f"{label}: expected at least two levels among the rated rows, got only level "
            f"{levels[0]} in {len(values)} rated rows ({mapping})"
        )


def _unrated_words(unrated: BoolArray) -> str:
    count = int(np.count_nonzero(unrated))
    return f"; {count} row{'s' * (count != 1)} unrated" if count else ""
