"""Rows as a Parquet file, written piece by piece."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

from ds2fast.errors import InputError
from ds2fast.io.tabular import row_tables
from ds2fast.pool import Pool
from ds2fast.results import IntArray

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP_BYTES = 1 << 25
_GROUP_ROWS = 1 << 17


def write_parquet(file: BinaryIO, pool: Pool, indices: IntArray, schema: pa.Schema) -> None:
    """Write rows in the order of `indices`; rows of a table keep their types and metadata.

    At most some 32 MiB of rows (or the largest row) are held at once: one row group.

    Parameters
    ----------
    file : binary file
        Where to write.
    pool : Pool
        The rows.
    indices : (n,) int64
        Row numbers in [0, N), best first.
    schema : pyarrow.Schema
        What `row_schema` found for these rows, or for more; `check_parquet` has seen it.

    Raises
    ------
    InputError
        A value that its field's type cannot hold.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetWriter(file, schema) as writer:
        held: list[pa.Table] = []
        for table in row_tables(pool, indices, schema):
            held.append(table)
            rows = sum(piece.num_rows for piece in held)
            if rows >= _GROUP_ROWS or sum(piece.nbytes for piece in held) >= _GROUP_BYTES:
                writer.write_table(pa.concat_tables(held), row_group_size=rows)
                held.clear()
        if held:
            writer.write_table(pa.concat_tables(held))


def check_parquet(schema: pa.Schema) -> None:
    """Refuse a schema that Parquet cannot hold; call it before anything is written.

    Raises
    ------
    InputError
        A field of such a type (an object that has no keys in any row, say); it is named.

    Examples
    --------
    >>> import pyarrow as pa
    >>> check_parquet(pa.schema([("text", pa.string())]))
    """
    import pyarrow as pa

    for field in schema:
        try:
            _write_empty(pa.schema([field]))
        except (pa.ArrowException, TypeError) as error:
            raise InputError(
                f"rows: expected types that Parquet can hold, got {field.type} in the field "
                f"{field.name!r} ({error})"
            ) from error


def _write_empty(schema: pa.Schema) -> None:
    import pyarrow.parquet as pq

    pq.write_table(schema.empty_table(), io.BytesIO())
