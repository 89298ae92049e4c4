"""Ctrl-C: leave on the spot while nothing is at stake, raise `KeyboardInterrupt` during a job."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130
"""Exit code of a program that Ctrl-C ended, as shells count: 128 and the signal's number."""


def leave_on_interrupt() -> None:
    """From now on Ctrl-C ends the process at once, outside of `interruptible`.

    An exception would not do: one that is raised amid imports may show a traceback or get lost.
    Where the signal is ignored (`nohup`, a shell's background job) it stays so.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C raises `KeyboardInterrupt` inside, so that work can clean up behind itself."""
    if signal.getsignal(signal.SIGINT) is not _leave:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, _leave)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    if sys.__stderr__ is not None:
        os.write(sys.__stderr__.fileno(), b"stopped\n")
    os._exit(INTERRUPTED)
