"""How many requests may be in flight: more while the server keeps up, fewer when it objects."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import median

START = 16
SMALLEST_STEP = 8
"""Outcomes that a step is judged by, at least."""

SLOWDOWN = 4.0
"""Requests that take this many times as long as the quickest stand in a queue for most of it."""

STILL = 0.75
"""With half as many in flight a queue of ours would take half as long; above this it is none."""

FEW_REFUSED, MANY_REFUSED = 0.02, 0.10
"""Shares of a step: up to the one the number grows, above the other it shrinks."""

SURE = 2.0
"""Standard errors above that share: who refuses a tenth at random is not to be asked singly."""


@dataclass
class Pace:
    """Adapts the number of requests in flight; times are seconds of one clock.

    It is judged in steps of as many outcomes as may be in flight. It doubles with each round trip
    until the server first objects, and grows by an eighth a step from then on. Where more than a
    tenth of a step is refused, and not by chance, it shrinks by that share, at most by half. Where
    the median request takes more than four times as long as the quickest, it shrinks in that
    proportion: what is above waits in the server's queue, where it gains nothing and may time out.
    A single slow or refused request changes nothing.

    Attributes
    ----------
    ceiling : int
        The most that may be in flight.
    limit : int
        How many may be now.
    """

    ceiling: int
    limit: int = field(init=False)
    _resumes_at: float = field(init=False, default=0.0)
    _step_began: float = field(init=False, default=float("-inf"))
    _has_objected: bool = field(init=False, default=False)
    _quickest: float = field(init=False, default=float("inf"))
    _latencies: list[float] = field(init=False, default_factory=list)
    _refused: int = field(init=False, default=0)
    _slow: _Slow | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.limit = min(START, self.ceiling)

    def wait(self, now: float) -> float:
        """Seconds until the server may be asked again."""
        return max(0.0, self._resumes_at - now)

    def pause(self, until: float) -> None:
        """The server asks not to be asked before."""
        self._resumes_at = max(self._resumes_at, until)

    def finished(self, sent: float, now: float, *, alone: bool = False) -> None:
        """A request of `sent` was answered, or timed out; `alone`: none was beside it."""
        if alone:
            self._quickest = min(self._quickest, now - sent)
        if sent >= self._step_began:  # what was sent before tells of another number
            self._latencies.append(now - sent)
            self._judge(now)

    def refused(self, sent: float, now: float) -> None:
        """A request of `sent` was refused for being one too many."""
        if sent >= self._step_began:
            self._refused += 1
            self._judge(now)

    def _judge(self, now: float) -> None:
        total = len(self._latencies) + self._refused
        # What is sent first after a doubling is half of it: that comes back one round trip later.
        if total < max(self.limit if self._has_objected else self.limit // 2, SMALLEST_STEP):
            return
        limit = self._next_limit(total)
        if limit != self.limit:
            self._step_began = now
        self.limit = min(max(limit, 1), self.ceiling)
        self._latencies.clear()
        self._refused = 0

    def _next_limit(self, total: int) -> int:
        refused, latency = self._refused / total, self._median()
        if self._slow is not None and self._is_the_servers_own(latency):
            self._quickest, limit = latency, self._slow.began
            self._slow = None
            return limit
        slowdown = latency / self._quickest if latency > 0 else 1.0
        self._remember(slowdown, latency)
        is_hindered = self._refused > 1 and refused > FEW_REFUSED
        self._has_objected |= is_hindered or slowdown > SLOWDOWN
        chance = SURE * math.sqrt(MANY_REFUSED * (1.0 - MANY_REFUSED) / total)
        if refused > MANY_REFUSED + chance:
            return int(self.limit * max(0.5, 1.0 - refused))
        if slowdown > SLOWDOWN:
            return int(self.limit * SLOWDOWN / slowdown)
        if is_hindered:
            return self.limit
        return self.limit + max(1, self.limit // 8) if self._has_objected else 2 * self.limit

    def _median(self) -> float:
        """Seconds of this step's median request; 0 where all were refused."""
        if not self._latencies:
            return 0.0
        latency = median(self._latencies)
        self._quickest = min(self._quickest, latency)
        return latency

    def _remember(self, slowdown: float, latency: float) -> None:
        """What it was like when slowness began, so that shrinking can be seen to help."""
        if slowdown <= SLOWDOWN:
            self._slow = None
        elif self._slow is None:
            self._slow = _Slow(self.limit, self.limit, latency)
        elif latency > self._slow.latency / STILL:  # a queue that was still coming up
            self._slow = _Slow(self._slow.began, self.limit, latency)

    def _is_the_servers_own(self, latency: float) -> bool:
        """Whether half as many in flight are hardly quicker: then they stood in no queue."""
        if self._slow is None:
            return False
        return self.limit <= self._slow.limit // 2 and latency > STILL * self._slow.latency


@dataclass(frozen=True)
class _Slow:
    """How many were in flight when slowness began; when it was at its worst, and how slow."""

    began: int
    limit: int
    latency: float
