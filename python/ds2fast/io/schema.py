"""Which fields of a row hold its text, and how that text is rendered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ds2fast.errors import InputError, InputTypeError
from ds2fast.io.fields import MISSING, Field, Place, Row, row_place
from ds2fast.io.template import Template

Turn = tuple[str, str]
"""Role and content of one message."""

ROLES = {"human": "user", "gpt": "assistant"}
"""Roles of the `conversations` form, in the words of `messages`; any other role stays as it is."""

EXAMPLE_WIDTH = 400


def render_turns(turns: list[Turn]) -> str:
    r"""Render messages as `###role: content` lines; messages without any content render as `""`.

    Examples
    --------
    >>> render_turns([("user", "Hi"), ("assistant", "Hello")])
    '###user: Hi\n###assistant: Hello\n'
    >>> render_turns([("user", " "), ("assistant", "")])
    ''
    """
    if not any(content.strip() for _, content in turns):
        return ""
    return "".join(f"###{role}: {content}\n" for role, content in turns)


def content_of(value: Any) -> str:
    r"""Text of a message's content: null is none, the parts of a list are joined by line ends.

    Parts that hold no text (an image, say) are left out.

    Examples
    --------
    >>> content_of([{"type": "text", "text": "one"}, {"type": "image"}, "two"])
    'one\ntwo'
    """
    if isinstance(value, str):
        return value
    if value is None or value is MISSING:
        return ""
    if isinstance(value, list | tuple):
        return "\n".join(part for part in map(content_of, value) if part)
    if isinstance(value, Mapping):
        return content_of(value.get("text"))
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def dialogue_turns(value: Any) -> list[Turn] | None:
    """Turns of a list of role/content or from/value objects; None where it is no such list."""
    if not isinstance(value, list | tuple):
        return None
    messages = [message for message in value if message is not None]
    if not all(isinstance(message, Mapping) and _is_message(message) for message in messages):
        return None
    return [_turn(message) for message in messages]


def _is_message(message: Row) -> bool:
    return "role" in message or "from" in message


def _turn(message: Row) -> Turn:
    # A table gives every message all the keys of any, so the null one of two is passed over.
    role = message.get("role") or message.get("from") or "user"
    content = message.get("content")
    content = message.get("value") if content is None else content
    return ROLES.get(str(role), str(role)), content_of(content)


def _turns_as(role: str, value: Any) -> list[Turn]:
    turns = dialogue_turns(value)
    return [(role, content_of(value))] if turns is None else turns


def _pair(row: Row, asked: str, *answers: str) -> str | None:
    """Two fields as a user's and an assistant's message; either may be a list of messages."""
    answered = [name for name in answers if name in row]
    if asked not in row or not answered:
        return None
    answer = next((row[name] for name in answered if row[name] is not None), None)
    if row[asked] is None and answer is None:
        return None
    return render_turns(_turns_as("user", row[asked]) + _turns_as("assistant", answer))


def _dialogue(row: Row, name: str) -> str | None:
    turns = dialogue_turns(row.get(name))
    return None if turns is None else render_turns(turns)


def _instruction(row: Row) -> str | None:
    """`input` follows the instruction on a line of its own, where it is not blank."""
    given = content_of(row.get("input"))
    if given.strip() and "instruction" in row and dialogue_turns(row["instruction"]) is None:
        parts = [content_of(row["instruction"]), given]
        row = {**row, "instruction": "\n".join(part for part in parts if part.strip())}
    return _pair(row, "instruction", "output", "response")


def _bare_text(row: Row) -> str | None:
    if row.get("text") is None:
        return None
    text = content_of(row["text"])
    return text if text.strip() else ""


FORMS: Mapping[str, Callable[[Row], str | None]] = {
    "messages (role/content)": lambda row: _dialogue(row, "messages"),
    "conversations (from/value)": lambda row: _dialogue(row, "conversations"),
    "prompt + completion": lambda row: _pair(row, "prompt", "completion"),
    "instruction + input + output/response": _instruction,
    "question + answer": lambda row: _pair(row, "question", "answer"),
    "text": _bare_text,
}
"""The known forms in the order they are tried; None where a row lacks the form's fields."""

FORM_COLUMNS = {"messages", "conversations", "prompt", "completion", "instruction", "input"} | {
    "output",
    "response",
    "question",
    "answer",
    "text",
}


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
    """

    forms: Mapping[str, int]
    example_row: int
    example: str

    def __str__(self) -> str:
        if len(self.forms) == 1:
            return next(iter(self.forms))
        return ", ".join(f"{form} in {count} rows" for form, count in self.forms.items())

    def describe(self) -> str:
        """The fields and one rendered row, cut at 400 characters."""
        example = self.example[:EXAMPLE_WIDTH] + "…" * (len(self.example) > EXAMPLE_WIDTH)
        return f"text from {self}; row {self.example_row} renders as:\n{example.rstrip()}"


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

    @property
    def columns(self) -> set[str]:
        """Columns of a table that rendering may read."""
        if self._template is not None:
            return self._template.columns
        return set(FORM_COLUMNS) if self._field is None else self._field.columns

    def render(self, number: int, row: Row | str, place: Place = row_place) -> str:
        """Text of a row, `""` where it has none; `place` says where row `number` stands."""
        form, text = self._render(number, row, place)
        self._known = self._known or text is not None
        if not text or not text.strip():
            return ""
        text = _encodable(text)
        self._counts[form] = self._counts.get(form, 0) + 1
        if self._example is None:
            self._example = (number, text)
        return text

    def _render(self, number: int, row: Row | str, place: Place) -> tuple[str, str | None]:
        if isinstance(row, str):
            return "strings", row if self._text is None else None
        if self._template is not None:
            return f"text={self._text!r}", self._template.fill(number, row, place)
        if self._field is not None:
            return f"text={self._text!r}", _render_value(self._field.of(row))
        known = None
        for form, render in FORMS.items():
            text = render(row)
            if text:
                return form, text
            known = text if known is None else known
        return "", known

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
        return Schema(forms, *self._example)

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


def _encodable(text: str) -> str:
    """The text with lone surrogates (halves of a cut emoji) replaced: no encoder takes them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text
