"""How far may an estimate be trusted? A word, and what led to it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ds2fast.results import UNCHECKED, TransitionEstimate, Verdict

LEAST_LIFT = 0.02
"""Agreement above chance below which neighbours tell nothing, however many rows there are."""

STRONG_LIFT = 0.10
"""Share of the possible agreement above chance below which T rests on little."""

LEAST_SHARING = 0.3
MOST_ONE_LEVEL = 0.8
LEAST_TIE = 0.05
LEAST_MISS = 0.1
"""How much less often repeats agree than T gives before they contradict it."""

LEAST_SINGULAR = 0.05
MOST_MISFIT = 0.05
ENOUGH_SIGNAL = 200
MOST_REPEATED = 0.95

TRUSTS = {"verified": 1.0, "plausible": 1.0, "weak": 0.5, "unreliable": 0.0}
WORDS = ("verified", "plausible", "weak", "unreliable")


@dataclass(frozen=True)
class Doubt:
    """One cause and the best word that it leaves."""

    word: str
    cause: str
    of_the_estimate: bool = True


def with_verdict(estimate: TransitionEstimate) -> TransitionEstimate:
    """The estimate with the verdict that its own figures give."""
    return replace(estimate, verdict=combine(_start(estimate), doubts_of(estimate)))


def verdict_of(estimate: TransitionEstimate | None, more: Iterable[Doubt]) -> Verdict:
    """The estimate's verdict and what else speaks against it.

    Without an estimate (a curation was given) nothing is known: `plausible` is the best to be said.
    """
    return combine(UNCHECKED if estimate is None else estimate.verdict, more)


def combine(start: Verdict, doubts: Iterable[Doubt]) -> Verdict:
    """The worst word of all; causes worst first."""
    found = sorted(doubts, key=lambda doubt: -WORDS.index(doubt.word))
    word = max((start.word, *(doubt.word for doubt in found)), key=WORDS.index)
    trusts = (TRUSTS[doubt.word] for doubt in found if doubt.of_the_estimate)
    worse = [doubt.cause for doubt in found if WORDS.index(doubt.word) > WORDS.index(start.word)]
    causes = (*worse, *start.causes, *(doubt.cause for doubt in found[len(worse) :]))
    return Verdict(word, causes, min((start.trust, *trusts)))


def _start(estimate: TransitionEstimate) -> Verdict:
    if estimate.signal and estimate.num_signal >= ENOUGH_SIGNAL:
        kinds = " and ".join(estimate.signal)
        found = f"T rests on {kinds} too"
        if estimate.own is not None:
            found += f"; {estimate.own:.0%} of the rows have a quality of their own"
        return Verdict("verified", (found,))
    if estimate.signal:
        return Verdict(
            "plausible",
            (
                f"only {estimate.num_signal} rows with {' and '.join(estimate.signal)} check T; "
                f"{ENOUGH_SIGNAL} are enough to call it verified",
            ),
        )
    if estimate.rater_matrices is not None:
        return Verdict(
            "plausible",
            (
                "too few rows have several ratings to tell noise from rows with a quality of "
                "their own",
            ),
        )
    return Verdict(
        "plausible",
        (
            "one rater and a graph cannot tell noise of the rater from rows with a quality of "
            "their own; repeats, gold labels or a second rater can",
        ),
    )


def doubts_of(estimate: TransitionEstimate) -> list[Doubt]:
    """What in the estimate's own figures speaks against it."""
    checks = (
        _agreement,
        _sharing,
        _repeated,
        _contradicted,
        _one_level,
        _idle_rater,
        _apart,
        _singular,
        _misfit,
        _settled,
    )
    return [doubt for check in checks if (doubt := check(estimate)) is not None]


def _agreement(estimate: TransitionEstimate) -> Doubt | None:
    """Neighbours that agree no more than by chance carry no information on T.

    With an independent signal T does not rest on them, and neighbours that tell nothing are heard
    as such.
    """
    if math.isnan(estimate.agreement) or estimate.signal:
        return None
    chance = estimate.chance_agreement
    error = math.sqrt(chance * (1.0 - chance) / max(estimate.num_counted, 1))
    lift = estimate.agreement - chance
    told = (
        f"neighbours have the same score in {estimate.agreement:.1%} of {estimate.num_counted} "
        f"rows; by chance it would be {chance:.1%}"
    )
    if lift < max(LEAST_LIFT, 3.0 * error):
        return Doubt("unreliable", f"{told}: not clearly more, so T rests on almost nothing")
    if lift < STRONG_LIFT * (1.0 - chance):
        return Doubt("weak", f"{told}: little more")
    return None


def _sharing(estimate: TransitionEstimate) -> Doubt | None:
    """Where even the most similar neighbours seldom share a level, the fit is extrapolation."""
    curve = estimate.clusterability
    if curve is None or estimate.signal:
        return None
    most = float(curve.sharing.max())
    if most >= LEAST_SHARING:
        return None
    return Doubt("weak", f"even the most similar neighbours share a true score in only {most:.0%}")


def _repeated(estimate: TransitionEstimate) -> Doubt | None:
    """A rater who hardly varies repeats its errors, which then look like the rows' own quality."""
    share = estimate.repeat_agreement
    if math.isnan(share) or share < MOST_REPEATED:
        return None
    return Doubt(
        "plausible",
        f"{share:.1%} of the repeats equal the rating they repeat: either the rater hardly errs, "
        "or it repeats its own errors (temperature 0, say), which then pass for rows with a "
        "quality of their own; gold labels or a second rater tell",
    )


def _contradicted(estimate: TransitionEstimate) -> Doubt | None:
    """Repeats or gold labels that do not go with the scores: of another scale, or of other rows."""
    if estimate.gold_correlation <= 0.0:  # false for NaN: none, or all alike
        return Doubt(
            "unreliable",
            f"gold labels and scores contradict each other (correlation "
            f"{estimate.gold_correlation:.2f}): of another scale, or of other rows?",
        )
    share = estimate.repeat_agreement
    if math.isnan(share):
        return None
    expected = float(estimate.prior @ (estimate.transition_matrix**2).sum(axis=1))
    error = math.sqrt(expected * (1.0 - expected) / max(estimate.num_signal, 1))
    by_chance = share <= estimate.chance_agreement + LEAST_LIFT
    if share >= expected - (2.0 * error if by_chance else max(LEAST_MISS, 4.0 * error)):
        return None
    return Doubt(
        "unreliable" if by_chance else "weak",
        f"{share:.1%} of the repeats equal the rating they repeat, where T gives {expected:.1%}: "
        "of another rater, or of other rows?",
    )


def _one_level(estimate: TransitionEstimate) -> Doubt | None:
    most = int(estimate.observed.argmax())
    share = float(estimate.observed[most])
    if share <= MOST_ONE_LEVEL:
        return None
    return Doubt("weak", f"the rater gave score {most} to {share:.0%} of the rows")


def _idle_rater(estimate: TransitionEstimate) -> Doubt | None:
    """A rater whose scores hardly go with those of any other."""
    ties = estimate.rater_ties
    if ties is None or not (ties < LEAST_TIE).any():  # NaN: too few rows in common
        return None
    rater = int(np.nanargmin(ties))
    which = f"the rater in column {rater}" if len(ties) > 2 else "one of the two raters"
    return Doubt(
        "weak",
        f"{which} tells next to nothing of the true scores (correlation with the other"
        f"{'s at most' if len(ties) > 2 else ''} {ties[rater]:.2f}): leave it out",
    )


def _apart(estimate: TransitionEstimate) -> Doubt | None:
    """Raters whose agreement with each other does not go with what the graph shows of each."""
    if math.isnan(estimate.raters_apart) or estimate.own is not None:
        return None
    return Doubt(
        "weak",
        "raters agree with each other more than the graph bears out: they err together (one copies "
        "another, say), and T is taken from the graph alone",
    )


def _singular(estimate: TransitionEstimate) -> Doubt | None:
    """Rows of T that are nearly alike: true levels that the scores cannot tell apart."""
    present = np.flatnonzero(estimate.prior > 0)
    matrix = estimate.transition_matrix[present]
    least = float(np.linalg.svd(matrix, compute_uv=False).min())
    if least >= LEAST_SINGULAR:
        return None
    return Doubt(
        "weak",
        f"T is nearly singular (least singular value {least:.3f}): the rater gives some true "
        "levels the same scores",
    )


def _misfit(estimate: TransitionEstimate) -> Doubt | None:
    if math.isnan(estimate.misfit) or estimate.misfit <= MOST_MISFIT:
        return None
    return Doubt(
        "weak",
        f"{estimate.misfit:.1%} of the counted triples lie where the model does not put them, "
        "beyond what sampling explains",
    )


def _settled(estimate: TransitionEstimate) -> Doubt | None:
    if estimate.converged:
        return None
    return Doubt(
        "weak",
        f"the fit of T had not settled after {estimate.steps} steps: the counts hold too little "
        "to tell the levels apart",
    )
