"""The rounds of the approximate search in plain NumPy: written to be read, not to be fast.

Codes, joins and descents are those of `ds2fast.approximate`, byte for byte; cosines are float64.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ds2fast.approximate.arrays import NO_PLACE, Codes, Lists
from ds2fast.results import DoubleArray, FloatArray, IdArray, IntArray, RowArray

LARGEST_CODE = 63
ROWS_SUMMED = 64 * 48
"""Rows whose sum is taken in one go, before such sums are added."""

IS_NEW = 2**31

Neighbours: TypeAlias = dict[int, tuple[np.float32, bool]]
"""Similarity of places, and whether they came since the last descent."""


# --- Codes ----------------------------------------------------------------------------------------


def encode(rows: RowArray, norms: DoubleArray, order: IdArray) -> Codes:
    """Codes of rows order[0], order[1], ...: unit rows minus their mean, each with a scale.

    Slacks, which are bounds and no values, are left 0.
    """
    x = rows[order].astype(np.float64)
    inverses = 1.0 / norms[order][:, None]
    mean = _mean(x * inverses)
    centred = (x * inverses).astype(np.float32) - mean
    largest = np.abs(centred).max(axis=1)
    scales = largest / np.float32(LARGEST_CODE)
    can_be_told = largest > np.float32(1e-30)
    steps = np.float32(1) / np.where(can_be_told, scales, np.float32(1))
    values = np.rint(centred * np.where(can_be_told, steps, np.float32(0))[:, None])
    wide = mean.astype(np.float64)
    offsets = (x @ wide) * inverses[:, 0] - 0.5 * (wide @ wide)
    return Codes(
        _padded(values.astype(np.int8)), values.sum(axis=1).astype(np.int32), scales,
        offsets.astype(np.float32), np.zeros(len(order), np.float32),
    )  # fmt: skip


def _mean(units: DoubleArray) -> FloatArray:
    """Mean of unit rows: sums of some rows, one after the other, and then the sums of those."""
    total = np.zeros(units.shape[1])
    for first in range(0, len(units), ROWS_SUMMED):
        part = np.zeros(units.shape[1])
        for unit in units[first : first + ROWS_SUMMED]:
            part += unit
        total += part
    return (total / len(units)).astype(np.float32)


def _padded(values: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    return np.pad(values, ((0, 0), (0, -values.shape[1] % 64)))


def code_similarities(codes: Codes, place: int, others: npt.ArrayLike) -> FloatArray:
    """The similarity that decides in a round, of one place and some others, in float32."""
    these = np.asarray(others, dtype=np.int64)
    products = codes.values[these].astype(np.int64) @ codes.values[place].astype(np.int64)
    scales = codes.scales[place] * codes.scales[these]
    offsets = codes.offsets[place] + codes.offsets[these]
    similarities: FloatArray = products.astype(np.float32) * scales + offsets
    return similarities


# --- Rounds ---------------------------------------------------------------------------------------


def join(codes: Codes, order: IdArray, bounds: IntArray, lists: Lists) -> Lists:
    """Lists of places order[bounds[0]], ..., after each met all others of its leaf."""
    found = []
    for first, last in pairwise(bounds):
        leaf = order[first:last]
        for place in leaf:
            known = neighbours(lists, place)
            found.append(_meet(codes, place, [int(p) for p in leaf if p != place], known))
    return _lists(found, lists.entries.shape[1])


def descend(codes: Codes, lists: Lists, first: int, last: int, heard: int) -> Lists:
    """Lists of places [first, last), after each met the neighbours of its neighbours.

    One of the two steps has to be new; the others were taken in a descent before.
    """
    found = []
    for place in range(first, last):
        known = neighbours(lists, place)
        met = {
            further
            for near, (_, near_is_new) in list(known.items())[:heard]
            for further, (_, is_new) in list(neighbours(lists, near).items())[:heard]
            if near_is_new or is_new
        }
        old = {near: (similarity, False) for near, (similarity, _) in known.items()}
        found.append(_meet(codes, place, sorted(met - {place}), old))
    return _lists(found, lists.entries.shape[1])


def neighbours(lists: Lists, place: int | np.integer) -> Neighbours:
    """A list as a dictionary, most similar first."""
    return {
        int(entry) % IS_NEW: (similarity, int(entry) >= IS_NEW)
        for entry, similarity in zip(lists.entries[place], lists.similarities[place], strict=True)
        if int(entry) % IS_NEW != NO_PLACE
    }


def _meet(codes: Codes, place: int, others: list[int], known: Neighbours) -> Neighbours:
    met = [other for other in others if other not in known]
    similarities = code_similarities(codes, place, met)
    return known | {other: (s, True) for other, s in zip(met, similarities, strict=True)}


def _lists(found: list[Neighbours], width: int) -> Lists:
    """The `width` most similar of each, ties to the smaller place."""
    entries = np.full((len(found), width), NO_PLACE, np.uint32)
    similarities = np.full((len(found), width), -np.inf, np.float32)
    for row, known in enumerate(found):
        best = sorted(known, key=lambda place: (-known[place][0], place))[:width]
        for column, place in enumerate(best):
            similarity, is_new = known[place]
            entries[row, column] = place + IS_NEW * is_new
            similarities[row, column] = similarity
    return Lists(entries, similarities)


# --- What is found --------------------------------------------------------------------------------


def rank(
    cosines: DoubleArray, order: IdArray, lists: Lists, k: int
) -> tuple[IntArray, DoubleArray]:
    """Ids (M, k) and cosines of the best of each list; `cosines` (N, N) are those of the rows."""
    ids = np.empty((len(order), k), np.int64)
    for place, row in enumerate(order):
        named = [int(order[near]) for near in neighbours(lists, place)]
        ids[place] = sorted(named, key=lambda i: (-cosines[row, i], i))[:k]
    return ids, np.take_along_axis(cosines[order], ids, axis=1)


def recall(
    ids: npt.NDArray[np.integer], similarities: npt.NDArray[np.floating],
    true_ids: npt.NDArray[np.integer], true_similarities: npt.NDArray[np.floating],
) -> tuple[float, float]:  # fmt: skip
    """Shares of the true neighbours that are named, and that are named or tie with the last."""
    k = ids.shape[1]
    named = [len(set(row) & set(true)) / k for row, true in zip(ids, true_ids, strict=True)]
    tied = [
        sum(value >= true[-1] for value in row) / k
        for row, true in zip(similarities, true_similarities, strict=True)
    ]
    return float(np.mean(named)), float(np.mean(tied))
