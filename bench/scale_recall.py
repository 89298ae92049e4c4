"""Recall against time: the front of a way, and what it takes to one recall."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """One graph: what it took, how right it is, and by which settings."""

    seconds: float
    recall: float
    label: str


@dataclass(frozen=True)
class Reading:
    """What a way takes to a recall.

    Attributes
    ----------
    seconds : float or None
        None where it was not reached.
    cheapest : Point or None
        The cheapest point that was measured and reaches it.
    how : str
        How the seconds were read: `"between ..."` two points, `"cheapest ..."` that was measured,
        or `"not reached ..."`.
    """

    seconds: float | None
    cheapest: Point | None
    how: str


def front(points: Iterable[Point]) -> list[Point]:
    """Points that no other beats in both time and recall, the fastest first."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda one: (one.seconds, -one.recall)):
        if not kept or point.recall > kept[-1].recall:
            kept.append(point)
    return kept


def read_at(points: Sequence[Point], recall: float) -> Reading:
    """The seconds to this recall: interpolated on the front where points lie on both sides of it.

    The logarithm of the time is taken as linear in that of the share that is missed; where the
    slower point misses none, which has no logarithm, its own time is told.
    """
    best = front(points)
    if not best:
        return Reading(None, None, "not measured")
    above = next((one for one in best if one.recall >= recall), None)
    if above is None:
        last = best[-1]
        reached = f"{last.recall:.4f} in {last.seconds:.1f} s, {last.label}"
        return Reading(None, None, f"not reached ({reached})")
    below = [one for one in best if one.recall < recall]
    if not below or above.recall in (1, recall):
        return Reading(above.seconds, above, f"cheapest ({above.label})")
    seconds = interpolate(below[-1], above, recall)
    return Reading(seconds, above, f"between ({below[-1].label}) and ({above.label})")


def interpolate(below: Point, above: Point, recall: float) -> float:
    """Seconds on the line through two points; axes: log of the missed share, log of the time."""
    ends = math.log(1 - below.recall), math.log(1 - above.recall)
    share = (math.log(1 - recall) - ends[0]) / (ends[1] - ends[0])
    return float(below.seconds ** (1 - share) * above.seconds**share)
