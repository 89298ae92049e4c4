"""A server on a thread whose every answer a test writes itself, over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rating_truth import sample_in, true_criteria


@dataclass(frozen=True)
class Asked:
    """A request: its place among all, counted from 0, its body and the sample in it."""

    number: int
    body: dict[str, Any]

    @property
    def sample(self) -> str:
        found = sample_in(self.body["messages"][-1]["content"])
        assert found is not None
        return found


@dataclass(frozen=True)
class Sent:
    """What is sent back."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


Script = Callable[[Asked], Sent]


def right(asked: Asked, *, prompt_tokens: int = 100, completion_tokens: int = 30) -> Sent:
    """The true criteria."""
    message = {"role": "assistant", "content": json.dumps(true_criteria(asked.sample))}
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    return Sent(200, {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})


def error(status: int, message: str, **headers: str) -> Sent:
    """An error in OpenAI's form; `_` in a header's name stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Sent(status, {"error": {"message": message}}, named)


@dataclass
class Scripted:
    """Where it answers, and what was asked so far."""

    base_url: str = ""
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def scripted_server(script: Script) -> Iterator[Scripted]:
    """A server that answers as `script` says, on a thread a connection, until the block ends."""
    seen = Scripted()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(script, seen))
    server.daemon_threads, server.request_queue_size = True, 256
    seen.base_url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler_of(script: Script, seen: Scripted) -> type[BaseHTTPRequestHandler]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                asked = Asked(len(seen.asked), body)
                seen.asked.append(asked)
            sent = script(asked)
            content = json.dumps(sent.body).encode()
            with suppress(ConnectionError):  # who does not wait is not told
                self.send_response(sent.status)
                for name, value in sent.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler
