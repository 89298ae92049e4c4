"""Groups of rows (sources, say): how many rows of each a selection is to hold, or may hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ds2fast.arguments import as_count, as_number
from ds2fast.errors import InputError, InputTypeError
from ds2fast.results import DoubleArray, FrozenArrays, IntArray

NO_LABEL = "none given"
"""Group of the rows whose label is null."""

_NULLS = frozenset({"<NA>", "NaT"})
"""How pandas writes its nulls that are no floats."""

_SHOWN_NAMES = 12
_ROUNDING = 9  # decimals kept of a quota: 0.29 * 100 is 29 rows

Labels = Sequence[Any] | npt.NDArray[Any]
Cap = int | float
Caps = Cap | Mapping[str, Cap]
Shares = Mapping[str, float]


@dataclass(frozen=True, eq=False, repr=False)
class GroupRule(FrozenArrays):
    """How many rows of each of G groups are to be, or may be, selected; `group_rule` makes it.

    Attributes
    ----------
    codes : (N,) int64
        Group of each row, 0..G−1.
    names : tuple of str
        The groups' labels in words, in the order in which they first appear.
    quotas : (G,) int64 or None
        Rows meant for each group, at most n in all; None: rows come by rank alone.
    caps : (G,) int64 or None
        Rows that a group may hold at most, whatever the quotas; None: no limit.
    num_placeless : int
        Groups that are meant to have a share of the rows, which was rounded to none.
    """

    codes: IntArray
    names: tuple[str, ...]
    quotas: IntArray | None = None
    caps: IntArray | None = None
    num_placeless: int = 0

    @property
    def num_groups(self) -> int:
        """Number of groups G."""
        return len(self.names)

    def held(self, indices: IntArray) -> IntArray:
        """(G,) int64: how many of these rows each group has."""
        return np.bincount(self.codes[indices], minlength=self.num_groups).astype(np.int64)


def group_rule(
    labels: Labels,
    rated: npt.ArrayLike,
    n: int,
    *,
    shares: Shares | None = None,
    caps: Caps | None = None,
    order: IntArray | None = None,
) -> GroupRule:
    """How n rows are to be spread over groups of rows.

    With neither shares nor caps each group is meant to have its share of the rated rows, rounded by
    largest remainders. Rows that a group cannot fill go to the others by rank.

    Parameters
    ----------
    labels : (N,) labels
        The group of each row; compared in words, null is a group of its own.
    rated : (N,) bool
        Rows that may be selected.
    n : int
        Rows to select.
    shares : mapping of str to float, optional
        Share of the n rows, 0 to 1, for each group that is named, summing to 1 at most. What is
        left goes to the groups that are not named, by their rated rows, or by rank where all are.
    caps : int, float or mapping of str to these, optional
        Most rows of any group, or of each that is named: a whole number of rows, or as a float a
        share of n, rounded down. Without `shares` no other limit holds.
    order : (M,) int64, optional
        The rated rows, best first. With it, of groups of one size that cannot all be rounded up,
        those with the best rows are; else those that appear first.

    Returns
    -------
    GroupRule

    Raises
    ------
    InputError, InputTypeError
        Not one label a row; a group that no row has; a share or cap that is none; caps that leave
        no room for any rated row.

    Examples
    --------
    >>> rule = group_rule(["web", "web", "web", "book"], [True] * 4, 2)
    >>> rule.names, rule.quotas.tolist()
    (('web', 'book'), [2, 0])
    >>> group_rule(["web", "web", "web", "book"], [True] * 4, 2, shares={"book": 0.5}).quotas
    array([1, 1])
    """
    count = as_count(n, "n")
    mask = np.asarray(rated, dtype=bool)
    names, codes = code_labels(labels, len(mask))
    sizes = np.bincount(codes[mask], minlength=len(names)).astype(np.int64)
    quotas, num_placeless = None, 0
    if shares is not None or caps is None:
        ideal = _ideal(names, sizes, count, {} if shares is None else shares)
        quotas = _round_by_largest_remainder(ideal, sizes, _first_places(codes, len(names), order))
        num_placeless = int(((ideal > 0.0) & (quotas == 0)).sum())
    limits = _caps(names, count, caps)
    if limits is not None and sizes.any() and not limits[sizes > 0].any():
        raise InputError(f"group_caps: expected room for a rated row, got {caps!r} of {count} rows")
    return GroupRule(codes, tuple(names), quotas, limits, num_placeless)


def code_labels(labels: Labels, num_rows: int) -> tuple[list[str], IntArray]:
    """Labels in words, in the order in which they first appear, and each row's place among them.

    Errors are those of `label_words`.

    Examples
    --------
    >>> names, codes = code_labels(["web", None, "web"], 3)
    >>> names, codes.tolist()
    (['web', 'none given'], [0, 1, 0])
    """
    known: dict[str, int] = {}
    words = label_words(labels, num_rows)
    codes = np.fromiter((known.setdefault(word, len(known)) for word in words), np.int64, num_rows)
    return list(known), codes


def label_words(labels: Labels, num_rows: int) -> tuple[str, ...]:
    """A word for each row's label; null, NaN and pandas' NA are `NO_LABEL`.

    Parameters
    ----------
    labels : (N,) labels
        A sequence, an array, or a column of pandas, polars or Arrow.
    num_rows : int
        N.

    Raises
    ------
    InputError, InputTypeError
        Not one label a row; one string instead of labels.

    Examples
    --------
    >>> label_words([1, "web", None, float("nan")], 4)
    ('1', 'web', 'none given', 'none given')
    """
    if isinstance(labels, str | bytes):
        raise InputTypeError(f"groups: expected one label a row, got the string {labels!r}")
    if len(shape := getattr(labels, "shape", ())) > 1:
        raise InputError(f"groups: expected one label a row, shape ({num_rows},), got {shape}")
    converters = (getattr(labels, name, None) for name in ("tolist", "to_list", "to_pylist"))
    to_list = next(filter(None, converters), None)
    values = labels if to_list is None else to_list()
    if not isinstance(values, Sequence):
        raise InputTypeError(
            f"groups: expected a field name or a label a row, got {type(values).__name__}"
        )
    if len(values) != num_rows:
        raise InputError(f"groups: expected one label a row ({num_rows}), got {len(values)}")
    return tuple(map(_in_words, values))


def _in_words(label: Any) -> str:
    if label is None or (isinstance(label, float) and math.isnan(label)):
        return NO_LABEL
    word = str(label)
    return NO_LABEL if word in _NULLS and not isinstance(label, str) else word


def check_shares(shares: Shares) -> dict[str, float]:
    """Shares by the group's label in words, each 0 to 1 and 1 at most in all."""
    if not isinstance(shares, Mapping) or not shares:
        raise InputTypeError(
            f"group_shares: expected a mapping of groups to shares, got {shares!r}"
        )
    found = {str(name): _as_share(share, name) for name, share in shares.items()}
    if (total := math.fsum(found.values())) > 1.0 + 1e-9:
        raise InputError(f"group_shares: expected shares that sum to 1 at most, got {total:g}")
    return found


def check_caps(caps: Caps) -> Caps:
    """One cap, or caps by the group's label in words: rows as integers, shares as floats."""
    if not isinstance(caps, Mapping):
        return _as_cap(caps, "group_caps")
    if not caps:
        raise InputError("group_caps: expected a cap for one group at least, got none")
    return {str(name): _as_cap(cap, f"group_caps[{name!r}]") for name, cap in caps.items()}


def _ideal(names: list[str], sizes: IntArray, n: int, shares: Shares) -> DoubleArray:
    """Rows meant for each group, before they are rounded."""
    checked = check_shares(shares) if shares else {}
    named = {place: checked[name] for name, place in _places(names, checked, "group_shares")}
    total = math.fsum(named.values())
    ideal = np.zeros(len(names))
    rest = sizes.astype(np.float64)
    for group, share in named.items():
        ideal[group], rest[group] = n * share, 0.0
    if rest.any():
        ideal += n * max(1.0 - total, 0.0) * (rest / rest.sum())
    return ideal


def _first_places(codes: IntArray, num_groups: int, order: IntArray | None) -> IntArray:
    """(G,) int64: the place of each group's best row in the order; without one all are alike."""
    places = np.zeros(num_groups, dtype=np.int64)
    if order is not None:
        places[:] = len(order)
        places[codes[order][::-1]] = np.arange(len(order))[::-1]  # written last, the first stays
    return places


def _round_by_largest_remainder(
    ideal: DoubleArray, sizes: IntArray, first_places: IntArray
) -> IntArray:
    """Whole numbers of the same sum, rounded.

    Of equal remainders the larger group's comes first, then that of the group with the best row.
    """
    exact = ideal.round(_ROUNDING)
    whole = np.floor(exact)
    missing = round(exact.sum()) - int(whole.sum())
    remainders = (exact - whole).round(_ROUNDING)
    first = np.lexsort((first_places, -sizes, -remainders))[:missing]
    whole[first] += 1
    return whole.astype(np.int64)


def _caps(names: list[str], n: int, caps: Caps | None) -> IntArray | None:
    if caps is None:
        return None
    checked = check_caps(caps)
    if not isinstance(checked, Mapping):
        return np.full(len(names), _rows_of(checked, n), dtype=np.int64)
    limits = np.full(len(names), n, dtype=np.int64)
    for name, place in _places(names, checked, "group_caps"):
        limits[place] = _rows_of(checked[name], n)
    return limits


def _places(names: list[str], wanted: Mapping[str, Any], argument: str) -> list[tuple[str, int]]:
    """The groups that are named, and where each stands among all."""
    places = {name: place for place, name in enumerate(names)}
    for name in wanted:
        if name not in places:
            known = ", ".join(map(repr, names[:_SHOWN_NAMES]))
            more = f" and {len(names) - _SHOWN_NAMES} more" * (len(names) > _SHOWN_NAMES)
            raise InputError(
                f"{argument}: expected groups of the rows ({known}{more}), got {name!r}"
            )
    return [(name, places[name]) for name in wanted]


def _as_share(share: float, name: object) -> float:
    number = as_number(share, f"group_shares[{name!r}]")
    if not 0.0 <= number <= 1.0:
        raise InputError(f"group_shares[{name!r}]: expected 0 to 1, got {share!r}")
    return number


def _as_cap(cap: Cap, name: str) -> Cap:
    """Whole numbers are rows, floats shares of n: 1 is one row, 1.0 all rows."""
    if isinstance(cap, float | np.floating):
        if not 0.0 <= cap <= 1.0:
            raise InputError(f"{name}: expected rows, or a share of n from 0.0 to 1.0, got {cap!r}")
        return float(cap)
    return as_count(cap, name, minimum=0)


def _rows_of(cap: Cap, n: int) -> int:
    return math.floor(round(n * cap, _ROUNDING)) if isinstance(cap, float) else cap
