"""A server of chat completions that rates samples and misbehaves on command.

`python rating_server.py --port 0 --fault rate-limit --share 0.1` prints `{"port": ...}` and serves
`POST /v1/chat/completions` and `GET /stats` on the loopback until it gets SIGTERM or, with
`--stop-at-eof`, until its standard input ends. It knows nothing of the client it is to test.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TextIO

from aiohttp import web

from rating_answers import (
    ANSWERS,
    AT_ONCE,
    KINDS,
    Call,
    Record,
    error_response,
    json_response,
    rating,
    too_many,
)
from rating_contents import Try
from rating_requests import RefusedError, TokenCount, read_body, refuse_unsupported
from rating_truth import fault_of, sample_hash, sample_in

_MOST_BYTES: Final = 1 << 26


@dataclass
class Stats:
    """What was served so far."""

    requests: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    def begin(self) -> None:
        self.requests += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def end(self, record: Record) -> None:
        self.in_flight -= 1
        self.kinds[record.kind] += 1
        self.prompt_tokens += record.prompt_tokens
        self.completion_tokens += record.completion_tokens


class Allowance:
    """So many requests a second, of which at most those of one second at once."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._left = max(rate, 1.0)
        self._seen = time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._left = min(self._left + (now - self._seen) * self._rate, max(self._rate, 1.0))
        self._seen = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class RatingServer:
    """The handlers, and what they have to remember between two requests."""

    def __init__(self, options: argparse.Namespace, log: TextIO | None) -> None:
        self.stats = Stats()
        self._options = options
        self._log = log
        self._tokens = TokenCount(options.tokenizer)
        self._tries: Counter[tuple[str, str]] = Counter()
        self._slots = asyncio.Semaphore(options.slots or sys.maxsize)
        rate = options.requests_per_second
        self._allowance = None if rate is None else Allowance(rate)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=_MOST_BYTES)
        app.router.add_post("/v1/chat/completions", self.complete)
        app.router.add_get("/stats", self.show)
        return app

    async def show(self, _: web.Request) -> web.Response:
        samples = len({sample for _, sample in self._tries})
        return json_response({**vars(self.stats), "samples": samples})

    async def complete(self, request: web.Request) -> web.StreamResponse:
        record = Record("refused", time.time())
        self.stats.begin()
        try:
            response = await self._answer(request, record)
            record.status = response.status
        except RefusedError as refused:
            record.status = refused.status
            response = error_response(refused.status, str(refused), refused.param, refused.code)
        finally:
            transport = request.transport
            record.whole = record.kind != "dropped" and not (
                transport is None or transport.is_closing()
            )
            record.end = time.time()
            self._write(record)
        return response

    async def _answer(self, request: web.Request, record: Record) -> web.StreamResponse:
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self._options.require_key not in (None, key):
            # Some servers repeat the key that they were given, whole.
            raise RefusedError(401, f"Incorrect API key provided: {key}.", code="invalid_api_key")
        body = read_body(await request.read())
        refuse_unsupported(body, self._options)
        sample = sample_in(body["messages"][-1]["content"])
        if sample is None:
            raise RefusedError(400, "messages: no sample stands between two marks", "messages")
        record.sample, record.model = sample_hash(sample), body["model"]
        if self._allowance is not None and not self._allowance.take():
            record.kind = "limited"
            return too_many()
        tried = (body["model"], record.sample)
        asked = Try(body["model"], sample, self._tries[tried], key)
        self._tries[tried] += 1
        record.number = asked.number
        return await self._serve(Call(request, body, asked, record, self._options))

    async def _serve(self, call: Call) -> web.StreamResponse:
        options = call.options
        fault = fault_of(
            call.asked.sample,
            call.asked.number,
            options.fault,
            options.share,
            sticky=options.sticky,
        )
        call.record.kind = fault or "right"
        if call.record.kind in AT_ONCE:
            return await ANSWERS[call.record.kind](call)
        call.record.prompt_tokens = self._tokens.of_messages(call.body["messages"])
        async with self._slots:
            await asyncio.sleep(options.latency)
            return await ANSWERS.get(call.record.kind, rating)(call)

    def _write(self, record: Record) -> None:
        self.stats.end(record)
        if self._log is not None:
            self._log.write(json.dumps(vars(record)) + "\n")
        if self.stats.requests - self.stats.in_flight == self._options.crash_after:
            os.kill(os.getpid(), signal.SIGKILL)


def read_options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Rate samples over HTTP, and misbehave.")
    add = parser.add_argument
    add("--port", type=int, default=0, help="0: a free one, which is printed")
    add("--latency", type=float, default=0.0, help="seconds until an answer")
    add("--fault", action="append", default=[], choices=[*KINDS, "all"], help="may be repeated")
    add("--share", type=float, default=0.1, help="of the tries that go wrong")
    add("--sticky", action="store_true", help="every try of the chosen samples goes wrong")
    add("--slow-seconds", type=float, default=30.0, help="delay of slow and trickle")
    add("--retry-after", type=float, default=0.3, help="seconds that retry-after asks for")
    add("--slots", type=int, help="requests served at once; the others wait")
    add("--requests-per-second", type=float, help="more get a 429")
    add("--require-key", help="others get a 401 that repeats theirs")
    add("--no-json-schema", action="store_true")
    add("--no-json-object", action="store_true")
    add("--no-temperature", action="store_true")
    add("--no-max-tokens", action="store_true")
    add("--logprobs", action="store_true", help="give them when they are asked for")
    add("--tokenizer", type=Path, help="tokenizer.json that the prompt's tokens are counted with")
    add("--crash-after", type=int, help="be killed at the end of so many requests")
    add("--log", type=Path, help="one JSON line a request")
    add("--stop-at-eof", action="store_true", help="end with the standard input")
    options = parser.parse_args(arguments)
    if "all" in options.fault:
        # `leak` is asked for by name: without a key there is nothing to give away.
        options.fault = [kind for kind in KINDS if kind != "leak"]
    return options


async def serve(options: argparse.Namespace, log: TextIO | None) -> None:
    """Serve until a signal comes or the standard input ends."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.stop_at_eof:
        loop.add_reader(sys.stdin.fileno(), _stop_at_eof, stop)
    runner = web.AppRunner(
        RatingServer(options, log).app(),
        access_log=None,
        shutdown_timeout=0.1,
        keepalive_timeout=60,
        handler_cancellation=True,  # as servers do that are not to work for nobody
    )
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", options.port, backlog=1024)
    await site.start()
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
    await stop.wait()
    await runner.cleanup()


def _stop_at_eof(stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        stop.set()


def main() -> None:
    options = read_options()
    if options.log is None:
        asyncio.run(serve(options, None))
        return
    # Line by line, so that whoever reads the log finds every reply that was sent.
    with options.log.open("a", buffering=1, encoding="utf-8") as log:
        asyncio.run(serve(options, log))


if __name__ == "__main__":
    main()
