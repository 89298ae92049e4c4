"""The sheet that a person labels: row, mark, text and an empty label, the score not among them."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ds2fast.audit.marks import row_mark, scores_mark
from ds2fast.audit.scale import LabelScale
from ds2fast.checks import UNRATED
from ds2fast.errors import InputError, OutputError
from ds2fast.io.atomic import atomic_file
from ds2fast.io.place import Sources, check_place
from ds2fast.io.rows import check_indices, dump_row
from ds2fast.pool import Pool
from ds2fast.results import IntArray

ROW, MARK, TEXT, LABEL = "row", "check", "text", "label"
SHEET_EXTENSIONS = (".csv", ".jsonl")

_RUN_BY_SPREADSHEETS = "=+-@＝＋－＠"
_LONGEST_CELL = 32_000  # spreadsheets hold 32 767 characters in a cell


def auditable_scores(pool: Pool) -> IntArray:
    """Levels of the rows that can be labelled: −1 also where a row has no text.

    Raises
    ------
    InputError
        The pool was read without scores.

    Examples
    --------
    >>> from ds2fast.io.read import read
    >>> auditable_scores(read([{"text": "a", "score": 1}, {"text": "", "score": 0}])).tolist()
    [1, -1]
    """
    if pool.scores is None:
        raise InputError("pool: expected one with scores, got one that was read without")
    has_text = pool.lengths > 0
    return np.where(has_text, pool.scores, UNRATED)


def write_sheet(
    path: str | os.PathLike[str], pool: Pool, rows: npt.ArrayLike, *, overwrite: bool = False
) -> Path:
    """Write rows of a pool to be labelled, in the given order and without their scores.

    A .csv opens in a spreadsheet: a cell that a spreadsheet would run (it begins with = + - or @,
    or with a tab or a line break) has an apostrophe before it, and a text beyond 32 000 characters
    is cut, which it says. A .jsonl holds the same columns and the texts as they are. Labels are on
    the scale of the scores as they came, which the head of the label column of a .csv tells; texts
    are not read back, so that what a spreadsheet does to them does no harm.

    Parameters
    ----------
    path : path-like
        A .csv or .jsonl file.
    pool : Pool
        Read with scores.
    rows : (n,) integers
        Row numbers, as `draw_sample` gives them.
    overwrite : bool
        Whether a file that is there is replaced, labels and all.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        A row outside the pool, a pool without scores.
    OutputError
        A file is there already, or the operating system refused; nothing was replaced.

    Examples
    --------
    >>> from ds2fast.io.read import read
    >>> pool = read([{"text": "=1+1", "score": 1}, {"text": "b", "score": 5}])
    >>> sheet = write_sheet("sheet.csv", pool, [0]).read_text("utf-8-sig")
    >>> print(sheet.strip())  # doctest: +ELLIPSIS
    row,check,text,label (1 to 5)
    0,s...-t...,'=1+1,
    """
    target = check_sheet_output(path, overwrite=overwrite, source=pool.sources)
    indices = check_indices(rows, len(pool)).tolist()
    scale, scores = LabelScale.of(pool), scores_mark(pool)
    cells = ((row, row_mark(scores, pool.texts[row]), pool.texts[row]) for row in indices)
    if target.suffix.lower() == ".csv":
        content = _as_csv(cells, f"{LABEL} ({scale.words})")
    else:
        content = _as_lines(cells)
    with atomic_file(target) as file:
        file.write(content)
    return target


def check_sheet_output(
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    source: Sources = None,
    extensions: tuple[str, ...] = SHEET_EXTENSIONS,
) -> Path:
    """Refuse a place that a sheet, or gold, must not go to; call it before long work.

    Raises
    ------
    OutputError
        Another extension; a file is there and `overwrite` is False; it is a directory, or the file
        that is read; or the place cannot be written to.
    """
    target = Path(path)
    if target.suffix.lower() not in extensions:
        raise OutputError(f"output: expected a file of {', '.join(extensions)}, got {target}")
    check_place(target, source=source)
    if os.path.lexists(target) and not overwrite:
        raise OutputError(
            f"output: {target} is there already, maybe with labels in it; overwrite=True "
            "(--overwrite) replaces it"
        )
    return target


def _as_csv(cells: Iterator[tuple[int, str, str]], label: str) -> bytes:
    content = io.StringIO(newline="")
    writer = csv.writer(content, lineterminator="\r\n")
    writer.writerow((ROW, MARK, TEXT, label))
    for row, mark, text in cells:
        writer.writerow((row, mark, _harmless(_cut(text)), ""))
    # The byte order mark has spreadsheets read it as UTF-8; a lone surrogate becomes "?".
    return content.getvalue().encode("utf-8-sig", "replace")


def _as_lines(cells: Iterator[tuple[int, str, str]]) -> bytes:
    rows = ({ROW: row, MARK: mark, TEXT: text, LABEL: None} for row, mark, text in cells)
    return b"".join(dump_row(row) + b"\n" for row in rows)


def _harmless(text: str) -> str:
    runs = text.lstrip()[:1] in _RUN_BY_SPREADSHEETS or text[:1] in "\t\r\n"
    return f"'{text}" if text and runs else text


def _cut(text: str) -> str:
    if len(text) <= _LONGEST_CELL:
        return text
    return f"{text[:_LONGEST_CELL]} … [cut here: {len(text) - _LONGEST_CELL} more characters]"
