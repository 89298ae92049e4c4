"""What the rows hold, gathered in one pass before a trainer's files are laid out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ds2fast.io.fields import Row
from ds2fast.io.turns import calls_of
from ds2fast.pool import Pool
from ds2fast.results import IntArray
from ds2fast.trainers.layout import Layout, layout_of, messages_in

_SLICE = 1000

TOOL_CALLS = "tool calls"
TOOL_LISTS = "tools as lists"


@dataclass
class Seen:
    """The rows of one layout: how many, the first, the roles and the further fields they have."""

    count: int = 0
    first: int = 0
    roles: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)


@dataclass
class Survey:
    """All rows, by layout.

    Attributes
    ----------
    num_rows : int
        Number of rows.
    layouts : dict of Layout to Seen
        The layouts met.
    without : list of int
        Numbers of the rows without a layout.
    kinds : dict of str to Counter
        For each field which kinds of JSON value it holds, null aside, in how many rows.
    """

    num_rows: int = 0
    layouts: dict[Layout, Seen] = field(default_factory=dict)
    without: list[int] = field(default_factory=list)
    kinds: dict[str, Counter[str]] = field(default_factory=dict)

    def by_count(self) -> list[Layout]:
        """The layouts, that of most rows first."""
        return sorted(self.layouts, key=lambda layout: -self.layouts[layout].count)


def rows_of_pool(pool: Pool, indices: IntArray) -> Iterator[tuple[int, Row]]:
    """Rows with their numbers, a slice at a time in memory; a bare string is its field `text`."""
    for start in range(0, len(indices), _SLICE):
        numbers = np.asarray(indices[start : start + _SLICE])
        for number, row in zip(numbers.tolist(), pool.take(numbers), strict=True):
            yield number, row if isinstance(row, Mapping) else {"text": row}


def survey(rows: Iterable[tuple[int, Row]]) -> Survey:
    """One pass over rows and their numbers."""
    found = Survey()
    for number, row in rows:
        found.num_rows += 1
        for name, value in row.items():
            if value is not None:
                found.kinds.setdefault(str(name), Counter())[_kind(value)] += 1
        layout = layout_of(row)
        if layout is None:
            found.without.append(number)
        else:
            _add(found.layouts.setdefault(layout, Seen(first=number)), row, layout)
    return found


def _add(seen: Seen, row: Row, layout: Layout) -> None:
    seen.count += 1
    seen.fields.update(name for name in ("system", "tools", "input", "history") if row.get(name))
    if isinstance(row.get("tools"), list | tuple):
        seen.fields[TOOL_LISTS] += 1
    messages = messages_in(row.get(layout.field))
    if layout.keys and layout.field != "":
        seen.roles.update(str(message.get(layout.keys[0])) for message in messages)
    for name in ("chosen", "rejected") if layout.keys and "chosen" in row else ():
        answer = row.get(name)
        answers = [answer] if isinstance(answer, Mapping) else messages_in(answer)
        seen.roles.update(str(message.get(layout.keys[0])) for message in answers)
    if any(calls_of(message) for message in messages):
        seen.fields[TOOL_CALLS] += 1


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, list | tuple) else "a string"
