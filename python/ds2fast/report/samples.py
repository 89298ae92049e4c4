"""Rows to show: the most confident corrections and the rarest selected ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ds2fast.report.texts import Turn, in_one_line, turns_of
from ds2fast.results import IntArray

if TYPE_CHECKING:
    from ds2fast.outcome import Selection

SHOWN_ROWS = 30
SHOWN_NEIGHBOURS = 4


@dataclass(frozen=True)
class Neighbour:
    """A row near a shown one; the text is None where the selection was made from arrays."""

    row: int
    similarity: float
    given: int
    text: str | None


@dataclass(frozen=True)
class Sample:
    """A row of the pool with all that the page says of it; rank counts from 0, None: left out."""

    row: int
    given: int
    suggested: int
    confidence: float
    expected: float
    key: float
    long_tail: float
    rank: int | None
    turns: list[Turn] | None
    neighbours: list[Neighbour]


def surest_corrections(selection: Selection, count: int = SHOWN_ROWS) -> list[Sample]:
    """The rows whose given score is corrected with most confidence, surest first."""
    curation = selection.curation
    changed = curation.corrected & (curation.suggested != selection.given_scores)
    rows = np.flatnonzero(changed & (selection.given_scores >= 0))
    order = np.argsort(-curation.confidence[rows], kind="stable")
    return _samples(selection, rows[order[:count]])


def rarest_selected(selection: Selection, count: int = SHOWN_ROWS) -> list[Sample]:
    """The selected rows with the highest long-tail scores, rarest first."""
    rarity = selection.long_tail[selection.indices]
    order = np.argsort(-rarity, kind="stable")
    return _samples(selection, selection.indices[order[:count]])


def _samples(selection: Selection, rows: IntArray) -> list[Sample]:
    places = {int(row): place for place, row in enumerate(selection.indices.tolist())}
    return [_sample(selection, int(row), places.get(int(row))) for row in rows]


def _sample(selection: Selection, row: int, rank: int | None) -> Sample:
    curation, pool = selection.curation, selection.pool
    expected = curation.scores if curation.expected is None else curation.expected
    return Sample(
        row=row,
        given=int(selection.given_scores[row]),
        suggested=int(curation.suggested[row]),
        confidence=float(curation.confidence[row]),
        expected=float(expected[row]),
        key=float(selection.keys[row]),
        long_tail=float(selection.long_tail[row]),
        rank=rank,
        turns=None if pool is None else turns_of(pool.texts[row]),
        neighbours=_nearest(selection, row),
    )


def _nearest(selection: Selection, row: int) -> list[Neighbour]:
    """The nearest rated rows: these have a say about the row's score."""
    graph, given, pool = selection.graph, selection.given_scores, selection.pool
    rated = np.flatnonzero(given[graph.indices[row]] >= 0)[:SHOWN_NEIGHBOURS]
    near = graph.indices[row, rated].tolist()
    return [
        Neighbour(
            other,
            float(similarity),
            int(given[other]),
            None if pool is None else in_one_line(pool.texts[other]),
        )
        for other, similarity in zip(near, graph.similarities[row, rated].tolist(), strict=True)
    ]
