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

_SHOWN_NAMES = 12
_ROUNDING = 9  # decimals kept of a quota: 0.29 * 100 is 29 rows

Labels = Sequence[Any] | npt.NDArray[Any]
Cap = int | float
Caps = Cap | Mapping[str, Cap]


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
    """

    codes: IntArray
    names: tuple[str, ...]
    quotas: IntArray | None = None
    caps: IntArray | None = None

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
    shares: Mapping[str, float] | None = None,
    caps: Caps | None = None,
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

    Returns
    -------
    GroupRule

    Raises
    ------
    InputError, InputTypeError
        Not one label a row; a group that no row has; a share or cap that is none.

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
    quotas = None
    if shares is not None or caps is None:
        quotas = _quotas(names, sizes, count, {} if shares is None else shares)
    return GroupRule(codes, tuple(names), quotas, _caps(names, count, caps))


def code_labels(labels: Labels, num_rows: int) -> tuple[list[str], IntArray]:
    """Labels in words, in the order in which they first appear, and each row's place among them.

    Raises
    ------
    InputError, InputTypeError
        Not one label a row; one string instead of labels.

    Examples
    --------
    >>> names, codes = code_labels(["web", None, "web"], 3)
    >>> names, codes.tolist()
    (['web', 'none given'], [0, 1, 0])
    """
    if isinstance(labels, str | bytes):
        raise InputTypeError(f"groups: expected one label a row, got the string {labels!r}")
    values = labels.tolist() if isinstance(labels, np.ndarray) else list(labels)
    if len(values) != num_rows:
        raise InputError(f"groups: expected one label a row ({num_rows}), got {len(values)}")
    known: dict[str, int] = {}
    words = (NO_LABEL if value is None else str(value) for value in values)
    codes = np.fromiter((known.setdefault(word, len(known)) for word in words), np.int64, num_rows)
    return list(known), codes


def _quotas(names: list[str], sizes: IntArray, n: int, shares: Mapping[str, float]) -> IntArray:
    places = _find_groups(names, shares, "group_shares")
    named = {places[name]: _as_share(share, name) for name, share in shares.items()}
    total = math.fsum(named.values())
    if total > 1.0 + 1e-9:
        raise InputError(f"group_shares: expected a sum of 1 at most, got {total:g}")
    ideal = np.zeros(len(names))
    rest = sizes.astype(np.float64)
    for group, share in named.items():
        ideal[group], rest[group] = n * share, 0.0
    if rest.any():
        ideal += n * max(1.0 - total, 0.0) * (rest / rest.sum())
    return _round_by_largest_remainder(ideal, sizes)


def _round_by_largest_remainder(ideal: DoubleArray, sizes: IntArray) -> IntArray:
    """Whole numbers of the same sum, rounded; of equal remainders the larger group's is first."""
    exact = ideal.round(_ROUNDING)
    whole = np.floor(exact)
    missing = round(exact.sum()) - int(whole.sum())
    remainders = (exact - whole).round(_ROUNDING)
    first = np.lexsort((-sizes, -remainders))[:missing]
    whole[first] += 1
    return whole.astype(np.int64)


def _caps(names: list[str], n: int, caps: Caps | None) -> IntArray | None:
    if caps is None:
        return None
    if not isinstance(caps, Mapping):
        return np.full(len(names), _as_cap(caps, "group_caps", n), dtype=np.int64)
    limits = np.full(len(names), n, dtype=np.int64)
    for name, group in _find_groups(names, caps, "group_caps").items():
        limits[group] = _as_cap(caps[name], f"group_caps[{name!r}]", n)
    return limits


def _find_groups(names: list[str], wanted: Mapping[str, Any], argument: str) -> dict[str, int]:
    places = {name: place for place, name in enumerate(names)}
    for name in wanted:
        if name not in places:
            known = ", ".join(map(repr, names[:_SHOWN_NAMES]))
            more = f" and {len(names) - _SHOWN_NAMES} more" * (len(names) > _SHOWN_NAMES)
            raise InputError(
                f"{argument}: expected groups of the rows ({known}{more}), got {name!r}"
            )
    return {name: places[name] for name in wanted}


def _as_share(share: float, name: str) -> float:
    number = as_number(share, f"group_shares[{name!r}]")
    if not 0.0 <= number <= 1.0:
        raise InputError(f"group_shares[{name!r}]: expected 0 to 1, got {share!r}")
    return number


def _as_cap(cap: Cap, name: str, n: int) -> int:
    """Whole numbers are rows, floats shares of n: 1 is one row, 1.0 all rows."""
    if isinstance(cap, float | np.floating):
        if not 0.0 <= cap <= 1.0:
            raise InputError(f"{name}: expected rows, or a share of n from 0.0 to 1.0, got {cap!r}")
        return math.floor(round(n * float(cap), _ROUNDING))
    return as_count(cap, name, minimum=0)
