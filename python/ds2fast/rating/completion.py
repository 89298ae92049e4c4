"""The body of a chat completion, as servers really send it: nothing about it is taken on trust."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from ds2fast.rating.outcome import Answer, Kind, Trouble

QUOTED = 160  # characters of a server's message that a reason quotes
MOST_TOKENS = 10**9  # no reply has more: what a server counts beyond is no count


def read_completion(
    body: bytes, redact: Callable[[str], str] = lambda text: text
) -> Answer | Trouble:
    """The answer in the body of a response of status 200; `redact` takes secrets out of its words.

    Returns
    -------
    Answer or Trouble
        Trouble where the body is no chat completion: broken or cut JSON, an event stream, an error
        with status 200, no choices, no content.

    Examples
    --------
    >>> read_completion(b'{"choices": [{"message": {"content": "7"}}]}').content
    '7'
    >>> read_completion(b'{"choices": []}').reason
    'the server sent a completion without choices'
    """
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = redact(body.decode("utf-8", "replace"))
        return _broken(f"a body that is no JSON: {quote(text)}")
    if not isinstance(parsed, dict):
        return _broken(f"a body that is no object: {quote(redact(_shown(parsed)))}")
    if parsed.get("error"):
        return _broken(f"an error: {quote(redact(error_message(parsed)))}")
    choices = parsed.get("choices")
    if not isinstance(choices, list) or not choices:
        return _broken("a completion without choices")
    choice = choices[0] if isinstance(choices[0], dict) else {}
    message = choice.get("message")
    if not isinstance(message, dict):
        return _broken("a choice without a message")
    return _answer(choice, message, parsed.get("usage"), redact)


def _answer(
    choice: dict[str, Any], message: dict[str, Any], usage: Any, redact: Callable[[str], str]
) -> Answer:
    counts = usage if isinstance(usage, dict) else {}
    logprobs = choice.get("logprobs")
    refusal = _words(message.get("refusal"))
    return Answer(
        content=redact(_words(message.get("content")) or ""),
        refusal=None if refusal is None else redact(refusal),
        finish_reason=_words(choice.get("finish_reason")),
        token_choices=logprobs.get("content") if isinstance(logprobs, dict) else None,
        prompt_tokens=_count(counts.get("prompt_tokens")),
        completion_tokens=_count(counts.get("completion_tokens")),
    )


def error_message(body: Any) -> str:
    """What an error's body says, in whatever form it is."""
    found = body.get("error") or body if isinstance(body, dict) else body
    if isinstance(found, dict):
        found = found.get("message") or found.get("detail") or found
    return _shown(found)


def _shown(value: Any) -> str:
    try:
        return str(value)
    except RecursionError:
        return "nested too deeply to be shown"


def quote(text: str) -> str:
    """A server's message in one line of a bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= QUOTED else f"{line[:QUOTED]}…"


def _broken(what: str) -> Trouble:
    return Trouble(Kind.BROKEN, f"the server sent {what}", may_cost=True)


def _words(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < MOST_TOKENS else None  # True is no count
