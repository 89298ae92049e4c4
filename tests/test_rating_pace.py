"""How many requests are in flight: against servers by rule, under a clock of our own.

What is expected follows from the servers' rules and from what `Pace` promises, by Little's law: of
a server that serves S at once, n requests take n / S times as long as one.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

import pytest

from ds2fast.rating.pace import START, Pace

LATENCY = 0.25  # exact in binary, so that sums of it are


class Server(Protocol):
    """A server by rule."""

    def take(self, now: float, in_flight: int) -> tuple[float, bool]:
        """When a request sent now is over, and whether it is refused."""


@dataclass
class Slots:
    """Serves so many at once, each in the same time; the others stand in line."""

    number: int
    free: list[float] = field(default_factory=list)

    def take(self, now: float, in_flight: int) -> tuple[float, bool]:
        begin = now if len(self.free) < self.number else max(now, heapq.heappop(self.free))
        heapq.heappush(self.free, begin + LATENCY)
        return begin + LATENCY, False


@dataclass
class FewerSlots(Slots):
    """Has four slots from a moment on."""

    change: float = 50 * LATENCY

    def take(self, now: float, in_flight: int) -> tuple[float, bool]:
        if now >= self.change and self.number > 4:
            self.number, self.free = 4, sorted(self.free)[-4:]
        return super().take(now, in_flight)


@dataclass
class Batches:
    """Takes longer, the more it has in hand."""

    base: float
    each: float

    def take(self, now: float, in_flight: int) -> tuple[float, bool]:
        return now + self.base + self.each * in_flight, False


@dataclass
class RateLimit:
    """Refuses, at once, what is above so many a second; it saves up a quarter of a second."""

    rate: float
    left: float = 0.0
    seen: float = 0.0

    def take(self, now: float, in_flight: int) -> tuple[float, bool]:
        self.left = min(self.left + (now - self.seen) * self.rate, 0.25 * self.rate)
        self.seen = now
        if self.left < 1:
            return now + 0.02, True
        self.left -= 1
        return now + LATENCY, False


@dataclass
class ByChance:
    """Refuses a share of all, however many there are."""

    share: float
    drawn: random.Random = field(default_factory=lambda: random.Random(1))

    def take(self, now: float, in_flight: int) -> tuple[float, bool]:
        return now + LATENCY * self.drawn.uniform(0.8, 1.2), self.drawn.random() < self.share


@dataclass
class WithStragglers:
    """Every fortieth request takes a hundred times as long."""

    numbers: count[int] = field(default_factory=count)

    def take(self, now: float, in_flight: int) -> tuple[float, bool]:
        is_slow = next(self.numbers) % 40 == 39
        return now + LATENCY * (100 if is_slow else 1), False


@dataclass
class OfItsOwn:
    """Takes as long as it takes, however many there are: quicker at first, or slower later."""

    first: float
    later: float
    change: int
    numbers: count[int] = field(default_factory=count)

    def take(self, now: float, in_flight: int) -> tuple[float, bool]:
        return now + (self.first if next(self.numbers) < self.change else self.later), False


@dataclass
class Trace:
    """Limits as they were at each end of a request, and how many were answered."""

    limits: list[tuple[float, int]] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    most_in_flight: int = 0

    def after(self, moment: float) -> list[int]:
        return [limit for time, limit in self.limits if time >= moment]

    def at(self, moment: float) -> int:
        return [limit for time, limit in self.limits if time <= moment][-1]

    def answers_a_second(self, begin: float, end: float) -> float:
        return sum(begin <= time < end for time in self.answered) / (end - begin)


def simulate(pace: Pace, server: Server, seconds: float) -> Trace:
    """Keep as many in flight as may be, and one until the server has answered once."""
    flying: list[tuple[float, int, float, bool]] = []
    trace, numbers, now = Trace(), count(), 0.0
    while now < seconds:
        allowed = pace.limit if trace.answered else 1
        while len(flying) < allowed and pace.wait(now) == 0:
            end, is_refused = server.take(now, len(flying) + 1)
            heapq.heappush(flying, (end, next(numbers), now, is_refused))
        trace.most_in_flight = max(trace.most_in_flight, len(flying))
        now, _, sent, is_refused = heapq.heappop(flying)
        if is_refused:
            pace.refused(sent, now)
        else:
            pace.finished(sent, now, alone=not trace.answered)
            trace.answered.append(now)
        trace.limits.append((now, pace.limit))
    return trace


# --- Where the number settles ---------------------------------------------------------------------


def test_it_doubles_with_each_round_until_the_ceiling() -> None:
    trace = simulate(Pace(8 * START), Slots(1000), 20 * LATENCY)
    # The first request is alone; then come rounds of all that may be in flight.
    ends = [trace.at((turn + 0.5) * LATENCY) for turn in range(1, 6)]
    assert ends == [START, 2 * START, 4 * START, 8 * START, 8 * START]
    assert set(trace.after(5 * LATENCY)) == {8 * START}
    assert trace.most_in_flight == 8 * START


def test_a_ceiling_is_never_exceeded() -> None:
    for ceiling in (1, 3, 50):
        trace = simulate(Pace(ceiling), Slots(1000), 50 * LATENCY)
        assert trace.most_in_flight == ceiling
        assert trace.limits[-1][1] == ceiling


@pytest.mark.parametrize("slots", [1, 2, 8, 16, 64])
def test_a_server_with_slots_gets_four_times_as_many(slots: int) -> None:
    # n in flight take n / slots times the quickest: more than 4 above 4 x slots, to which it
    # shrinks; from there it grows by an eighth and comes back. A request waits whole rounds here:
    # an eighth above 5 x slots 5 rounds are seen for sure, and little above 4 they may be.
    trace = simulate(Pace(1000), Slots(slots), 400 * LATENCY)
    settled = trace.after(200 * LATENCY)
    assert min(settled) >= int(4 * slots * 4 / 5)
    assert max(settled) <= 5 * slots * 9 / 8
    # The slots are never idle.
    assert trace.answers_a_second(200 * LATENCY, 400 * LATENCY) == pytest.approx(
        slots / LATENCY, rel=0.02
    )


def test_latency_that_grows_with_the_batch_bounds_it() -> None:
    # (0.35 + 0.05 n) / 0.4 is 4 at n = 25; growing by an eighth gives 28, where it is 4.375, and
    # 28 x 4 / 4.375 = 25.6 brings it back.
    trace = simulate(Pace(256), Batches(0.35, 0.05), 300.0)
    settled = trace.after(100.0)
    assert min(settled) >= 24
    assert max(settled) <= 29
    assert trace.most_in_flight <= 64  # 16, 32, and at most once too far


@pytest.mark.parametrize(
    ("first", "later", "change"),
    [
        (0.02, 1.0, 1),  # the first answer came out of a cache
        (0.2, 1.0, 1),
        (0.25, 1.25, 500),  # five times slower from the five hundredth on
        (0.25, 25.0, 500),
    ],
)
def test_a_server_that_is_slow_by_itself_is_asked_by_all_places(
    first: float, later: float, change: int
) -> None:
    # Shrinking makes nothing quicker: that is seen after one or two steps of halves, and undone.
    trace = simulate(Pace(64), OfItsOwn(first, later, change), 100 * later)
    assert set(trace.after(30 * later)) == {64}
    assert trace.answers_a_second(50 * later, 100 * later) == pytest.approx(64 / later, rel=0.05)


def test_a_server_that_loses_slots_midway_is_drawn_back_from() -> None:
    # 64 of 4 slots take sixteen times the quickest; what holds for four slots holds then.
    trace = simulate(Pace(64), FewerSlots(64), 400 * LATENCY)
    assert trace.at(45 * LATENCY) == 64
    settled = trace.after(200 * LATENCY)
    assert min(settled) >= int(4 * 4 * 4 / 5)
    assert max(settled) <= 5 * 4 * 9 / 8


@pytest.mark.parametrize("rate", [40.0, 400.0])
def test_a_rate_limit_is_used_and_not_much_exceeded(rate: float) -> None:
    # By Little's law rate x latency in flight are just served. Above, the places that are left
    # only fetch refusals, many of them: it is halved, and grows by an eighth a step.
    trace = simulate(Pace(1000), RateLimit(rate), 120.0)
    fitting = rate * LATENCY
    settled = trace.after(40.0)
    assert max(settled) <= fitting * 1.5 + 2
    assert min(settled) >= fitting * 0.25 - 1
    assert trace.answers_a_second(40.0, 120.0) >= 0.6 * rate


def test_one_slow_request_among_many_changes_nothing() -> None:
    trace = simulate(Pace(64), WithStragglers(), 200 * LATENCY)
    assert trace.at(30 * LATENCY) == 64
    assert set(trace.after(30 * LATENCY)) == {64}


def test_few_refusals_by_chance_leave_the_ceiling() -> None:
    # It shrinks above 6.4 of 64 and two standard errors of 2.4: 12 or more are 1 step of 20 000.
    trace = simulate(Pace(64), ByChance(0.05), 1000 * LATENCY)
    settled = trace.after(200 * LATENCY)
    assert sum(settled) / len(settled) > 60


def test_a_tenth_refused_by_chance_hardly_slows_it() -> None:
    # At 64 it shrinks in 2 steps of 100, by a fifth, and where it grows again, by an eighth where
    # one or none is refused: of 16, in 51 steps of 100. So it stays between.
    trace = simulate(Pace(64), ByChance(0.10), 2000 * LATENCY)
    settled = trace.after(200 * LATENCY)
    assert sum(settled) / len(settled) > 32
    assert min(settled) >= 8


# --- What changes it ------------------------------------------------------------------------------


def step(pace: Pace, finished: int, refused: int, *, seconds: float = 1.0, at: float = 0.0) -> int:
    """The limit after so many outcomes of requests that were sent at one moment."""
    for _ in range(refused):
        pace.refused(at, at + seconds)
    for _ in range(finished):
        pace.finished(at, at + seconds)
    return pace.limit


def pace_at(limit: int) -> Pace:
    """A pace of which nothing is known yet, at this limit."""
    pace = Pace(1000)
    pace.limit = limit
    return pace


def grown(limit: int, ceiling: int = 1000) -> Pace:
    """A pace that has come to `limit`, a power of two, by answers of one second, at time 0."""
    pace, at = Pace(ceiling), -1000.0
    while pace.limit < limit:
        step(pace, pace.limit, 0, at=at)
        at += 10
    assert pace.limit == limit
    return pace


@pytest.mark.parametrize(
    ("refused", "limit"),
    [
        (0, 400),  # doubles
        (2, 400),  # 2 of 100 are not more than a fiftieth
        (3, 200),  # the server objects, and not much
        (10, 200),  # a tenth is not more than a tenth
        (16, 200),  # nor are two standard errors more, which are 3 of 100 each
        (17, 166),  # by the share that is refused
        (25, 150),
        (50, 100),
        (90, 100),  # at most by half
        (100, 100),
    ],
)
def test_what_share_of_refusals_does(refused: int, limit: int) -> None:
    # Until the server objects, half of what may be in flight is a step.
    assert step(pace_at(200), 100 - refused, refused) == limit


def test_it_grows_by_an_eighth_once_the_server_has_objected() -> None:
    pace = grown(64)
    assert step(pace, 29, 3, at=0.0) == 64  # 9.4 % are more than a fiftieth
    assert step(pace, 64, 0, at=10.0) == 72
    assert step(pace, 72, 0, at=20.0) == 81


def test_how_many_outcomes_a_step_has() -> None:
    pace = grown(64)
    assert step(pace, 31, 0, at=0.0) == 64
    assert step(pace, 1, 0, at=0.0) == 128
    step(pace, 61, 3, at=10.0)
    assert step(pace, 127, 0, at=20.0) == 128  # all that may be in flight, once it has objected
    assert step(pace, 1, 0, at=20.0) == 144


@pytest.mark.parametrize(("seconds", "limit"), [(4.0, 128), (5.0, 51), (8.0, 32), (64.0, 4)])
def test_slow_answers_shrink_it_in_proportion(seconds: float, limit: int) -> None:
    assert step(grown(64), 64, 0, seconds=seconds) == limit


@pytest.mark.parametrize(("refused", "limit"), [(0, 16), (1, 16), (2, 8), (3, 5)])
def test_small_steps_tell_little(refused: int, limit: int) -> None:
    # One of eight is more than a tenth, and tells of no more than chance. Two are more than a
    # fiftieth; three more than 0.8 and two standard errors of 0.85.
    assert step(pace_at(8), 8 - refused, refused) == limit


def test_refusals_of_all_bring_it_to_one_and_no_lower() -> None:
    pace, limits = pace_at(8), []
    for turn in range(5):
        limits.append(step(pace, 0, 8, at=100.0 * turn))
    assert limits == [4, 2, 1, 1, 1]
    assert [step(pace, 8, 0, at=1000.0 + 100 * turn) for turn in range(3)] == [2, 3, 4]


def test_what_was_sent_before_a_step_tells_nothing_of_it() -> None:
    pace = grown(64)
    step(pace, 32, 32, at=0.0, seconds=1.0)
    assert pace.limit == 32
    step(pace, 0, 500, at=0.5, seconds=3.0)  # sent before that was found out
    step(pace, 500, 0, at=0.5, seconds=60.0)
    assert pace.limit == 32


def test_an_answer_that_was_alone_tells_how_quick_the_server_is() -> None:
    pace = pace_at(8)
    pace.finished(0.0, 1.0, alone=True)
    # It counts for the step too: 1 and seven times 8, the median is eight times the quickest.
    assert step(pace, 6, 0, seconds=8.0, at=1.0) == 8
    assert step(pace, 1, 0, seconds=8.0, at=1.0) == 4
    assert step(pace_at(8), 8, 0, seconds=8.0) == 16  # all the same: the server may be that slow


def test_answers_in_no_time_are_no_slowdown() -> None:
    assert step(pace_at(8), 8, 0, seconds=0.0) == 16


# --- Pauses that the server asks for --------------------------------------------------------------


def test_the_longest_pause_stands() -> None:
    pace = Pace(8)
    assert pace.wait(100.0) == 0
    pace.pause(103.0)
    pace.pause(101.0)
    assert pace.wait(100.5) == 2.5
    assert pace.wait(103.0) == 0
    assert pace.wait(200.0) == 0


def test_pauses_do_not_change_the_number() -> None:
    pace = grown(32)
    pace.pause(1e9)
    assert pace.limit == 32
