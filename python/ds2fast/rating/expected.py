"""The expected level of a reply: what the judge would have said on average, from its tokens."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ds2fast.rating.reply import answer_start, read_reply

LEAST_MASS = 0.9
"""Probability that must be known to lie on 1..10 for an expectation to be told."""

_PLACE = re.compile(r"(?<![^\W_])overall[\"']?\s*:\s*[\"']?\s*(10|[1-9])", re.IGNORECASE)
_BEFORE = re.compile(rb"[\s:\"']*")
_NUMBER = re.compile(rb"[\s:\"']*(10|[1-9])(?:\.0+)?(?:\s*/\s*10)?(?![\w./]|[^\x00-\x7f])")
_BARE_ONE = re.compile(rb"[\s:\"']*1")
_NOUGHT = re.compile(rb"0(?![\w./]|[^\x00-\x7f])")
_ENDING = re.compile(rb"[\s,}\"'/]")

_Chances = dict[bytes, float]  # by token, of those that the server told


def expected_level(content: str, tokens: Any, *, sample: str | None = None) -> float | None:
    """E[clip(v, 4, 9) - 4] over what the judge might have said for `overall`.

    Parameters
    ----------
    content
        The reply's text.
    tokens
        The reply's tokens as the endpoint tells them, ``choices[0].logprobs.content``: each with
        `token`, `logprob`, `top_logprobs` and perhaps `bytes`, as mappings or objects. They are
        not trusted.
    sample
        The sample as it was sent, as in `read_reply`.

    Returns
    -------
    float or None
        0..5; None where less than 0.9 of the probability is known to lie on 1..10, or where the
        tokens don't fit the content. Nothing is raised.

    Notes
    -----
    The probabilities are the endpoint's own, given what the reply says before the number. "10" may
    be one token or two: a "1" that the reply goes on from is split by the next token's
    probabilities; another "1" counts as 1 only where a token "10" shows that it can't begin a 10.

    Examples
    --------
    >>> def token(text, *likely):
    ...     return {"token": text, "logprob": -0.7, "top_logprobs": list(likely)}
    >>> def alternative(text):
    ...     return {"token": text, "logprob": math.log(0.5)}
    >>> seven_or_nine = token("7", alternative("7"), alternative("9"))
    >>> expected_level('{"overall": 7}', [token('{"overall": '), seven_or_nine, token("}")])
    4.0
    """
    at = _number_place(content, sample)
    spelled = _spellings(tokens)
    if at is None or spelled is None:
        return None
    place = _token_at(spelled, content.encode("utf-8", "surrogatepass"), at)
    chances = None if place is None else _chances(tokens[place])
    if place is None or chances is None:
        return None
    following = _chances(tokens[place + 1]) if place + 1 < len(tokens) else None
    masses = _masses(spelled[place], chances, following or {})
    known = sum(masses.values())
    if known < LEAST_MASS:
        return None
    level = sum(mass * (min(max(value, 4), 9) - 4) for value, mass in masses.items()) / known
    return min(max(level, 0.0), 5.0)


def _number_place(content: str, sample: str | None) -> int | None:
    """The byte where overall's number begins, where it is said once and can be read."""
    overall = read_reply(content, ("overall",), finish_reason=None, sample=sample).criteria
    places = list(_PLACE.finditer(content, answer_start(content, sample)))
    if overall is None or len(places) != 1 or int(places[0][1]) != overall["overall"]:
        return None
    return len(content[: places[0].start(1)].encode("utf-8", "surrogatepass"))


def _token_at(spelled: Sequence[bytes], content: bytes, at: int) -> int | None:
    """The token that the number begins in, where the tokens spell the content."""
    joined = b"".join(spelled)
    # Some servers strip the reply, some tell its end token.
    lead = len(joined) - len(joined.lstrip()) - (len(content) - len(content.lstrip()))
    rest = joined[max(lead, 0) + len(content) :].strip()
    if lead < 0 or not joined.startswith(content, lead):
        return None
    if rest and not re.fullmatch(rb"<[^<>\s]+>", rest):
        return None
    begin, at = 0, at + lead
    for place, token in enumerate(spelled):
        end = begin + len(token)
        if begin <= at < end:
            before = token[: at - begin]
            return place if _BEFORE.fullmatch(before) else None
        begin = end
    return None


def _masses(said: bytes, chances: _Chances, following: _Chances) -> dict[int, float]:
    """The known probability of each of 1..10 where `said` was said and then one of `following`."""
    masses = dict.fromkeys(range(1, 11), 0.0)
    ten_is_a_token = any(_value(spelled) == 10 for spelled in chances)
    for spelled, chance in chances.items():
        value = _value(spelled)
        if value is None:
            continue
        if not _BARE_ONE.fullmatch(spelled):
            masses[value] += chance
        elif spelled == said:
            masses[1] += chance * _mass(following, _ENDING)
            masses[10] += chance * _mass(following, _NOUGHT)
        elif ten_is_a_token:
            masses[1] += chance
    return masses


def _mass(chances: _Chances, begin: re.Pattern[bytes]) -> float:
    return sum(chance for spelled, chance in chances.items() if begin.match(spelled))


def _value(spelled: bytes) -> int | None:
    match = _NUMBER.match(spelled)
    return None if match is None else int(match.group(1))


def _spellings(tokens: Any) -> list[bytes] | None:
    """The tokens' bytes, or None where any of them is no token."""
    if not isinstance(tokens, list | tuple):
        return None
    spelled = [_spelling(entry) for entry in tokens]
    known = [token for token in spelled if token is not None]
    return known if len(known) == len(spelled) else None


def _chances(entry: Any) -> _Chances | None:
    """The probabilities told at a token's place, or None where they are none."""
    others = _field(entry, "top_logprobs")
    if others is not None and not isinstance(others, list | tuple):
        return None
    chances: _Chances = {}
    # The reply's own token may be missing among the likeliest, or be told twice.
    for told in (*(others or ()), entry):
        spelled, chance = _spelling(told), _chance(_field(told, "logprob"))
        if spelled is None or chance is None:
            return None
        chances.setdefault(spelled, chance)
    # Above 1 they are no probabilities; the slack is for rounded logarithms.
    return chances if sum(chances.values()) < 1.01 else None


def _chance(logprob: Any) -> float | None:
    if isinstance(logprob, bool) or not isinstance(logprob, int | float):
        return None
    if not logprob <= 1e-4:  # also what is not a number
        return None
    return math.exp(min(logprob, 0)) if logprob > -1e4 else 0.0


def _spelling(entry: Any) -> bytes | None:
    """A token's bytes: as told, for a token may be a part of a character, else its text's."""
    told = _field(entry, "bytes")
    if isinstance(told, list | tuple) and told:
        whole = all(type(byte) is int and 0 <= byte <= 255 for byte in told)
        return bytes(told) if whole else None
    text = _field(entry, "token")
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else None


def _field(entry: Any, name: str) -> Any:
    return entry.get(name) if isinstance(entry, Mapping) else getattr(entry, name, None)
