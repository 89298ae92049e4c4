"""What limits a selection beyond its order, as it was asked for; checked before data are read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from numbers import Integral
from typing import Any

from ds2fast.arguments import as_count, as_number, as_share
from ds2fast.errors import InputError, InputTypeError
from ds2fast.io.source import check_file
from ds2fast.results import ShortRepr

GroupShares = Mapping[str, float] | None
GroupCaps = float | Mapping[str, float] | None

DEFAULT_NGRAM = 13
DEFAULT_EXCLUDE_SIMILARITY = 0.9


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
    exclude_similarity: float | None = DEFAULT_EXCLUDE_SIMILARITY

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
    exclude_similarity: float | None = DEFAULT_EXCLUDE_SIMILARITY,
) -> Limits:
    """The arguments as they can be used; each is named where it cannot be.

    Raises
    ------
    InputError, InputTypeError
        Shares that are none, or sum to more than 1; caps below 1; shares or caps without groups;
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
        _check_shares(group_shares),
        _check_caps(group_caps),
        None if max_similarity is None else as_share(max_similarity, "max_similarity"),
        None if min_score is None else as_number(min_score, "min_score"),
        None if max_rarity is None else as_share(max_rarity, "max_rarity"),
        None if exclude_ngram is None else as_count(exclude_ngram, "exclude_ngram"),
        None if exclude_similarity is None else as_share(exclude_similarity, "exclude_similarity"),
    )


def check_rules(*, groups: Any = None, exclude: Any = None, **limits: Any) -> None:
    """Raise what `select` would raise of its rules before it reads any data."""
    check_limits(has_groups=groups is not None, has_exclude=exclude is not None, **limits)
    if isinstance(exclude, str | os.PathLike):
        check_file(exclude)


def _check_shares(shares: GroupShares) -> GroupShares:
    if shares is None:
        return None
    if not isinstance(shares, Mapping) or not shares:
        raise InputTypeError(
            f"group_shares: expected a mapping of groups to shares, got {shares!r}"
        )
    found = {str(name): _share_of(name, share) for name, share in shares.items()}
    if sum(found.values()) > 1.0 + 1e-9:
        raise InputError(
            f"group_shares: expected shares that sum to 1 at most, got {sum(found.values()):g}"
        )
    return found


def _share_of(name: str, share: float) -> float:
    number = as_number(share, f"group_shares[{name!r}]")
    if not 0.0 <= number <= 1.0:
        raise InputError(f"group_shares[{name!r}]: expected 0 to 1, got {share!r}")
    return number


def _check_caps(caps: GroupCaps) -> GroupCaps:
    if caps is None:
        return None
    if isinstance(caps, Mapping):
        if not caps:
            raise InputError("group_caps: expected a cap for one group at least, got none")
        return {str(name): _cap(cap, f"group_caps[{name!r}]") for name, cap in caps.items()}
    return _cap(caps, "group_caps")


def _cap(cap: float, name: str) -> float:
    """Whole numbers are rows, others shares: 1 is one row, 1.0 all rows."""
    if isinstance(cap, Integral) and not isinstance(cap, bool):
        return as_count(int(cap), name, minimum=0)
    return as_share(cap, name)
