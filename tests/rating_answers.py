"""What the rating server sends back for a request, over HTTP that is as it should be or is not."""

from __future__ import annotations

import argparse
import asyncio
import email.utils
import json
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import orjson
from aiohttp import web

from rating_contents import (
    MESSAGES,
    Message,
    Try,
    cut_to,
    leaking_words,
    pieces_of,
    token_chances,
)

_CHUNK_SECONDS: Final = 0.2


@dataclass
class Record:
    """One request, as it stands in the log. `whole`: the reply was handed to an open connection."""

    kind: str
    begin: float
    end: float = 0.0
    sample: str | None = None
    model: str | None = None
    number: int | None = None
    status: int = 0
    wait: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    whole: bool = False


@dataclass(frozen=True)
class Call:
    """A request that is to be answered: what to do with it, and the record of it."""

    request: web.Request
    body: Mapping[str, Any]
    asked: Try
    record: Record
    options: argparse.Namespace


Answer = Callable[[Call], Awaitable[web.StreamResponse]]


async def rating(call: Call) -> web.StreamResponse:
    """The message of the request's kind in a body as it should be."""
    return json_response(completion(call))


def completion(call: Call) -> dict[str, Any]:
    """The body of a reply: the message of the request's kind, and the tokens used."""
    body, record = call.body, call.record
    make = MESSAGES.get(record.kind, MESSAGES["right"])
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    message = cut_to(make(call.asked), limit)
    record.completion_tokens = len(pieces_of(message.content or ""))
    usage = {
        "prompt_tokens": record.prompt_tokens,
        "completion_tokens": record.completion_tokens,
        "total_tokens": record.prompt_tokens + record.completion_tokens,
    }
    return {
        "id": f"chatcmpl-{record.sample}-{record.number}",
        "object": "chat.completion",
        "created": int(record.begin),
        "model": call.asked.model,
        "choices": [_choice(call, message)],
        "usage": usage,
    }


def _choice(call: Call, message: Message) -> dict[str, Any]:
    tokens = None
    if call.options.logprobs and call.body.get("logprobs") and message.content:
        likely = call.body.get("top_logprobs") or 0
        tokens = {"content": token_chances(call.asked, message.content, likely)}
    return {
        "index": 0,
        "message": message.as_json(),
        "logprobs": tokens,
        "finish_reason": message.finish_reason,
    }


async def rate_limit(_: Call) -> web.StreamResponse:
    return too_many()


async def retry_after(call: Call) -> web.StreamResponse:
    """The wait in whole seconds, in milliseconds or as a date, as the try's hash will have it."""
    wait = call.options.retry_after
    way = call.asked.draw("retry-after", 3)
    # A date has whole seconds: the next one that is no earlier than the wait.
    now = time.time()
    date = math.ceil(now + wait)
    headers, call.record.wait = (
        ({"Retry-After": str(math.ceil(wait))}, float(math.ceil(wait))),
        ({"retry-after-ms": str(round(1000 * wait))}, wait),
        ({"Retry-After": email.utils.formatdate(date, usegmt=True)}, date - now),
    )[way]
    response = too_many()
    response.headers.update(headers)
    return response


async def error_500(_: Call) -> web.StreamResponse:
    return error_response(500, "The server had an error while processing your request.")


async def unavailable(_: Call) -> web.StreamResponse:
    return web.Response(status=503, text="<html>no healthy upstream</html>")


async def slow(call: Call) -> web.StreamResponse:
    await asyncio.sleep(call.options.slow_seconds)
    return json_response(completion(call))


async def trickle(call: Call) -> web.StreamResponse:
    """As late, but with blank lines all the while: no single read of the client takes long."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(call.request)
    end = time.monotonic() + call.options.slow_seconds
    with suppress(ConnectionError):
        while time.monotonic() < end:
            await response.write(b"\n")
            await asyncio.sleep(_CHUNK_SECONDS)
        await response.write(orjson.dumps(completion(call)))
        await response.write_eof()
    return response


async def dropped(call: Call) -> web.StreamResponse:
    """The connection ends in the middle of a body whose length was told, or of a chunk."""
    body = orjson.dumps(completion(call))
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    if call.asked.draw("length", 2):
        response.content_length = len(body)
    with suppress(ConnectionError):
        await response.prepare(call.request)
        await response.write(body[: 1 + call.asked.draw("dropped", len(body) - 1)])
    if call.request.transport is not None:
        call.request.transport.close()
    return response


async def broken_body(call: Call) -> web.StreamResponse:
    """A body that ends too early although its length is as told, or that was never JSON."""
    body = orjson.dumps(completion(call))
    broken = (
        body[: 1 + call.asked.draw("broken", len(body) - 1)],
        b"<html><body>502 Bad Gateway</body></html>",
        b"",
        b"[]",
        b'"busy"',
    )[call.asked.draw("body", 5)]
    return web.Response(body=broken, content_type="application/json")


async def no_choices(call: Call) -> web.StreamResponse:
    body = completion(call)
    way = call.asked.draw("choices", 4)
    if way == 3:
        del body["choices"]
    else:
        body["choices"] = ([], None, [{"index": 0, "finish_reason": "stop"}])[way]
    return json_response(body)


async def error_body(_: Call) -> web.StreamResponse:
    return error_response(200, "Provider returned error", code="502")


async def stream(call: Call) -> web.StreamResponse:
    """Events of a stream that nobody asked for, the last one an error."""
    content = MESSAGES["right"](call.asked).content or ""
    deltas = [
        {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": part}}]}
        for part in pieces_of(content)[:5]
    ]
    events = [*deltas, {"error": {"message": "The model crashed.", "type": "server_error"}}]
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return web.Response(text=text, content_type="text/event-stream")


async def leak(call: Call) -> web.StreamResponse:
    """The key comes back: in an error, in the model's words or in a header."""
    way = call.asked.draw("leak", 3)
    if way == 0:
        return error_response(500, leaking_words(call.asked))
    response = json_response(completion(call))
    if way == 1:
        response.headers["x-forwarded-authorization"] = f"Bearer {call.asked.key}"
    return response


ANSWERS: Final[Mapping[str, Answer]] = {
    "rate-limit": rate_limit,
    "retry-after": retry_after,
    "error-500": error_500,
    "unavailable": unavailable,
    "slow": slow,
    "trickle": trickle,
    "dropped": dropped,
    "broken-body": broken_body,
    "no-choices": no_choices,
    "error-body": error_body,
    "stream": stream,
    "leak": leak,
}
# A server that has too much to do says so without delay.
AT_ONCE: Final = {"rate-limit", "retry-after", "unavailable"}
KINDS: Final = tuple(sorted((ANSWERS.keys() | MESSAGES.keys()) - {"right"}))


def json_response(value: Any, status: int = 200) -> web.Response:
    return web.Response(
        body=orjson.dumps(value), status=status, content_type="application/json", charset="utf-8"
    )


def too_many() -> web.Response:
    """What is sent to one request too many."""
    return error_response(429, "Rate limit reached for requests", code="rate_limit_exceeded")


def error_response(
    status: int, message: str, param: str | None = None, code: str | None = None
) -> web.Response:
    kind = "server_error" if status in (200, 500) else "invalid_request_error"
    error = {"message": message, "type": kind, "param": param, "code": code}
    return json_response({"error": error}, status)
