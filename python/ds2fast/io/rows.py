"""Raw rows of a pool: lines of JSON, Python objects or a table, handed back in any order."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import orjson

from ds2fast.errors import InputError
from ds2fast.io.arrow import is_arrow
from ds2fast.io.fields import list_names
from ds2fast.results import IntArray

_SLICE = 64
_ROWS_SHOWN = 1000
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def parse_json(text: bytes) -> Any:
    """Parse JSON, also what Python's `json` writes beyond it: NaN, Infinity, lone surrogates."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text.decode("utf-8"))


def check_indices(indices: Any, num_rows: int) -> IntArray:
    """Row numbers as (n,) int64.

    Raises
    ------
    InputError
        Not one-dimensional integers in [0, `num_rows`); the message names the first bad value.
    """
    ids = np.asarray(indices)
    if ids.ndim == 1 and ids.size == 0:
        return np.zeros(0, dtype=np.int64)
    if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
        raise InputError(
            f"indices: expected integers of shape (n,), got {ids.dtype} of shape {ids.shape}"
        )
    outside = (ids < 0) | (ids >= num_rows)
    if outside.any():
        raise InputError(
            f"indices: expected row numbers in [0, {num_rows}), got {ids[outside.argmax()]}"
        )
    return ids.astype(np.int64)


def row_objects(rows: Any, indices: IntArray) -> list[Any]:
    """Rows as Python objects, in the given order; lines are parsed, table rows become dicts."""
    if is_arrow(rows, "Table"):
        return _table_rows(rows, indices)
    return [parse_json(row) if isinstance(row, bytes) else row for row in _pick(rows, indices)]


def fields_seen(rows: Any) -> str:
    """Names of the fields in the first rows, for messages."""
    return list_names(row_objects(rows, np.arange(min(_ROWS_SHOWN, len(rows)))))


def row_lines(rows: Any, indices: IntArray) -> Iterator[bytes]:
    """Rows as lines of JSON without line ends, in the given order; lines go out as they came."""
    picked = _table_rows(rows, indices) if is_arrow(rows, "Table") else _pick(rows, indices)
    for row in picked:
        yield row if isinstance(row, bytes) else dump_row(row)


def dump_row(row: Any) -> bytes:
    """One row as a line of JSON; a bare string becomes `{"text": ...}`, NaN becomes null.

    Bytes are written as text where they are UTF-8 and as base64 elsewhere, decimals and values of
    other types as strings.
    """
    if isinstance(row, str):
        row = {"text": row}
    try:
        return orjson.dumps(row, default=_plain, option=_OPTIONS)
    except TypeError:  # integers over 64 bits and lone surrogates, which the standard library takes
        return json.dumps(row, default=_plain).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return str(value)


def _pick(rows: Any, indices: IntArray) -> Iterator[Any]:
    return (rows[index] for index in indices.tolist())


def _table_rows(table: Any, indices: IntArray) -> list[Any]:
    """Rows of a table: each small slice that holds a wanted row is turned into dicts once.

    Arrow's own `take` knows no string views (polars' strings) and joins a column's chunks first.
    """
    found: list[Any] = [None] * len(indices)
    order = np.argsort(indices, kind="stable")
    batches = table.to_batches(max_chunksize=_SLICE)
    ends = np.cumsum([batch.num_rows for batch in batches])
    cuts = np.searchsorted(indices[order], ends).tolist()
    for batch, end, first, last in zip(batches, ends, [0, *cuts], cuts, strict=False):
        rows = batch.to_pylist() if first < last else []
        for place in order[first:last].tolist():
            found[place] = rows[indices[place] - (end - batch.num_rows)]
    return found
