"""Replies that are worth no money: too many failures, or scores that hardly differ."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ds2fast.rating.levels import level_of
from ds2fast.rating.store import StoredReply

MAX_FAILED = 0.05
MAX_ONE_LEVEL = 0.60
FEWEST = 20
"""With fewer rated samples shares tell nothing."""

FEWEST_REPEATS = 50
"""A steady judge may repeat itself some times; this often none does in all criteria."""

SURE = 3.0
"""Standard errors by which a share must be too high for a run to be stopped before its end."""


@dataclass
class Alarms:
    """Watches the replies of one rater.

    A run is stopped early only where chance is ruled out (three standard errors); at its end the
    shares are taken as they are.

    Attributes
    ----------
    watches_repeats : bool
        Whether any sample is rated more than once.
    """

    watches_repeats: bool = False
    _finished: int = 0
    _failed: int = 0
    _levels: Counter[int] = field(default_factory=Counter)
    _overalls: Counter[int] = field(default_factory=Counter)
    _criteria: set[tuple[int, ...]] = field(default_factory=set)
    _reasons: Counter[str] = field(default_factory=Counter)
    _first: dict[bytes, dict[int, tuple[int, ...]]] = field(default_factory=dict)
    _repeated: int = 0
    _repeated_same: int = 0

    def see_all(self, replies: Iterable[StoredReply]) -> None:
        """Count many replies."""
        for reply in replies:
            self.see(reply)

    def see(self, reply: StoredReply) -> None:
        """Count a reply."""
        self._finished += 1
        if reply.criteria is None:
            self._failed += 1
            self._reasons[reply.reason or ""] += 1
            return
        values = tuple(reply.criteria.values())
        if self.watches_repeats:
            self._see_repeat(reply, values)
        if reply.turn == 0:
            overall = reply.criteria["overall"]
            self._levels[level_of(overall)] += 1
            self._overalls[overall] += 1
            self._criteria.add(values)

    def _see_repeat(self, reply: StoredReply, values: tuple[int, ...]) -> None:
        """Compare a repeat with the rating that it repeats, whichever came first."""
        turns = self._first.setdefault(reply.sample, {})
        others = turns.items() if reply.turn == 0 else [(0, turns[0])] if 0 in turns else []
        for _, other in others:
            self._repeated += 1
            self._repeated_same += other == values
        turns[reply.turn] = values

    def raised(self, *, at_end: bool) -> str | None:
        """What is wrong, in words; None: nothing, or not yet for sure."""
        sure = 0.0 if at_end else SURE
        return self._too_many_failed(sure) or self._too_much_alike(sure) or self._no_repeats()

    def _too_many_failed(self, sure: float) -> str | None:
        if not self._failed or (self._finished < FEWEST and self._failed < self._finished):
            return None
        if sure and self._finished < FEWEST:
            return None
        if _least_share(self._failed, self._finished, sure) <= MAX_FAILED:
            return None
        commonest, count = self._reasons.most_common(1)[0]
        share = self._failed / self._finished
        return (
            f"{self._failed} of {self._finished} replies failed ({share:.1%}, more than "
            f"{MAX_FAILED:.0%}) and leave rows unrated; most often, {count} times: {commonest}"
        )

    def _too_much_alike(self, sure: float) -> str | None:
        rated = self._levels.total()
        if rated < FEWEST:
            return None
        overall, count = self._overalls.most_common(1)[0]
        if len(self._criteria) == 1:
            return f"all {rated} replies are the same: overall {overall}"
        level, at_level = self._levels.most_common(1)[0]
        if _least_share(at_level, rated, sure) <= MAX_ONE_LEVEL:
            return None
        return (
            f"{at_level} of {rated} scores are {level} ({at_level / rated:.0%}, more than "
            f"{MAX_ONE_LEVEL:.0%}; overall is mostly {overall}, {count} times): they hardly tell "
            "samples apart"
        )

    def _no_repeats(self) -> str | None:
        if self._repeated < FEWEST_REPEATS or self._repeated_same < self._repeated:
            return None
        return (
            f"all {self._repeated} repeats are the same as the rating that they repeat: the server "
            "answers out of a cache, or draws nothing; they tell nothing of the rater's noise"
        )


def _least_share(count: int, total: int, sure: float) -> float:
    """Lower end of Wilson's interval at `sure` standard errors; the share itself at 0."""
    share, square = count / total, sure * sure
    spread = sure * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    return (share + square / (2 * total) - spread) / (1 + square / total)
