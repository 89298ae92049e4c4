"""What the rating server holds to be true: the criteria of every sample, and which tries go wrong.

All of it follows from hashes, so a test tells what must come out without asking the server.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final

CRITERIA: Final = ("rarity", "complexity", "informativeness", "overall")
# How many samples of 100 have an overall of 1, 2, ... 10: no level holds more than a fifth.
OVERALL_SHARES: Final = (2, 3, 5, 10, 15, 20, 20, 15, 7, 3)

_HASH = re.compile("[0-9a-f]{12,}")
_MARK_WORDS: Final = 4


def hash_number(*parts: object) -> int:
    """A number of 64 bits that depends on the parts and on nothing else."""
    text = "\0".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def hash_share(*parts: object) -> float:
    """The same as a number from 0 up to, but without, 1."""
    return (hash_number(*parts) >> 11) / 2**53


def sample_in(message: str) -> str | None:
    """The sample that a user message holds between two marks: short lines with one hash."""
    lines = message.split("\n")
    marks = [_mark_of(line) for line in lines]
    for first, mark in enumerate(marks):
        if mark is not None and mark in marks[first + 1 :]:
            last = len(lines) - 1 - marks[::-1].index(mark)
            return "\n".join(lines[first + 1 : last])
    return None


def _mark_of(line: str) -> str | None:
    """The hash in a line that is no sentence: one may speak of the mark."""
    found = _HASH.search(line)
    return found.group() if found and len(line.split()) <= _MARK_WORDS else None


def true_criteria(sample: str) -> dict[str, int]:
    """The four criteria of a sample, as every right reply of the server gives them."""
    place = hash_number("overall", sample) % sum(OVERALL_SHARES)
    overall = 1
    while place >= sum(OVERALL_SHARES[:overall]):
        overall += 1
    others = {
        name: min(max(overall + hash_number(name, sample) % 5 - 2, 1), 10) for name in CRITERIA[:-1]
    }
    return {**others, "overall": overall}


def true_level(sample: str) -> int:
    """The overall as a level 0..5."""
    return _level(true_criteria(sample)["overall"])


def true_chances(sample: str) -> dict[int, float]:
    """The probability of every overall, likeliest first, that the token probabilities tell."""
    overall = true_criteria(sample)["overall"]
    beside = 0.1 + 0.3 * hash_share("beside", sample)
    near = [value for value in (overall - 1, overall + 1) if 1 <= value <= 10]
    return {overall: 1 - beside, **{value: beside / len(near) for value in near}}


def true_expected(sample: str) -> float:
    """The mean of the level under those probabilities."""
    return sum(chance * _level(value) for value, chance in true_chances(sample).items())


def fault_of(
    sample: str, number: int, kinds: Sequence[str], share: float, *, sticky: bool = False
) -> str | None:
    """How the try of that number (from 0) for a sample goes wrong; None: it goes well.

    So large a share of all tries goes wrong, in each of the kinds as often; sticky, the same
    share of the samples has every try go wrong, always in the same way.
    """
    moment = ("sticky",) if sticky else ("try", number)
    if not kinds or hash_share("fault", sample, *moment) >= share:
        return None
    return kinds[hash_number("kind", sample, *moment) % len(kinds)]


def injected(sample: str) -> Mapping[str, int]:
    """Criteria that a sample may wish for: full marks, which are never the true ones."""
    wished = dict.fromkeys(CRITERIA, 10)
    return wished if wished != true_criteria(sample) else dict.fromkeys(CRITERIA, 9)


def sample_hash(sample: str) -> str:
    """How a sample is named in the server's log."""
    return f"{hash_number('sample', sample):016x}"


def _level(overall: int) -> int:
    return min(max(overall, 4), 9) - 4
