"""One reply that is wanted, and what has been tried to get it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ds2fast.rating.outcome import Kind
from ds2fast.rating.pauses import pause_after
from ds2fast.rating.store import StoredReply

MAX_FLAWED = 3  # answers that cannot be read, then the reply has failed
MAX_TIMED_OUT = 3  # each has held a place all the time
MAX_REFUSALS = 20  # for being one too many: no fault of the sample, but no run waits for ever
MAX_REQUESTS = 100  # whatever happens


@dataclass(frozen=True)
class Task:
    """A reply that is wanted.

    Attributes
    ----------
    key : bytes
        Hash of the sample.
    text : str
        The sample as it is sent.
    turn : int
        0 for the rating, above for its repeats.
    prompt_tokens : int
        Tokens of a request for it, as estimated.
    """

    key: bytes
    text: str
    turn: int
    prompt_tokens: int


@dataclass
class Attempt:
    """Tries to get one reply, with what they cost."""

    task: Task
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    flawed: int = 0
    troubles: Counter[Kind] = field(default_factory=Counter)

    def is_spent(self, max_tries: int) -> bool:
        """Whether it has been tried often enough."""
        timed_out = self.troubles[Kind.TIMEOUT]
        return (
            self.flawed >= min(MAX_FLAWED, max_tries)
            or timed_out >= min(MAX_TIMED_OUT, max_tries)
            or self.flawed + timed_out + self.troubles[Kind.BROKEN] >= max_tries
            or self.troubles[Kind.BUSY] >= MAX_REFUSALS
            or self.requests >= MAX_REQUESTS
        )

    def pause(self, kind: Kind | None) -> float:
        """Seconds before the next try: twice as long each time, half of it drawn at random.

        None is an answer that could not be read: the server is well, and is asked at once.
        """
        if kind is None or kind is Kind.REFORMED:
            return 0.0
        return pause_after(self.troubles[kind]) * random.uniform(0.5, 1.0)

    def rated(
        self, criteria: Mapping[str, int], expected: float | None, content: str, seconds: float
    ) -> StoredReply:
        """The reply as it is kept."""
        return self._reply(criteria, expected, None, content, seconds)

    def failed(self, reason: str, content: str | None, seconds: float) -> StoredReply:
        """The failure as it is kept."""
        tries = f" ({self.requests} tries)" if self.requests > 1 else ""
        return self._reply(None, None, f"{reason}{tries}", content, seconds)

    def _reply(
        self,
        criteria: Mapping[str, int] | None,
        expected: float | None,
        reason: str | None,
        content: str | None,
        seconds: float,
    ) -> StoredReply:
        return StoredReply(
            sample=self.task.key,
            turn=self.task.turn,
            criteria=criteria,
            expected=expected,
            reason=reason,
            content=content,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            requests=self.requests,
            seconds=seconds,
        )
