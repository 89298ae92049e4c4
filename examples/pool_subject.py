"""One thing that a row of the demo's pool can be about, and what is known about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

T = TypeVar("T")


@dataclass(frozen=True)
class Subject:
    """A question and the material for answers of every fullness.

    Attributes
    ----------
    ask : str
        The question as a careful person puts it (a hurried one where the source is hurried).
    name : str
        What it is about, a noun phrase that fits inside a sentence.
    facts : tuple of str
        Sentences of the full answer, in the order in which they are told; the last is a caveat.
    brief : tuple of str
        A correct answer that leaves most of it out.
    slip : str
        A short answer that is generic or partly wrong; empty where there is none.
    """

    ask: str
    name: str
    facts: tuple[str, ...] = ()
    brief: tuple[str, ...] = ()
    slip: str = ""


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """One of `choices`, each as likely as any other."""
    return choices[int(rng.integers(len(choices)))]


def capitalised(text: str) -> str:
    """`text` with its first letter in upper case and the rest as it is."""
    return text[:1].upper() + text[1:]
