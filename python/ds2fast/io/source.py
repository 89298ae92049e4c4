"""Where rows come from: a file or data in memory, opened and checked before anything is read."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from ds2fast.errors import InputError, InputFileError, InputTypeError
from ds2fast.io.arrow import is_arrow
from ds2fast.io.digest import DigestedFile
from ds2fast.io.fields import Place, Row, row_place
from ds2fast.io.rows import parse_json

EXTENSIONS = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")
_BOM = b"\xef\xbb\xbf"
_BATCH = 4096
_BUFFER = 1 << 18
_SHOWN = 60


@dataclass(frozen=True, eq=False)
class Source:
    """Rows to be read once.

    Attributes
    ----------
    name : str
        The file's path as it was given, or `"data"`; for messages.
    path : Path or None
        The file's absolute path, None for data in memory.
    rows : list of bytes, list of objects, or Table
        The raw rows. Lines of a file are added while `parse` runs.
    parse : callable(columns) -> iterator of dicts or strings
        The rows as Python objects; a table gives only the named columns.
    sha256 : callable() -> str or None
        Hash of the file's bytes as they lie on disk, known when `parse` has run to its end; None
        for data in memory.
    place : callable(row) -> str
        Where a row that was parsed stands: its line in a file of lines.
    """

    name: str
    path: Path | None
    rows: Any
    parse: Callable[[set[str]], Iterator[Row | str]]
    sha256: Callable[[], str | None]
    place: Place = row_place


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
    if isinstance(data, str | os.PathLike):
        return _open_file(check_file(cast("str | os.PathLike[str]", data)))
    if isinstance(data, list | tuple):
        return _from_list("data", list(data))
    table = _as_table(data)
    if table is None:
        raise InputTypeError(
            f"data: expected a path ({', '.join(EXTENSIONS)}), a list of dicts or strings, or a "
            f"table, got {type(data).__name__}"
        )
    return _from_table("data", table)


def check_file(data: str | os.PathLike[str]) -> Path:
    """The path of a readable file with a known extension; see `open_source` for the errors."""
    path = Path(data)
    if path.is_dir():
        raise InputFileError(f"data: expected a file, got the directory {path}")
    if not path.exists():
        raise InputFileError(f"data: expected a file, but {path} does not exist")
    if not path.name.lower().endswith(EXTENSIONS):
        raise InputError(f"data: expected a file of {', '.join(EXTENSIONS)}, got {path}")
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise InputFileError(f"data: cannot read {path}: {error.strerror}") from error


def _open_file(path: Path) -> Source:
    name = path.name.lower()
    if name.endswith(".parquet"):
        return _open_parquet(path)
    file = DigestedFile(path)
    if name.endswith((".json", ".json.gz")):
        return _from_json(path, file)
    return _from_lines(path, file, _read_lines(path, file))


def _from_lines(path: Path, file: DigestedFile, lines: Iterable[bytes]) -> Source:
    """One row a line, parsed as they are asked for."""
    rows: list[bytes] = []
    numbers = array("q")
    return Source(
        name=str(path),
        path=path.absolute(),
        rows=rows,
        parse=lambda _: _parse_lines(path, lines, rows, numbers),
        place=lambda row: f"line {numbers[row]}",
        sha256=lambda: file.sha256,
    )


def _from_json(path: Path, file: DigestedFile) -> Source:
    """An array of rows, one object a line, or a single object over several lines."""
    lines = list(_read_lines(path, file))
    first = next((line for line in lines if line.strip()), b"")
    if not first or (not first.lstrip().startswith(b"[") and _is_json(first)):
        return _from_lines(path, file, lines)
    return _from_list(str(path), _parse_whole(path, b"\n".join(lines)), path, file.sha256)


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


def _read_lines(path: Path, file: DigestedFile) -> Iterator[bytes]:
    r"""Lines of a file without byte order mark and line ends (`\n` or `\r\n`, nothing else)."""
    number = 0
    try:
        with file, _decoded(path, file) as content:
            for number, line in enumerate(content, start=1):
                row = line.removeprefix(_BOM) if number == 1 else line
                yield row.removesuffix(b"\n").removesuffix(b"\r")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{path}: expected a whole gzip file, got one that is broken after line {number}: "
            f"{error}"
        ) from error
    except OSError as error:
        raise InputFileError(f"{path}: cannot read on after line {number}: {error}") from error


def _decoded(path: Path, file: DigestedFile) -> BinaryIO:
    buffered = io.BufferedReader(file, _BUFFER)
    if path.name.lower().endswith(".gz"):
        return cast(BinaryIO, gzip.GzipFile(fileobj=buffered, mode="rb"))
    return cast(BinaryIO, buffered)


def _parse_lines(
    path: Path, lines: Iterable[bytes], rows: list[bytes], numbers: array[int]
) -> Iterator[Row]:
    """Parsed rows; each one's line and line number are added before it is handed over."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            row = _parse_line(f"{path}, line {number}", line)
            rows.append(line)
            numbers.append(number)
            yield row


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


def _from_list(
    name: str, rows: list[Any], path: Path | None = None, sha256: str | None = None
) -> Source:
    kind: type | None = None
    for number, row in enumerate(rows):
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
    return Source(name, path and path.absolute(), rows, lambda _: iter(rows), lambda: sha256)


def _open_parquet(path: Path) -> Source:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        with pq.ParquetFile(path) as parquet:
            table = parquet.read()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: expected a whole Parquet file, got {error}") from error
    return _from_table(str(path), table, path, sha256)


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


def _from_table(
    name: str, table: Any, path: Path | None = None, sha256: str | None = None
) -> Source:
    names = table.column_names
    twice = next((column for column in names if names.count(column) > 1), None)
    if twice is not None:
        raise InputError(f"{name}: expected distinct columns, got {twice!r} more than once")
    return Source(
        name,
        path and path.absolute(),
        table,
        lambda columns: _parse_table(table, columns),
        lambda: sha256,
    )


def _parse_table(table: Any, columns: set[str]) -> Iterator[Row]:
    wanted = [column for column in table.column_names if column in columns]
    for batch in table.select(wanted).to_batches(max_chunksize=_BATCH):
        yield from batch.to_pylist() if wanted else ({} for _ in range(batch.num_rows))
