"""The forms that rows of instruction data come in, and the turns that each holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from ds2fast.io.fields import Row
from ds2fast.io.turns import (
    Turn,
    content_of,
    dialogue_turns,
    has_content,
    is_message,
    render_turns,
    said_in,
    turn_of,
)

PREFERENCE = "chosen (of chosen/rejected)"
MESSAGES = "messages (role/content)"
CONVERSATIONS = "conversations (from/value)"
PROMPT = "prompt + completion"
INSTRUCTION = "instruction + input + output/response"
QUESTION = "question + answer"
TEXT = "text"

TurnsOfRow = Callable[[Row], "list[Turn] | None"]

STARTS = {"assistant", "tool", "function", "function_call", "observation"}
"""Roles that a preference pair's `chosen` begins with where it holds the answer alone."""


def form_of(row: Row) -> tuple[str, str | None]:
    r"""The first of `FORMS` that gives the row a text, and that text.

    Returns
    -------
    form : str
        `""` where no form gives a text.
    text : str or None
        `""` where a form's fields are there but hold no text, None where no form's fields are.

    Examples
    --------
    >>> form_of({"question": "2+2?", "answer": "4", "text": "passed over"})
    ('question + answer', '###user: 2+2?\n###assistant: 4\n')
    """
    known = None
    for form, render in FORMS.items():
        text = render(row)
        if text:
            return form, text
        known = text if known is None else known
    return "", known


def turns_of(row: Row) -> list[Turn]:
    """The turns of a row that is no preference pair, by its form; `[]` where it has none.

    Its field `system` opens them, also in the forms whose text it is no part of.

    Examples
    --------
    >>> [turn.role for turn in turns_of({"question": "2+2?", "answer": "4", "system": "Add"})]
    ['system', 'user', 'assistant']
    """
    turns = _TURNS.get(form_of(row)[0])
    return [] if turns is None else _with_system(row, turns(row) or [])


_ASKING = frozenset(
    {"user", "human", "prompter", "system", "developer"}
    | {"tool", "function", "observation", "function_response", "ipython"}
)
"""Roles, in small letters, that never answer; any other may be a name for one that does."""

_ANSWERS = {
    PREFERENCE: ("chosen",),
    MESSAGES: ("messages",),
    CONVERSATIONS: ("conversations",),
    PROMPT: ("completion",),
    INSTRUCTION: ("output", "response"),
    QUESTION: ("answer",),
}
"""Where the forms with turns hold the answer, mostly as a string or a list's last message."""


def has_answer(form: str, row: Row) -> bool:
    """Whether a row of a form says, or calls, anything for the assistant; true of bare text.

    Examples
    --------
    >>> has_answer(QUESTION, {"question": "2+2?", "answer": "4"})
    True
    >>> has_answer(QUESTION, {"question": "2+2?", "answer": " "})
    False
    """
    if form not in _ANSWERS or any(_answers_plainly(row.get(name)) for name in _ANSWERS[form]):
        return True
    turns = turns_of_pair(row, "chosen") if form == PREFERENCE else turns_of(row)
    return any(turn.role.lower() not in _ASKING and turn.content.strip() for turn in turns)


def _answers_plainly(value: Any) -> bool:
    """Whether a string or a last message is an answer, without a look at all turns."""
    if isinstance(value, list | tuple) and value:
        value = value[-1]
        return is_message(value) and _is_said(value)
    return isinstance(value, str) and bool(value.strip())


def _is_said(message: Row) -> bool:
    role, said = message.get("role") or message.get("from"), said_in(message)
    return role in ("assistant", "gpt") and isinstance(said, str) and bool(said.strip())


def turns_of_pair(row: Row, name: str) -> list[Turn]:
    """The turns of a preference pair with the answer in `name`: `chosen` or `rejected`."""
    asked = [] if _opens(row[name]) else asked_of(row)[1]
    return _with_system(row, [*asked, *_turns_as("assistant", row[name])])


def _opens(answer: Any) -> bool:
    """Whether an answer of a preference pair begins with what was asked."""
    turns = dialogue_turns(answer)
    return bool(turns and turns[0].role not in STARTS)


def _preference(row: Row) -> str | None:
    """`chosen` where it is a whole conversation, else after what it answers."""
    kind = chosen_kind(row)
    if kind is None:
        return None
    if kind == "string" and not asked_of(row)[1]:
        return _text_or_empty(row["chosen"])
    return render_turns(turns_of_pair(row, "chosen"))


ChosenKind = Literal["string", "message", "answer", "conversation"]


def chosen_kind(row: Row) -> ChosenKind | None:
    """What a preference pair's `chosen` is; None where the row is no such pair.

    A string, one message, a list of messages with the answer alone, or one that begins with what
    was asked.
    """
    chosen = row.get("chosen")
    if "rejected" not in row or not _is_answer(chosen):
        return None
    if not (row["rejected"] is None or _is_answer(row["rejected"])):
        return None
    if isinstance(chosen, str):
        return "string"
    if is_message(chosen):
        return "message"
    return "conversation" if _opens(chosen) else "answer"


def _is_answer(value: Any) -> bool:
    return isinstance(value, str) or is_message(value) or dialogue_turns(value) is not None


def asked_of(row: Row) -> tuple[str, list[Turn]]:
    """What a preference pair's answers follow: the first field that says anything, its turns."""
    found = {
        "messages": dialogue_turns(row.get("messages")),
        "conversations": dialogue_turns(row.get("conversations")),
        "prompt": _turns_as("user", row.get("prompt")),
        "instruction": [*_history(row), Turn("user", _instruction(row))],
        "question": _turns_as("user", row.get("question")),
    }
    met = ((name, turns) for name, turns in found.items() if turns and has_content(turns))
    return next(met, ("", []))


def _dialogue(row: Row, name: str) -> list[Turn] | None:
    turns = dialogue_turns(row.get(name))
    return None if turns is None else _with_system(row, turns)


def _pair(row: Row, asked: str, *answers: str) -> list[Turn] | None:
    """Two fields as a user's and an assistant's message; either may be a list of messages."""
    answered = [name for name in answers if name in row]
    if asked not in row or not answered:
        return None
    answer = next((row[name] for name in answered if row[name] is not None), None)
    if row[asked] is None and answer is None:
        return None
    return _turns_as("user", row[asked]) + _turns_as("assistant", answer)


def _turns_as(role: str, value: Any) -> list[Turn]:
    if is_message(value):
        return [turn_of(value)]
    turns = dialogue_turns(value)
    return [Turn(role, content_of(value))] if turns is None else turns


def _alpaca(row: Row) -> list[Turn] | None:
    asked = row
    if "instruction" in row and dialogue_turns(row["instruction"]) is None:
        # An instruction that is null, with an input, is asked all the same.
        asked = {**row, "instruction": _instruction(row) or row["instruction"]}
    turns = _pair(asked, "instruction", "output", "response")
    return None if turns is None else _with_system(row, [*_history(row), *turns])


def _instruction(row: Row) -> str:
    """`input` follows the instruction on a line of its own, where it is not blank."""
    instruction, given = content_of(row.get("instruction")), content_of(row.get("input"))
    if not given.strip():
        return instruction
    return "\n".join(part for part in (instruction, given) if part.strip())


def _history(row: Row) -> list[Turn]:
    """Earlier rounds of an Alpaca row: `[[question, answer], ...]`, or a list of messages."""
    history = row.get("history")
    turns = dialogue_turns(history)
    if turns is not None:
        return turns
    if not isinstance(history, list | tuple):
        return []
    rounds = [pair for pair in history if isinstance(pair, list | tuple) and len(pair) == 2]
    sides = ("user", "assistant")
    return [
        Turn(side, content_of(said))
        for pair in rounds
        for side, said in zip(sides, pair, strict=True)
    ]


def _with_system(row: Row, turns: list[Turn]) -> list[Turn]:
    """The turns after the row's field `system`, unless a system's turn opens them already."""
    system = row.get("system")
    if not isinstance(system, str) or not system.strip() or not has_content(turns):
        return turns
    return turns if turns[0].role == "system" else [Turn("system", system), *turns]


def _bare_text(row: Row) -> str | None:
    return None if row.get("text") is None else _text_or_empty(content_of(row["text"]))


def _text_or_empty(text: str) -> str:
    return text if text.strip() else ""


def _rendered(turns: TurnsOfRow) -> Callable[[Row], str | None]:
    def render(row: Row) -> str | None:
        found = turns(row)
        return None if found is None else render_turns(found)

    return render


_TURNS: Mapping[str, TurnsOfRow] = {
    MESSAGES: lambda row: _dialogue(row, "messages"),
    CONVERSATIONS: lambda row: _dialogue(row, "conversations"),
    PROMPT: lambda row: _pair(row, "prompt", "completion"),
    INSTRUCTION: _alpaca,
    QUESTION: lambda row: _pair(row, "question", "answer"),
}

FORMS: Mapping[str, Callable[[Row], str | None]] = {
    PREFERENCE: _preference,
    **{form: _rendered(turns) for form, turns in _TURNS.items()},
    TEXT: _bare_text,
}
"""The known forms in the order they are tried; None where a row lacks the form's fields."""

FORM_COLUMNS = frozenset(
    {"chosen", "rejected", "messages", "conversations", "prompt", "completion", "instruction"}
    | {"input", "output", "response", "history", "system", "question", "answer", "text"}
)
"""Every field that a form may read."""
