"""The rating server as a process of its own, for tests and benchmarks."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waiting import PATIENCE

SERVER = Path(__file__).with_name("rating_server.py")


@dataclass(frozen=True)
class RunningServer:
    """Where the server listens, and what it tells of itself."""

    port: int
    log_path: Path | None
    pid: int

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def stats(self) -> dict[str, Any]:
        """What was served so far."""
        url = f"http://127.0.0.1:{self.port}/stats"
        with urllib.request.urlopen(url, timeout=PATIENCE) as reply:
            stats: dict[str, Any] = json.load(reply)
        return stats

    def log(self) -> list[dict[str, Any]]:
        """The requests that ended so far, in the order of their end."""
        if self.log_path is None:
            raise ValueError("log: the server was started without a log")
        return [json.loads(line) for line in self.log_path.read_text("utf-8").splitlines()]


@contextmanager
def rating_server(*options: str, log: Path | None = None) -> Iterator[RunningServer]:
    """A server that runs with these options of its command line until the block ends."""
    logged = () if log is None else ("--log", str(log))
    # The pipe ends with this process, however it ends, and the server with the pipe.
    command = [sys.executable, str(SERVER), "--port", "0", "--stop-at-eof", *options, *logged]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the rating server did not start (exit {process.wait()})")
            yield RunningServer(json.loads(line)["port"], log, process.pid)
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE)
