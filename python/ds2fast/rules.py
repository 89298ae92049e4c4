"""Rules that limit a selection beyond the order of its rows, and what may become of a row."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from ds2fast.arguments import as_finite, as_share
from ds2fast.exclusion import Exclusion
from ds2fast.groups import GroupRule
from ds2fast.results import ShortRepr


class Fate(IntEnum):
    """What became of a row: the values of `Choice.fates`."""

    SELECTED = 0
    BELOW = 1
    """Rated, and not reached."""
    UNRATED = 2
    EXCLUDED = 3
    """Repeats a row of an evaluation file."""
    LOW_SCORE = 4
    """Its ranking key lies below `min_score`."""
    TOO_RARE = 5
    """Its long-tail score lies above the quantile `max_rarity`."""
    GROUP_FULL = 6
    """Ranks above a selected row, but its group has all the rows meant for it."""
    DUPLICATE = 7
    """Nearly the same as a row that was selected before it."""


@dataclass(frozen=True, eq=False, repr=False)
class Rules(ShortRepr):
    """What limits a selection beyond the order of its rows.

    Attributes
    ----------
    group : GroupRule or None
        How many rows of each group.
    max_similarity : float or None
        A row whose cosine to a selected one is at least this, in (0, 1], is left out.
    min_score : float or None
        Rows whose ranking key (on the scale of the levels) lies below it are left out.
    max_rarity : float or None
        Rows whose long-tail score lies above this quantile, in (0, 1], of the rated rows' are left
        out.
    excluded : Exclusion or None
        Rows that repeat an evaluation file.

    Raises
    ------
    InputError, InputTypeError
        A limit that is not in its range.

    Examples
    --------
    >>> Rules().is_empty, Rules(max_similarity=0.95).is_empty
    (True, False)
    """

    group: GroupRule | None = None
    max_similarity: float | None = None
    min_score: float | None = None
    max_rarity: float | None = None
    excluded: Exclusion | None = None

    def __post_init__(self) -> None:
        for name in ("max_similarity", "max_rarity"):
            if (share := getattr(self, name)) is not None:
                object.__setattr__(self, name, as_share(share, name))
        if self.min_score is not None:
            object.__setattr__(self, "min_score", as_finite(self.min_score, "min_score"))

    @property
    def is_empty(self) -> bool:
        """Whether nothing but the order decides."""
        limits = (self.group, self.max_similarity, self.min_score, self.max_rarity, self.excluded)
        return all(limit is None for limit in limits)
