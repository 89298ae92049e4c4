"""Scores, repeats and gold labels of a pool, all brought to the same levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ds2fast.checks import UNRATED
from ds2fast.errors import InputError
from ds2fast.io.scores import map_scores
from ds2fast.pool import Pool
from ds2fast.results import DoubleArray, IntArray

DEFAULT_SCORES = "score"


@dataclass(frozen=True)
class Ratings:
    """Levels 0..K−1, −1 where there is none."""

    ratings: IntArray  # (N, R), a column a rater
    num_levels: int
    repeats: IntArray | None  # (N, M)
    gold: IntArray | None  # (N,)


def is_names(value: Any) -> bool:
    """Whether this is a list of field names."""
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) > 0
        and all(isinstance(name, str) for name in value)
    )


def read_ratings(
    pool: Pool | None, scores: Any, repeats: Any, gold: Any, num_levels: int | None
) -> Ratings:
    """Scores, repeats and gold as levels: fields of the pool, or arrays beside it.

    What a value means may not depend on where it stands, so all are mapped to levels together.
    """
    given, levels, known_levels = _scores_of(pool, scores, num_levels)
    further = None if repeats is None else _raw(pool, repeats, "repeats", len(given))
    truths = None if gold is None else _raw(pool, gold, "gold", len(given))
    if truths is not None and truths.shape[1] != 1:
        raise InputError(f"gold: expected one true score a row, got shape {truths.shape}")
    if further is None and truths is None and levels is not None:
        return Ratings(levels[:, None], known_levels, None, None)
    parts = [given] + [part for part in (further, truths) if part is not None]
    flat = np.concatenate([part.ravel() for part in parts])
    if levels is not None and num_levels is None and _reads_differently(given, levels):
        num_levels = known_levels  # the pool was read so
    label = f"scores={scores!r}" if isinstance(scores, str) else "scores"
    mapped = map_scores(flat, num_levels=num_levels, label=label)
    pieces = np.split(mapped.levels, np.cumsum([part.size for part in parts])[:-1])
    tables = [piece.reshape(part.shape) for piece, part in zip(pieces, parts, strict=True)]
    return Ratings(
        tables[0],
        mapped.num_levels,
        tables[1] if further is not None else None,
        tables[-1][:, 0] if truths is not None else None,
    )


def _scores_of(
    pool: Pool | None, scores: Any, num_levels: int | None
) -> tuple[DoubleArray, IntArray | None, int]:
    """Raw scores (N, R); and where they are the pool's own, or one column, their levels and K."""
    if scores is None or (pool is None and isinstance(scores, str)):
        raise InputError(
            "data: expected rows, a path or a Pool, or both scores= and embeddings= (or graph=), "
            f"got none; scores is {scores!r}"
        )
    if pool is not None and isinstance(scores, str) and scores == DEFAULT_SCORES:
        return _pool_scores(pool, num_levels)
    if is_names(scores):
        return _columns(pool, scores, "scores"), None, 0
    values = scores
    if pool is not None and isinstance(scores, str):
        values = pool.column(scores)
    if np.ndim(values) != 2:
        mapped = map_scores(values, num_levels=num_levels)
        _check_length(len(mapped.levels), pool)
        return mapped.raw[:, None], mapped.levels, mapped.num_levels
    table = _as_table(values, "scores")
    _check_length(len(table), pool)
    return table, None, 0


def _pool_scores(pool: Pool, num_levels: int | None) -> tuple[DoubleArray, IntArray, int]:
    if pool.scores is None or pool.num_levels is None or pool.raw_scores is None:
        raise InputError("data: expected a pool with scores, got one that was read without")
    if num_levels not in {None, pool.num_levels}:
        raise InputError(
            f"num_levels: expected that of the pool ({pool.num_levels}, read() takes it too), "
            f"got {num_levels}"
        )
    return pool.raw_scores[:, None], pool.scores, pool.num_levels


def _reads_differently(raw: DoubleArray, levels: IntArray) -> bool:
    return not np.array_equal(map_scores(raw.ravel()).levels, levels)


def _check_length(got: int, pool: Pool | None) -> None:
    if pool is not None and got != len(pool):
        raise InputError(f"scores: expected one score a row ({len(pool)}), got {got}")


def _raw(pool: Pool | None, value: Any, name: str, num_rows: int) -> DoubleArray:
    """(N, M) raw values of one field, several fields or an array."""
    if isinstance(value, str):
        value = [value]
    table = _columns(pool, value, name) if is_names(value) else _as_table(value, name)
    if len(table) != num_rows:
        raise InputError(f"{name}: expected one row a score ({num_rows}), got {table.shape}")
    return table


def _columns(pool: Pool | None, names: Sequence[str], name: str) -> DoubleArray:
    if pool is None:
        raise InputError(f"{name}: expected an array where there are no rows, got {list(names)}")
    columns = [pool.column(field) for field in names]
    return _as_table(np.asarray(columns, dtype=object).T, name)


def _as_table(values: Any, name: str) -> DoubleArray:
    """(N, M) float64, NaN where there is none; words are refused by name."""
    table = np.asarray(values, dtype=object) if not isinstance(values, np.ndarray) else values
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or table.shape[1] == 0:
        raise InputError(f"{name}: expected shape (N,) or (N, M), got {table.shape}")
    from ds2fast.io.numbers import read_numbers

    columns = [read_numbers(table[:, at].tolist(), label=name) for at in range(table.shape[1])]
    raw = np.stack(columns, axis=1)
    return np.where(raw == UNRATED, np.nan, raw)
