"""Checks of scores, graphs and estimates that several stages share."""

from __future__ import annotations

from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from ds2fast.arguments import as_count, as_numbers
from ds2fast.errors import InputError, InputTypeError
from ds2fast.graph import KnnGraph
from ds2fast.results import BoolArray, IntArray, TransitionEstimate

MAX_LEVELS = 64
"""Most score levels that the stages take: the agreement counts hold K³ numbers."""

UNRATED = -1
"""The level of a row without a score."""

MAX_SEED = 2**64 - 1
MAX_RATERS = 64
LEAST_RESAMPLES = 20
"""Fewer give no standard deviation worth printing."""


def check_scores(scores: npt.ArrayLike, num_rows: int) -> IntArray:
    """`scores` as (N,) int64 with −1 for unrated rows (None, NaN, −1), at least one of them rated.

    Raises
    ------
    InputTypeError
        Words, bools or complex numbers.
    InputError
        Another length than the graph's; a fraction, an infinity, a value outside [−1, 63]; no rated
        row.
    """
    values = as_numbers(scores, "scores", nulls=True)
    if values.shape != (num_rows,):
        raise InputError(
            f"scores: expected shape ({num_rows},), one score a row of the graph, "
            f"got {values.shape}"
        )
    levels = _as_levels(values, "scores", MAX_LEVELS)
    _refuse_none_rated(levels)
    return levels


def check_ratings(scores: npt.ArrayLike, num_rows: int | None) -> IntArray:
    """`scores` as (N, R) int64, one column a rater; one of shape (N,) becomes (N, 1).

    Errors are those of `check_scores`; `num_rows` None takes any number of rows.
    """
    values = as_numbers(scores, "scores", nulls=True)
    if values.ndim not in {1, 2} or (num_rows is not None and len(values) != num_rows):
        rows = "N" if num_rows is None else str(num_rows)
        raise InputError(
            f"scores: expected shape ({rows},), one score a row"
            f"{'' if num_rows is None else ' of the graph'}, or ({rows}, R) of R raters, "
            f"got {values.shape}"
        )
    if values.ndim == 2 and not 1 <= values.shape[1] <= MAX_RATERS:
        raise InputError(f"scores: expected 1 to {MAX_RATERS} raters, got shape {values.shape}")
    levels = _as_levels(values.reshape(len(values), -1), "scores", MAX_LEVELS)
    _refuse_none_rated(levels)
    return levels


def check_repeats(
    repeats: npt.ArrayLike | None, ratings: IntArray, num_levels: int
) -> IntArray | None:
    """Further ratings as (N, M) int64, −1 where there are none; None where no row has any.

    Raises
    ------
    InputTypeError
        Words, bools or complex numbers.
    InputError
        Another number of rows, a value that is no level, or a further rating of an unrated row.
    """
    if repeats is None:
        return None
    values = as_numbers(repeats, "repeats", nulls=True)
    if values.ndim not in {1, 2} or len(values) != len(ratings):
        raise InputError(
            f"repeats: expected shape ({len(ratings)}, M), M further ratings a row, "
            f"got {values.shape}"
        )
    levels = _as_levels(values.reshape(len(values), -1), "repeats", num_levels)
    bad = (levels >= 0).any(axis=1) & (ratings < 0).all(axis=1)
    if bad.any():
        raise InputError(
            f"repeats: expected further ratings of rated rows only; row {int(bad.argmax())} has "
            "one and no score"
        )
    return levels if (levels >= 0).any() else None


def check_gold(gold: npt.ArrayLike | None, ratings: IntArray, num_levels: int) -> IntArray | None:
    """True levels as (N,) int64, −1 where they are not known; None where none is.

    Raises
    ------
    InputTypeError
        Words, bools or complex numbers.
    InputError
        Another number of rows, or a value that is no level.
    """
    if gold is None:
        return None
    values = as_numbers(gold, "gold", nulls=True)
    if values.shape != (len(ratings),):
        raise InputError(
            f"gold: expected shape ({len(ratings)},), one true score a row, got {values.shape}"
        )
    levels = _as_levels(values, "gold", num_levels)
    return levels if (levels >= 0).any() else None


def _as_levels(values: npt.NDArray[Any], name: str, num_levels: int) -> IntArray:
    """Whole numbers from −1 to below `num_levels`, NaN as −1."""
    if np.issubdtype(values.dtype, np.floating):
        values = np.where(np.isnan(values), UNRATED, values)
        whole = "whole numbers (or NaN for unrated)"
        _refuse_scores(values, np.floor(values) != values, whole, name)
    _refuse_scores(
        values,
        (values < UNRATED) | (values >= num_levels),
        f"levels 0 to {num_levels - 1} (or −1 for unrated)",
        name,
    )
    return values.astype(np.int64)


def _refuse_none_rated(levels: IntArray) -> None:
    if not (levels >= 0).any():
        raise InputError(f"scores: expected rated rows, got {len(levels)} unrated ones")


def _refuse_scores(
    values: npt.NDArray[Any], bad: BoolArray, expected: str, name: str = "scores"
) -> None:
    if bad.any():
        rows = bad.reshape(len(bad), -1)
        row = int(rows.any(axis=1).argmax())
        value = values.reshape(len(bad), -1)[row][rows[row]][0]
        raise InputError(
            f"{name}: expected {expected}; row {row} holds {value} "
            f"({int(rows.any(axis=1).sum())} such rows in all)"
        )


def check_num_levels(num_levels: int | None, levels: IntArray) -> int:
    """K: the given number where every score fits in it, else max + 1; two levels must be present.

    Raises
    ------
    InputError
        Fewer than two levels among the scores; a score that is not below `num_levels`.
    """
    present = np.unique(levels[levels >= 0])
    if len(present) < 2:
        raise InputError(
            f"scores: expected at least two different levels, got only level {present[0]} "
            f"in {int((levels >= 0).sum())} rated rows"
        )
    if num_levels is None:
        return int(present[-1]) + 1
    count = as_count(num_levels, "num_levels", minimum=2)
    if count > MAX_LEVELS:
        raise InputError(f"num_levels: expected at most {MAX_LEVELS}, got {count}")
    _refuse_scores(levels, levels >= count, f"values below num_levels ({count})")
    return count


def check_graph(graph: KnnGraph) -> KnnGraph:
    """`graph` where kernels may read its arrays without looking: types, shapes, row numbers.

    Raises
    ------
    InputTypeError
        Not a `KnnGraph`.
    InputError
        Arrays of other types or shapes, or row numbers outside [0, N).
    """
    if not isinstance(graph, KnnGraph):
        raise InputTypeError(f"graph: expected a KnnGraph, got {type(graph).__name__}")
    ids, similarities = graph.indices, graph.similarities
    if ids.dtype != np.int32 or similarities.dtype != np.float32:
        raise InputError(
            "graph: expected int32 indices and float32 similarities "
            f"(KnnGraph.from_arrays makes them), got {ids.dtype} and {similarities.dtype}"
        )
    if ids.ndim != 2 or ids.shape != similarities.shape or ids.size == 0:
        raise InputError(
            "graph: expected indices and similarities of one shape (N, k), "
            f"got {ids.shape} and {similarities.shape}"
        )
    if ids.min() < 0 or ids.max() >= len(ids):
        raise InputError(
            f"graph: expected row numbers in [0, {len(ids)}), got {ids.min()} to {ids.max()}"
        )
    return graph


def _check_raters(estimate: TransitionEstimate) -> None:
    matrices, own, k = estimate.rater_matrices, estimate.own, estimate.num_levels
    if matrices is not None and (matrices.shape[1:] != (k, k) or not np.isfinite(matrices).all()):
        raise InputError(
            f"estimate: expected finite rater_matrices (R, {k}, {k}), got shape {matrices.shape}"
            f"{'' if np.isfinite(matrices).all() else ' with NaN or inf'}"
        )
    if own is not None and not 0.0 <= own <= 1.0:
        raise InputError(f"estimate: expected own in [0, 1] or None, got {own!r}")


def check_estimate(estimate: TransitionEstimate, levels: IntArray) -> TransitionEstimate:
    """`estimate` where it has a place for every score.

    Raises
    ------
    InputTypeError
        Not a `TransitionEstimate`.
    InputError
        Arrays that do not fit each other or hold NaN; fewer levels than the scores have.
    """
    if not isinstance(estimate, TransitionEstimate):
        raise InputTypeError(
            f"estimate: expected a TransitionEstimate, got {type(estimate).__name__}"
        )
    k = estimate.num_levels
    arrays = (estimate.transition_matrix, estimate.prior, estimate.observed)
    shapes = tuple(array.shape for array in arrays)
    if not 1 <= k <= MAX_LEVELS or shapes != ((k, k), (k,), (k,)):
        raise InputError(
            "estimate: expected transition_matrix (K, K), prior (K,) and observed (K,), "
            f"K at most {MAX_LEVELS}, got shapes {shapes}"
        )
    if not all(np.isfinite(array).all() for array in arrays):
        raise InputError("estimate: expected finite T, prior and observed shares, got NaN or inf")
    _check_raters(estimate)
    if levels.max() >= k:
        raise InputError(
            f"estimate: expected one made with all score levels (0 to {levels.max()}), "
            f"got one of {k} levels"
        )
    return estimate


def check_resamples(bootstrap: SupportsIndex) -> int:
    """Resamples for bands: 0, or enough of them.

    Raises
    ------
    InputTypeError
        No integer.
    InputError
        Below 0, or 1 to 19.
    """
    count = as_count(bootstrap, "bootstrap", minimum=0)
    if 0 < count < LEAST_RESAMPLES:
        raise InputError(f"bootstrap: expected 0 or at least {LEAST_RESAMPLES}, got {count}")
    return count
