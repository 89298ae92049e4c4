"""Attempts that wait for their turn: fresh ones in order, others when their pause is over."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from ds2fast.rating.attempt import Attempt, Task


class AttemptQueue:
    """Gives out attempts: those whose pause is over first, then fresh ones.

    Parameters
    ----------
    tasks : iterable of Task
        What is wanted, in order; it is read as it is needed.
    """

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._fresh: Iterator[Task] = iter(tasks)
        self._head = next(self._fresh, None)
        self._paused: list[tuple[float, int, Attempt]] = []
        self._count = 0

    def __bool__(self) -> bool:
        return self._head is not None or bool(self._paused)

    def peek(self, now: float) -> Task | None:
        """What `take` would give the attempt of; None where all that is left waits."""
        if self._paused and self._paused[0][0] <= now:
            return self._paused[0][2].task
        return self._head

    def take(self, now: float) -> Attempt:
        """The next attempt; `peek` has told that there is one."""
        if self._paused and self._paused[0][0] <= now:
            return heapq.heappop(self._paused)[2]
        if self._head is None:
            raise IndexError("no attempt is due")
        attempt, self._head = Attempt(self._head), next(self._fresh, None)
        return attempt

    def put_back(self, attempt: Attempt, due: float) -> None:
        """Have an attempt given out again, at `due` or later."""
        self._count += 1
        heapq.heappush(self._paused, (due, self._count, attempt))

    def wait(self, now: float) -> float | None:
        """Seconds until an attempt is due; None where only answers can bring one."""
        if self._head is not None:
            return 0.0
        return max(0.0, self._paused[0][0] - now) if self._paused else None
