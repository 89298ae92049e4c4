"""Dual sort: best score first, rarest first among equals (paper section 3.5)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ds2fast import _core
from ds2fast.arguments import as_count, as_numbers, as_type
from ds2fast.errors import InputError
from ds2fast.groups import Labels, group_rule
from ds2fast.results import IntArray
from ds2fast.walk import Step, walk_down


def dual_sort(
    scores: npt.ArrayLike,
    long_tail: npt.ArrayLike,
    n: int | None = None,
    *,
    groups: Labels | None = None,
) -> IntArray:
    """Rows by score descending, then long-tail score descending, then index ascending; the first n.

    Parameters
    ----------
    scores : (N,) numbers
        Curated scores, or any real values to rank by; below 0 or NaN is unrated and never selected.
    long_tail : (N,) floats
        Long-tail scores, finite.
    n : int, optional
        Rows to return; None returns all rated rows in order.
    groups : (N,) labels, optional
        Each group gets its share of the rated rows, rounded by largest remainders; see
        `ds2fast.groups.group_rule`, which also takes other shares, and caps.

    Returns
    -------
    (n,) int64
        Row numbers, best first.

    Raises
    ------
    InputError
        Arrays of other shapes or lengths; a long-tail score that is not finite; n beyond the rated
        rows; not one label a row.

    Examples
    --------
    >>> dual_sort([3, 5, 5, -1], [0.9, 0.1, 0.2, 0.5], n=2).tolist()
    [2, 1]
    >>> dual_sort([3, 5, 5, 1], [0.9, 0.1, 0.2, 0.5], n=2, groups=["a", "b", "b", "a"]).tolist()
    [2, 0]
    """
    first = _as_vector(scores, "scores")
    second = _as_vector(long_tail, "long_tail")
    if len(first) != len(second):
        raise InputError(
            f"long_tail: expected as many values as scores ({len(first)}), got {len(second)}"
        )
    if not np.isfinite(second).all():
        row = int((~np.isfinite(second)).argmax())
        raise InputError(f"long_tail: expected finite values; row {row} holds {second[row]}")
    num_rated = int((first >= 0).sum())
    count = num_rated if n is None else as_count(n, "n")
    if count > num_rated:
        raise InputError(f"n: expected at most the number of rated rows ({num_rated}), got {count}")
    if groups is None:
        return _core.dual_sort(first, second, count)
    if count == 0:  # no row is rated, or there is none
        return np.zeros(0, dtype=np.int64)
    order = _core.dual_sort(first, second, num_rated)
    group = group_rule(groups, first >= 0, count, order=order)
    walk = walk_down(order, count, group=group)
    return np.asarray(order[walk.steps == Step.SELECTED])


def _as_vector(values: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    array = as_numbers(values, name)
    if array.ndim != 1:
        raise InputError(f"{name}: expected shape (N,), got {array.shape}")
    return as_type(array, np.float64)
