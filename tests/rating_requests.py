"""Requests for a chat completion, as the rating server reads, checks and counts them."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import orjson
from tokenizers import Tokenizer

# Tokens of a request beside the texts: for each message, and for the answer's beginning.
MESSAGE_OVERHEAD: Final = 4
ANSWER_OVERHEAD: Final = 3


class RefusedError(Exception):
    """A request that the server does not serve, and the parameter that is to blame."""

    def __init__(self, status: int, message: str, param: str | None = None, code: str = "") -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code or None


def read_body(data: bytes) -> dict[str, Any]:
    """A request's body, in which everything that is read has the right type."""
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise RefusedError(400, f"the body is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise RefusedError(400, "the body is no JSON object")
    if not isinstance(body.get("model"), str):
        raise RefusedError(400, "you must provide a model", "model")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(map(_is_message, messages)):
        raise RefusedError(400, "messages: a list of objects with role and content", "messages")
    if messages[-1]["role"] != "user":
        raise RefusedError(400, "messages: the last one must be the user's", "messages")
    if body.get("stream"):
        raise RefusedError(400, "this server does not stream", "stream")
    for name in ("max_tokens", "max_completion_tokens"):
        if body.get(name) is not None and not (isinstance(body[name], int) and body[name] > 0):
            raise RefusedError(400, f"{name}: a whole number from 1 on", name)
    return body


def refuse_unsupported(body: Mapping[str, Any], options: argparse.Namespace) -> None:
    """Raise for a parameter that this server is told not to know."""
    form = body.get("response_format") or {}
    wanted = form.get("type") if isinstance(form, dict) else form
    unsupported = {
        "temperature": options.no_temperature and body.get("temperature") is not None,
        "max_tokens": options.no_max_tokens and body.get("max_tokens") is not None,
        "response_format": (options.no_json_schema and wanted == "json_schema")
        or (options.no_json_object and wanted == "json_object"),
    }
    for param, refused in unsupported.items():
        if refused:
            message = f"Unsupported parameter: '{param}' is not supported with this model."
            raise RefusedError(400, message, param, "unsupported_parameter")


class TokenCount:
    """Tokens of a text by a real vocabulary, or a quarter of its characters without one."""

    def __init__(self, path: Path | None) -> None:
        self._tokenizer = None if path is None else Tokenizer.from_file(str(path))
        if self._tokenizer is not None:
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
        # The system message comes with every request.
        self._kept = lru_cache(maxsize=64)(self._count)

    def of_messages(self, messages: list[dict[str, str]]) -> int:
        texts = sum(
            (self._kept if message["role"] == "system" else self._count)(message["content"])
            for message in messages
        )
        return texts + MESSAGE_OVERHEAD * len(messages) + ANSWER_OVERHEAD

    def _count(self, text: str) -> int:
        if self._tokenizer is None:
            return math.ceil(len(text) / 4)
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)


def _is_message(message: Any) -> bool:
    return isinstance(message, dict) and all(
        isinstance(message.get(name), str) for name in ("role", "content")
    )
