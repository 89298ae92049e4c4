"""Tables of labels as they come back: CSV as any spreadsheet saves it, or JSON lines."""

from __future__ import annotations

import codecs
import csv
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ds2fast.audit.sheet import LABEL, MARK, ROW, SHEET_EXTENSIONS
from ds2fast.errors import InputError, InputFileError
from ds2fast.io.rows import parse_json

_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True)
class Entry:
    """One row of a sheet: where it stands, and its cells as text without spaces around."""

    place: str
    row: str
    mark: str
    label: str
    label_column: str


def read_entries(path: str | os.PathLike[str]) -> Iterator[Entry]:
    """The rows of a sheet that are not empty.

    CSV may have come back with other delimiters (`;` or tab), a decimal comma beside `;`, another
    encoding, more columns, or columns and rows in another order.

    Raises
    ------
    InputFileError
        A file that is missing or cannot be read.
    InputError
        No sheet: another extension, broken content, a column that is missing.
    """
    file = Path(path)
    if file.suffix.lower() not in SHEET_EXTENSIONS:
        expected = ", ".join(SHEET_EXTENSIONS)
        raise InputError(f"labels: expected a file of {expected}, got {file}")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputFileError(f"labels: cannot read {file}: {error.strerror or error}") from error
    is_csv = file.suffix.lower() == ".csv"
    return _from_csv(file, content) if is_csv else _from_lines(file, content)


def _from_csv(file: Path, content: bytes) -> Iterator[Entry]:
    text = io.StringIO(_decoded(content), newline="")  # line breaks in cells stay as they are
    delimiter = _delimiter_of(text.readline())
    text.seek(0)
    try:
        table = list(csv.reader(text, delimiter=delimiter))
    except csv.Error as error:
        raise InputError(f"{file}: expected a whole CSV file, got a broken one: {error}") from None
    columns = _columns(str(file), table[0] if table else [])
    for number, cells in enumerate(table[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        padded = [*cells, *[""] * len(table[0])]
        row, mark, label = (padded[column].strip() for column in columns)
        label = label.replace(",", ".") if delimiter == ";" else label
        place = f"{file}, row {number} of the sheet"
        yield Entry(place, row, mark, label, table[0][columns[2]])


def _decoded(content: bytes) -> str:
    """The text; only ASCII is read from it, so that bytes of other encodings do no harm."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace")
    return content.decode("utf-8-sig", "replace")


def _delimiter_of(head: str) -> str:
    """The delimiter that finds most columns in the head."""
    return max(_DELIMITERS, key=head.count)


def _columns(place: str, head: list[str]) -> tuple[int, int, int]:
    names = [name.strip().lower() for name in head]
    labels = [number for number, name in enumerate(names) if name.split("(")[0].strip() == LABEL]
    if ROW not in names or MARK not in names or len(labels) != 1:
        raise InputError(
            f"{place}: expected the columns {ROW!r}, {MARK!r} and one {LABEL!r}, as `ds2fast "
            f"audit` writes them, got {', '.join(map(repr, head)) or 'none'}"
        )
    return names.index(ROW), names.index(MARK), labels[0]


def _from_lines(file: Path, content: bytes) -> Iterator[Entry]:
    for number, line in enumerate(content.removeprefix(codecs.BOM_UTF8).split(b"\n"), start=1):
        if not line.strip():
            continue
        place = f"{file}, line {number}"
        try:
            cells = parse_json(line)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{place}: expected one JSON object, got broken JSON ({error})"
            ) from None
        if not isinstance(cells, dict):
            raise InputError(f"{place}: expected one JSON object, got {type(cells).__name__}")
        names = list(cells)
        row, mark, label = (_as_text(cells[names[column]]) for column in _columns(place, names))
        yield Entry(place, row, mark, label, LABEL)


def _as_text(value: Any) -> str:
    return "" if value is None else str(value).strip()
