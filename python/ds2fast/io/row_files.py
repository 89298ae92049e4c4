"""Sets of rows as files of one format: JSON lines as they came, or Parquet of one schema."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np

from ds2fast.arguments import check_choice
from ds2fast.errors import InputError
from ds2fast.io.parquet import check_parquet, write_parquet
from ds2fast.io.tabular import row_schema
from ds2fast.io.write import write_rows
from ds2fast.pool import Pool
from ds2fast.results import IntArray

if TYPE_CHECKING:
    import pyarrow as pa

RowFormat = Literal["jsonl", "parquet"]
ROW_FORMATS = ("jsonl", "parquet")


class RowFiles:
    """Writes sets of rows of a pool; made before anything is written, for it may refuse.

    Parameters
    ----------
    pool : Pool
        The rows.
    kind : {"jsonl", "parquet"}
        Lines of JSON as they came, or Parquet: then all files have one schema.
    sets : iterable of (n,) int64
        The rows that are to be written.

    Raises
    ------
    InputError
        No such format; rows that Parquet cannot hold, since a field's values do not fit one type
        (the field is named).

    Examples
    --------
    >>> from ds2fast.io.read import read
    >>> files = RowFiles(read(["one"], scores=None), "parquet", [np.array([0])])
    >>> files.name("selected")
    'selected.parquet'
    """

    def __init__(self, pool: Pool, kind: RowFormat, sets: Iterable[IntArray]) -> None:
        check_choice(kind, "rows", ROW_FORMATS)
        self._pool = pool
        self._kind = kind
        self._schema = None
        if kind == "parquet":
            self._schema = _parquet_schema(pool, np.unique(np.concatenate(list(sets))))

    def name(self, of: str) -> str:
        """The name of a set's file."""
        return f"{of}.{self._kind}"

    def write(self, file: BinaryIO, indices: IntArray) -> None:
        """Write one of the sets, in the order of `indices`."""
        if self._schema is None:
            write_rows(file, self._pool, indices)
        else:
            write_parquet(file, self._pool, indices, self._schema)


def check_row_format(pool: Pool, kind: RowFormat) -> None:
    """Refuse a format that not all rows of a pool can be written in; one pass over them.

    Call it before long work: what is selected can then be written whatever it is.

    Raises
    ------
    InputError
        As of `RowFiles`.

    Examples
    --------
    >>> from ds2fast.io.read import read
    >>> check_row_format(read(["one", "two"], scores=None), "parquet")
    """
    RowFiles(pool, kind, [np.arange(len(pool))])


def _parquet_schema(pool: Pool, indices: IntArray) -> pa.Schema:
    try:
        schema = row_schema(pool, indices)
        check_parquet(schema)
    except InputError as error:
        raise InputError(
            f"{error}; rows='jsonl' (--format jsonl) writes the rows as they are"
        ) from error
    return schema
