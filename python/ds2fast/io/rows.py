"""Raw rows of a pool, handed back in any order without all of them being in memory."""

from __future__ import annotations

import base64
import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice, pairwise
from typing import Any

import numpy as np
import orjson

from ds2fast.errors import InputError
from ds2fast.io.fields import MISSING, Field, list_names
from ds2fast.results import IntArray

KEPT_ROWS = 64 << 20
"""Bytes of rows that are held in memory where no file has them; beyond, a temporary file does."""

_ROWS_SHOWN = 1000
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


class Rows(Sequence[Any]):
    """Rows of a pool, numbered from 0: a sequence of Python objects, read where they lie.

    Nothing here keeps the objects that it hands out, so that a pass over all rows takes no more
    memory than a few of them.
    """

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows."""

    @abstractmethod
    def stream(self, indices: IntArray, columns: AbstractSet[str] | None = None) -> Iterator[Any]:
        """Rows as Python objects, in the order of `indices`.

        Parameters
        ----------
        indices : (n,) int64
            Row numbers in [0, N).
        columns : set of str, optional
            Fields that are looked at: a table leaves the others out.

        Raises
        ------
        InputFileError
            The file that holds the rows has changed since they were read.
        """

    def lines(self, indices: IntArray) -> Iterator[bytes]:
        """Rows as lines of JSON without line ends; lines of a file go out as they came."""
        return map(dump_row, self.stream(indices))

    def table(self, indices: IntArray) -> Any | None:  # noqa: ARG002 - for those that hold one
        """Rows as an Arrow table of the types they came in; None where they came in no table."""
        return None

    def each(self, columns: AbstractSet[str] | None = None) -> Iterator[Any]:
        """All rows in their order."""
        return self.stream(np.arange(len(self)), columns)

    def field(self, field: Field, *, numbers: bool = False) -> Iterator[Any]:  # noqa: ARG002
        """One field of all rows, `MISSING` where a row lacks it.

        `numbers` takes words for the numbers they spell, in rows that can hold words alone (CSV).
        """
        return (MISSING if isinstance(r, str) else field.of(r) for r in self.each(field.columns))

    def __iter__(self) -> Iterator[Any]:
        return self.each()

    def __getitem__(self, index: Any) -> Any:
        found = np.arange(len(self))[index]
        if isinstance(index, slice):
            return list(self.stream(found))
        return next(self.stream(found.reshape(1)))


class ObjectRows(Rows):
    """Rows that are Python objects in memory: mappings or strings.

    Examples
    --------
    >>> ObjectRows([{"text": "a"}, {"text": "b"}])[1]
    {'text': 'b'}
    """

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def stream(
        self,
        indices: IntArray,
        columns: AbstractSet[str] | None = None,  # noqa: ARG002
    ) -> Iterator[Any]:
        """The objects themselves."""
        return (self._rows[index] for index in indices.tolist())


class ChainedRows(Rows):
    """Rows of several sources, one behind the other."""

    def __init__(self, parts: Sequence[Rows]) -> None:
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def stream(self, indices: IntArray, columns: AbstractSet[str] | None = None) -> Iterator[Any]:
        """Rows of each part, as the part has them."""
        for part, places in self._runs(indices):
            yield from part.stream(places, columns)

    def lines(self, indices: IntArray) -> Iterator[bytes]:
        """Lines of each part, as the part has them."""
        for part, places in self._runs(indices):
            yield from part.lines(places)

    def table(self, indices: IntArray) -> Any | None:
        """One table, where all parts are tables of the same columns and types."""
        import pyarrow as pa

        tables = [part.table(places) for part, places in self._runs(indices)]
        schemas = [None if table is None else table.schema for table in tables]
        if not tables or any(schema is None or schema != schemas[0] for schema in schemas):
            return None
        return pa.concat_tables(tables)

    def field(self, field: Field, *, numbers: bool = False) -> Iterator[Any]:
        """The field of each part's rows."""
        for part in self._parts:
            yield from part.field(field, numbers=numbers)

    def _runs(self, indices: IntArray) -> Iterator[tuple[Rows, IntArray]]:
        """Runs of rows of one part, in the order of `indices`, with their numbers in the part."""
        parts = np.searchsorted(self._ends, indices, side="right")
        bounds = [0, *(np.flatnonzero(np.diff(parts)) + 1).tolist(), len(indices)]
        for begin, end in pairwise(bounds if len(indices) else []):
            number = int(parts[begin])
            before = int(self._ends[number - 1]) if number else 0
            yield self._parts[number], indices[begin:end] - before


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


def fields_seen(rows: Iterable[Any]) -> str:
    """Names of the fields in the first rows, for messages."""
    return list_names(islice(rows, _ROWS_SHOWN))


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
