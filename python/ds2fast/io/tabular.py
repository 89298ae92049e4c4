"""Rows of a pool as Arrow tables, some MiB at a time: those of a table keep their types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2fast.io.infer import infer_schema, rows_as_table
from ds2fast.results import IntArray

if TYPE_CHECKING:
    import pyarrow as pa

    from ds2fast.pool import Pool

_OBJECTS_AT_ONCE = 256
_FIRST_ROWS, _MOST_ROWS = 64, 4096
_BYTES_AT_ONCE = 1 << 23


def row_schema(pool: Pool, indices: IntArray) -> pa.Schema:
    """The Arrow schema of some rows: a table's own, or the one that all these JSON rows fit.

    Parameters
    ----------
    pool : Pool
        The rows.
    indices : (n,) int64
        Row numbers in [0, N), in any order.

    Raises
    ------
    InputError
        JSON rows with a field whose values do not fit one type; it is named.

    Examples
    --------
    >>> from ds2fast.io.read import read
    >>> row_schema(read(["one", "two"], scores=None), np.array([1])).names
    ['text']
    """
    distinct = np.unique(indices)
    schema = _table_schema(pool, distinct)
    return infer_schema(_objects(pool, distinct)) if schema is None else schema


def row_tables(pool: Pool, indices: IntArray, schema: pa.Schema) -> Iterator[pa.Table]:
    """Rows as small Arrow tables, in the order of `indices`.

    Parameters
    ----------
    pool : Pool
        The rows.
    indices : (n,) int64
        Row numbers in [0, N).
    schema : pyarrow.Schema
        What `row_schema` found for these rows, or for more.

    Raises
    ------
    InputError
        A value that its field's type cannot hold.

    Examples
    --------
    >>> from ds2fast.io.read import read
    >>> pool = read(["one", "two"], scores=None)
    >>> order = np.array([1, 0])
    >>> [table.to_pylist() for table in row_tables(pool, order, row_schema(pool, order))]
    [[{'text': 'two'}, {'text': 'one'}]]
    """
    for part, table in _pieces(pool, indices):
        if table is not None and table.schema.equals(schema):
            yield table.replace_schema_metadata(schema.metadata).combine_chunks()
        else:
            for rows in _objects(pool, part):
                yield rows_as_table(rows, schema)


def as_object(row: Any) -> Mapping[str, Any]:
    """A row as an object: a bare string is its text.

    Examples
    --------
    >>> as_object("a frog")
    {'text': 'a frog'}
    """
    return {"text": row} if isinstance(row, str) else row


def _table_schema(pool: Pool, indices: IntArray) -> pa.Schema | None:
    """The schema of rows that all come from tables of one schema; None for any others."""
    schema = None
    for _, table in _pieces(pool, indices):
        if table is None or not (schema is None or table.schema.equals(schema)):
            return None
        schema = table.schema if schema is None else schema
    return schema


def _pieces(pool: Pool, indices: IntArray) -> Iterator[tuple[IntArray, pa.Table | None]]:
    """Runs of `indices` and their tables, None where they are of none; each of some MiB."""
    start, length = 0, _FIRST_ROWS
    while start < len(indices):
        part = indices[start : start + length]
        table = pool.table(part)
        yield part, table
        start += length
        length = _OBJECTS_AT_ONCE if table is None else _rows_at_once(table)


def _rows_at_once(table: pa.Table) -> int:
    """Rows that make a piece, if others are as large as these."""
    import pyarrow as pa

    try:
        mean = max(1, int(table.nbytes) // len(table))
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError):  # views, in older versions of Arrow
        return _OBJECTS_AT_ONCE
    return min(_MOST_ROWS, max(1, _BYTES_AT_ONCE // mean))


def _objects(pool: Pool, indices: IntArray) -> Iterator[list[Mapping[str, Any]]]:
    for start in range(0, len(indices), _OBJECTS_AT_ONCE):
        rows = pool.take(indices[start : start + _OBJECTS_AT_ONCE])
        yield [as_object(row) for row in rows]
