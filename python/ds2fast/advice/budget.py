"""How long rows would take at measured speeds, and what to run within a time. Nothing is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ds2fast.advice.speed import STATIC, Speed
from ds2fast.embedding import PrecisionGate

EXACT = "fp32"
EXACTNESS = (EXACT, "bf16", "int8", STATIC)
"""Ways to embed, the most exact first."""

STATIC_KEEPS = "often keeps about half of the neighbours"
"""Of the ten nearest; one measurement, of all-MiniLM-L6-v2 fitted to texts like those."""


@dataclass(frozen=True)
class Estimate:
    """Time that one way of embedding would take.

    Attributes
    ----------
    precision : {"fp32", "bf16", "int8", "static"}
        The way.
    threads : int
        The number of threads at which it was fastest.
    seconds : float
        For all rows.
    preparation : float
        Seconds that distilling takes once, for the static tier; else 0.
    """

    precision: str
    threads: int
    seconds: float
    preparation: float = 0.0

    @property
    def total(self) -> float:
        """Seconds with what has to be made first."""
        return self.seconds + self.preparation


def fastest(speeds: Sequence[Speed], precision: str | None = None) -> Speed:
    """The fastest of all speeds, or of those of one precision; of equals the fewest threads."""
    of_interest = [one for one in speeds if precision in {None, one.precision}]
    return max(of_interest, key=lambda one: (one.tokens_per_second, -one.threads))


def estimate_times(
    speeds: Sequence[Speed], rows: int, tokens: int, *, distilling_tokens: int = 0
) -> list[Estimate]:
    """Times of so many rows in each precision that was measured, the most exact first.

    Parameters
    ----------
    speeds : sequence of Speed
        What was measured.
    rows, tokens : int
        Number of rows, and tokens of each.
    distilling_tokens : int
        Tokens that the encoder runs over, in float32, to make its static tier.

    Examples
    --------
    >>> [one] = estimate_times([Speed("fp32", 2, 5000.0)], 1000, 100)
    >>> one.seconds
    20.0
    """
    measured = {one.precision for one in speeds}
    return [
        Estimate(
            precision=precision,
            threads=best.threads,
            seconds=rows * tokens / best.tokens_per_second,
            preparation=(
                distilling_tokens / fastest(speeds, "fp32").tokens_per_second
                if precision == STATIC
                else 0.0
            ),
        )
        for precision in EXACTNESS
        if precision in measured
        for best in [fastest(speeds, precision)]
    ]


def choose(estimates: Sequence[Estimate], budget: float | None) -> Estimate | None:
    """The most exact way that ends within so many seconds; without a budget the fastest precision.

    None where no way does.
    """
    if budget is None:
        encoders = [one for one in estimates if one.precision != STATIC]
        return min(encoders or estimates, key=lambda one: one.seconds)
    return next((one for one in estimates if one.total <= budget), None)


def advise(name: str, estimates: Sequence[Estimate], budget: float | None, *, rows: int) -> str:
    """What to run, in words.

    A precision is named only where "auto" would not try it: one that was asked for is compared
    with nothing.
    """
    chosen = choose(estimates, budget)
    static = next((one for one in estimates if one.precision == STATIC), None)
    if chosen is None:
        quickest = min(estimates, key=lambda one: one.total)
        return (
            f"nothing here ends within {as_duration(budget or 0)}: the fastest, "
            f"{_way(name, quickest)}, takes about {_time(quickest)}"
        )
    if chosen.precision == STATIC:
        return (
            f"no precision of {name} ends within {as_duration(budget or 0)}; its static tier "
            f"(`ds2fast distill`) takes about {_time(chosen)} and {STATIC_KEEPS}"
        )
    said = _advise_precision(name, chosen, estimates, rows)
    if static is None:
        return said
    return f"{said}; the static tier would take {_time(static)} and {STATIC_KEEPS}"


def _advise_precision(name: str, chosen: Estimate, estimates: Sequence[Estimate], rows: int) -> str:
    """How to run in a precision: by leaving the choice to "auto" wherever that would try it."""
    said = f"{_way(name, chosen)} (%s): about {_time(chosen)}"
    precisions = [one.precision for one in estimates if one.precision != STATIC]
    threads = f"--threads {chosen.threads}"
    if precisions == [chosen.precision]:
        return said % threads
    compared = rows >= 2 * PrecisionGate().sample
    if chosen.precision == EXACT:
        return said % (f"--precision {EXACT} {threads}" if compared else threads)
    if not compared:
        return (
            f"{said % f'--precision {chosen.precision} {threads}'}; so few rows are not compared "
            f"with {EXACT}, which the default, --precision auto, takes for them"
        )
    place = precisions.index(chosen.precision)
    before = "".join(f" after {one}" for one in precisions[place + 1 :])
    exacter = [one for one in estimates if one.precision in precisions[:place]]
    times = ", ".join(f"{one.precision}: {_time(one)}" for one in reversed(exacter))
    return (
        f"{said % f'{threads}; the default, --precision auto, tries it{before}'}; should the check "
        f"on a sample of the texts refuse it, a more exact one is taken ({times})"
    )


def _way(name: str, estimate: Estimate) -> str:
    if estimate.precision == STATIC:
        return f"the static tier of {name}"
    threads = "1 thread" if estimate.threads == 1 else f"{estimate.threads} threads"
    return f"{name} in {estimate.precision} with {threads}"


def _time(estimate: Estimate) -> str:
    if not estimate.preparation:
        return as_duration(estimate.seconds)
    return f"{as_duration(estimate.seconds)} (and {as_duration(estimate.preparation)} to make it)"


def as_duration(seconds: float) -> str:
    """Seconds for people: "40 seconds", "18 minutes", "2.3 hours".

    Examples
    --------
    >>> as_duration(40), as_duration(1090), as_duration(8280)
    ('40 seconds', '18 minutes', '2.3 hours')
    """
    if seconds < 90:
        count = max(1, round(seconds))
        return f"{count} second" + "s" * (count != 1)
    if seconds < 2 * 3600 - 30:
        return f"{round(seconds / 60)} minutes"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds / 86400:.1f} days"
