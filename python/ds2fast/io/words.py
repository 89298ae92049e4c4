"""Rows of a CSV file, of which every value is a word."""

from __future__ import annotations

import csv
import io
import sys
from array import array
from collections.abc import Iterator
from typing import Any, BinaryIO

from ds2fast.errors import InputError
from ds2fast.io.content import FileContent
from ds2fast.io.fields import Row
from ds2fast.io.lines import WordRows
from ds2fast.io.rows import dump_row

_LONGEST = min(sys.maxsize, 2**31 - 1)  # of a field; the module's own bound is 128 KiB


def parse_words(content: FileContent, rows: WordRows, numbers: array[int]) -> Iterator[Row]:
    """Parsed rows; each is kept, and the line that it ends in, before it is handed over.

    The first line names the fields. Values stay as they are written; rows without any are passed
    over.

    Raises
    ------
    InputError
        No UTF-8, broken quotes, a row with more or fewer values than there are fields, or fields
        without a name or with one name.
    """
    number = 0
    with content.reading_errors(lambda: f"after line {number}"), content.open() as file:
        for number, row in _rows_of(content.name, file):
            rows.add_line(dump_row(row))
            numbers.append(number)
            yield row


def _rows_of(name: str, file: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(_LONGEST)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    reader = csv.reader(text, strict=True)
    fields: list[str] = []
    try:
        for values in reader:
            if not fields:
                fields = _check_fields(name, values)
            elif values:
                _check_count(name, reader.line_num, fields, values)
                yield reader.line_num, dict(zip(fields, values, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(
            f"{name}: expected CSV in UTF-8, got broken after line {reader.line_num}: {error}"
        ) from None
    finally:
        text.detach()


def _check_fields(name: str, fields: list[str]) -> list[str]:
    if not all(fields) or len(set(fields)) < len(fields):
        raise InputError(f"{name}: expected distinct names of fields in line 1, got {fields}")
    return fields


def _check_count(name: str, line: int, fields: list[str], values: list[str]) -> None:
    if len(values) != len(fields):
        raise InputError(
            f"{name}, line {line}: expected {len(fields)} values, one a field of line 1, got "
            f"{len(values)}"
        )
