"""The figures of the page, each computed once and put in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ds2fast.controls import controls_of
from ds2fast.decided import average_ranks
from ds2fast.results import DoubleArray, IntArray

if TYPE_CHECKING:
    from ds2fast.outcome import Selection

SHOWN_SOURCES = 40
_CONTROLS = {
    "random": "random rows",
    "longest": "longest texts",
    "top_given": "best scores as given",
}


@dataclass(frozen=True)
class Headline:
    """One large figure, what it is, and what to compare it with."""

    figure: str
    name: str
    beside: str


@dataclass(frozen=True)
class Compared:
    """Means of a set of rows; the length is None where there are no texts."""

    name: str
    rows: int
    given: float
    expected: float
    long_tail: float
    length: float | None
    shared: float
    own: bool = False


@dataclass(frozen=True)
class Flow:
    """How many rows went from each given score (row) to each curated one (column)."""

    counts: list[list[int]]
    given: list[int]
    curated: list[int]
    selected_given: list[int]
    selected_curated: list[int]


class Facts:
    """What several parts of the page need: lengths of texts, the rated rows, the level count."""

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        given = selection.given_scores
        self.rated = np.flatnonzero(given >= 0)
        curation = selection.curation
        expected = curation.scores if curation.expected is None else curation.expected
        self.expected: DoubleArray = np.asarray(expected, dtype=np.float64)
        self.lengths = None if selection.pool is None else selection.pool.lengths
        self.controls = controls_of(selection, int(selection.settings.get("seed", 0)))
        estimate = selection.transition
        highest = int(max(given.max(), curation.scores.max())) + 1
        self.num_levels = highest if estimate is None else estimate.num_levels
        self.corrected = curation.corrected & (curation.suggested != given)

    def headlines(self) -> list[Headline]:
        """The five figures on top."""
        selection, rated = self.selection, self.rated
        chosen = selection.indices
        ranks = (average_ranks(selection.long_tail[rated]) - 0.5) / len(rated)
        percentile = np.zeros(len(selection.given_scores))
        percentile[rated] = ranks
        corrected = int(self.corrected.sum())
        inside = int(self.corrected[chosen].sum())
        return [
            Headline(
                f"{len(chosen):,}",
                "rows selected",
                f"{len(chosen) / len(rated):.1%} of {len(rated):,} rated rows",
            ),
            Headline(
                f"{self.expected[chosen].mean():.2f}",
                "mean expected score",
                f"{self.expected[rated].mean():.2f} in the pool",
            ),
            Headline(
                f"{selection.given_scores[chosen].mean():.2f}",
                "mean score as given",
                f"{selection.given_scores[rated].mean():.2f} in the pool",
            ),
            Headline(
                f"{corrected:,}",
                "scores corrected" if selection.trust else "corrections suggested",
                f"{corrected / len(rated):.1%} of the rated rows; {inside:,} of them selected",
            ),
            Headline(
                f"{percentile[chosen].mean():.0%}",
                "of the pool is more common",
                "than a selected row, on average",
            ),
        ]

    def comparison(self) -> list[Compared]:
        """The selection beside its controls, which are what the files of that name hold."""
        sets = [self._compared("this selection", self.selection.indices, own=True)]
        sets += [self._compared(_CONTROLS[name], rows) for name, rows in self.controls.items()]
        return [*sets, self._compared("all rated rows", self.rated)]

    def _compared(self, name: str, rows: IntArray, *, own: bool = False) -> Compared:
        selection = self.selection
        return Compared(
            name,
            len(rows),
            float(selection.given_scores[rows].mean()),
            float(self.expected[rows].mean()),
            float(selection.long_tail[rows].mean(dtype=np.float64)),
            None if self.lengths is None else float(self.lengths[rows].mean()),
            float(np.isin(selection.indices, rows).mean()),
            own,
        )

    def flow(self) -> Flow:
        """Scores before and after."""
        selection, levels = self.selection, self.num_levels
        given, curated = selection.given_scores, selection.curated_scores
        rows = self.rated[curated[self.rated] >= 0]
        cells = np.bincount(given[rows] * levels + curated[rows], minlength=levels * levels)
        counts = cells.reshape(levels, levels)
        chosen = selection.indices
        return Flow(
            counts.tolist(),
            counts.sum(axis=1).tolist(),
            counts.sum(axis=0).tolist(),
            np.bincount(given[chosen], minlength=levels).tolist(),
            np.bincount(curated[chosen], minlength=levels).tolist(),
        )


def quartiles(values: DoubleArray | IntArray) -> list[float]:
    """5th, 25th, 50th, 75th and 95th percentile."""
    return [float(value) for value in np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])]


def digits_apart(values: DoubleArray) -> int:
    """Decimals, from 2 to 5, that tell different values apart.

    Examples
    --------
    >>> digits_apart(np.array([0.991, 0.994, 0.9941])), digits_apart(np.array([0.1, 0.2]))
    (4, 2)
    """
    number = len(np.unique(values))
    enough = (digits for digits in range(2, 5) if len(np.unique(values.round(digits))) == number)
    return next(enough, 5)
