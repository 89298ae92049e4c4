"""Why a row is where it is: what each step of a selection did with it, and its neighbours."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ds2fast.arguments import as_count
from ds2fast.errors import Ds2fastError, InputError
from ds2fast.io.unicode import visible
from ds2fast.reasons import NO_TEXT
from ds2fast.results import ShortRepr
from ds2fast.run.finished import FinishedRun
from ds2fast.run.rows import Files
from ds2fast.run.steps import Findings, Step, fate_of, findings_of, steps_of

if TYPE_CHECKING:
    from ds2fast.outcome import Selection

SHOWN_NEIGHBOURS = 10
SHOWN_TEXT = 2000
NEIGHBOUR_TEXT = 160
"""Characters of a text that are shown: of the row's own, and of a neighbour's."""

_WIDTH = 100


@dataclass(frozen=True)
class Neighbour:
    """A neighbour of a row in the graph.

    Attributes
    ----------
    row : int
        Its row number.
    similarity : float
        Cosine to the row.
    given, curated : int
        Its scores as levels, −1 unrated.
    reason : str
        What became of it.
    text : str or None
        The first 160 characters of its text in one line; None where texts are not at hand.
    """

    row: int
    similarity: float
    given: int
    curated: int
    reason: str
    text: str | None


@dataclass(frozen=True, repr=False)
class Explanation(ShortRepr):
    """Why a row is where it is; `str()` tells it, `record()` gives plain values.

    Attributes
    ----------
    row : int
        Its row number.
    text : str or None
        The first 2 000 characters of its text; None where texts are not at hand.
    reason : str
        What became of it, as in `scores.parquet`.
    steps : tuple of Step
        What each step did with it, in the order in which they ran.
    neighbours : tuple of Neighbour
        Its neighbours in the graph, most similar first.
    figures : mapping
        Its line of `scores.parquet`.
    notes : tuple of str
        What is missing, and why.
    """

    row: int
    text: str | None
    reason: str
    steps: tuple[Step, ...]
    neighbours: tuple[Neighbour, ...]
    figures: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        parts = [f"row {self.row}: {visible(self.reason)}"]
        if self.text is not None:
            text = visible(self.text.replace("\r\n", "\n"))
            parts.append(textwrap.indent(text, "  | ", lambda _line: True))
        parts.append("\n".join(_hang(f"{step.name}: ", step.words) for step in self.steps))
        parts.append(
            "\n".join(("its neighbours, most similar first", *map(_line, self.neighbours)))
        )
        parts += [f"note: {note}" for note in self.notes]
        return "\n\n".join(parts)


def explain(
    source: str | os.PathLike[str] | FinishedRun | Selection,
    row: int,
    *,
    neighbours: int = SHOWN_NEIGHBOURS,
    data: Files | None = None,
) -> Explanation:
    """Explain why a row was selected or not.

    Parameters
    ----------
    source : path-like, FinishedRun or Selection
        The folder of a finished selection, or one at hand.
    row : int
        Row number in the pool, from 0.
    neighbours : int
        Neighbours to show.
    data : path-like or list of them, optional
        Where the files that the rows came from lie now, in their order; by default where they were.

    Returns
    -------
    Explanation
        The rows' texts are read again from the files that they came from; where that cannot be done
        they are left out, and a note says why.

    Raises
    ------
    InputError, InputTypeError
        No such row; `data` beside a selection at hand, which has its rows.
    InputFileError
        The folder holds no results, or damaged ones; `data` holds other rows than it is of.

    Examples
    --------
    >>> import numpy as np
    >>> from ds2fast.pipeline import select
    >>> rng = np.random.default_rng(0)
    >>> centres = np.repeat(rng.normal(size=(20, 8)), 10, axis=0)
    >>> rows = centres + 0.1 * rng.normal(size=(200, 8))
    >>> ratings = np.repeat(np.arange(20) % 5, 10)
    >>> chosen = select(scores=ratings, embeddings=rows, n=40, num_levels=5)
    >>> why = explain(chosen, 0)
    >>> why.reason, [step.name for step in why.steps]
    ('below the cut', ['score', 'neighbours', 'curation', 'ranking', 'rarity', 'selection'])
    """
    number = as_count(row, "row", minimum=0)
    shown = as_count(neighbours, "neighbours", minimum=0)
    if isinstance(source, str | os.PathLike):
        source = FinishedRun.open(source)
    if data is not None:
        _find_rows(source, data)
    found = findings_of(source)
    if number >= len(found.reasons):
        raise InputError(f"row: expected 0 to {len(found.reasons) - 1}, got {number}")
    texts = _Texts(source)
    return Explanation(
        row=number,
        text=texts.first(number, SHOWN_TEXT),
        reason=found.reasons[number],
        steps=tuple(steps_of(found, number)),
        neighbours=_neighbours(found, texts, number, shown),
        figures=found.figures(number),
        notes=() if texts.missing is None else (f"texts are not shown: {texts.missing}",),
    )


def _find_rows(source: FinishedRun | Selection, data: Files) -> None:
    """Take a run's rows from where they are now: what is wrong there is an error, and no note."""
    if not isinstance(source, FinishedRun):
        raise InputError(
            "data: expected beside a finished run, got a selection, which has its rows"
        )
    source.pool(data)


class _Texts:
    """The rows' texts where they are at hand, or why they are not."""

    def __init__(self, source: FinishedRun | Selection) -> None:
        self._texts: Sequence[str] | None = None
        self.missing: str | None = None
        try:
            pool = source.pool() if isinstance(source, FinishedRun) else source.pool
        except Ds2fastError as error:
            self.missing = str(error)
            return
        if pool is None:
            self.missing = "the selection was made from arrays, without rows"
        else:
            self._texts = pool.texts

    def first(self, row: int, length: int) -> str | None:
        """So many characters of a row's text."""
        return None if self._texts is None else _cut(self._texts[row], length)

    def line(self, row: int, length: int) -> str | None:
        """The same, in one line."""
        if self._texts is None:
            return None
        start = self._texts[row][: 8 * length]  # blanks may go, so a few more are looked at
        return _cut(" ".join(start.split()), length)


def _cut(text: str, length: int) -> str:
    """The start of a text; lone surrogates, which cannot be written, become question marks."""
    kept = text if len(text) <= length else f"{text[: length - 1]}…"
    return kept.encode(errors="replace").decode()


def _neighbours(found: Findings, texts: _Texts, row: int, shown: int) -> tuple[Neighbour, ...]:
    near = zip(
        found.graph.indices[row, :shown].tolist(),
        found.graph.similarities[row, :shown].tolist(),
        strict=True,
    )
    return tuple(
        Neighbour(
            row=other,
            similarity=similarity,
            given=int(found.columns["given_score"][other]),
            curated=int(found.columns["curated_score"][other]),
            reason=found.reasons[other],
            text=texts.line(other, NEIGHBOUR_TEXT),
        )
        for other, similarity in near
    )


def _hang(start: str, words: str) -> str:
    return textwrap.fill(f"{start}{words}", _WIDTH, subsequent_indent="  ")


def _line(neighbour: Neighbour) -> str:
    score = "" if neighbour.reason == NO_TEXT else _score_change(neighbour)
    fate = fate_of(neighbour.reason)
    head = f"  row {neighbour.row}, cosine {neighbour.similarity:.3f}{score}; {visible(fate)}"
    return head if neighbour.text is None else f"{head}\n    {visible(neighbour.text)}"


def _score_change(neighbour: Neighbour) -> str:
    given, curated = neighbour.given, neighbour.curated
    if given < 0:
        return ", no score"
    return f", score {given}" if given == curated else f", score {given}, curated {curated}"
