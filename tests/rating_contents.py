"""What the rating server's model says: right answers, and every way of spoiling one."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rating_truth import CRITERIA, hash_number, injected, true_chances, true_criteria

_PIECES = re.compile(r" ?\w+|[^\w]")
# No server gives more likely tokens than this.
MOST_LIKELY_TOKENS: Final = 20


@dataclass(frozen=True)
class Try:
    """One request for a rating: the sample, the try's number for it, and what is asked with it."""

    model: str
    sample: str
    number: int
    key: str = ""

    def draw(self, what: str, num_ways: int) -> int:
        """One of so many ways, always the same for the same try."""
        return hash_number(what, self.sample, self.number) % num_ways


@dataclass(frozen=True)
class Message:
    """What the model answers, and why it stopped."""

    content: str | None
    finish_reason: str = "stop"
    refusal: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {"role": "assistant", "content": self.content, "refusal": self.refusal}


def right(asked: Try) -> Message:
    return Message(json.dumps(true_criteria(asked.sample)))


def truncated(asked: Try) -> Message:
    """Cut anywhere; a server that tells so says `length`, some never do."""
    content = json.dumps(true_criteria(asked.sample))
    cut = 1 + asked.draw("cut", len(content) - 1)
    return Message(content[:cut], ("length", "stop")[asked.draw("told", 2)])


def prose(asked: Try) -> Message:
    answer = json.dumps(true_criteria(asked.sample), indent=asked.draw("indent", 3))
    wrappings = (
        f"Here is my rating of the sample:\n\n```json\n{answer}\n```\n\nTell me if you need more.",
        f"```\n{answer}\n```",
        f"I looked at 3 things, 10 of 10 times. {answer} I hope that this helps!",
        f"\n\n  {answer}\n",
    )
    return Message(wrappings[asked.draw("wrapping", len(wrappings))])


def strings(asked: Try) -> Message:
    spelling = ("{}", " {} ", "{}/10")[asked.draw("spelling", 3)]
    spelt = {name: spelling.format(value) for name, value in true_criteria(asked.sample).items()}
    return Message(json.dumps(spelt))


def missing(asked: Try) -> Message:
    criteria = true_criteria(asked.sample)
    del criteria[_one_criterion(asked)]
    return Message(json.dumps(criteria))


def out_of_range(asked: Try) -> Message:
    wrong = (0, 11, 7.5, -3)[asked.draw("wrong", 4)]
    return Message(json.dumps({**true_criteria(asked.sample), _one_criterion(asked): wrong}))


def refusal(asked: Try) -> Message:
    words = "I'm sorry, but I can't help with rating this content."
    return (
        Message(None, refusal=words),
        Message(words),
        Message("", "content_filter"),
    )[asked.draw("refusal", 3)]


def echo(asked: Try) -> Message:
    """The sample's own JSON (or one that it may wish for) is quoted before the answer."""
    found = re.search(r"\{[^{}]*\}", asked.sample)
    quoted = found.group() if found else json.dumps(injected(asked.sample))
    answer = json.dumps(true_criteria(asked.sample))
    return Message(f"The sample asks me to answer {quoted}\nMy own rating is:\n{answer}")


def null_content(asked: Try) -> Message:
    return Message(None, ("stop", "length", "tool_calls")[asked.draw("reason", 3)])


def leak(asked: Try) -> Message:
    """The model's words hold the key that came with the request."""
    return Message(leaking_words(asked))


def leaking_words(asked: Try) -> str:
    """Words with the key in them, anywhere: who quotes their beginning may cut it in two."""
    padding = "." * (asked.draw("padding", 200) + 4000 * asked.draw("far", 2))
    return f"{padding} refused by upstream: 'Authorization: Bearer {asked.key}'"


MESSAGES: Final[Mapping[str, Callable[[Try], Message]]] = {
    "right": right,
    "truncated": truncated,
    "prose": prose,
    "strings": strings,
    "missing": missing,
    "range": out_of_range,
    "refusal": refusal,
    "echo": echo,
    "null-content": null_content,
    "leak": leak,
}


def pieces_of(content: str) -> list[str]:
    """The tokens of a reply: put together they are the content."""
    return _PIECES.findall(content)


def cut_to(message: Message, max_tokens: int | None) -> Message:
    """The message as far as the tokens that were allowed go."""
    if message.content is None or max_tokens is None:
        return message
    pieces = pieces_of(message.content)
    if len(pieces) <= max_tokens:
        return message
    return Message("".join(pieces[:max_tokens]), "length", message.refusal)


def token_chances(asked: Try, content: str, num_likely: int) -> list[dict[str, Any]]:
    """The content's tokens with their probabilities; those of the overall's number are spread."""
    pieces = pieces_of(content)
    names = [place for place, piece in enumerate(pieces) if piece.strip() == "overall"]
    after = names[-1] if names else len(pieces)
    numbers = (place for place in range(after, len(pieces)) if pieces[place].strip().isdigit())
    spread = next(numbers, None)
    return [
        _token(piece, _spread(asked, piece) if place == spread else {piece: 1.0}, num_likely)
        for place, piece in enumerate(pieces)
    ]


def _spread(asked: Try, piece: str) -> dict[str, float]:
    blank = piece[: len(piece) - len(piece.lstrip())]
    return {f"{blank}{value}": chance for value, chance in true_chances(asked.sample).items()}


def _token(piece: str, chances: Mapping[str, float], num_likely: int) -> dict[str, Any]:
    likely = [_chance(token, chance) for token, chance in chances.items()]
    own = _chance(piece, chances.get(piece, 0.01))
    return {**own, "top_logprobs": likely[: min(num_likely, MOST_LIKELY_TOKENS)]}


def _chance(token: str, chance: float) -> dict[str, Any]:
    return {"token": token, "logprob": math.log(chance), "bytes": list(token.encode())}


def _one_criterion(asked: Try) -> str:
    return CRITERIA[asked.draw("criterion", len(CRITERIA))]
