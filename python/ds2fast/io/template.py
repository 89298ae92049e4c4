"""A user's format string that makes a row's text out of its fields."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any

from ds2fast.errors import InputError
from ds2fast.io.fields import MISSING, Field, Place, Row, row_place


class Template(string.Formatter):
    r"""A format string such as `"{question}\n{answer}"`; `{meta[title]}` reaches nested data.

    Null and missing fields fill in as nothing. A row in which all of them are blank has no text.

    Raises
    ------
    InputError
        The string cannot be read, or names no field.

    Examples
    --------
    >>> Template("Q: {question} A: {meta.answer}").fill(0, {"question": "?", "meta": {"answer": 1}})
    'Q: ? A: 1'
    """

    def __init__(self, text: str) -> None:
        self._text = text
        try:
            names = [name for _, name, _, _ in self.parse(text) if name is not None]
        except ValueError as error:
            raise InputError(f"text: expected a format string, got {text!r} ({error})") from None
        if not names or any(not name or name.isdecimal() for name in names):
            raise InputError(
                f"text: expected a format string with named fields such as '{{question}}', "
                f"got {text!r}"
            )
        self._fields = {name: Field(name) for name in names}

    @property
    def columns(self) -> set[str]:
        """Columns of a table that filling in may read."""
        return set().union(*(field.columns for field in self._fields.values()))

    def fill(self, number: int, row: Row, place: Place = row_place) -> str | None:
        """The text of a row; None where it has none of the fields."""
        values = [field.of(row) for field in self._fields.values()]
        if all(value is MISSING for value in values):
            return None
        if all(value in (None, MISSING) or not str(value).strip() for value in values):
            return ""
        try:
            return self.vformat(self._text, (), row)
        except (ValueError, TypeError) as error:
            raise InputError(
                f"text: cannot fill {self._text!r} in {place(number)}: {error}"
            ) from None

    def get_field(
        self,
        field_name: str,
        args: Sequence[Any],  # noqa: ARG002 - the signature of the base class
        kwargs: Mapping[str, Any],
    ) -> tuple[Any, str]:
        """Value of a replacement field: a path into the row, never an attribute of an object."""
        value = Field(field_name).of(kwargs)
        return ("" if value is None or value is MISSING else value), field_name
