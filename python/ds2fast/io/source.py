"""Where rows come from: files or data in memory, opened and checked before anything is read."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from ds2fast.errors import InputError, InputTypeError
from ds2fast.io.arrow import is_arrow
from ds2fast.io.content import FileContent
from ds2fast.io.digest import InputFile, join_digests
from ds2fast.io.fields import Place, Row, row_place
from ds2fast.io.held import Held, TemporaryRows, UserFile
from ds2fast.io.lines import LineRows, WordRows
from ds2fast.io.names import EXTENSIONS, STDIN, check_file, files_named
from ds2fast.io.rows import ChainedRows, ObjectRows, Rows, parse_json
from ds2fast.io.table_rows import DatasetRows, TableRows
from ds2fast.io.words import parse_words

__all__ = ["EXTENSIONS", "Part", "Source", "check_file", "open_source"]

_SHOWN = 60
_BATCH_BYTES = 1 << 20
_MOST_ROWS = 4096

Parse = Callable[[AbstractSet[str] | None], Iterator[Row | str]]
"""The rows as Python objects, to be called once; a table gives the named columns, None all."""


@dataclass(frozen=True, eq=False)
class Part:
    """Rows of one file, or of data in memory, to be read once.

    Attributes
    ----------
    name : str
        The file's path as it was given, or `"data"`; for messages.
    rows : Rows
        The raw rows. Those of a file of lines are added while `parse` runs.
    parse : callable(columns) -> iterator of dicts or strings
        The rows as Python objects; a table gives only the named columns.
    path : Path or None
        The file's absolute path; None for standard input and data in memory.
    sha256 : callable() -> str or None
        Hash of the file's bytes as they lie on disk, known when `parse` has run to its end; None
        for data in memory.
    place : callable(row) -> str
        Where a row that was parsed stands: its line in a file of lines.
    """

    name: str
    rows: Rows
    parse: Parse
    path: Path | None = None
    sha256: Callable[[], str | None] = lambda: None
    place: Place = row_place


@dataclass(frozen=True, eq=False)
class Source:
    """One or more parts, the rows of each behind those of the last."""

    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        """What the rows came from, for messages."""
        return self.parts[0].name if len(self.parts) == 1 else f"{len(self.parts)} files"

    @property
    def rows(self) -> Rows:
        """All rows parsed so far."""
        if len(self.parts) == 1:
            return self.parts[0].rows
        return ChainedRows([part.rows for part in self.parts])

    @property
    def files(self) -> tuple[InputFile, ...]:
        """The files on disk, when all is parsed; none where some rows came in another way."""
        found = [(part.path, part.sha256()) for part in self.parts]
        return tuple(InputFile(path, digest) for path, digest in found if path and digest)

    @property
    def sha256(self) -> str | None:
        """Hash of all bytes read, when all is parsed; None for data in memory."""
        found = [part.sha256() for part in self.parts]
        known = [digest for digest in found if digest]
        return join_digests(known) if known else None

    def place(self, row: int) -> str:
        """Where a row that was parsed stands."""
        for part in self.parts[:-1]:
            if row < len(part.rows):
                return f"{part.name}, {part.place(row)}"
            row -= len(part.rows)
        last = self.parts[-1]
        return last.place(row) if len(self.parts) == 1 else f"{last.name}, {last.place(row)}"


def open_source(data: Any) -> Source:
    """Find out what `data` is.

    Raises
    ------
    InputFileError
        A file that does not exist or cannot be read, or a directory.
    InputError
        A file of an unknown extension or broken content, a list with a row of another kind.
    InputTypeError
        Data of a type that cannot be read.
    """
    paths = files_named(data)
    if paths is not None:
        return Source(tuple(map(_open_file, paths)))
    if isinstance(data, list | tuple):
        return Source((_from_objects("data", list(data)),))
    if _is_dataset(data):
        return Source((_from_rows("data", data.column_names, DatasetRows(data)),))
    table = _as_table(data)
    if table is None:
        raise InputTypeError(
            f"data: expected a path (to {', '.join(EXTENSIONS)}), paths, a list of dicts or "
            f"strings, or a table, got {type(data).__name__}{_hint(data)}"
        )
    return Source((_from_rows("data", table.column_names, TableRows.of(table)),))


def _is_dataset(data: Any) -> bool:
    """Whether it is a Hugging Face `Dataset`: its rows have numbers, unlike those of a stream."""
    methods = ("with_format", "features", "column_names", "data", "__len__")
    return not isinstance(data, Mapping) and all(hasattr(data, name) for name in methods)


def _hint(data: Any) -> str:
    if isinstance(data, Mapping) and data and all(map(_is_dataset, data.values())):
        return f"; choose one of its splits: {', '.join(map(str, data))}"
    if hasattr(data, "with_format"):
        return "; a stream has to be written to a file, or made a Dataset, first"
    return ""


def _open_file(path: Path) -> Part:
    name = path.name.lower()
    if name.endswith(".parquet"):
        return _open_parquet(path)
    content = FileContent(path)
    kind = name.removesuffix(content.packing)
    if kind.endswith(".csv"):
        return _from_words(path, content)
    if kind.endswith(".json"):
        return _from_json(path, content)
    return _from_lines(path, content, content.lines())


def _from_lines(path: Path, content: FileContent, lines: Iterable[tuple[int, bytes]]) -> Part:
    """One row a line, parsed as they are asked for."""
    is_plain = not content.packing and path.is_file()
    held = UserFile(path) if is_plain else TemporaryRows()
    rows, numbers = LineRows(held), array("q")
    return Part(
        name=content.name,
        rows=rows,
        parse=lambda _: _parse_lines(content.name, lines, held, rows, numbers),
        path=None if str(path) == STDIN else path.absolute(),
        sha256=lambda: content.sha256,
        place=lambda row: f"line {numbers[row]}",
    )


def _parse_lines(
    name: str,
    lines: Iterable[tuple[int, bytes]],
    held: Held,
    rows: LineRows,
    numbers: array[int],
) -> Iterator[Row]:
    """Parsed rows; each one's place and line number are added before it is handed over."""
    for number, (place, line) in enumerate(lines, start=1):
        if line.strip():
            row = _parse_line(f"{name}, line {number}", line)
            begin = held.append(line) if isinstance(held, TemporaryRows) else place
            rows.add(begin, len(line))
            numbers.append(number)
            yield row
    if isinstance(held, UserFile):
        held.check()


def _parse_line(place: str, line: bytes) -> Row:
    try:
        row = parse_json(line)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{place}: expected one JSON object, got broken JSON ({error}): {_beginning(line)}"
        ) from None
    if not isinstance(row, dict):
        raise InputError(f"{place}: expected one JSON object, got {_kind(row)}: {_beginning(line)}")
    return row


def _beginning(line: bytes) -> str:
    text = line[:_SHOWN].decode("utf-8", "replace")
    return repr(text) + "…" * (len(line) > _SHOWN)


def _kind(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _from_json(path: Path, content: FileContent) -> Part:
    """An array of rows, one object a line, or a single object over several lines."""
    lines = content.lines()
    begun: list[tuple[int, bytes]] = []
    for place, line in lines:
        begun.append((place, line))
        if line.strip():
            break
    first = begun[-1][1] if begun else b""
    if not first.strip() or (not first.lstrip().startswith(b"[") and _is_json(first)):
        return _from_lines(path, content, chain(begun, lines))
    whole = b"\n".join(line for _, line in chain(begun, lines))
    rows = _from_objects(str(path), _parse_whole(path, whole))
    return Part(
        rows.name, rows.rows, rows.parse, path.absolute(), lambda: content.sha256, rows.place
    )


def _is_json(text: bytes) -> bool:
    try:
        parse_json(text)
    except (ValueError, RecursionError):
        return False
    return True


def _parse_whole(path: Path, text: bytes) -> list[Any]:
    expected = "a JSON array of objects, one object, or one object a line"
    try:
        value = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: expected {expected}, got broken JSON ({error}): {_beginning(text)}"
        ) from None
    return value if isinstance(value, list) else [value]


def _from_words(path: Path, content: FileContent) -> Part:
    rows, numbers = WordRows(), array("q")
    return Part(
        name=content.name,
        rows=rows,
        parse=lambda _: parse_words(content, rows, numbers),
        path=path.absolute(),
        sha256=lambda: content.sha256,
        place=lambda row: f"line {numbers[row]}",
    )


def _from_objects(name: str, objects: list[Any]) -> Part:
    kind: type | None = None
    for number, row in enumerate(objects):
        if not isinstance(row, Mapping | str):
            raise InputError(
                f"{name}: expected dicts or strings, got {type(row).__name__} in row {number}"
            )
        kind = kind or type(row)
        if isinstance(row, str) != issubclass(kind, str):
            raise InputError(
                f"{name}: expected dicts or strings and no mixture, got {type(row).__name__} "
                f"in row {number} after {kind.__name__}"
            )
    rows = ObjectRows(objects)
    return Part(name, rows, rows.each)


def _open_parquet(path: Path) -> Part:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        with pq.ParquetFile(path, pre_buffer=False) as parquet:
            schema = parquet.schema_arrow
            _check_columns(str(path), schema.names)
            rows = TableRows.keep(schema, parquet.iter_batches(_rows_of_batch(parquet.metadata)))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: expected a whole Parquet file, got {error}") from error
    return Part(str(path), rows, rows.each, path.absolute(), lambda: sha256)


def _rows_of_batch(metadata: Any) -> int:
    """Rows that are unpacked at once: some `_BATCH_BYTES` of them."""
    groups = range(metadata.num_row_groups)
    size: int = max(1, sum(metadata.row_group(group).total_byte_size for group in groups))
    num_rows: int = metadata.num_rows
    return min(_MOST_ROWS, max(1, num_rows * _BATCH_BYTES // size))


def _as_table(data: Any) -> Any:
    """An Arrow table of any data frame, or None; Arrow knows pandas, and any other by protocol."""
    if is_arrow(data, "Table"):
        return data
    is_pandas = type(data).__module__.partition(".")[0] == "pandas" and hasattr(data, "columns")
    if not (is_pandas or is_arrow(data, "RecordBatch") or hasattr(data, "__arrow_c_stream__")):
        return None

    import pyarrow as pa

    try:
        if isinstance(data, pa.RecordBatch):
            return pa.Table.from_batches([data])
        return pa.Table.from_pandas(data, preserve_index=False) if is_pandas else pa.table(data)
    except (pa.ArrowException, TypeError) as error:
        raise InputError(
            f"data: expected a table that Arrow can hold, got {type(data).__name__} ({error})"
        ) from error


def _from_rows(name: str, columns: list[str], rows: Rows) -> Part:
    _check_columns(name, columns)
    return Part(name, rows, rows.each)


def _check_columns(name: str, columns: list[str]) -> None:
    twice = next((column for column in columns if columns.count(column) > 1), None)
    if twice is not None:
        raise InputError(f"{name}: expected distinct columns, got {twice!r} more than once")
