"""A judge's reply read into numbers: what it says without doubt, or the reason why not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ds2fast.rating.objects import FoundObject, Members, find_objects

QUOTE_LENGTH = 60
"""Characters of a reply that a flaw quotes at most."""

_ENDED = frozenset({None, "stop", "STOP", "eos", "eos_token", "stop_sequence", "end_turn"})
_CUT = frozenset({"length", "max_tokens", "model_length", "MAX_TOKENS"})
_WITHHELD = frozenset({"content_filter", "safety", "SAFETY"})

_WRAPPERS = frozenset(
    {"answer", "assessment", "criteria", "evaluation", "judgement", "judgment", "output"}
    | {"rating", "ratings", "response", "result", "results", "review", "score", "scores"}
)
"""Keys under which an object of ratings is the reply's own, and no example or quotation."""

_WHOLE = re.compile(r"\s*(10|[1-9])(?:\.0+)?\s*(?:/\s*10)?\s*", re.ASCII)
_BRACE = re.compile(r"[{}]")
_EXTRA_NAME = re.compile(r"[a-z][a-z0-9_ ]{0,39}")
_UNSEEN_IN_QUOTES = re.compile(r"[\s\"'`\\]+")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_REFUSAL = re.compile(
    r"\b(?:sorry|apologi[sz]e|as an ai|refuse|decline|against my|"
    r"(?:can ?not|can['’]?t|won['’]?t|(?:am|['’]m) (?:unable|not able)|unable) (?:to )?"
    r"(?:rate|help|assist|comply|do|provide|evaluate|answer|fulfil\w*|continue|process|give))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Reading:
    """What a reply says: either its ratings or its flaw.

    Attributes
    ----------
    criteria
        1..10 by criterion, in the order asked for; None where the reply can't be read.
    flaw
        Why it can't, in a few words; None where it can.
    """

    criteria: Mapping[str, int] | None
    flaw: str | None


class _FlawError(ValueError):
    """A reply that can't be read; it never leaves this file."""


def read_reply(
    content: str,
    criteria: tuple[str, ...],
    *,
    finish_reason: str | None,
    sample: str | None = None,
) -> Reading:
    """The ratings that a reply gives without doubt, or the reason why there are none.

    The ratings are one JSON object, bare or amid prose and fences, closed in the reply itself.
    Keys may have any case; numbers may be text, ``7.0`` or ``8/10``. Other quotes, bare keys,
    trailing commas and comments are repaired; anything worse is a flaw. So is a reply that says
    two things: in two objects, in one object's double keys, or in its prose.

    Parameters
    ----------
    content
        The reply's text. A thinking part (``<think>...</think>``) before the answer is left out.
    criteria
        Names that the object must have, in lower case. With ``("overall",)`` other keys with a
        whole number 1..10 are kept too (their names in lower case).
    finish_reason
        What the server said of the reply's end; anything but a natural end is a flaw.
    sample
        The sample as it was sent. An object that stands in it word for word is a flaw: a
        quotation can't be told from an answer.

    Returns
    -------
    Reading
        Never a number that is doubtful; nothing is raised whatever the reply holds.

    Examples
    --------
    >>> names = ("rarity", "overall")
    >>> read_reply('Sure: {"Rarity": "3", "Overall": 8}', names, finish_reason="stop").criteria
    {'rarity': 3, 'overall': 8}
    >>> read_reply('{"rarity": 3, "overall": 7.5}', names, finish_reason="stop").flaw
    'overall is no whole number from 1 to 10: 7.5'
    >>> read_reply('{"rarity": 3, "over', names, finish_reason="stop").flaw
    'cut or damaged: "{"rarity": 3, "over"'
    """
    try:
        _check_end(finish_reason)
        answer = content[answer_start(content, sample) :]
        if not answer.strip():
            raise _FlawError("no answer after thinking" if content.strip() else "empty reply")
        return Reading(_read_answer(answer, criteria, sample), None)
    except _FlawError as flaw:
        return Reading(None, str(flaw))


def whole_number(value: Any) -> int | None:
    """A whole number 1..10 as it is written ("7", "7.0", "8/10"), None for anything else.

    Examples
    --------
    >>> [whole_number(value) for value in ("7", " 8/10 ", "7.0", "7.5", "11", True)]
    [7, 8, 7, None, None, None]
    """
    match = _WHOLE.fullmatch(value) if isinstance(value, str) else None
    return None if match is None else int(match.group(1))


def answer_start(content: str, sample: str | None = None) -> int:
    """Where the answer begins: after the thinking part, where the reply surely has one.

    Without its opening mark (some servers put that into the prompt) the closing one counts only
    where the sample, which the reply may quote, is known not to hold it.

    Examples
    --------
    >>> answer_start("<think>Hm.</think>Yes")
    18
    """
    thinks = content.lstrip().startswith("<think>")
    closings, openings = content.count("</think>"), content.count("<think>")
    if thinks and closings == 0:
        return len(content)
    quotable = "</think>" in sample if sample is not None else not thinks
    if closings != 1 or openings != int(thinks) or quotable:
        return 0
    return content.index("</think>") + len("</think>")


def _check_end(finish_reason: str | None) -> None:
    if finish_reason in _ENDED:
        return
    said = f"finish_reason {_quote(str(finish_reason))}"
    if finish_reason in _CUT:
        raise _FlawError(f"cut: {said}")
    raise _FlawError(f"withheld: {said}" if finish_reason in _WITHHELD else f"not ended: {said}")


def _read_answer(answer: str, criteria: tuple[str, ...], sample: str | None) -> dict[str, int]:
    objects = list(find_objects(answer))
    _check_closed(answer, objects)
    _check_damage(answer, objects, criteria)
    found = [
        (item, told) for item in objects for told in _answers(item.members or Members(), criteria)
    ]
    if not found:
        raise _FlawError(_nothing(answer, objects, criteria))
    told = _agreed([members for _, members in found], criteria)
    _check_prose(answer, objects, told)
    _check_revised(objects, told)
    _check_own([answer[item.begin : item.end] for item, _ in found], sample)
    if criteria == ("overall",):
        told |= _extras([members for _, members in found])
    return told


def _check_closed(answer: str, objects: Sequence[FoundObject]) -> None:
    """No brace may be left open around or after the objects, nor any text run into their ends."""
    opened: list[int] = []
    for begin, end in _between(answer, objects):
        if begin > 0:
            _check_after(answer, begin, end)
        for brace in _BRACE.finditer(answer, begin, end):
            if brace.group() == "{":
                opened.append(brace.start())
            elif opened:
                opened.pop()
        if opened and end < len(answer):
            break  # an object inside something that is none
    if opened:
        raise _FlawError(f"cut or damaged: {_quote(answer[opened[0] :])}")


def _check_after(answer: str, begin: int, end: int) -> None:
    """What comes after an object must not look like its rest: the ``0}`` of ``{a: 1}0}``."""
    rest = answer[begin:end].lstrip("} \t\r\n")  # a brace too many does no harm
    opening, closing = rest.find("{"), rest.find("}")
    stray = closing >= 0 and not 0 <= opening < closing
    if stray or answer[begin : begin + 1].isalnum():
        raise _FlawError(f"damaged JSON: {_quote(answer[begin - 1 :])}")


def _check_damage(answer: str, objects: Sequence[FoundObject], criteria: tuple[str, ...]) -> None:
    named = re.compile(rf"(?<![^\W_])(?:{_either(criteria)})\W{{0,6}}:", re.IGNORECASE)
    for item in objects:
        text = answer[item.begin : item.end]
        if item.members is None and named.search(text):
            raise _FlawError(f"damaged JSON: {_quote(text)}")


def _answers(members: Members, criteria: tuple[str, ...]) -> Iterator[Members]:
    """The objects of ratings in an object: itself, or those one level down that say so."""
    own = _names(members, criteria)
    if own:
        yield members
    for key, value in members:
        if not isinstance(value, Members) or _name(key) not in _WRAPPERS:
            continue
        # Beside ratings of its own, an object of words or weights is no second answer.
        whole = all(whole_number(number) is not None for _, number in value)
        if _names(value, criteria) and (whole or not own):
            yield value


def _names(members: Members, criteria: tuple[str, ...]) -> bool:
    return any(_name(key) in criteria for key, _ in members)


def _agreed(answers: Sequence[Members], criteria: tuple[str, ...]) -> dict[str, int]:
    """The one number of every criterion, over all objects that name any."""
    told: dict[str, int] = {}
    for members in answers:
        for key, value in members:
            if _name(key) in criteria:
                _tell(told, _name(key), value)
    for members in answers:
        if set(criteria) <= {_name(key) for key, _ in members}:
            return {name: told[name] for name in criteria}
    first = {_name(key) for key, _ in answers[0]}
    raise _FlawError(f"missing: {', '.join(name for name in criteria if name not in first)}")


def _tell(told: dict[str, int], name: str, value: Any) -> None:
    number = whole_number(value)
    if number is None:
        raise _FlawError(f"{name} is no whole number from 1 to 10: {_shown(value)}")
    if told.setdefault(name, number) != number:
        raise _FlawError(f"{name} has two values: {told[name]} and {number}")


def _check_prose(answer: str, objects: Sequence[FoundObject], told: Mapping[str, int]) -> None:
    """Prose that rates otherwise, or refuses, leaves it open which of the two is meant."""
    said = re.compile(
        rf"(?<![^\W_])(?P<name>{_either(tuple(told))})(?![^\W_])[^\d.,;!?\n]{{0,30}}?[\s:=|>\"'*_`(–—-]"
        rf"(?P<number>\d++(?:\.\d++)?+)(?!\s*(?:[-–—]|to\b|\.\.)\s*\d)",
        re.IGNORECASE,
    )
    for begin, end in _between(answer, objects):
        for match in said.finditer(answer, begin, end):
            name = match["name"].lower()
            if whole_number(match["number"]) != told.get(name):
                raise _FlawError(f"{name} has two values: {_quote(match.group())} in prose")
        refused = _REFUSAL.search(answer, begin, end)
        if refused is not None:
            raise _FlawError(f"rates and refuses: {_quote(answer[refused.start() : end])}")


def _check_revised(objects: Sequence[FoundObject], told: Mapping[str, int]) -> None:
    """A rating under a longer name (final_overall) is no other criterion, but a second value."""
    for item in objects:
        for key, value in _all_members(item.members or Members()):
            name = next((name for name in told if name in _name(key) and name != _name(key)), None)
            number = whole_number(value)
            if name is not None and number is not None and number != told[name]:
                raise _FlawError(
                    f"{name} has two values: {told[name]}, and {number} as {_shown(key)}"
                )


def _all_members(members: Members) -> Iterator[tuple[str, Any]]:
    for key, value in members:
        if not isinstance(value, Members):
            yield key, value
            continue
        # Under any key: what revises a rating may be called anything.
        for inner, other in _all_members(value):
            yield (f"{key}.{inner}", other)


def _check_own(objects: Sequence[str], sample: str | None) -> None:
    if sample is None:
        return
    seen = _UNSEEN_IN_QUOTES.sub("", sample).casefold()
    for text in objects:
        if _UNSEEN_IN_QUOTES.sub("", text).casefold() in seen:
            raise _FlawError(f"stands in the sample itself: {_quote(text)}")


def _extras(answers: Sequence[Members]) -> dict[str, int]:
    """Whole numbers under other keys; a name fit for a column is asked of them."""
    extras: dict[str, int] = {}
    for members in answers:
        for key, value in members:
            name = _name(key)
            if name != "overall" and _EXTRA_NAME.fullmatch(name) and whole_number(value):
                _tell(extras, name, value)
    return extras


def _nothing(answer: str, objects: Sequence[FoundObject], criteria: tuple[str, ...]) -> str:
    if objects:
        return f"missing: {', '.join(criteria)}"
    kind = "refusal" if _REFUSAL.search(answer) else "no JSON"
    return f"{kind}: {_quote(answer)}"


def _between(answer: str, objects: Sequence[FoundObject]) -> Iterator[tuple[int, int]]:
    """The stretches (begin, end) of the answer that are in no object."""
    begin = 0
    for item in objects:
        yield begin, item.begin
        begin = item.end
    yield begin, len(answer)


def _either(names: tuple[str, ...]) -> str:
    return "|".join(re.escape(name) for name in names)


def _name(key: str) -> str:
    return key.strip().lower()


def _shown(value: Any) -> str:
    words = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    return _clipped(value) if isinstance(value, str) else "a list or an object"


def _quote(text: str) -> str:
    return f'"{_clipped(text)}"'


def _clipped(text: str) -> str:
    # Cut first: a reply may be long, and only its beginning is shown.
    printable = _UNPRINTABLE.sub(" ", text[: 10 * QUOTE_LENGTH])
    return " ".join(printable.split())[:QUOTE_LENGTH]
