"""Asking for many replies at once: paced, bounded, each kept before the next takes its place."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from ds2fast.rating.alarms import Alarms
from ds2fast.rating.attempt import Attempt, Task
from ds2fast.rating.budget import Budget
from ds2fast.rating.client import ChatClient
from ds2fast.rating.commit import GroupCommit
from ds2fast.rating.completion import quote
from ds2fast.rating.expected import expected_level
from ds2fast.rating.outcome import Answer, Kind, Trouble
from ds2fast.rating.pace import Pace
from ds2fast.rating.prompt import Prompt
from ds2fast.rating.queue import AttemptQueue
from ds2fast.rating.reply import Reading, read_reply
from ds2fast.rating.request import RequestForm
from ds2fast.rating.silence import BUSY_PATIENCE, Silence
from ds2fast.rating.store import StoredReply
from ds2fast.rating.tally import Tally

GRACE = 15.0  # seconds that requests in flight are awaited when a run is stopped
TICK = 0.5

_NO_LOGPROBS = (
    "logprobs: the server takes the option and gives none: leave logprobs= (--logprobs) out"
)


class Ending(Enum):
    """How a run ended."""

    DONE = "done"
    COST = "max-cost"
    ALARM = "alarm"
    SERVER = "server"
    STOPPED = "stopped"


@dataclass
class Watched:
    """What a run is watched by."""

    tally: Tally
    budget: Budget
    alarms: Alarms
    keep_going: bool


class RatingRun:
    """Gets replies for tasks from one model.

    Parameters
    ----------
    client : ChatClient
        What asks.
    prompt : Prompt
        What is asked.
    queue : AttemptQueue
        What is wanted.
    write : callable(replies)
        Keeps replies for good.
    watched : Watched
        Counts, limits and alarms.
    concurrency : int
        The most requests in flight.
    max_tries : int
        Requests for one reply, those not counted that say nothing of the sample.

    Attributes
    ----------
    ending : Ending
        How it ended, when it has.
    reason : str
        Why, in words, where something was wrong.
    """

    def __init__(
        self,
        client: ChatClient,
        prompt: Prompt,
        queue: AttemptQueue,
        write: Callable[[Sequence[StoredReply]], None],
        watched: Watched,
        *,
        concurrency: int,
        max_tries: int,
    ) -> None:
        self.ending, self.reason = Ending.DONE, ""
        self._client, self._prompt, self._queue = client, prompt, queue
        self._watched, self._max_tries = watched, max_tries
        self._pace = Pace(concurrency)
        self._commit = GroupCommit(write, self._kept)
        self._in_flight: set[asyncio.Task[None]] = set()
        self._uncommitted = 0
        self._silence = Silence()
        self._has_answered = False
        self._forbidden: set[bytes] = set()
        self._changed = asyncio.Event()
        self._is_stopping = False
        self._deadline = math.inf  # of what is in flight, once the user stops the run
        self._bug: BaseException | None = None

    @property
    def num_in_flight(self) -> int:
        """Requests under way, and replies that are not on disk yet."""
        return len(self._in_flight) + self._uncommitted

    @property
    def form(self) -> RequestForm:
        """Options that the server takes, as far as it has told."""
        return self._client.form

    @property
    def silent_seconds(self) -> float:
        """Seconds in which nothing was answered."""
        return self._silence.lasted(time.monotonic())

    @property
    def num_kept(self) -> int:
        """Replies of this run that are on disk."""
        return self._watched.tally.replies

    def stop(self) -> None:
        """Send no more; what is in flight is awaited. To be called on the run's loop."""
        self._end(Ending.STOPPED, "stopped")

    async def run(self) -> None:
        """Ask until all is had or something ends it; then `ending` and `reason` tell."""
        writing = asyncio.create_task(self._commit.run())
        writing.add_done_callback(lambda _: self._changed.set())
        try:
            while not self._is_stopping and (self._queue or self.num_in_flight):
                if writing.done():
                    break
                # One clock for both: a pause that ends between two looks would be waited for for
                # ever.
                now = time.monotonic()
                self._send(now)
                await self._wait(now)
            await self._land(writing)
        finally:
            await self._cancel()
            self._commit.close()
            try:
                await writing
            finally:
                await self._client.close()
        if self._bug is not None:
            raise self._bug

    async def _cancel(self) -> None:
        """Give up what is still in flight."""
        left = list(self._in_flight)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _send(self, now: float) -> None:
        """Send what may be sent now."""
        while not self._is_stopping and self.num_in_flight < self._most_in_flight:
            task = self._queue.peek(now)
            if task is None or self._pace.wait(now) > 0:
                return
            if not self._watched.budget.admits(task, self._watched.tally):
                if not self.num_in_flight:
                    self._end(Ending.COST, "the next request might exceed max_cost")
                return
            self._watched.budget.hold(task)
            sending = asyncio.create_task(self._try(self._queue.take(now)))
            self._in_flight.add(sending)
            sending.add_done_callback(self._landed)

    @property
    def _most_in_flight(self) -> int:
        """One until the server has answered once: that one finds out which options it takes."""
        return 1 if self._silence.is_first else self._pace.limit

    async def _wait(self, now: float) -> None:
        """Wait until something has come, or may be sent that `_send` could not send."""
        due = self._queue.wait(now)
        pauses = [max(self._pace.wait(now), due)] if due is not None else []
        is_full = self.num_in_flight >= self._most_in_flight
        seconds = None if is_full or not pauses or pauses[0] <= 0 else pauses[0]
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except TimeoutError:
            return
        self._changed.clear()

    async def _land(self, writing: asyncio.Task[None]) -> None:
        """Await what is in flight and paid for; where the user stopped the run, for a while."""
        while self.num_in_flight and not writing.done() and time.monotonic() < self._deadline:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), TICK)
            except TimeoutError:
                continue

    def _landed(self, sending: asyncio.Task[None]) -> None:
        self._in_flight.discard(sending)
        self._changed.set()
        if not sending.cancelled() and (error := sending.exception()) is not None:
            self._bug = error
            self._end(Ending.STOPPED, "")

    async def _try(self, attempt: Attempt) -> None:
        sent = time.monotonic()
        try:
            outcome = await self._client.ask(self._prompt.messages(attempt.task.text))
        finally:
            self._watched.budget.release(attempt.task)
        now = time.monotonic()
        attempt.requests += 1
        if isinstance(outcome, Answer):
            self._answered(attempt, outcome, sent, now)
        else:
            self._troubled(attempt, outcome, sent, now)

    def _answered(self, attempt: Attempt, answer: Answer, sent: float, now: float) -> None:
        self._pace.finished(sent, now, alone=self._silence.is_first)
        self._silence.end()
        self._has_answered = True
        prompt, completion = self._watched.budget.tokens(attempt.task, answer)
        attempt.prompt_tokens += prompt
        attempt.completion_tokens += completion
        self._watched.tally.answered(answer, prompt, completion)
        reading = self._read(attempt.task, answer)
        if reading.criteria is not None and self._lacks_logprobs(answer):
            self._end(Ending.SERVER, _NO_LOGPROBS)
        if reading.criteria is not None:
            expected = expected_level(
                answer.content, answer.token_choices, sample=attempt.task.text
            )
            self._finish(attempt.rated(reading.criteria, expected, answer.content, now - sent))
            return
        attempt.flawed += 1
        self._watched.tally.troubles["unreadable"] += 1
        self._try_again(attempt, None, str(reading.flaw), answer.content, sent, now)

    def _lacks_logprobs(self, answer: Answer) -> bool:
        """Whether log probabilities were asked for and are not there, in the first good answer."""
        is_first = not self._watched.tally.rated and not self._uncommitted
        return is_first and self._client.form.logprobs and not answer.token_choices

    def _read(self, task: Task, answer: Answer) -> Reading:
        if answer.refusal:
            return Reading(None, f"refusal: {quote(answer.refusal)}")
        return read_reply(
            answer.content,
            self._prompt.criteria,
            finish_reason=answer.finish_reason,
            sample=task.text,
        )

    def _troubled(self, attempt: Attempt, trouble: Trouble, sent: float, now: float) -> None:
        kind = trouble.kind
        self._watched.tally.troubled(
            trouble, attempt.task.prompt_tokens, self._watched.budget.max_reply_tokens
        )
        if kind is Kind.FATAL or (kind is Kind.FORBIDDEN and self._is_forbidden(attempt)):
            self._end(Ending.SERVER, trouble.reason)
            return
        if trouble.retry_after is not None:
            self._pace.pause(now + trouble.retry_after)
        if kind is Kind.BUSY:
            self._pace.refused(sent, now)
        if kind is Kind.TIMEOUT and not attempt.troubles[kind]:
            self._pace.finished(sent, now)  # the second tells of the sample, not of a queue
        is_fresh = not attempt.troubles.total() and not attempt.flawed
        attempt.troubles[kind] += 1
        if kind is Kind.REFUSED:
            self._silence.end()  # of this sample: the server is well
        self._watch_silence(trouble, sent, now, is_fresh=is_fresh)
        if kind is Kind.REFUSED or (kind is Kind.FORBIDDEN and self._has_answered):
            self._finish(attempt.failed(trouble.reason, None, now - sent))
        else:
            self._try_again(attempt, kind, trouble.reason, None, sent, now)

    def _is_forbidden(self, attempt: Attempt) -> bool:
        """Whether the key is at fault: several samples were forbidden, and none answered."""
        self._forbidden.add(attempt.task.key)
        enough = len(self._forbidden) > 1 or attempt.troubles[Kind.FORBIDDEN] > 1
        return enough and not self._has_answered

    def _try_again(
        self,
        attempt: Attempt,
        kind: Kind | None,
        reason: str,
        content: str | None,
        sent: float,
        now: float,
    ) -> None:
        if attempt.is_spent(self._max_tries):
            self._finish(attempt.failed(reason, content, now - sent))
        else:
            self._queue.put_back(attempt, now + attempt.pause(kind))

    def _watch_silence(self, trouble: Trouble, sent: float, now: float, *, is_fresh: bool) -> None:
        """Send less while nothing is answered; end the run where that lasts, or is asked for."""
        self._pace.pause(now + self._silence.pause(trouble.kind, sent, now))
        too_long = self._silence.too_long(trouble.kind, sent, now, is_fresh=is_fresh)
        if too_long is not None:
            self._end(Ending.SERVER, f"{trouble.reason}; {too_long}")
        elif (wait := self._pace.wait(now)) > BUSY_PATIENCE:  # nothing would be sent until then
            self._end(Ending.SERVER, f"{trouble.reason}; it asks to wait for {wait:.0f} s")

    def _finish(self, reply: StoredReply) -> None:
        self._uncommitted += 1
        self._commit.add(reply)

    def _kept(self, replies: Sequence[StoredReply]) -> None:
        """Replies are on disk: only now others may take their place."""
        self._uncommitted -= len(replies)
        tally = self._watched.tally
        for reply in replies:
            tally.rated += reply.is_rated
            tally.failed += not reply.is_rated
            self._watched.alarms.see(reply)
        alarm = self._watched.alarms.raised(at_end=False)
        if alarm is not None and not self._watched.keep_going:
            self._end(Ending.ALARM, alarm)
        self._changed.set()

    def _end(self, ending: Ending, reason: str) -> None:
        """Send no more; the first reason stands."""
        if not self._is_stopping:
            self.ending, self.reason = ending, reason
        if ending is Ending.STOPPED:
            self._deadline = min(self._deadline, time.monotonic() + GRACE)
        self._is_stopping = True
        self._changed.set()
