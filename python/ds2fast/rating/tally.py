"""What a run has had so far: replies, requests, tokens, money."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ds2fast.rating.outcome import Answer, Kind, Trouble
from ds2fast.rating.prices import Price


@dataclass
class Tally:
    """Counts of one run.

    Attributes
    ----------
    rated, failed : int
        Replies that were read, and that could not be had.
    requests : int
        Requests that were answered or failed.
    prompt_tokens, completion_tokens : int
        As the server counted them, or as estimated where it does not.
    lost_tokens : int
        Estimated prompt tokens of requests that broke off: they may have to be paid too.
    is_estimated : bool
        Whether the server left any count out.
    troubles : Counter of str
        Requests without a usable answer, by kind.
    """

    rated: int = 0
    failed: int = 0
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    lost_tokens: int = 0
    is_estimated: bool = False
    troubles: Counter[str] = field(default_factory=Counter)

    @property
    def replies(self) -> int:
        """Replies that came to an end."""
        return self.rated + self.failed

    def answered(self, answer: Answer, prompt: int, completion: int) -> None:
        """Count an answer; `prompt` and `completion` are the estimates for what it leaves out."""
        self.requests += 1
        self.is_estimated |= answer.prompt_tokens is None or answer.completion_tokens is None
        self.prompt_tokens += prompt
        self.completion_tokens += completion

    def troubled(self, trouble: Trouble, prompt: int) -> None:
        """Count a request without an answer, whose prompt had about `prompt` tokens."""
        self.requests += 1
        self.troubles[trouble.kind.value] += 1
        if trouble.kind in {Kind.TIMEOUT, Kind.BROKEN}:
            self.lost_tokens += prompt

    def cost(self, price: Price | None) -> float | None:
        """US dollars, what broke off counted in full; None without a price."""
        if price is None:
            return None
        prompt = self.prompt_tokens + self.lost_tokens
        return price.cost(prompt_tokens=prompt, completion_tokens=self.completion_tokens)
