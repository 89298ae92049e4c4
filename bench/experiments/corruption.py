"""Answers that are spoilt in known ways and known amounts: the true level follows from the amount.

A level of K − 1 is the answer as it stands; each level below spoils a further 1/(K − 1) of it, and
at level 0 nothing of it is left as it was.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable

import numpy as np

LEVELS = 6

Words = list[str]
Spoil = Callable[[Words, Words, float, np.random.Generator], Words]
"""`(words, another answer's words, share to spoil, draws) -> words`."""


def corrupt(answer: str, other: str, way: str, level: int, rng: np.random.Generator) -> str:
    """The answer at a true level, spoilt in one of `WAYS`.

    Parameters
    ----------
    answer, other : str
        The row's own answer, and another row's, whose words are put in by `"swapped"`.
    way : str
        One of `WAYS`.
    level : int
        0 to 5; at 5 nothing is changed.
    """
    if way not in WAYS:
        raise ValueError(f"way: expected one of {', '.join(WAYS)}, got {way!r}")
    if not 0 <= level < LEVELS:
        raise ValueError(f"level: expected 0 to {LEVELS - 1}, got {level}")
    if level == LEVELS - 1:
        return answer
    share = (LEVELS - 1 - level) / (LEVELS - 1)
    return " ".join(WAYS[way](answer.split(" "), other.split(" "), share, rng))


def swapped(words: Words, other: Words, share: float, _: np.random.Generator) -> Words:
    """The end is that of another answer: fluent, and about something else."""
    kept = len(words) - spoilt(len(words), share)
    return words[:kept] + (other * len(words))[: len(words) - kept]


def cut(words: Words, _: Words, share: float, __: np.random.Generator) -> Words:
    """The end is missing; one word is left at least."""
    return words[: max(1, len(words) - spoilt(len(words), share))]


def garbled(words: Words, _: Words, share: float, rng: np.random.Generator) -> Words:
    """Some words change places at random, and their inner letters do; a few may stay by luck."""
    places = np.sort(rng.choice(len(words), spoilt(len(words), share), replace=False))
    taken = [_shuffled(words[place], rng) for place in rng.permutation(places)]
    found = list(words)
    for place, word in zip(places, taken, strict=True):
        found[place] = word
    return found


def off_language(words: Words, _: Words, share: float, rng: np.random.Generator) -> Words:
    """Some words are of a language that nobody speaks: each letter is the 13th after it."""
    found = list(words)
    for place in rng.choice(len(words), spoilt(len(words), share), replace=False):
        found[place] = codecs.encode(words[place], "rot13")
    return found


def spoilt(num_words: int, share: float) -> int:
    """How many words a share is: rounded."""
    return round(share * num_words)


def _shuffled(word: str, rng: np.random.Generator) -> str:
    if len(word) < 4:
        return word
    inner = "".join(word[1 + place] for place in rng.permutation(len(word) - 2))
    return word[0] + inner + word[-1]


WAYS: dict[str, Spoil] = {
    "swapped": swapped,
    "cut": cut,
    "garbled": garbled,
    "off-language": off_language,
}
