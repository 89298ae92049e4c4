"""Fields of a row, found by name or by a dotted path into nested data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

Row = Mapping[str, Any]
"""One row of the pool as Python sees it: field names and their values."""

Place = Callable[[int], str]
"""Where a row stands, by its number in the pool, in the words of the user's data."""

MISSING: Final = object()
"""What a `Field` gives for a row that has no such field; null is a value."""


def row_place(number: int) -> str:
    """Place of a row of data that has no lines."""
    return f"row {number}"


class Field:
    """A field of a row: `score`, or `meta.score` (`meta[score]`) inside nested data.

    A field whose whole name is `meta.score` comes before the path. A step into a list is a number.

    Examples
    --------
    >>> Field("meta.score").of({"meta": {"score": 4}})
    4
    >>> Field("score").of({"meta": {}}) is MISSING
    True
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._path = [step for step in name.replace("[", ".").replace("]", "").split(".") if step]

    @property
    def columns(self) -> set[str]:
        """Names that the column may have in a table."""
        return {self.name, *self._path[:1]}

    def of(self, row: Row) -> Any:
        """Value of the field in a row, or `MISSING`."""
        value = row.get(self.name, MISSING)
        if value is not MISSING or len(self._path) < 2:
            return value
        value = row
        for step in self._path:
            value = _step_into(value, step)
        return value


def _step_into(value: Any, step: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(step, MISSING)
    if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
        return value[int(step)]
    return MISSING


def list_names(rows: Iterable[Any]) -> str:
    """The field names of some rows, in the order they appear, for a message."""
    names = {str(name): None for row in rows if isinstance(row, Mapping) for name in row}
    return ", ".join(names) if names else "none"
