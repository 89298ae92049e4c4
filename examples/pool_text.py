"""From a subject and a level to the words of a request and of its answer.

What a level looks like (none of the words below ever appears in a text):

=====  =============================================================================
level  answer
=====  =============================================================================
0      nothing, something cut off, something about another matter, or shuffled words
1      one vague sentence
2      a few general sentences, or a short reply that is partly wrong
3      right and thin: one or two sentences
4      complete, with specifics
5      complete, with figures, steps, a worked example and caveats
=====  =============================================================================
"""

from __future__ import annotations

import numpy as np

import pool_phrases as phrases
from pool_subject import Subject, capitalised, pick

FULL_LEVEL = 4
"""From this level on an answer tells its subject's facts."""


def request(subject: Subject, form: str, level: int, rng: np.random.Generator) -> str:
    """A question about `subject`, asked as carefully as sources of this level ask."""
    family = phrases.FAMILIES[form]
    own, others, around = _manner(family, level)
    if family not in phrases.FIXED_FAMILIES and rng.random() > own:
        ask = _filled(pick(rng, others), subject)
    else:
        ask = subject.ask
    before, after = pick(rng, around[0]), pick(rng, around[1])
    return f"{before}{_hurried(ask) if level <= 1 else ask}{after}"


def _manner(family: str, level: int) -> tuple[float, tuple[str, ...], phrases.Around]:
    """How often the subject's own question is kept, what replaces it, and what stands around it."""
    if level <= 1:
        return 0.6, phrases.HURRIED_ASKS, phrases.HURRIED
    if level < FULL_LEVEL:
        return 0.75, phrases.ASKS, phrases.ORDINARY
    return 0.8, phrases.CAREFUL_ASKS, phrases.CAREFUL[family]


def answer(subject: Subject, form: str, level: int, layout: str, rng: np.random.Generator) -> str:
    """An answer of this level; `layout` is how the source sets its full answers."""
    if level >= FULL_LEVEL and len(subject.facts) >= FULL_LEVEL:
        return _full_answer(subject, phrases.FAMILIES[form], level, layout, rng)
    if level >= 3:
        return _thin_answer(subject, rng)
    if level == 2:
        return _loose_answer(subject, rng)
    if level == 1:
        return _filled(pick(rng, phrases.VAGUE), subject)
    return _stray_answer(subject, rng)


def _full_answer(
    subject: Subject, family: str, level: int, layout: str, rng: np.random.Generator
) -> str:
    facts = list(subject.facts if level > FULL_LEVEL else subject.facts[:FULL_LEVEL])
    if family == "text":
        return "\n".join(facts)
    opening, closing = pick(rng, phrases.FULL_OPENINGS), pick(rng, phrases.FULL_CLOSINGS[family])
    separator = "\n"
    if not any("```" in fact for fact in facts):
        if layout == "numbered":
            facts = [f"{number}. {fact}" for number, fact in enumerate(facts, start=1)]
        elif layout == "bullets":
            facts = [f"- {fact}" for fact in facts]
        elif level == FULL_LEVEL:
            separator = " "
    return "\n".join(part for part in (opening, separator.join(facts), closing) if part)


def _thin_answer(subject: Subject, rng: np.random.Generator) -> str:
    brief = subject.brief or subject.facts[:2]
    if not brief:
        return _loose_answer(subject, rng)
    opening = "" if brief[0].startswith(("`", '"')) else pick(rng, phrases.PLAIN_OPENINGS)
    return " ".join(part for part in (opening, *brief) if part)


def _loose_answer(subject: Subject, rng: np.random.Generator) -> str:
    opening = _filled(pick(rng, phrases.LOOSE_OPENINGS), subject)
    closing = pick(rng, phrases.LOOSE_CLOSINGS)
    if not subject.slip:
        return " ".join(p for p in (opening, pick(rng, phrases.LOOSE_FILLINGS), closing) if p)
    if rng.random() < 0.6:
        opening = ""
    return " ".join(p for p in (opening, subject.slip, closing) if p)


def _stray_answer(subject: Subject, rng: np.random.Generator) -> str:
    kind = rng.random()
    if kind < 0.35:
        return pick(rng, phrases.STRAY)
    if kind < 0.6:
        return _filled(pick(rng, phrases.CUT_OFF), subject)
    if kind < 0.8:
        return pick(rng, phrases.BLANK)
    return _shuffled(subject, rng)


def _shuffled(subject: Subject, rng: np.random.Generator) -> str:
    """The words of the question in no order, some of them twice: a machine that lost its way."""
    words = f"{subject.name} the of and {subject.ask} is the the to".lower().split()
    order = rng.permutation(len(words))
    repeated = [word for place in order for word in [words[place]] * int(rng.integers(1, 3))]
    return " ".join(repeated[: int(rng.integers(6, 22))])


def _filled(phrase: str, subject: Subject) -> str:
    return capitalised(phrase.replace("{name}", subject.name))


def _hurried(ask: str) -> str:
    lowered = ask[:1].lower() + ask[1:]
    return lowered if not ask[1:2].isupper() else ask
