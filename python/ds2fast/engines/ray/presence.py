"""Whether a cluster is still there, and the end of what waits for one that is not.

Ray raises nothing when the head of its cluster is gone (`ray stop`): calls wait for it to come
back, and after a minute Ray ends the whole process. Where its part on this machine is gone, what is
asked of it next ends the process at once.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

from ds2fast.engines.opening import knock
from ds2fast.errors import Ds2fastError, InputError

LONGEST_LOST = 30.0
"""Seconds without a cluster until it is given up: Ray itself waits 60 for its head."""

_TURN = 1.0  # seconds between two looks
_PATIENCE = 2.0  # seconds that a place has to answer in

T = TypeVar("T")


class Presence:
    """What is known of a cluster's head, and of this machine's part of it.

    Parameters
    ----------
    places : tuple of str
        Each host:port where one of them listens.
    """

    def __init__(self, *places: str) -> None:
        self.places = places
        self._missing = ""
        self._since = math.inf  # when it was missed first

    def look(self) -> bool:
        """Whether all are there now."""
        for place in self.places:
            try:
                knock(place, _PATIENCE)
            except InputError as error:
                self._missing = f"{place}: {error.__cause__}"
                self._since = min(self._since, time.monotonic())
                return False
        self._since = math.inf
        return True

    def wait(self) -> None:
        """Return at once where all are there, else when they are back.

        What is asked of Ray meanwhile would end this process without a word.

        Raises
        ------
        InputError
            They were missing for too long.
        """
        while not self.look():
            if self.is_lost:
                raise self.error()
            time.sleep(_TURN)

    @property
    def is_lost(self) -> bool:
        """Whether one was missing at the last look, and has been for too long."""
        return time.monotonic() - self._since >= LONGEST_LOST

    def error(self) -> InputError:
        """What a user is told who loses it."""
        return InputError(
            "address: expected a Ray cluster that runs until the work is done, got one that is "
            f"gone ({self._missing})"
        )


def watched(presence: Presence, run: Callable[[], T]) -> T:
    """What `run()` gives, ended where the cluster is lost meanwhile.

    A call of Ray's that waits cannot be ended but by a signal, which the main thread alone hears:
    it is Ctrl-C's, also where that is ignored. In another thread a call ends where Ray lets it.

    Raises
    ------
    InputError
        The cluster is lost.
    """
    watch = _Watch(presence)
    try:
        with watch:
            return run()
    except _LostError:
        watch.end()  # it may have been broken into as it ended; with the error go the frames
    except Ds2fastError:
        raise
    except Exception:
        presence.wait()  # it may be what the loss looks like at first
        raise
    raise presence.error()


class _LostError(KeyboardInterrupt):
    """The cluster is lost; no `except Exception` of Ray's may catch it."""


class _Watch:
    """Looks after a cluster from a thread of its own, and breaks into the main thread."""

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._is_over = threading.Event()
        self._breaking_in = threading.Lock()
        self._is_own = False  # whether the next signal is ours
        self._thread = threading.Thread(target=self._look, name="ds2fast-presence", daemon=True)
        self._before = signal.getsignal(signal.SIGINT)
        self._main = threading.main_thread().ident or 0
        self._breaks_in = threading.get_ident() == self._main and self._before is not None

    def __enter__(self) -> None:
        self._thread.start()
        if self._breaks_in:
            signal.signal(signal.SIGINT, self._heard)

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Look no more, and leave signals to who had them."""
        self._is_over.set()
        with self._breaking_in:  # what is sent, was sent
            pass
        if self._breaks_in and signal.getsignal(signal.SIGINT) == self._heard:
            signal.signal(signal.SIGINT, self._before)

    def _look(self) -> None:
        # Again and again: an error that is raised where nobody hears it (in a destructor) is lost.
        while not self._is_over.wait(_TURN):
            self._presence.look()
            if self._presence.is_lost and self._breaks_in:
                self._break_in()

    def _break_in(self) -> None:
        with self._breaking_in:
            if not self._is_over.is_set():
                self._is_own = True
                signal.pthread_kill(self._main, signal.SIGINT)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self._is_own:
            self._is_own = False
            if not self._is_over.is_set():
                raise _LostError
        elif callable(self._before):
            self._before(number, frame)
        elif self._before == signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.raise_signal(signal.SIGINT)
