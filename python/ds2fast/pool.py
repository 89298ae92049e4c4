"""The pool: rows as they came, their texts and their scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ds2fast.checks import UNRATED
from ds2fast.errors import InputError
from ds2fast.io.digest import hash_rows
from ds2fast.io.fields import MISSING, Field
from ds2fast.io.rows import check_indices, fields_seen, row_lines, row_objects
from ds2fast.io.schema import Schema
from ds2fast.results import DoubleArray, IntArray, ShortRepr


@dataclass(frozen=True)
class EmptyTexts:
    """Rows without a text: how many, and the first of them (None where there are none)."""

    count: int
    first: int | None


@dataclass(frozen=True, eq=False, repr=False)
class Pool(ShortRepr):
    """Rows to select from; `ds2fast.read` makes it.

    Attributes
    ----------
    rows : list of bytes, list of dicts or strings, or Table
        The raw rows: lines of a JSONL file byte for byte without line ends, objects, or a table.
    texts : list of str
        N texts as they are embedded; `""` for a row that has none.
    schema : Schema
        Which fields hold the text, and one rendered row.
    empty : EmptyTexts
        Number of empty texts, and the first.
    scores : (N,) int64 or None
        Levels 0..K−1, −1 where the row is unrated; None where no scores were asked for.
    raw_scores : (N,) float64 or None
        The scores as they came, NaN where there is none.
    num_levels : int or None
        Number of levels K.
    score_mapping : str or None
        One sentence that says how raw scores became levels.
    score_values : (N,) float64 or None
        Where levels were cut from a finer measure the measure itself, NaN where unrated.
    score_edges : (K−1,) float64 or None
        The cut points that levels were made by, where they were given.
    ids : list or None
        The rows' own ids, where they were asked for.
    path : Path or None
        The file that the rows came from, as an absolute path.
    file_sha256 : str or None
        SHA-256 of that file's bytes as they were read; see `sha256`.
    read_seconds : float
        Time that reading took.
    """

    rows: Any
    texts: list[str]
    schema: Schema
    empty: EmptyTexts
    scores: IntArray | None = None
    raw_scores: DoubleArray | None = None
    num_levels: int | None = None
    score_mapping: str | None = None
    score_values: DoubleArray | None = None
    score_edges: DoubleArray | None = None
    ids: list[Any] | None = None
    path: Path | None = None
    file_sha256: str | None = None
    read_seconds: float = 0.0

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file as it was read; of data in memory its rows as JSON lines."""
        return hash_rows(self.rows) if self.file_sha256 is None else self.file_sha256

    @property
    def num_unrated(self) -> int:
        """Number of rows without a score: all of them where no scores were asked for."""
        if self.scores is None:
            return len(self)
        return int(np.count_nonzero(self.scores == UNRATED))

    @property
    def num_rated(self) -> int:
        """Number of rows with a score."""
        return len(self) - self.num_unrated

    def take(self, indices: npt.ArrayLike) -> list[Any]:
        """Rows as Python objects, in the order of `indices`.

        Parameters
        ----------
        indices : (n,) integers
            Row numbers in [0, N).

        Raises
        ------
        InputError
            An index outside [0, N), or no integers.

        Examples
        --------
        >>> from ds2fast.io.read import read
        >>> pool = read(["one", "two"], scores=None)
        >>> pool.take([1, 0])
        ['two', 'one']
        """
        return row_objects(self.rows, check_indices(indices, len(self)))

    def lines(self, indices: npt.ArrayLike) -> Iterator[bytes]:
        """Rows as JSON lines without line ends, in the order of `indices`.

        Lines of a file come byte for byte as they were; other rows are written as JSON, a bare
        string as `{"text": ...}`. Arguments and errors are those of `take`.
        """
        return row_lines(self.rows, check_indices(indices, len(self)))

    def column(self, name: str) -> list[Any]:
        """One field of every row, None where a row lacks it; `meta.topic` reaches nested data.

        Raises
        ------
        InputError
            No row has the field; the message lists the fields seen.
        """
        field = Field(name)
        rows = self.take(np.arange(len(self)))
        values = [MISSING if isinstance(row, str) else field.of(row) for row in rows]
        if all(value is MISSING for value in values):
            raise InputError(
                f"column: expected a field of the rows, got {name!r}; fields seen: "
                f"{fields_seen(self.rows)}"
            )
        return [None if value is MISSING else value for value in values]

    def describe(self) -> str:
        """What was read, in a few lines for people."""
        lines = [f"{len(self)} rows; {self.schema.describe()}"]
        if self.empty.count:
            plural = "s" * (self.empty.count != 1)
            lines.append(f"{self.empty.count} empty text{plural}, first in row {self.empty.first}")
        if self.score_mapping is not None:
            lines.append(self.score_mapping)
        return "\n".join(lines)


SOURCE_FIELD = "source"


def sources_of(pool: Pool) -> list[str] | None:
    """The field `source` of each row in words; None where no row has it."""
    try:
        values = pool.column(SOURCE_FIELD)
    except InputError:
        return None
    return ["" if value is None else str(value) for value in values]
