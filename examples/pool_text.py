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
    if level <= 1:
        own, others, around = 0.6, phrases.HURRIED_ASKS, phrases.HURRIED
    elif level < FULL_LEVEL:
        own, others, around = 0.75, phrases.ASKS, phrases.ORDINARY
    else:
        own, others, around = 0.8, phrases.CAREFUL_ASKS, phrases.CAREFUL
    keeps_words = form in phrases.FIXED_FORMS or rng.random() < own
    ask = subject.ask if keeps_words else _filled(pick(rng, others), subject)
    before, after = pick(rng, around[0]), pick(rng, around[1])
    if level <= 1:
        return f"{before}{_hurried(ask)}{after}"
    return f"{before}{ask}{after}"


def answer(subject: Subject, level: int, layout: str, rng: np.random.Generator) -> str:
    """An answer of this level; `layout` is how the source sets its full answers."""
    if level >= FULL_LEVEL and len(subject.facts) >= FULL_LEVEL:
        return _full_answer(subject, level, layout, rng)
    if level >= 3:
        return _thin_answer(subject, rng)
    if level == 2:
        return _loose_answer(subject, rng)
    if level == 1:
        return _filled(pick(rng, phrases.VAGUE), subject)
    return _stray_answer(subject, rng)


def _full_answer(subject: Subject, level: int, layout: str, rng: np.random.Generator) -> str:
    facts = list(subject.facts)
    if level == FULL_LEVEL and len(facts) > FULL_LEVEL:
        facts = facts[:FULL_LEVEL]
    opening, closing = pick(rng, phrases.FULL_OPENINGS), pick(rng, phrases.FULL_CLOSINGS)
    if layout == "numbered" and not any("```" in fact for fact in facts):
        facts = [f"{number}. {fact}" for number, fact in enumerate(facts, start=1)]
    elif layout == "bullets" and not any("```" in fact for fact in facts):
        facts = [f"- {fact}" for fact in facts]
    separator = " " if layout == "prose" and level == FULL_LEVEL else "\n"
    if any("```" in fact for fact in facts):
        separator = "\n"
    body = separator.join(facts)
    return "\n".join(part for part in (opening, body, closing) if part)


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
