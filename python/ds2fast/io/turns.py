"""The turns of a conversation: who speaks, what is said, and how turns render as one text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ds2fast.io.fields import MISSING, Row


class Turn(NamedTuple):
    """Role and content of one message, and the message where it is an object of the row."""

    role: str
    content: str
    message: Row | None = None


ROLES = {"human": "user", "gpt": "assistant"}
"""Roles of the `conversations` form, in the words of `messages`; any other role stays as it is."""


def render_turns(turns: Sequence[Turn | tuple[str, str]]) -> str:
    r"""Render messages as `###role: content` lines; messages without any content render as `""`.

    Examples
    --------
    >>> render_turns([("user", "Hi"), ("assistant", "Hello")])
    '###user: Hi\n###assistant: Hello\n'
    >>> render_turns([("user", " "), ("assistant", "")])
    ''
    """
    if not has_content(turns):
        return ""
    return "".join(f"###{turn[0]}: {turn[1]}\n" for turn in turns)


def has_content(turns: Sequence[Turn | tuple[str, str]]) -> bool:
    """Whether anything is said at all."""
    return any(turn[1].strip() for turn in turns)


def content_of(value: Any) -> str:
    r"""Text of a message's content: null is none, the parts of a list are joined by line ends.

    Parts that hold no text (an image, say) are left out; parts that call a tool or hold its result
    render as such. An object that is no part is written as JSON.

    Examples
    --------
    >>> content_of([{"type": "text", "text": "one"}, {"type": "image"}, "two"])
    'one\ntwo'
    >>> content_of({"celsius": 21})
    '{"celsius": 21}'
    """
    if isinstance(value, str):
        return value
    if value is None or value is MISSING:
        return ""
    if isinstance(value, list | tuple):
        return _joined(_part(part) if isinstance(part, Mapping) else part for part in value)
    if isinstance(value, Mapping):
        is_part = value.get("text") is not None or "type" in value
        return _part(value) if is_part else _as_json(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def dialogue_turns(value: Any) -> list[Turn] | None:
    """Turns of a list of role/content or from/value objects; None where it is no such list."""
    if not isinstance(value, list | tuple):
        return None
    messages = [message for message in value if message is not None]
    if not all(map(is_message, messages)):
        return None
    return [turn_of(message) for message in messages]


def is_message(value: Any) -> bool:
    """Whether a value is an object that says who speaks."""
    is_object = type(value) is dict or isinstance(value, Mapping)  # the former in a tenth the time
    return is_object and ("role" in value or "from" in value)


def turn_of(message: Row) -> Turn:
    """Role and content of one message, with the tools that it calls.

    A call renders as the tool's name and its arguments, on a line of its own after the content.

    Examples
    --------
    >>> call = {"function": {"name": "add", "arguments": {"a": 1}}}
    >>> turn_of({"role": "assistant", "content": None, "tool_calls": [call]}).content
    'add {"a": 1}'
    """
    # A table gives every message all the keys of any, so the null one of two is passed over.
    role = message.get("role") or message.get("from") or "user"
    said, calls = said_in(message), calls_of(message)
    plain = isinstance(said, str) and not calls  # nearly all are, in pools of millions
    text = said if plain else _joined([content_of(said), *map(_call, calls)])
    return Turn(ROLES.get(str(role), str(role)), text, message)


def said_in(message: Row) -> Any:
    """The content of a message as it stands, less the tools that it calls."""
    content = message.get("content")
    return message.get("value") if content is None else content


def calls_of(message: Row) -> list[Row]:
    """The calls of tools in a message: `tool_calls`, or the older `function_call`."""
    if "tool_calls" not in message and "function_call" not in message:
        return []
    calls = message.get("tool_calls")
    calls = list(calls) if isinstance(calls, list | tuple) else []
    calls.append(message.get("function_call"))
    return [call for call in calls if isinstance(call, Mapping)]


def _call(call: Row) -> str:
    function = call.get("function")
    function = function if isinstance(function, Mapping) else call
    return _named(function.get("name"), function.get("arguments"))


def _part(part: Row) -> str:
    kind = part.get("type")
    if kind == "tool_use":
        return _named(part.get("name"), part.get("input"))
    if kind == "tool_result":
        return content_of(part.get("content"))
    return content_of(part.get("text"))


def _named(name: Any, arguments: Any) -> str:
    words = [content_of(name), arguments if isinstance(arguments, str) else _as_json(arguments)]
    return " ".join(word for word in words if word)


def _joined(parts: Any) -> str:
    return "\n".join(part for part in map(content_of, parts) if part)


def _as_json(value: Any) -> str:
    if value is None:
        return ""
    return json.dumps(_without_nulls(value), ensure_ascii=False, default=str)


def _without_nulls(value: Any) -> Any:
    """The value less its null entries: a table gives every object all the keys of any."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(item) for item in value]
    return value
