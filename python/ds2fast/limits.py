"""What limits a selection beyond its order, as it was asked for; checked before data are read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ds2fast.arguments import as_count, as_finite, as_share
from ds2fast.errors import InputError
from ds2fast.exclusion import DEFAULT_NGRAM, DEFAULT_SIMILARITY, check_excluding
from ds2fast.groups import Caps, Shares, check_caps, check_shares
from ds2fast.results import ShortRepr

GroupShares = Shares | None
GroupCaps = Caps | None


@dataclass(frozen=True, repr=False)
class Limits(ShortRepr):
    """Arguments that limit a selection beyond its order.

    Attributes
    ----------
    group_shares : mapping of str to float or None
        Share of the selection for each group.
    group_caps : int, float, mapping or None
        Most rows, or the greatest share of the selection, of any group or of each.
    max_similarity : float or None
        Rows that are so similar to a better selected one are left out.
    min_score : float or None
        Rows that rank below it are left out.
    max_rarity : float or None
        Rows that are rarer than this share of the rated ones are left out.
    exclude_ngram : int or None
        Words in a row that make a row repeat one of the excluded data.
    exclude_similarity : float or None
        Cosine from which a row repeats one of the excluded data.
    """

    group_shares: GroupShares = None
    group_caps: GroupCaps = None
    max_similarity: float | None = None
    min_score: float | None = None
    max_rarity: float | None = None
    exclude_ngram: int | None = DEFAULT_NGRAM
    exclude_similarity: float | None = DEFAULT_SIMILARITY

    def record(self) -> dict[str, Any]:
        """The arguments as JSON can hold them."""
        return asdict(self)


def check_limits(
    *,
    has_groups: bool,
    has_exclude: bool,
    group_shares: GroupShares = None,
    group_caps: GroupCaps = None,
    max_similarity: float | None = None,
    min_score: float | None = None,
    max_rarity: float | None = None,
    exclude_ngram: int | None = DEFAULT_NGRAM,
    exclude_similarity: float | None = DEFAULT_SIMILARITY,
) -> Limits:
    """The arguments as they can be used; each is named where it cannot be.

    Raises
    ------
    InputError, InputTypeError
        Shares that are none, or sum to more than 1; caps that are none; either without groups;
        nothing to tell repeats by.

    Examples
    --------
    >>> check_limits(has_groups=True, has_exclude=False, group_caps=0.5).group_caps
    0.5
    """
    for name, value in (("group_shares", group_shares), ("group_caps", group_caps)):
        if value is not None and not has_groups:
            raise InputError(f"{name}: expected beside groups=, got none of these")
    if has_exclude and exclude_ngram is None and exclude_similarity is None:
        raise InputError(
            "exclude_ngram, exclude_similarity: expected at least one of the two, which tell what "
            "repeats a row of exclude=, got None for both"
        )
    return Limits(
        None if group_shares is None else check_shares(group_shares),
        None if group_caps is None else check_caps(group_caps),
        None if max_similarity is None else as_share(max_similarity, "max_similarity"),
        None if min_score is None else as_finite(min_score, "min_score"),
        None if max_rarity is None else as_share(max_rarity, "max_rarity"),
        None if exclude_ngram is None else as_count(exclude_ngram, "exclude_ngram"),
        None if exclude_similarity is None else as_share(exclude_similarity, "exclude_similarity"),
    )


def check_rules(*, groups: Any = None, exclude: Any = None, **limits: Any) -> None:
    """Raise what `select` would raise of its rules before it reads any data."""
    check_limits(has_groups=groups is not None, has_exclude=exclude is not None, **limits)
    if exclude is not None:
        check_excluding(exclude)
