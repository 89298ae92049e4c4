"""Rows written anew for a trainer that cannot take them as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from ds2fast.errors import InputError
from ds2fast.io.fields import Row
from ds2fast.io.forms import PREFERENCE, TEXT
from ds2fast.io.rows import dump_row
from ds2fast.pool import Pool
from ds2fast.results import IntArray
from ds2fast.trainers.chat import chat_of, pair_of, single_pair_of
from ds2fast.trainers.layout import Layout, layout_of
from ds2fast.trainers.survey import Survey, rows_of_pool

_SINGLE_ANSWERS = {"llama-factory"}
"""Trainers that take a preference pair's answers as one message each."""


@dataclass(frozen=True)
class Copy:
    """How rows are written anew for a trainer: as messages, or as preference pairs of messages.

    Attributes
    ----------
    trainer : str
        The trainer.
    pairs : bool
        Whether the rows are preference pairs; a trainer takes no file of both.

    Examples
    --------
    >>> Copy("trl", pairs=False).name("selected")
    'selected.trl.jsonl'
    """

    trainer: str
    pairs: bool

    def name(self, of: str) -> str:
        """Name of the copy of a set of rows: `selected`, or a control."""
        return f"{of}.{self.trainer}.jsonl"

    def takes(self, layout: Layout) -> bool:
        """Whether rows of a layout can be written so at all."""
        return layout.form != TEXT and self.pairs == (layout.form == PREFERENCE)

    def row(self, row: Row) -> Row:
        """One row written anew.

        Raises
        ------
        InputError
            It cannot be; the message says why, in words that go on from "3 rows".
        """
        layout = layout_of(row)
        if layout is None or layout.form == TEXT:
            raise InputError("hold no turns")
        if not self.takes(layout):
            others = "messages" if layout.form == PREFERENCE else "preference pairs"
            raise InputError(f"hold {layout}, not {others} as most do")
        if not self.pairs:
            return chat_of(row)
        return single_pair_of(row) if self.trainer in _SINGLE_ANSWERS else pair_of(row)

    def rows(self, rows: Iterable[tuple[int, Row]]) -> Iterator[tuple[int, Row]]:
        """Numbered rows written anew, less those that cannot be."""
        for number, row in rows:
            try:
                written = self.row(row)
            except InputError:
                continue
            yield number, written

    def write(self, file: BinaryIO, pool: Pool, indices: IntArray) -> None:
        """Write rows of a pool anew as lines of JSON, a slice at a time in memory."""
        for _, row in self.rows(rows_of_pool(pool, indices)):
            file.write(dump_row(row) + b"\n")


def uneven_copies(copy: Copy, pool: Pool, sets: Mapping[str, IntArray]) -> str:
    """That the copies of a selection and its controls differ in size; `""` where they do not.

    Parameters
    ----------
    copy : Copy
        How they are written.
    pool : Pool
        The pool.
    sets : mapping of str to (n,) int64
        The rows of `selected` and of each control, which are read once.
    """
    sizes = {
        copy.name(of): sum(1 for _ in copy.rows(rows_of_pool(pool, indices)))
        for of, indices in sets.items()
    }
    if len(set(sizes.values())) <= 1:
        return ""
    told = ", ".join(f"{name} {size}" for name, size in sizes.items())
    return (
        f"{copy.trainer}: the copies differ in size, for some rows cannot be copied ({told} rows): "
        "train each for the same number of steps"
    )


def copy_for(trainer: str, found: Survey) -> tuple[Copy, int]:
    """The copy that may hold most rows, and how many at most."""
    copies = (Copy(trainer, pairs=pairs) for pairs in (False, True))
    counted = [
        (copy, sum(seen.count for layout, seen in found.layouts.items() if copy.takes(layout)))
        for copy in copies
    ]
    return max(counted, key=lambda pair: pair[1])
