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
    lost_prompt_tokens, lost_completion_tokens : int
        The most that requests that broke off may have taken, which may have to be paid too.
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
    lost_prompt_tokens: int = 0
    lost_completion_tokens: int = 0
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

    def troubled(self, trouble: Trouble, prompt: int, completion: int) -> None:
        """Count a request without an answer, which may have taken so many tokens."""
        self.requests += trouble.kind is not Kind.UNREACHABLE
        self.troubles[trouble.kind.value] += 1
        if trouble.may_cost:
            self.lost_prompt_tokens += prompt
            self.lost_completion_tokens += completion

    def cost(self, price: Price | None) -> float | None:
        """US dollars, what broke off counted as if it had ended; None without a price."""
        if price is None:
            return None
        return price.cost(
            prompt_tokens=self.prompt_tokens + self.lost_prompt_tokens,
            completion_tokens=self.completion_tokens + self.lost_completion_tokens,
        )
