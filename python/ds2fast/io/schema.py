"""Which fields of a row hold its text, and how that text is rendered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ds2fast.errors import InputError, InputTypeError
from ds2fast.io.fields import MISSING, Field, Place, Row, row_place
from ds2fast.io.forms import FORM_COLUMNS, FORMS, PREFERENCE, form_of, has_answer
from ds2fast.io.template import Template
from ds2fast.io.turns import content_of, dialogue_turns, render_turns

EXAMPLE_WIDTH, EXAMPLE_LINES = 400, 6


@dataclass(frozen=True)
class Schema:
    """Which fields hold the text.

    Attributes
    ----------
    forms : mapping of str to int
        The forms met and how many rows each gave a text for, most rows first.
    example_row : int
        The first row that has a text.
    example : str
        That row as rendered.
    unanswered : int
        Number of rows with a text in which no assistant says anything; bare texts are none.
    first_unanswered : int or None
        The first of them.
    """

    forms: Mapping[str, int]
    example_row: int
    example: str
    unanswered: int = 0
    first_unanswered: int | None = None

    def __str__(self) -> str:
        if len(self.forms) == 1:
            return next(iter(self.forms))
        return ", ".join(f"{form} in {count} rows" for form, count in self.forms.items())

    def describe(self) -> str:
        """The fields, what was passed over or lacks, and the first lines of one row."""
        lines = [line for line in self.example.splitlines() if line.strip()]
        shown = "\n".join(lines[:EXAMPLE_LINES])[:EXAMPLE_WIDTH].rstrip()
        if len(lines) > EXAMPLE_LINES or len(self.example) > EXAMPLE_WIDTH:
            shown += "…"
        pairs = self.forms.get(PREFERENCE, 0)
        rows = "row" if pairs == 1 else "rows"
        over = f"; rejected was passed over in {pairs} {rows}" if pairs else ""
        return (
            f"text from {self}{over}{self._without_answer()}; row {self.example_row} renders as:\n"
            f"{shown}"
        )

    def _without_answer(self) -> str:
        if not self.unanswered:
            return ""
        if self.unanswered == 1:
            return f"; 1 row has no answer: row {self.first_unanswered}"
        return f"; {self.unanswered} rows have no answer, the first is row {self.first_unanswered}"


class TextRenderer:
    r"""Renders rows one by one and remembers which form each had.

    Parameters
    ----------
    text : str or None
        None takes for each row the first of `FORMS` that gives it a text. A field's name takes
        that field: a list of messages renders as messages, anything else as itself. A format
        string such as `"{question}\n{answer}"` is filled in.

    Raises
    ------
    InputTypeError, InputError
        `text` is no string, is empty, or is a format string that cannot be read.
    """

    def __init__(self, text: str | None = None) -> None:
        if text is not None and not isinstance(text, str):
            raise InputTypeError(
                f"text: expected a field name, a format string or None, got {type(text).__name__}"
            )
        if text is not None and not text.strip():
            raise InputError(f"text: expected a field name or a format string, got {text!r}")
        self._text = text
        self._template = Template(text) if text is not None and "{" in text else None
        self._field = Field(text) if text is not None else None
        self._counts: dict[str, int] = {}
        self._known = False
        self._example: tuple[int, str] | None = None
        self._unanswered = 0
        self._first_unanswered: int | None = None

    @property
    def columns(self) -> set[str]:
        """Columns of a table that rendering may read."""
        if self._template is not None:
            return self._template.columns
        return set(FORM_COLUMNS) if self._field is None else self._field.columns

    def render(self, number: int, row: Row | str, place: Place = row_place) -> str:
        """Text of a row, which is counted; `text_of` gives it again without counting."""
        form, text = self._render(number, row, place)
        self._known = self._known or text is not None
        text = _cleaned(text)
        if text:
            self._counts[form] = self._counts.get(form, 0) + 1
        if text and self._example is None:
            self._example = (number, text)
        if text and isinstance(row, Mapping) and not has_answer(form, row):
            self._unanswered += 1
            if self._first_unanswered is None:
                self._first_unanswered = number
        return text

    def text_of(self, number: int, row: Row | str, place: Place = row_place) -> str:
        """Text of a row, `""` where it has none; `place` says where row `number` stands."""
        return _cleaned(self._render(number, row, place)[1])

    def _render(self, number: int, row: Row | str, place: Place) -> tuple[str, str | None]:
        if isinstance(row, str):
            return "strings", row if self._text is None else None
        if self._template is not None:
            return f"text={self._text!r}", self._template.fill(number, row, place)
        if self._field is not None:
            return f"text={self._text!r}", _render_value(self._field.of(row))
        return form_of(row)

    def schema(self, *, fields_seen: Callable[[], str], num_rows: int) -> Schema:
        """The schema of the rows rendered so far; `fields_seen` is asked only for a message.

        Raises
        ------
        InputError
            No row has a field that could hold a text, or every text is empty.
        """
        if not self._known:
            raise InputError(self._nothing_found(fields_seen()))
        if self._example is None:
            raise InputError(f"data: expected texts, got {num_rows} rows whose texts are all empty")
        forms = dict(sorted(self._counts.items(), key=lambda item: -item[1]))
        return Schema(forms, *self._example, self._unanswered, self._first_unanswered)

    def _nothing_found(self, fields_seen: str) -> str:
        if self._text is not None:
            return (
                f"text: expected a field of the rows, got {self._text!r}; "
                f"fields seen: {fields_seen}"
            )
        return (
            f"data: found no field that holds the text; fields seen: {fields_seen}; forms known: "
            f"{', '.join(FORMS)}; text= (--text) names another field or gives a format string"
        )


def _render_value(value: Any) -> str | None:
    if value is MISSING:
        return None
    turns = dialogue_turns(value)
    return render_turns(turns) if turns else content_of(value)


def _cleaned(text: str | None) -> str:
    """The text, `""` where it is blank, its lone surrogates (halves of a cut emoji) replaced."""
    if text is None or not text.strip():
        return ""
    try:
        text.encode()
    except UnicodeEncodeError:  # no encoder takes them
        return text.encode("utf-8", "replace").decode()
    return text
