"""Long samples cut to a budget of tokens, the same on every machine."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from ds2fast.errors import InputError, InputTypeError
from ds2fast.rating.token_rules import LEAST_COST, LONGEST_PIECE, piece_costs, rule_tokens

FEWEST_TOKENS = 32
"""The smallest budget: what is left beside the mark must still be a sample."""

_CUT = "\n[... {count} characters left out ...]\n"
_CUT_FORM = re.compile(r"\n\[\.\.\. [0-9]+ characters left out \.\.\.\]\n")
_CUT_TOKENS = 14  # the mark with a count of 12 digits, and what its ends add to their neighbours
_HEAD_SHARE = 0.75
_MOST_CHARACTERS = LONGEST_PIECE * 1000 // LEAST_COST  # a token; so far a long text is looked at
_JOINER = "\u200d"


def fit_sample(text: str, max_tokens: int) -> tuple[str, bool]:
    r"""Cut the middle out of a sample that has more tokens than the budget.

    Tokens are counted by rules (`rule_tokens`), whatever tokeniser is installed, so that a sample
    is sent, and known, the same everywhere. Of what is kept, three quarters are the beginning and
    one quarter is the end; a line between them says how many characters were left out.

    Parameters
    ----------
    text : str
        A sample.
    max_tokens : int
        Most tokens of what is returned, 32 or more.

    Returns
    -------
    text : str
        What is to be sent. Lone surrogates, which cannot be sent, are replaced.
    cut : bool
        Whether something was left out.

    Raises
    ------
    InputTypeError, InputError
        Where `max_tokens` is no whole number, or too small.

    Examples
    --------
    >>> fit_sample("a frog", 32)
    ('a frog', False)
    >>> print(fit_sample("frog " * 1000 + "toad", 32)[0])
    frog frog frog frog frog frog frog frog frog frog frog frog frog frog
    [... 4915 characters left out ...]
     frog frog frog toad
    """
    _check_budget(max_tokens)
    text = sendable(text)
    reach = _MOST_CHARACTERS * max_tokens
    if len(text) <= reach and rule_tokens(text) <= max_tokens:
        return text, False
    kept = 1000 * (max_tokens - _CUT_TOKENS)
    head = sum(_lengths_within(piece_costs(text[:reach]), _HEAD_SHARE * kept))
    last_first = reversed(list(piece_costs(text[-reach:])))
    tail = sum(_lengths_within(last_first, (1 - _HEAD_SHARE) * kept))
    begin, end = _whole_characters(text, head, len(text) - tail)
    return text[:begin] + _CUT.format(count=end - begin) + text[end:], True


def looks_cut(sample: str) -> bool:
    r"""Whether a sample has the line that `fit_sample` leaves where it cut.

    Examples
    --------
    >>> looks_cut("a\n[... 12 characters left out ...]\nfrog")
    True
    """
    return _CUT_FORM.search(sample) is not None


def sendable(text: str) -> str:
    r"""A text that has UTF-8: pairs of surrogates are joined, lone ones replaced.

    Examples
    --------
    >>> sendable("a \ud83d\ude00 \ud83d") == "a \U0001f600 \ufffd"
    True
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _check_budget(max_tokens: int) -> None:
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int):
        raise InputTypeError(
            f"max_tokens: expected a whole number, got {type(max_tokens).__name__}"
        )
    if max_tokens < FEWEST_TOKENS:
        raise InputError(f"max_tokens: expected {FEWEST_TOKENS} or more, got {max_tokens}")


def _lengths_within(pieces: Iterable[tuple[str, int]], budget: float) -> Iterable[int]:
    """Lengths of the first pieces that together cost no more than the budget."""
    total = 0
    for piece, cost in pieces:
        total += cost
        if total > budget:
            return
        yield len(piece)


def _whole_characters(text: str, begin: int, end: int) -> tuple[int, int]:
    """Move the places of a cut apart where they would part a character from its marks."""
    while begin > 0 and _is_joined(text, begin):
        begin -= 1
    while end < len(text) and _is_joined(text, end):
        end += 1
    return begin, end


def _is_joined(text: str, place: int) -> bool:
    behind = text[place]
    return (
        unicodedata.category(behind).startswith("M")
        or behind == _JOINER
        or text[place - 1] == _JOINER
    )
