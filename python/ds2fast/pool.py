"""The pool: rows as they came, their texts and their scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ds2fast.checks import UNRATED
from ds2fast.errors import InputError
from ds2fast.io.arrow import is_arrow
from ds2fast.io.digest import InputFile, hash_lines
from ds2fast.io.fields import MISSING, Field
from ds2fast.io.rows import ObjectRows, Rows, check_indices, fields_seen
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
    rows : Rows
        The raw rows, read where they lie; a list of dicts or strings or an Arrow table is taken
        too.
    texts : sequence of str
        N texts as they are embedded; `""` for a row that has none. Those of a large pool are
        rendered anew whenever they are read: go through them once, and keep none.
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
        The only file that the rows came from, as an absolute path.
    file_sha256 : str or None
        SHA-256 of that file's bytes as they were read; see `sha256`.
    read_seconds : float
        Time that reading took.
    files : tuple of InputFile
        The files that the rows came from; none for standard input and data in memory.
    text_option, score_option : str or None
        The field or format string, and the scores' field, that were asked for.
    lengths : (N,) int64
        Characters of each text.
    """

    rows: Rows
    texts: Sequence[str]
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
    files: tuple[InputFile, ...] = ()
    text_option: str | None = None
    score_option: str | None = None
    lengths: IntArray = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", as_rows(self.rows))
        if len(self.lengths) != len(self.texts):
            lengths = np.fromiter(map(len, self.texts), np.int64, len(self.texts))
            object.__setattr__(self, "lengths", lengths)

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file as it was read.

        Of several files that of their hashes in order; of data in memory its rows as JSON lines.
        """
        if self.file_sha256 is not None:
            return self.file_sha256
        return hash_lines(self.rows.lines(np.arange(len(self))))

    @property
    def sources(self) -> list[Path]:
        """The files that the rows came from, which no result may replace."""
        return [file.path for file in self.files]

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
        return list(self.rows.stream(check_indices(indices, len(self))))

    def lines(self, indices: npt.ArrayLike) -> Iterator[bytes]:
        """Rows as JSON lines without line ends, in the order of `indices`.

        Lines of a file come byte for byte as they were; other rows are written as JSON, a bare
        string as `{"text": ...}`. Arguments and errors are those of `take`.
        """
        return self.rows.lines(check_indices(indices, len(self)))

    def table(self, indices: npt.ArrayLike) -> Any | None:
        """Rows as an Arrow table of the types they came in; None where they came in no table.

        Arguments and errors are those of `take`.
        """
        return self.rows.table(check_indices(indices, len(self)))

    def column(self, name: str, *, numbers: bool = False) -> list[Any]:
        """One field of every row, None where a row lacks it; `meta.topic` reaches nested data.

        `numbers` takes words of a CSV file, in which all values are words, for the numbers that
        they spell, and empty ones for null.

        Raises
        ------
        InputError
            No row has the field; the message lists the fields seen.
        """
        values = list(self.rows.field(Field(name), numbers=numbers))
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
    known: dict[str, str] = {}  # a million rows of ten sources are ten strings
    words = []
    is_there = False
    for value in pool.rows.field(Field(SOURCE_FIELD)):
        is_there = is_there or value is not MISSING
        word = "" if value is None or value is MISSING else str(value)
        words.append(known.setdefault(word, word))
    return words if is_there else None


def as_rows(rows: Any) -> Rows:
    """Rows of a list of dicts or strings, or of an Arrow table; `Rows` as they are."""
    if isinstance(rows, Rows):
        return rows
    if is_arrow(rows, "Table"):
        from ds2fast.io.table_rows import TableRows

        return TableRows.of(rows)
    return ObjectRows(rows)


def empty_texts(lengths: IntArray) -> EmptyTexts:
    """How many texts of these lengths are empty, and which is the first.

    Examples
    --------
    >>> empty_texts(np.array([4, 0, 0]))
    EmptyTexts(count=2, first=1)
    """
    empty = np.flatnonzero(lengths == 0)
    return EmptyTexts(len(empty), int(empty[0]) if len(empty) else None)
