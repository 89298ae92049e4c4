"""What each step of a selection made of a row, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2fast.given import Given
from ds2fast.graph import KnnGraph
from ds2fast.reasons import NO_TEXT
from ds2fast.run.finished import FinishedRun

if TYPE_CHECKING:
    from ds2fast.outcome import Selection

FAR = 1.0
"""Levels between the expected and the curated score from which on the reason is told."""


_FIGURES = (
    "raw_score", "given_score", "curated_score", "misrated", "error_probability", "suggested_score",
    "confidence", "expected_score", "rank_key", "long_tail", "rank", "selected",
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """What one step made of a row, in words."""

    name: str
    words: str


@dataclass(frozen=True)
class Findings:
    """What a selection at hand and a finished one both tell; `columns` are those of its scores."""

    columns: Mapping[str, Any]
    graph: KnnGraph
    given: Given
    trust: float
    verdict: str
    min_confidence: float

    @property
    def reasons(self) -> Sequence[str]:
        """Why each row is where it is."""
        reasons: Sequence[str] = self.columns["reason"]
        return reasons

    def has_no_text(self, row: int) -> bool:
        """Whether a row is unrated because there is nothing to read."""
        return self.reasons[row] == NO_TEXT

    def figures(self, row: int) -> dict[str, Any]:
        """The row's line of `scores.parquet` as plain numbers."""
        return {name: self.columns[name][row].item() for name in _FIGURES if name in self.columns}


def findings_of(source: FinishedRun | Selection) -> Findings:
    """What is known of the rows."""
    if isinstance(source, FinishedRun):
        return Findings(
            source.scores,
            source.graph,
            source.given,
            float(source.manifest["selection"]["trust"]),
            source.manifest["verdict"]["word"],
            float(source.manifest["curation"].get("min_confidence") or 0.0),
        )
    from ds2fast.save import score_columns

    return Findings(
        score_columns(source),
        source.graph,
        source.given or Given(source.given_scores[:, None], int(source.given_scores.max()) + 1),
        source.trust,
        source.verdict.word,
        source.curation.min_confidence,
    )


def steps_of(found: Findings, row: int) -> list[Step]:
    """What each step made of a row, in the order in which they ran."""
    figures = found.figures(row)
    steps = [
        Step("score", _score_words(found, row, figures)),
        Step("neighbours", _neighbour_words(found, row)),
    ]
    if figures["given_score"] < 0:
        return [*steps, Step("selection", _unrated_words(found, row))]
    return [
        *steps,
        Step("curation", _curation_words(found, figures)),
        Step("ranking", _ranking_words(found, figures)),
        Step("rarity", _rarity_words(found, row, figures)),
        Step("selection", _selection_words(found, row)),
    ]


def _score_words(found: Findings, row: int, figures: Mapping[str, Any]) -> str:
    level = figures["given_score"]
    words = [f"given level {level} of 0 to {found.given.num_levels - 1}"]
    if level < 0:
        words = ["no text, so no score counts" if found.has_no_text(row) else "unrated"]
    raw = figures.get("raw_score")
    if raw is not None and not np.isnan(raw):
        words[0] += f" ({raw:g} as it came)"
    seen = found.given
    if seen.ratings.shape[1] > 1:
        words.append(f"its raters gave {_listed(seen.ratings[row].tolist())}")
    if seen.repeats is not None and (seen.repeats[row] >= 0).any():
        again = seen.repeats[row][seen.repeats[row] >= 0]
        words.append(f"rated again it was given {_listed(again.tolist())}")
    if seen.gold is not None and seen.gold[row] >= 0:
        words.append(f"its gold label is {seen.gold[row]}")
    return "; ".join(words)


def _unrated_words(found: Findings, row: int) -> str:
    if found.has_no_text(row):
        return (
            "rows without text are neither curated nor selected; if it is in other fields, name "
            "them when selecting: text= (--text)"
        )
    return "unrated rows are neither curated nor selected"


def _listed(levels: list[int]) -> str:
    return ", ".join("none" if level < 0 else str(level) for level in levels)


def _neighbour_words(found: Findings, row: int) -> str:
    ids, cosines = found.graph.indices[row], found.graph.similarities[row]
    levels = found.columns["given_score"][ids]
    rated = levels[levels >= 0]
    nearest = f"the {len(ids)} nearest{_found_words(found.graph)}"
    words = f"{nearest} have cosines of {cosines[0]:.2f} to {cosines[-1]:.2f}"
    if not len(rated):
        return f"{words}; none of them is rated"
    counts = ", ".join(
        f"{count} {'was' if count == 1 else 'were'} given {level}"
        for level, count in zip(*np.unique(rated, return_counts=True), strict=True)
    )
    return f"{words}; {len(rated)} are rated: {counts}"


def _found_words(graph: KnnGraph) -> str:
    """That an approximate search may have missed nearer rows, and how many it finds."""
    if graph.method != "approximate":
        return ""
    words = " that an approximate search found"
    if np.isnan(graph.recall):
        return words
    return f"{words} ({graph.recall:.1%} of all rows' true neighbours, by a sample)"


def _curation_words(found: Findings, figures: Mapping[str, Any]) -> str:
    given, new = figures["given_score"], figures["curated_score"]
    suggested, sure = figures["suggested_score"], figures["confidence"]
    words = f"the given score is wrong with probability {figures['error_probability']:.2f}"
    if new != given:
        return f"{words}; corrected {given} to {new} with confidence {sure:.2f}"
    if suggested == given:
        return f"{words}; no other is more likely, so it stays"
    return (
        f"{words}; {suggested} was suggested with confidence {sure:.2f}, and a correction needs "
        f"{found.min_confidence:.2f}, so it stays"
        if sure < found.min_confidence
        else f"{words}; {suggested} was suggested with confidence {sure:.2f}, but the row counts "
        "as rightly rated, so it stays"
    )


def _ranking_words(found: Findings, figures: Mapping[str, Any]) -> str:
    expected = figures["expected_score"]
    words = (
        f"expected score {expected:.2f}; with a trust of {found.trust:g} in the corrections (the "
        f"estimate is {found.verdict}) it ranks by {figures['rank_key']:.4g}"
    )
    if abs(expected - figures["curated_score"]) >= FAR:
        words += (
            "; the expected score is more cautious than the curated one, since a row may have a "
            "quality of its own that its neighbours do not share"
        )
    return words


def _rarity_words(found: Findings, row: int, figures: Mapping[str, Any]) -> str:
    keys, rarity = found.columns["rank_key"], found.columns["long_tail"]
    rated = found.columns["given_score"] >= 0
    number = int(rated.sum())
    common = int((rated & (rarity < rarity[row])).sum())
    level = rated & (keys == keys[row])
    first = (rarity > rarity[row]) | ((rarity == rarity[row]) & (np.arange(len(keys)) < row))
    before = int((rated & (keys > keys[row])).sum()) + int((level & first).sum())
    return (
        f"long-tail score {figures['long_tail']:.3f}, higher than that of {common} of {number} "
        f"rated rows; {int(level.sum())} rank by the same score; by score and rarity it stands at "
        f"{before}, counted from 0"
    )


def _selection_words(found: Findings, row: int) -> str:
    chosen = found.columns["selected"]
    last = found.columns["rank_key"][chosen].min()
    fate = fate_of(found.reasons[row])
    return f"{fate}; {int(chosen.sum())} rows are selected, and the lowest ranks by {last:.4g}"


def fate_of(reason: str) -> str:
    """A reason without the correction."""
    return reason.split("; corrected ", maxsplit=1)[0]
