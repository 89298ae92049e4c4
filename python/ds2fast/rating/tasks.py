"""Which replies are wanted of a rater, and which it has given already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ds2fast.rating.attempt import Task
from ds2fast.rating.prompt import Prompt
from ds2fast.rating.samples import Samples
from ds2fast.rating.settings import RatingSettings
from ds2fast.rating.store import StoredReply
from ds2fast.rating.tokens import TokenCounter

Replies = Mapping[tuple[bytes, int], StoredReply]


@dataclass(frozen=True, eq=False)
class TaskPlan:
    """What a run is to ask.

    Attributes
    ----------
    wanted : list of (int, int)
        Sample's place and turn of all replies, in the order in which they are asked for.
    missing : list of (int, int)
        Those of them that are to be asked for now.
    num_kept : int
        Those of them that were had before and stand.
    """

    samples: Samples
    wanted: list[tuple[int, int]]
    missing: list[tuple[int, int]]
    num_kept: int

    def tasks(self, prompt: Prompt, counter: TokenCounter) -> Iterator[Task]:
        """The missing replies, each counted when it is read."""
        count = counter.remembering(prompt.system)
        for place, turn in self.missing:
            text = self.samples.texts[place]
            tokens = count.count_request(prompt.messages(text))
            yield Task(self.samples.keys[place], text, turn, tokens)


def plan_tasks(samples: Samples, replies: Replies, settings: RatingSettings) -> TaskPlan:
    """All samples once, the first `sample` of them in the drawn order `repeat` times.

    A reply that was had is not missing; one that failed is only with `retry_failed`. `limit` takes
    the first so many samples that miss anything.
    """
    wanted: list[tuple[int, int]] = []
    missing: list[tuple[int, int]] = []
    asked = num_kept = 0
    for number, place in enumerate(samples.order(settings.seed)):
        turns = settings.repeat if number < settings.sample else 1
        key = samples.keys[place]
        lacking = [turn for turn in range(turns) if _lacks(replies.get((key, turn)), settings)]
        num_kept += turns - len(lacking)
        wanted += [(place, turn) for turn in range(turns)]
        if lacking and (settings.limit is None or asked < settings.limit):
            asked += 1
            missing += [(place, turn) for turn in lacking]
    return TaskPlan(samples, wanted, missing, num_kept)


def _lacks(reply: StoredReply | None, settings: RatingSettings) -> bool:
    return reply is None or (settings.retry_failed and not reply.is_rated)
