"""Labels by hand, read back from a sheet and checked against the pool."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ds2fast.audit.marks import scores_mark, split_mark, text_mark
from ds2fast.audit.scale import LabelScale
from ds2fast.audit.sheet import MARK, ROW
from ds2fast.audit.table import Entry, read_entries
from ds2fast.errors import InputError
from ds2fast.pool import Pool
from ds2fast.results import DoubleArray, FrozenArrays, IntArray


@dataclass(frozen=True, eq=False, repr=False)
class Labels(FrozenArrays):
    """What a person wrote into a sheet.

    Attributes
    ----------
    gold : (N,) int64
        Labels as levels, −1 where there is none.
    given : (N,) float64
        The labels as they were written, NaN where there is none.
    num_skipped : int
        Rows of the sheet whose label is blank.
    same_scores : bool
        Whether the sheet was drawn by the scores that the pool has now. Else the labels are still
        right, but the sample is not stratified by these scores.
    """

    gold: IntArray
    given: DoubleArray
    num_skipped: int
    same_scores: bool

    @property
    def num_labelled(self) -> int:
        """Number of rows with a label."""
        return int((self.gold >= 0).sum())


def read_labels(path: str | os.PathLike[str], pool: Pool) -> IntArray:
    """Read the labels of a sheet, or of what `write_gold` wrote, as `gold=`.

    Labels are on the scale of the scores as they came and are mapped like those; a blank one is
    skipped. Columns are found by their heads, rows by number and mark, so that the sheet may have
    been sorted, saved with other delimiters, or given more columns.

    Parameters
    ----------
    path : path-like
        A .csv or .jsonl file.
    pool : Pool
        The pool that the sheet was drawn from, read with scores and with the same text.

    Returns
    -------
    (N,) int64
        Levels, −1 where there is no label.

    Raises
    ------
    InputFileError
        The file cannot be read.
    InputError
        No sheet, a row of another pool, a label that is not on the scale, a row labelled twice, or
        no label at all; the message names the file, the row of the sheet and the column.

    Examples
    --------
    >>> from ds2fast.audit.sheet import write_sheet
    >>> from ds2fast.io.read import read
    >>> pool = read([{"text": "a", "score": 1}, {"text": "b", "score": 5}])
    >>> sheet = write_sheet("sheet.csv", pool, [1])
    >>> _ = sheet.write_text(sheet.read_text().strip() + "4")  # what a person adds
    >>> read_labels(sheet, pool).tolist()
    [-1, 4]
    """
    return read_sheet(path, pool).gold.copy()


def read_sheet(path: str | os.PathLike[str], pool: Pool) -> Labels:
    """As `read_labels`, with what else the sheet tells; arguments and errors are its own."""
    return _read(read_entries(path), os.fspath(path), pool)


def _read(entries: Iterator[Entry], path: str, pool: Pool) -> Labels:
    scale, scores = LabelScale.of(pool), scores_mark(pool)
    gold = np.full(len(pool), -1, dtype=np.int64)
    given = np.full(len(pool), np.nan)
    seen: dict[int, str] = {}
    same_scores = True
    for entry in entries:
        row, drawn_by = _row_of(entry, pool)
        if row in seen:
            raise InputError(f"{entry.place}: row {row} of the data stands in {seen[row]} too")
        seen[row] = entry.place
        same_scores &= drawn_by == scores
        if entry.label:
            given[row], gold[row] = _label_of(entry, scale)
    if not (gold >= 0).any():
        raise InputError(f"{path}: expected labels, got {len(seen)} rows and none is labelled")
    return Labels(gold, given, len(seen) - int((gold >= 0).sum()), same_scores)


def _row_of(entry: Entry, pool: Pool) -> tuple[int, str]:
    """The row of the pool, and the mark of the scores that it was drawn by."""
    number = _number(entry.row)
    if number is None or not number.is_integer() or not 0 <= number < len(pool):
        raise InputError(
            f"{entry.place}, column {ROW!r}: expected a row number of the data (0 to "
            f"{len(pool) - 1}), got {entry.row!r}"
        )
    row, mark = int(number), split_mark(entry.mark)
    if mark is None:
        raise InputError(
            f"{entry.place}, column {MARK!r}: expected the mark that `ds2fast audit` wrote, got "
            f"{entry.mark!r}"
        )
    if mark[1] != text_mark(pool.texts[row]):
        raise InputError(
            f"{entry.place}, column {MARK!r}: row {row} of the data has another text than the row "
            "that was drawn: these labels are of other data, of data in another order, or of "
            "another text= (--text)"
        )
    return row, mark[0]


def _label_of(entry: Entry, scale: LabelScale) -> tuple[float, int]:
    label = _number(entry.label)
    level = None if label is None else scale.level_of(label)
    if label is None or level is None:
        raise InputError(
            f"{entry.place}, column {entry.label_column!r}: expected a score as the data have "
            f"them ({scale.words}) or nothing, got {entry.label!r}"
        )
    return label, level


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if np.isfinite(number) else None
