"""Tokens and money: what a request will take, and whether it may be sent."""

from __future__ import annotations

from dataclasses import dataclass, field

from ds2fast.rating.attempt import Task
from ds2fast.rating.outcome import Answer
from ds2fast.rating.prices import Price
from ds2fast.rating.tally import Tally
from ds2fast.rating.tokens import TokenCounter

MARGIN = 1.25
"""What is held back for a request: so many times its estimated prompt tokens."""


@dataclass
class Budget:
    """What may be spent.

    Attributes
    ----------
    price : Price or None
        What tokens cost.
    max_cost : float or None
        US dollars that a run may cost.
    max_reply_tokens : int
        Tokens that a reply may have.
    counter : TokenCounter
        Counts where the server does not.
    """

    price: Price | None
    max_cost: float | None
    max_reply_tokens: int
    counter: TokenCounter
    _held: float = field(init=False, default=0.0)

    def admits(self, task: Task, tally: Tally) -> bool:
        """Whether one more request keeps to the cost, whatever those in flight will take."""
        if self.max_cost is None:
            return True
        spent = tally.cost(self.price) or 0.0
        return spent + self._held + self._most(task) <= self.max_cost

    def hold(self, task: Task) -> None:
        """Hold back what a request for a task may cost, until it is over."""
        self._held += self._most(task)

    def release(self, task: Task) -> None:
        """The request is over."""
        self._held -= self._most(task)

    def _most(self, task: Task) -> float:
        if self.price is None:
            return 0.0
        return self.price.cost(
            prompt_tokens=MARGIN * task.prompt_tokens, completion_tokens=self.max_reply_tokens
        )

    def tokens(self, task: Task, answer: Answer) -> tuple[int, int]:
        """Prompt and completion tokens of an answer: the server's counts, else estimates."""
        prompt, completion = answer.prompt_tokens, answer.completion_tokens
        if completion is None:
            completion = self.counter.count(answer.content)
        return task.prompt_tokens if prompt is None else prompt, completion
