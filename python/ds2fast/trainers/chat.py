"""A row of any form as messages of role and content, in the words of chat templates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import takewhile
from typing import Any

from ds2fast.errors import InputError
from ds2fast.io.fields import Row
from ds2fast.io.forms import STARTS, turns_of, turns_of_pair
from ds2fast.io.turns import Turn, calls_of, content_of, said_in
from ds2fast.trainers.plan import is_text

Message = dict[str, Any]

ROLES = {
    "user": ("user", "human"),
    "assistant": ("assistant", "gpt", "bing", "chatgpt", "bot", "model", "function_call"),
    "tool": ("tool", "observation", "function_response", "function", "ipython"),
    "system": ("system",),
}
"""The roles of chat templates, and the names that data sets give them."""

_ROLE_OF = {name: role for role, names in ROLES.items() for name in names}
_KEPT = ("name", "tool_call_id", "reasoning_content")
"""Further keys of a message that chat templates read."""


def chat_of(row: Row) -> Row:
    """A row as `messages`, with its `tools` as text of JSON where it has any.

    Raises
    ------
    InputError
        It cannot be written so; the message goes on from "3 rows".

    Examples
    --------
    >>> chat_of({"question": "Hi", "answer": "Hello"})
    {'messages': [{'role': 'user', 'content': 'Hi'}, {'role': 'assistant', 'content': 'Hello'}]}
    """
    messages = [_message(turn) for turn in turns_of(row)]
    if not any(one["role"] == "assistant" and _says(one) for one in messages):
        raise InputError("have no turn in which an assistant says anything")
    return {"messages": messages, **_tools(row)}


def pair_of(row: Row) -> Row:
    """A preference pair as `prompt`, `chosen` and `rejected`, all three lists of messages.

    Raises
    ------
    InputError
        As of `chat_of`.

    Examples
    --------
    >>> pair_of({"question": "Hi", "chosen": "Hello", "rejected": "No"})["rejected"]
    [{'role': 'assistant', 'content': 'No'}]
    """
    better, worse = (
        [_message(turn) for turn in turns_of_pair(row, name)] for name in ("chosen", "rejected")
    )
    shared = len(list(takewhile(lambda two: two[0] == two[1], zip(better, worse, strict=False))))
    chosen, rejected = better[shared:], worse[shared:]
    if not shared or not all(map(_answers, (chosen, rejected))):
        raise InputError("hold no two different answers after one question")
    return {"prompt": better[:shared], "chosen": chosen, "rejected": rejected, **_tools(row)}


def single_pair_of(row: Row) -> Row:
    """A preference pair as the conversation under `messages` and one message for each answer.

    Raises
    ------
    InputError
        As of `pair_of`, or an answer of several messages.

    Examples
    --------
    >>> single_pair_of({"question": "Hi", "chosen": "Hello", "rejected": "No"})["rejected"]
    {'role': 'assistant', 'content': 'No'}
    """
    pair = dict(pair_of(row))
    answers = {name: pair.pop(name) for name in ("chosen", "rejected")}
    if any(len(messages) > 1 for messages in answers.values()):
        raise InputError("hold an answer of several messages, where one is taken")
    messages = {name: one for name, (one,) in answers.items()}
    return {"messages": pair.pop("prompt"), **messages, **pair}


def _answers(messages: list[Message]) -> bool:
    return bool(messages) and messages[0]["role"] in STARTS and any(map(_says, messages))


def _says(message: Message) -> bool:
    return is_text(message["content"]) or "tool_calls" in message


def _message(turn: Turn) -> Message:
    role = _ROLE_OF.get(turn.role, turn.role)
    if turn.message is None:
        return {"role": role, "content": turn.content}
    said = said_in(turn.message)
    if not _is_all_text(said):
        raise InputError("have parts of a message that hold no text")
    content, calls = content_of(said), calls_of(turn.message)
    if turn.role == "function_call" and not calls:
        content, calls = _called_in_words(content)
    message: Message = {"role": role, "content": content}
    if calls:
        message["tool_calls"] = [_call(call) for call in calls]
    kept = {key: turn.message[key] for key in _KEPT if is_text(turn.message.get(key))}
    return {**message, **kept}


def _is_all_text(content: Any) -> bool:
    parts = content if isinstance(content, list | tuple) else ()
    objects = (part for part in parts if isinstance(part, Mapping))
    return all(isinstance(part.get("text"), str) or content_of(part) for part in objects)


def _called_in_words(content: str) -> tuple[str, list[Row]]:
    """What a turn of role `function_call` says, and its calls where it is JSON of such."""
    try:
        read = json.loads(content)
    except (ValueError, RecursionError):
        return content, []
    calls = read if isinstance(read, list) else [read]
    known = all(isinstance(call, Mapping) and is_text(call.get("name")) for call in calls)
    return ("", calls) if calls and known else (content, [])


def _call(call: Row) -> Row:
    """A call as chat templates take it: arguments as an object, not as its text."""
    function = call.get("function")
    function = function if isinstance(function, Mapping) else call
    name, arguments = function.get("name"), function.get("arguments")
    if isinstance(arguments, str):
        arguments = _json_of(arguments or "{}")
    arguments = {} if arguments is None else arguments
    if not is_text(name) or not isinstance(arguments, Mapping):
        raise InputError("call a tool without a name, or with arguments that are no JSON object")
    identity = {"id": call["id"]} if is_text(call.get("id")) else {}
    return {**identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def _tools(row: Row) -> Row:
    """The tools as text of JSON, which every trainer reads and which has one type in all rows."""
    tools = row.get("tools")
    listed = _json_of(tools.strip() or "[]") if isinstance(tools, str) else tools
    if not listed:
        return {}
    if not isinstance(listed, list | tuple):
        raise InputError("have tools that are no list of JSON")
    return {"tools": tools if isinstance(tools, str) else json.dumps(list(listed), default=str)}


def _json_of(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
