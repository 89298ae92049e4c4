"""How a row holds its conversation, as finely as trainers tell rows apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ds2fast.io.fields import Row
from ds2fast.io.forms import (
    CONVERSATIONS,
    INSTRUCTION,
    MESSAGES,
    PREFERENCE,
    PROMPT,
    QUESTION,
    TEXT,
    asked_of,
    chosen_kind,
    form_of,
)
from ds2fast.io.turns import dialogue_turns

ROLE_CONTENT = ("role", "content")
FROM_VALUE = ("from", "value")


class Layout(NamedTuple):
    """Where a row holds what, told finely enough for every trainer.

    Attributes
    ----------
    form : str
        One of `ds2fast.io.forms.FORMS`.
    field : str
        The field with the conversation, the question or the text; `""` for a preference pair that
        holds its question within the answers.
    kind : {"string", "messages", ""}
        What that field is.
    answer : str
        The field with the answer, `""` where there is none; of a preference pair the kind of its
        `chosen` (`ds2fast.io.forms.chosen_kind`).
    keys : tuple of str
        The keys of the messages, role first; `()` where there are none.
    """

    form: str
    field: str
    kind: str
    answer: str = ""
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The layout in words.

        Examples
        --------
        >>> str(Layout(PREFERENCE, "prompt", "string", "message", ROLE_CONTENT))
        'chosen/rejected (each a message of role/content) after prompt (a string)'
        """
        of_keys = f" of {'/'.join(self.keys)}" if self.keys else ""
        if self.form == PREFERENCE:
            after = f" after {self.field} ({_KINDS[self.kind]})" if self.field else ""
            return f"chosen/rejected (each {_ANSWERS[self.answer]}{of_keys}){after}"
        if self.form in (MESSAGES, CONVERSATIONS):
            return f"{self.field} ({'/'.join(self.keys)})"
        if self.form == TEXT:
            return self.field
        lists = f" (lists of messages{of_keys})" if self.kind == "messages" else ""
        return f"{self.field} + {self.answer}{lists}"


_KINDS = {"string": "a string", "messages": "a list of messages"}
_ANSWERS = {
    "string": "a string",
    "message": "a message",
    "answer": "a list of messages without the question",
    "conversation": "a whole conversation",
}
_PAIRS = {
    PROMPT: ("prompt", ("completion",)),
    INSTRUCTION: ("instruction", ("output", "response")),
    QUESTION: ("question", ("answer",)),
}


def layout_of(row: Row) -> Layout | None:
    """Layout of a row; None where no form of `FORMS` gives it a text.

    Examples
    --------
    >>> layout_of({"question": "2+2?", "answer": "4"})
    Layout(form='question + answer', field='question', kind='string', answer='answer', keys=())
    """
    form, text = form_of(row)
    if not text:
        return None
    if form == PREFERENCE:
        return _preference(row)
    if form in _PAIRS:
        asked, answers = _PAIRS[form]
        answer = next((name for name in answers if row.get(name) is not None), answers[0])
        lists = [row.get(asked), row.get(answer)]
        keys = next(filter(None, map(keys_of, lists)), ())
        return Layout(form, asked, "messages" if keys else "string", answer, keys)
    if form == TEXT:
        return Layout(form, "text", "string")
    field = "messages" if form == MESSAGES else "conversations"
    return Layout(form, field, "messages", "", keys_of(row[field]))


def _preference(row: Row) -> Layout:
    kind = chosen_kind(row) or ""
    field = "" if kind == "conversation" else asked_of(row)[0]
    asked = row.get(field)
    keys = keys_of(row["chosen"]) or keys_of(asked)
    if not field:
        return Layout(PREFERENCE, "", "", kind, keys)
    of = "string" if dialogue_turns(asked) is None else "messages"
    return Layout(PREFERENCE, field, of, kind, keys)


def keys_of(value: Any) -> tuple[str, ...]:
    """Keys of the first message of a list, or of one message; `()` where there is none."""
    messages = [value] if isinstance(value, Mapping) else messages_in(value)
    for message in messages:
        if message.get("role") is not None:
            return ROLE_CONTENT
        if message.get("from") is not None:
            return FROM_VALUE
    return ()


def messages_in(value: Any) -> list[Row]:
    """The objects of a list; `[]` where the value is no list."""
    if not isinstance(value, list | tuple):
        return []
    return [message for message in value if isinstance(message, Mapping)]
