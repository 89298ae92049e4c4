"""Rows of tables: Arrow's batches in memory or in a temporary file, and Hugging Face data sets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2fast.io.held import TemporaryRows
from ds2fast.io.rows import KEPT_ROWS, Rows
from ds2fast.io.views import without_views
from ds2fast.results import IntArray

if TYPE_CHECKING:
    import pyarrow as pa

_HELD = 16 << 20
"""Bytes of rows that are Python objects at a time, by the table's mean."""

_MOST_ROWS = 4096
_BATCH_BYTES = 1 << 18


class ArrowRows(Rows):
    """Rows that Arrow holds, turned into Python objects a few at a time."""

    def __init__(self, num_rows: int, num_bytes: int) -> None:
        self._num_rows = num_rows
        mean = max(1, num_bytes // max(1, num_rows))
        self._at_once = min(_MOST_ROWS, max(1, _HELD // mean))

    def __len__(self) -> int:
        return self._num_rows

    def stream(self, indices: IntArray, columns: AbstractSet[str] | None = None) -> Iterator[Any]:
        """Rows as dicts of the columns wanted."""
        for begin in range(0, len(indices), self._at_once):
            yield from self._objects(indices[begin : begin + self._at_once], columns)

    @abstractmethod
    def _objects(self, indices: IntArray, columns: AbstractSet[str] | None) -> list[Any]:
        """A few rows as dicts."""


class TableRows(ArrowRows):
    """Rows of Arrow batches; `of` and `keep` make it.

    Parameters
    ----------
    batches : sequence of RecordBatch
        In memory, or read from a temporary file when they are asked for.
    sizes : sequence of int
        Rows of each batch.
    schema : Schema
        Columns of all of them.
    num_bytes : int
        Size of all rows together.

    Examples
    --------
    >>> import pyarrow as pa
    >>> rows = TableRows.of(pa.table({"text": ["a", "b", "c"]}))
    >>> rows[1], rows.table(np.array([2, 0])).to_pydict()
    ({'text': 'b'}, {'text': ['c', 'a']})
    """

    def __init__(
        self,
        batches: Sequence[pa.RecordBatch],
        sizes: Sequence[int],
        schema: pa.Schema,
        num_bytes: int,
    ) -> None:
        super().__init__(sum(sizes), num_bytes)
        self._batches = batches
        self._ends = np.cumsum(np.array(sizes, np.int64), dtype=np.int64)
        self._schema = schema

    @classmethod
    def of(cls, table: pa.Table) -> TableRows:
        """Rows of a table in memory."""
        batches = table.to_batches()
        return cls(batches, [batch.num_rows for batch in batches], table.schema, _size(table))

    @classmethod
    def keep(cls, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> TableRows:
        """Rows of batches that come one by one: in memory up to `KEPT_ROWS`, else in a file."""
        import pyarrow as pa

        coming = iter(batches)
        kept: list[pa.RecordBatch] = []
        size = 0
        for batch in coming:
            kept.append(batch)
            size += _size(batch)
            if size > KEPT_ROWS:
                stored = _StoredBatches()
                for one in kept:
                    stored.add(one)
                kept.clear()
                for one in coming:
                    stored.add(one)
                return cls(stored, stored.sizes, schema, stored.num_bytes)
        return cls.of(pa.Table.from_batches(kept, schema=schema))

    def table(self, indices: IntArray) -> pa.Table:
        """These rows alone, in the order of `indices`, and without views."""
        import pyarrow as pa

        wanted, places = np.unique(indices, return_inverse=True)
        pieces = list(self._pieces(wanted))
        if np.array_equal(wanted, indices):
            return without_views(pa.Table.from_batches(pieces, schema=self._schema))
        # Arrow's own `take` would join the chunks of a column first.
        ends = np.cumsum([piece.num_rows for piece in pieces])
        holders = np.searchsorted(ends, places, side="right")
        rows = [
            pieces[holder].slice(int(place - ends[holder]) + pieces[holder].num_rows, 1)
            for holder, place in zip(holders, places, strict=True)
        ]
        return without_views(pa.Table.from_batches(rows, schema=self._schema))

    def _objects(self, indices: IntArray, columns: AbstractSet[str] | None) -> list[Any]:
        names = [name for name in self._schema.names if columns is None or name in columns]
        if not names:
            return [{} for _ in indices]
        wanted, places = np.unique(indices, return_inverse=True)
        found: list[Any] = []
        for piece in self._pieces(wanted):
            found += piece.select(names).to_pylist()
        return [found[place] for place in places.tolist()]

    def _pieces(self, wanted: IntArray) -> Iterator[pa.RecordBatch]:
        """The rows of these ascending numbers."""
        numbers = np.searchsorted(self._ends, wanted, side="right")
        for number in np.unique(numbers).tolist():
            before = int(self._ends[number - 1]) if number else 0
            places = wanted[numbers == number] - before
            yield from _take(self._batches[number], places)


def _take(batch: pa.RecordBatch, places: IntArray) -> list[pa.RecordBatch]:
    """Rows of a batch at ascending places: a copy, unless they are most of it."""
    import pyarrow as pa

    first, end = int(places[0]), int(places[-1]) + 1
    if end - first == len(places) and 2 * len(places) > batch.num_rows:
        return [batch.slice(first, len(places))]
    try:
        return [batch.take(pa.array(places))]
    except pa.ArrowNotImplementedError:  # string views, in older versions of Arrow
        return [batch.slice(place, 1) for place in places.tolist()]


def _size(table: Any) -> int:
    """Bytes of a table or batch."""
    import pyarrow as pa

    try:
        return int(table.nbytes)
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError):  # views, in older versions of Arrow
        return int(table.get_total_buffer_size())


class _StoredBatches(Sequence[Any]):
    """Small batches in a temporary file, each whole in itself, its dictionaries included."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.num_bytes = 0
        self._places: list[tuple[int, int]] = []
        self._held = TemporaryRows()

    def add(self, batch: pa.RecordBatch) -> None:
        """Add a batch, in pieces of some `_BATCH_BYTES`."""
        import pyarrow as pa

        size = _size(batch)
        self.num_bytes += size
        rows = max(1, batch.num_rows * _BATCH_BYTES // max(1, size))
        for begin in range(0, batch.num_rows, rows):
            piece = batch.slice(begin, rows)
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, batch.schema) as stream:
                stream.write_batch(piece)
            content = sink.getvalue()
            self._places.append((self._held.append(content), content.size))
            self.sizes.append(piece.num_rows)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: Any) -> Any:
        import pyarrow as pa

        with self._held.reading() as read:
            return pa.ipc.open_stream(read(*self._places[index])).read_next_batch()


class DatasetRows(ArrowRows):
    """Rows of a Hugging Face `Dataset`, read from where it keeps them.

    Parameters
    ----------
    dataset : datasets.Dataset
        Known by its methods: `datasets` is not imported here. Its order and its selection of rows
        hold; a transform that was set on it does not.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset.with_format("arrow")
        super().__init__(len(dataset), _size(dataset.data.table))

    def table(self, indices: IntArray) -> pa.Table:
        """These rows as the data set stores them."""
        return self._dataset[indices.tolist()]

    def _objects(self, indices: IntArray, columns: AbstractSet[str] | None) -> list[Any]:
        names = [name for name in self._dataset.column_names if columns is None or name in columns]
        if not names:
            return [{} for _ in indices]
        rows: list[Any] = self.table(indices).select(names).to_pylist()
        return rows
