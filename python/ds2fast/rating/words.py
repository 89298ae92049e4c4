"""A rating in words for people: while it runs, and when it is done."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from ds2fast.checks import UNRATED
from ds2fast.rating.notes import NO_TEXT
from ds2fast.rating.prices import Price
from ds2fast.rating.tally import Tally

if TYPE_CHECKING:
    from ds2fast.rating.result import RaterScores, Ratings

REASONS_SHOWN = 5

TROUBLES = {
    "busy": "refused as one too many",
    "timeout": "timed out",
    "unreachable": "without a connection",
    "broken": "failed by the server",
    "reformed": "with an option that the server lacks",
    "forbidden": "forbidden",
    "refused": "refused",
    "fatal": "refused for good",
    "unreadable": "unreadable answers",
}
"""What a tally's troubles mean."""


def describe_state(tally: Tally, price: Price | None, seconds: float) -> str:
    """Cost so far, failures, tokens and requests a second, for the end of a bar.

    What matters most comes first: a narrow terminal shows no more.
    """
    cost = tally.cost(price)
    parts = [] if cost is None else [dollars(cost)]
    parts.append(f"{tally.failed} failed")
    parts.append(f"{short_count(tally.prompt_tokens + tally.completion_tokens)} tokens")
    parts.append(f"{tally.requests / max(seconds, 1e-9):.0f} requests/s")
    return ", ".join(parts)


def short_name(model: str) -> str:
    """A model's name for a bar.

    Examples
    --------
    >>> short_name("org/Model-with-a-name-longer-than-any-bar")
    'Model-with-a-nam…'
    """
    name = model.rpartition("/")[2] or model
    return name if len(name) <= 16 else f"{name[:16]}…"


def describe_ratings(ratings: Ratings) -> str:
    """What came of a rating, in a few lines."""
    lines = []
    for rater, ending in zip(ratings.raters, ratings.endings, strict=True):
        lines += _describe_rater(rater)
        if ending != "done":
            lines.append(f"  stopped: {ending}")
    if ratings.num_cut:
        plural = "s were" if ratings.num_cut > 1 else " was"
        lines.append(f"{ratings.num_cut} long sample{plural} sent without the middle")
    return "\n".join(lines)


def _describe_rater(rater: RaterScores) -> list[str]:
    rated = int((rater.scores != UNRATED).sum())
    pending = int(rater.pending.sum())
    lines = [
        f"{rater.model} at {rater.endpoint}: {rated} of {len(rater.scores)} rows "
        f"rated into {rater.field!r}" + (f", {pending} not asked for yet" if pending else "")
    ]
    if rated:
        counts = np.bincount(rater.scores[rater.scores != UNRATED], minlength=6)
        lines.append("  levels 0..5: " + ", ".join(map(str, counts.tolist())) + " rows")
    lines += _describe_repeats(rater)
    lines.append(f"  {_describe_tally(rater)}")
    lines += _describe_form(rater) + _describe_reasons(rater)
    lines.append(f"  replies are kept in {rater.store}")
    return lines


def _describe_repeats(rater: RaterScores) -> list[str]:
    given = rater.repeats[(rater.repeats != UNRATED).any(axis=1)]
    if not len(given):
        return []
    first = rater.scores[(rater.repeats != UNRATED).any(axis=1)]
    known = (given != UNRATED) & (first != UNRATED)[:, None]
    same = (given == first[:, None])[known]
    share = f": {same.mean():.0%} are the level that they repeat" if len(same) else ""
    return [f"  {len(given)} rows rated {given.shape[1] + 1} times{share}"]


def _describe_tally(rater: RaterScores) -> str:
    tally = rater.tally
    if not tally.requests:
        return f"nothing was asked: all {rater.kept} replies were kept"
    about = "about " if tally.is_estimated else ""
    parts = [
        f"{tally.requests} requests for {tally.replies} replies",
        f"{about}{short_count(tally.prompt_tokens)} prompt and "
        f"{short_count(tally.completion_tokens)} completion tokens",
    ]
    if rater.kept:
        parts.append(f"{rater.kept} replies were kept from before")
    troubles = ", ".join(
        f"{count} {TROUBLES[kind]}" for kind, count in tally.troubles.most_common()
    )
    if troubles:
        parts.append(f"asked again or in vain: {troubles}")
    if rater.cost is not None:
        parts.append(f"some {dollars(rater.cost)}")
    return ", ".join(parts)


def _describe_form(rater: RaterScores) -> list[str]:
    """What the server would not take."""
    if rater.form is None or rater.form["temperature"] is not None:
        return []
    return [
        f"  the server takes no temperature: it drew as it always does, not at "
        f"{rater.identity['temperature']:g}"
    ]


def _describe_reasons(rater: RaterScores) -> list[str]:
    asked = zip(rater.reasons, rater.pending, strict=True)
    reasons = Counter(reason for reason, pending in asked if reason is not None and not pending)
    if not reasons:
        return []
    lines = [f"  {reasons.total()} rows are unrated:"]
    lines += [f"    {count} x {reason}" for reason, count in reasons.most_common(REASONS_SHOWN)]
    if len(reasons) > REASONS_SHOWN:
        lines.append(f"    and {len(reasons) - REASONS_SHOWN} other reasons")
    again = "retry_failed=True (--retry-failed, with --overwrite) asks again for what failed"
    return lines + [f"    {again}"] * any(reason != NO_TEXT for reason in reasons)


def short_count(number: int) -> str:
    """A count with few digits.

    Examples
    --------
    >>> short_count(950), short_count(12_345), short_count(3_210_000)
    ('950', '12.3k', '3.21M')
    """
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return str(number)


def dollars(amount: float) -> str:
    """US dollars, small amounts with more digits.

    Examples
    --------
    >>> dollars(0.00123), dollars(12.3)
    ('$0.0012', '$12.30')
    """
    return f"${amount:.2f}" if amount >= 1 else f"${amount:.4f}"
