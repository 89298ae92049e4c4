"""Where rows come from: a file or data in memory, opened and checked before anything is read."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from ds2fast.errors import InputError, InputFileError, InputTypeError
from ds2fast.io.fields import Row
from ds2fast.io.rows import parse_json

EXTENSIONS = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")
_BOM = b"\xef\xbb\xbf"
_BATCH = 4096
_SHOWN = 60


@dataclass(frozen=True, eq=False)
class Source:
    """Rows to be read once.

    Attributes
    ----------
    name : str
        The file's path, or `"data"`; for messages.
    path : Path or None
        The file, None for data in memory.
    rows : list of bytes, list of objects, or Table
        The raw rows. Lines of a file are added while `parse` runs.
    parse : callable(columns) -> iterator of dicts or strings
        The rows as Python objects; a table gives only the named columns.
    """

    name: str
    path: Path | None
    rows: Any
    parse: Callable[[set[str]], Iterator[Row | str]]


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
        return _from_list("data", None, list(data))
    table = _as_table(data)
    if table is None:
        raise InputTypeError(
            f"data: expected a path ({', '.join(EXTENSIONS)}), a list of dicts or strings, or a "
            f"table, got {type(data).__name__}"
        )
    return _from_table("data", None, table)


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
        return _from_table(str(path), path, _read_parquet(path))
    if name.endswith((".json", ".json.gz")) and _starts_with_bracket(path):
        return _from_list(str(path), path, _read_array(path))
    lines: list[bytes] = []
    return Source(str(path), path, lines, lambda _: _parse_lines(path, lines))


def _open_bytes(path: Path) -> BinaryIO:
    if path.name.lower().endswith(".gz"):
        return cast(BinaryIO, gzip.open(path, "rb"))
    return path.open("rb")


def _read_lines(path: Path) -> Iterator[bytes]:
    r"""Lines of a file without byte order mark and line ends (`\n` or `\r\n`, nothing else)."""
    number = 0
    try:
        with _open_bytes(path) as file:
            for number, line in enumerate(file, start=1):
                row = line.removeprefix(_BOM) if number == 1 else line
                yield row.removesuffix(b"\n").removesuffix(b"\r")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{path}: expected a whole gzip file, got one that is broken after line {number}: "
            f"{error}"
        ) from error
    except OSError as error:
        raise InputFileError(f"{path}: cannot read on after line {number}: {error}") from error


def _parse_lines(path: Path, lines: list[bytes]) -> Iterator[Row]:
    for number, line in enumerate(_read_lines(path), start=1):
        if line.strip():
            row = _parse_line(f"{path}, line {number}", line)
            lines.append(line)
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


def _starts_with_bracket(path: Path) -> bool:
    first = next((line for line in _read_lines(path) if line.strip()), b"")
    return first.lstrip().startswith(b"[")


def _read_array(path: Path) -> list[Any]:
    text = b"\n".join(_read_lines(path))
    try:
        rows = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: expected a JSON array of objects, got broken JSON ({error}): "
            f"{_beginning(text)}"
        ) from None
    return cast(list[Any], rows)


def _from_list(name: str, path: Path | None, rows: list[Any]) -> Source:
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
    return Source(name, path, rows, lambda _: iter(rows))


def _read_parquet(path: Path) -> Any:
    try:
        with pq.ParquetFile(path) as file:
            return file.read()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: expected a whole Parquet file, got {error}") from error


def _as_table(data: Any) -> Any:
    """An Arrow table of any data frame, or None; Arrow knows pandas, and any other by protocol."""
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    try:
        if type(data).__module__.partition(".")[0] == "pandas" and hasattr(data, "columns"):
            return pa.Table.from_pandas(data, preserve_index=False)
        return pa.table(data) if hasattr(data, "__arrow_c_stream__") else None
    except (pa.ArrowException, TypeError) as error:
        raise InputError(
            f"data: expected a table that Arrow can hold, got {type(data).__name__} ({error})"
        ) from error


def _from_table(name: str, path: Path | None, table: Any) -> Source:
    names = table.column_names
    twice = next((column for column in names if names.count(column) > 1), None)
    if twice is not None:
        raise InputError(f"{name}: expected distinct columns, got {twice!r} more than once")
    return Source(name, path, table, lambda columns: _parse_table(table, columns))


def _parse_table(table: Any, columns: set[str]) -> Iterator[Row]:
    wanted = [column for column in table.column_names if column in columns]
    for batch in table.select(wanted).to_batches(max_chunksize=_BATCH):
        yield from batch.to_pylist() if wanted else ({} for _ in range(batch.num_rows))
