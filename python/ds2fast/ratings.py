"""Scores, repeats and gold labels of a pool, all brought to the same levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ds2fast.audit.labels import Labels
from ds2fast.checks import UNRATED
from ds2fast.errors import InputError
from ds2fast.io.fields import Place, row_place
from ds2fast.io.numbers import read_numbers
from ds2fast.io.scores import PAPER_LEVELS, ScoreLevels, map_scores
from ds2fast.pool import Pool
from ds2fast.results import DoubleArray, IntArray

DEFAULT_SCORES = "score"

ENOUGH_FOR_A_SCALE = 100
"""Scores of a rater from which on the highest one tells of its scale."""

UNLIKE = 1.8
"""Raters one of whom goes so many times as high as another use different scales."""


@dataclass(frozen=True)
class LevelTables:
    """Levels 0..K−1, −1 where there is none."""

    ratings: IntArray  # (N, R), a column a rater
    num_levels: int
    repeats: IntArray | None  # (N, M)
    gold: IntArray | None  # (N,)
    values: DoubleArray | None = None  # (N,) the measure that levels were cut from, if finer


@dataclass(frozen=True, eq=False)
class Scale:
    """How raw scores become levels, where the user said so."""

    num_levels: int | None = None
    edges: DoubleArray | None = None

    def map(self, scores: Any, place: Place = row_place) -> ScoreLevels:
        """Raw scores as levels; `place` says where a value stands."""
        return map_scores(scores, num_levels=self.num_levels, place=place, edges=self.edges)


def is_names(value: Any) -> bool:
    """Whether this is a list of field names."""
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) > 0
        and all(isinstance(name, str) for name in value)
    )


def read_ratings(
    pool: Pool | None, scores: Any, repeats: Any, gold: Any, scale: Scale
) -> LevelTables:
    """Scores, repeats and gold as levels: fields of the pool, or arrays beside it.

    What a value means may not depend on where it stands, so all are mapped to levels together.
    """
    raw, alone = _scores_of(pool, scores, scale)
    _refuse_unlike_scales(raw, scores)
    parts = {"scores": raw}
    if repeats is not None:
        parts["repeats"] = _raw(pool, repeats, "repeats", len(raw))
    if gold is not None:
        gold = gold.given if isinstance(gold, Labels) else gold
        parts["gold"] = _raw(pool, gold, "gold", len(raw))
        if parts["gold"].shape[1] != 1:
            raise InputError(f"gold: expected one true score a row, got {parts['gold'].shape}")
    if alone is not None and len(parts) == 1:
        return LevelTables(alone.levels[:, None], alone.num_levels, None, None, alone.values)
    if alone is not None:
        scale = _scale_of(pool, alone, scale)
    tables, num_levels = _map_together(parts, scale)
    if alone is not None and (
        num_levels > max(alone.num_levels, PAPER_LEVELS)
        or not np.array_equal(tables["scores"][:, 0], alone.levels)
    ):
        others = " and ".join(name for name in parts if name != "scores")
        raise InputError(
            f"{others}: expected values on the scale of the scores ({alone.mapping}), got others: "
            "together they would be read differently; num_levels= or edges= "
            "(--num-levels, --edges) fix the scale"
        )
    return LevelTables(
        tables["scores"],
        num_levels,
        tables.get("repeats"),
        tables["gold"][:, 0] if "gold" in tables else None,
        None if alone is None else alone.values,
    )


def _refuse_unlike_scales(raw: DoubleArray, scores: Any) -> None:
    """Raters of 1..5 and of 1..10 cannot be mapped together: one would look strict by far."""
    rated = np.where(np.isnan(raw) | (raw == UNRATED), -np.inf, raw)
    highest = rated.max(axis=0, initial=-np.inf)
    few = np.isfinite(rated).sum(axis=0).min() < ENOUGH_FOR_A_SCALE
    if raw.shape[1] == 1 or few or highest.min() <= 0.0:
        return
    if highest.max() >= UNLIKE * highest.min():
        names = scores if is_names(scores) else [f"column {at}" for at in range(raw.shape[1])]
        told = ", ".join(f"{name} up to {top:g}" for name, top in zip(names, highest, strict=True))
        raise InputError(f"scores: expected raters on one scale, got {told}; bring them to one")


def _map_together(parts: dict[str, DoubleArray], scale: Scale) -> tuple[dict[str, IntArray], int]:
    """Levels of each table, and K."""
    mapped = scale.map(np.concatenate([part.ravel() for part in parts.values()]), _places(parts))
    ends = np.cumsum([part.size for part in parts.values()])[:-1]
    pieces = np.split(mapped.levels, ends)
    shapes = (part.shape for part in parts.values())
    tables = (piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True))
    return dict(zip(parts, tables, strict=True)), mapped.num_levels


def _places(parts: Mapping[str, DoubleArray]) -> Place:
    """Where a value of the flattened parts stands, for messages."""

    def place(at: int) -> str:
        begin = 0
        for name, part in parts.items():
            if at < begin + part.size:
                row = row_place((at - begin) // part.shape[1])
                return row if name == "scores" else f"{row} of {name}"
            begin += part.size
        return row_place(at)

    return place


def _scores_of(
    pool: Pool | None, scores: Any, scale: Scale
) -> tuple[DoubleArray, ScoreLevels | None]:
    """Raw scores (N, R); and of one column what it is mapped to by itself."""
    if scores is None or (pool is None and isinstance(scores, str)):
        raise InputError(
            "data: expected rows, a path or a Pool, or both scores= and embeddings= (or graph=), "
            f"got none; scores is {scores!r}"
        )
    if pool is not None and isinstance(scores, str) and scores == DEFAULT_SCORES:
        alone = _pool_scores(pool, scale)
        return alone.raw[:, None], alone
    if is_names(scores):
        return _columns(pool, scores, "scores"), None
    values = scores
    if pool is not None and isinstance(scores, str):
        values = pool.column(scores, numbers=True)
    if np.ndim(values) != 2:
        alone = scale.map(values)
        _check_length(len(alone.levels), pool)
        return alone.raw[:, None], alone
    table = _as_table(values, "scores")
    _check_length(len(table), pool)
    return table, None


def _pool_scores(pool: Pool, scale: Scale) -> ScoreLevels:
    if pool.scores is None or pool.num_levels is None or pool.raw_scores is None:
        raise InputError("data: expected a pool with scores, got one that was read without")
    if scale.num_levels not in {None, pool.num_levels}:
        raise InputError(
            f"num_levels: expected that of the pool ({pool.num_levels}, read() takes it too), "
            f"got {scale.num_levels}"
        )
    return ScoreLevels(
        pool.scores,
        pool.raw_scores,
        pool.num_levels,
        pool.score_mapping or "",
        pool.score_values,
        pool.score_edges,
    )


def _scale_of(pool: Pool | None, scores: ScoreLevels, scale: Scale) -> Scale:
    """The scale that the scores were read with, where the user said so; it may be the pool's."""
    if scores.edges is not None:
        return Scale(edges=scores.edges)
    if pool is None or scale.num_levels is not None:
        return scale
    as_they_stand = not np.array_equal(map_scores(scores.raw).levels, scores.levels)
    return Scale(scores.num_levels) if as_they_stand else scale


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
    columns = [pool.column(field, numbers=True) for field in names]
    return _as_table(np.asarray(columns, dtype=object).T, name)


def _as_table(values: Any, name: str) -> DoubleArray:
    """(N, M) float64, NaN where there is none; words are refused by name."""
    table = np.asarray(values, dtype=object) if not isinstance(values, np.ndarray) else values
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or table.shape[1] == 0:
        raise InputError(f"{name}: expected shape (N,) or (N, M), got {table.shape}")
    columns = [read_numbers(table[:, at].tolist(), label=name) for at in range(table.shape[1])]
    raw = np.stack(columns, axis=1)
    return np.where(raw == UNRATED, np.nan, raw)
