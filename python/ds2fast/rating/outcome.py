"""What came of one request: an answer, or trouble of one of a few kinds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


@dataclass(frozen=True)
class Answer:
    """A chat completion, not yet read.

    Attributes
    ----------
    content : str
        What the model wrote.
    refusal : str or None
        What it wrote in place of it where the server tells refusals apart.
    finish_reason : str or None
        "stop", "length", ...; None where the server does not say.
    token_choices : list or None
        Log probabilities of the tokens, as they came.
    prompt_tokens, completion_tokens : int or None
        As the server counted them; None where it does not say.
    """

    content: str
    refusal: str | None
    finish_reason: str | None
    token_choices: Any
    prompt_tokens: int | None
    completion_tokens: int | None


class Kind(Enum):
    """What trouble means for what is done next."""

    BUSY = "busy"  # one too many: slow down, ask again
    TIMEOUT = "timeout"  # slow down, ask again
    UNREACHABLE = "unreachable"  # no connection: wait, ask again; says nothing of the sample
    BROKEN = "broken"  # the server failed, or what came is no chat completion: ask again
    FORBIDDEN = "forbidden"  # this sample, or every one: others will tell
    REFUSED = "refused"  # this request is no good: asking again would not help
    REFORMED = "reformed"  # the server lacks an option: ask again without it
    FATAL = "fatal"  # no request would be any good


@dataclass(frozen=True)
class Trouble:
    """A request without an answer.

    Attributes
    ----------
    kind : Kind
        What it means.
    reason : str
        What happened, in words that hold no secret.
    retry_after : float or None
        Seconds that the server asks to wait.
    may_cost : bool
        Whether the model may have worked for it: the server took the request, and broke off.
    """

    kind: Kind
    reason: str
    retry_after: float | None = None
    may_cost: bool = False
