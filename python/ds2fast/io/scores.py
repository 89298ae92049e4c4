"""From the scores that a rater gave to the levels 0..K−1 that the method counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ds2fast.errors import InputError, InputTypeError
from ds2fast.io.numbers import as_numbers
from ds2fast.results import DoubleArray, IntArray

UNRATED = -1
PAPER_LEVELS = 6
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


def map_scores(scores: Any, *, num_levels: int | None = None, label: str = "scores") -> ScoreLevels:
    """Map scores of any scale to levels 0..K−1.

    Null, NaN and −1 are unrated. Integral floats are integers. Then, by the scores present:

    - integers within 0..5 are levels already and stay as they are, so 1..5 keeps its own words
      (level 0 is then absent, which the method allows for);
    - integers within 0..10 are compressed as the paper does: `clip(score, 4, 9) - 4`;
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
    >>> mapped.levels.tolist(), mapped.mapping
    ([0, 5, 2, -1], 'scores 1..10 compressed to 0..5: clip(score, 4, 9) - 4; 1 row unrated')
    >>> map_scores([3, 7, 0], num_levels=8).levels.tolist()
    [3, 7, 0]
    """
    _check_num_levels(num_levels)
    raw = as_numbers(scores, label=label)
    rated = ~np.isnan(raw) & (raw != UNRATED)
    if not rated.any():
        raise InputError(f"{label}: expected rated rows, got {len(raw)} rows and none is rated")
    if num_levels is None:
        values, mapping = _map_rated(raw, rated, label)
    else:
        values, mapping = _take_as_levels(raw, rated, num_levels, label)
    _check_two_levels(values, raw[rated], mapping, label)
    levels = np.full(len(raw), UNRATED, dtype=np.int64)
    levels[rated] = values
    highest = int(values.max()) + 1
    return ScoreLevels(levels, raw, num_levels or highest, mapping + _unrated_words(~rated))


def _check_num_levels(num_levels: int | None) -> None:
    if num_levels is None:
        return
    if isinstance(num_levels, bool) or not hasattr(num_levels, "__index__"):
        raise InputTypeError(
            f"num_levels: expected an integer or None, got {type(num_levels).__name__}"
        )
    if num_levels < 2:
        raise InputError(f"num_levels: expected at least 2, got {num_levels}")


def _map_rated(
    raw: DoubleArray, rated: np.ndarray[Any, np.dtype[np.bool_]], label: str
) -> tuple[IntArray, str]:
    values = raw[rated]
    if (values != np.floor(values)).any():
        return _cut_at_quantiles(values, "real scores")
    if (values < 0).any():
        row = int((rated & (raw < 0)).argmax())
        raise InputError(
            f"{label}: expected integer scores of at least 0, or -1 for unrated, got "
            f"{raw[row]:g} in row {row} (the first such row)"
        )
    low, high = int(values.min()), int(values.max())
    if high < PAPER_LEVELS:
        return values.astype(np.int64), f"scores {low}..{high} taken as they are"
    if high <= 10:
        levels = np.clip(values, 4, 9).astype(np.int64) - 4
        return levels, f"scores {low}..{high} compressed to 0..5: clip(score, 4, 9) - 4"
    if high - low >= LONGEST_SCALE:
        return _cut_at_quantiles(values, "scores")
    levels = values.astype(np.int64) - low
    return levels, f"scores {low}..{high} shifted to 0..{high - low}: score - {low}"


def _take_as_levels(
    raw: DoubleArray, rated: np.ndarray[Any, np.dtype[np.bool_]], num_levels: int, label: str
) -> tuple[IntArray, str]:
    wrong = rated & ((raw != np.floor(raw)) | (raw < 0) | (raw >= num_levels))
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{label}: expected levels 0..{num_levels - 1} as num_levels={num_levels} says, or -1 "
            f"for unrated, got {raw[row]:g} in row {row} (the first such row)"
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


def _unrated_words(unrated: np.ndarray[Any, np.dtype[np.bool_]]) -> str:
    count = int(np.count_nonzero(unrated))
    return f"; {count} row{'s' * (count != 1)} unrated" if count else ""
