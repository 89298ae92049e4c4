"""What `bench_embed.py` says: a table of the ways, and whether a rival lies beyond our front."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from embed_processes import Run
from embed_truth import Verdict
from embed_ways import REFERENCE, WAYS

SAME_OVERLAP = 0.001
"""Overlaps that differ by less are equal: fp32 ways differ from each other by rounding alone."""

ALLOWED_BEYOND = 0.05


@dataclass
class Measured:
    """All runs of a way, by round, or why it has no time."""

    way: str
    runs: dict[int, Run] = field(default_factory=dict)
    verdict: Verdict | None = None
    problem: str | None = None

    @property
    def timed(self) -> bool:
        """Whether it ran, and its vectors were right."""
        return self.problem is None and bool(self.runs)

    @property
    def seconds(self) -> float:
        """Of the median run."""
        return median(run.seconds for run in self.runs.values())

    def ratios(self, other: Measured) -> list[float]:
        """How many times as fast as the other it is, within each round that has both."""
        both = sorted(self.runs.keys() & other.runs.keys())
        return [other.runs[turn].seconds / self.runs[turn].seconds for turn in both]


@dataclass(frozen=True)
class Beyond:
    """A rival against our front.

    `ours` is the fastest of ours that keeps as many neighbours, and `share` by how much the rival
    is faster than that (below 0: slower); both None where none of ours keeps as many.
    """

    rival: str
    ours: str | None
    share: float | None

    @property
    def too_far(self) -> bool:
        """Whether our front needs to be moved."""
        return self.share is None or self.share > ALLOWED_BEYOND

    def __str__(self) -> str:
        if self.share is None:
            return f"{self.rival}: no way of ours keeps as many neighbours"
        faster = "faster" if self.share > 0 else "slower"
        return f"{self.rival}: {abs(self.share):.0%} {faster} than {self.ours}"


def against_front(ways: list[Measured]) -> list[Beyond]:
    """Every rival that has a time, the furthest beyond our front first; none without ours."""
    timed = [one for one in ways if one.timed]
    ours = [one for one in timed if WAYS[one.way].ours]
    if not ours:
        return []
    found = [_beyond(one, ours) for one in timed if not WAYS[one.way].ours]
    return sorted(found, key=lambda one: float("-inf") if one.share is None else -one.share)


def _beyond(rival: Measured, ours: list[Measured]) -> Beyond:
    least = _overlap(rival) - SAME_OVERLAP
    as_good = [one for one in ours if _overlap(one) >= least]
    if not as_good:
        return Beyond(rival.way, None, None)
    share, best = min((median(rival.ratios(one)) - 1, one.way) for one in as_good)
    return Beyond(rival.way, best, share)


def _overlap(one: Measured) -> float:
    return -1.0 if one.verdict is None else one.verdict.overlap


def describe_front(found: list[Beyond]) -> str:
    """The last word: whether any rival is faster and keeps as many neighbours."""
    far = [one for one in found if one.too_far]
    if not found:
        return "front: not told, neither rivals nor ours may be left out"
    if far:
        listed = "; ".join(map(str, far))
        return f"front: {len(far)} of {len(found)} rivals lie beyond ours: {listed}"
    return f"front: none of {len(found)} rivals lies {ALLOWED_BEYOND:.0%} beyond ours; {found[0]}"


def describe(ways: list[Measured], texts: int, tokens: int) -> str:
    """The table, the reference first."""
    reference = next(one for one in ways if one.way == REFERENCE)
    head = (
        f"{'way':<22}{'texts/s':>9}{'tokens/s':>10}{'ratio':>8}  {'in rounds':<15}"
        f"{'cosine':>8}{'least':>8}{'overlap':>9}{'selection':>11}{'peak MiB':>10}"
    )
    return "\n".join([head, *(_line(one, reference, texts, tokens) for one in ways)])


def _line(one: Measured, reference: Measured, texts: int, tokens: int) -> str:
    if not one.timed or one.verdict is None:
        return f"{one.way:<22}{'-':>9}  {one.problem}"
    ratios, verdict = one.ratios(reference), one.verdict
    peak = max(run.peak_mib for run in one.runs.values())
    return (
        f"{one.way:<22}{texts / one.seconds:>9.1f}{tokens / one.seconds:>10.0f}"
        f"{median(ratios):>8.2f}  {f'{min(ratios):.2f} .. {max(ratios):.2f}':<15}"
        f"{_cosine(verdict.mean_cosine):>8}{_cosine(verdict.least_cosine):>8}"
        f"{verdict.overlap:>9.4f}{verdict.selection:>11.4f}{peak:>10.0f}"
    )


def _cosine(value: float | None) -> str:
    return "-" if value is None else f"{value:.5f}"


def figures(one: Measured, reference: Measured, texts: int, tokens: int) -> dict[str, Any]:
    """Plain values for JSON."""
    if not one.timed or one.verdict is None:
        return {"way": one.way, "problem": one.problem}
    ratios = one.ratios(reference)
    return {
        "way": one.way,
        "problem": None,
        "version": next(iter(one.runs.values())).version,
        "texts_per_second": texts / one.seconds,
        "tokens_per_second": tokens / one.seconds,
        "ratio": median(ratios),
        "round_ratios": ratios,
        **vars(one.verdict),
        "runs": [{"round": turn, **asdict(run)} for turn, run in sorted(one.runs.items())],
    }
