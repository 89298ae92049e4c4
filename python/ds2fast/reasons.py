"""Why each row is where it is, in a few words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ds2fast.checks import UNRATED
from ds2fast.choice import Fate
from ds2fast.exclusion import Repeats
from ds2fast.results import IntArray
from ds2fast.sharing import independent_neighbours
from ds2fast.threads import available_threads

if TYPE_CHECKING:
    from ds2fast.outcome import Selection

MOST_NAMED = 3
"""Neighbours that are named as the cause of a correction."""

MOST_LETTERS = 80
"""Letters of a group's label that are shown."""

FATE_NAMES = tuple(fate.name.lower() for fate in Fate)
"""Fates in words, as columns and manifests hold them."""

NO_TEXT = "no text"
"""Why a row without text is not selected, whatever its score."""

_CHUNK = 1 << 16

Words = Callable[["Selection", IntArray], Sequence[str]]


def reasons_of(selection: Selection) -> list[str]:
    """Why each of the N rows was selected or not, and whose scores corrected it.

    Parameters
    ----------
    selection : Selection
        What was selected.

    Returns
    -------
    list of str
        The row's fate in words; after a semicolon its correction, with at most three of the rated
        neighbours that spoke for it: those whose given scores come nearest to the new one, the most
        similar first among equals. Only neighbours nearer to it than the row's own score count.

    Examples
    --------
    >>> import numpy as np
    >>> from ds2fast.pipeline import select
    >>> rng = np.random.default_rng(0)
    >>> centres = np.repeat(rng.normal(size=(20, 8)), 10, axis=0)
    >>> rows = centres + 0.1 * rng.normal(size=(200, 8))
    >>> ratings = np.repeat(np.arange(20) % 5, 10)
    >>> chosen = select(scores=ratings, embeddings=rows, n=40, num_levels=5)
    >>> reasons_of(chosen)[0], reasons_of(chosen)[int(chosen.indices[3])]
    ('below the cut', 'selected at rank 3')
    """
    fates = fates_of(selection)
    reasons = np.full(len(fates), "", dtype=object)
    for fate, words in _WORDS.items():
        rows = np.flatnonzero(fates == fate)
        if len(rows):
            reasons[rows] = words(selection, rows)
    for row, correction in _corrections(selection):
        reasons[row] += correction
    found: list[str] = reasons.tolist()
    return found


def fates_of(selection: Selection) -> npt.NDArray[np.int8]:
    """(N,) int8: the `Fate` of each row; by the order alone where no choice is kept."""
    if selection.choice is not None:
        return selection.choice.fates
    fates = np.where(selection.given_scores == UNRATED, Fate.UNRATED, Fate.BELOW).astype(np.int8)
    fates[selection.indices] = Fate.SELECTED
    return fates


def fate_names(selection: Selection) -> list[str]:
    """The fate of each row as a column of words: `selected`, `below`, `unrated`, ..."""
    names: list[str] = np.array(FATE_NAMES, dtype=object)[fates_of(selection)].tolist()
    return names


def supporters(selection: Selection, rows: IntArray, most: int = MOST_NAMED) -> IntArray:
    """Neighbours that spoke for the curated scores of some rows, those with most weight first.

    Parameters
    ----------
    selection : Selection
        What was selected.
    rows : (n,) int64
        Rows whose curated score differs from the given one.
    most : int
        Neighbours to name.

    Returns
    -------
    (n, most) int64
        Row numbers, −1 at the end where fewer spoke for it.
    """
    voters, given, new = _voters(selection), selection.given_scores, selection.curation.scores
    width = voters.shape[1]
    found = np.full((len(rows), most), -1, dtype=np.int64)
    for begin in range(0, len(rows), _CHUNK):
        part = rows[begin : begin + _CHUNK]
        ids = voters[part]
        shown = np.where(ids >= 0, given[ids], UNRATED)
        apart = np.abs(shown - new[part, None])
        speaks = (shown >= 0) & (apart < np.abs(given[part] - new[part])[:, None])
        # One number orders by how near the score is, then by how near the neighbour.
        order = np.where(speaks, apart * width + np.arange(width), np.iinfo(np.int64).max)
        nearest = np.sort(order, axis=1)[:, :most]
        named = np.take_along_axis(ids, nearest % width, axis=1)
        kept = np.where(nearest < np.iinfo(np.int64).max, named, -1)
        found[begin : begin + len(part), : kept.shape[1]] = kept
    return found


def _voters(selection: Selection) -> npt.NDArray[np.int32]:
    """(N, V) int32: the neighbours that were heard of each row, nearest first, −1 at the end."""
    curation, graph = selection.curation, selection.graph
    if curation.method == "simifeat":  # the row itself is one of the k
        return graph.indices[:, : max(curation.k - 1, 1)]
    heard = independent_neighbours(
        selection.given_scores, graph, available_threads(), min(curation.k, graph.k)
    )
    return heard.ids


def _corrections(selection: Selection) -> list[tuple[int, str]]:
    """Rows whose score was changed, and that in words."""
    given, new = selection.given_scores, selection.curation.scores
    rows = np.flatnonzero((given != UNRATED) & (new != UNRATED) & (given != new))
    if not len(rows):
        return []
    named = supporters(selection, rows).tolist()
    known = _known(selection, rows)
    columns = (rows, given[rows], new[rows], selection.curation.confidence[rows])
    corrections = zip(*(column.tolist() for column in columns), named, known, strict=True)
    return [
        (
            row,
            f"; corrected {old} to {score} (confidence {sure:.2f})"
            + (" because of its gold label" if is_gold else _because(neighbours)),
        )
        for row, old, score, sure, neighbours, is_gold in corrections
    ]


def _known(selection: Selection, rows: IntArray) -> list[bool]:
    """Whether a row's curated score is its gold label."""
    gold = None if selection.given is None else selection.given.gold
    if gold is None:
        return [False] * len(rows)
    known: list[bool] = (gold[rows] == selection.curation.scores[rows]).tolist()
    return known


def _because(neighbours: list[int]) -> str:
    named = [str(row) for row in neighbours if row >= 0]
    return f" because of row{'s' * (len(named) > 1)} {', '.join(named)}" if named else ""


def _selected(selection: Selection, rows: IntArray) -> list[str]:
    rank = np.empty(len(selection.given_scores), dtype=np.int64)
    rank[selection.indices] = np.arange(len(selection.indices))
    candidates, last = _at_cut(selection)
    at_cut = int((selection.keys[rows] == last).sum())
    rarity = f", among the rarest {at_cut} of {candidates}" if candidates > at_cut else ""
    ends = (selection.keys[rows] == last).tolist()
    ranks = rank[rows].tolist()
    return [
        f"selected at rank {place}{rarity if end else ''}"
        for place, end in zip(ranks, ends, strict=True)
    ]


def _below(selection: Selection, rows: IntArray) -> list[str]:
    _, last = _at_cut(selection)
    words = np.where(
        selection.keys[rows] == last, "left out: not rare enough", "below the cut"
    ).astype(object)
    below: list[str] = words.tolist()
    return below


def _at_cut(selection: Selection) -> tuple[int, float]:
    """Rows that rarity chose among, and their key; none with groups, each of which has a cut."""
    if selection.rules.group is not None:
        return 0, float("nan")
    last = float(selection.keys[selection.indices].min())
    return int((selection.eligible & (selection.keys == last)).sum()), last


def _excluded(selection: Selection, rows: IntArray) -> list[str]:
    found, because = selection.rules.excluded, _kept(selection).because
    if found is None:
        return ["left out: repeats a row of the excluded data"] * len(rows)
    shared, nearest = found.how[rows] == Repeats.NGRAM, found.similarity
    cosines = np.full(len(rows), np.nan) if nearest is None else nearest[rows]
    columns = (because[rows].tolist(), shared.tolist(), cosines.tolist())
    return [
        f"repeats row {row} of {found.name} "
        + ("(a run of words)" if of_words else f"(similarity {cosine:.2f})")
        for row, of_words, cosine in zip(*columns, strict=True)
    ]


def _low_score(selection: Selection, rows: IntArray) -> list[str]:
    least = selection.rules.min_score
    return [
        f"left out: ranks by {key:.4g}, below min_score {least:g}"
        for key in selection.keys[rows].tolist()
    ]


def _too_rare(selection: Selection, rows: IntArray) -> list[str]:
    share = selection.rules.max_rarity or 0.0
    return [f"left out: rarer than {share:.4g} of the rated rows (max_rarity)"] * len(rows)


def _group_full(selection: Selection, rows: IntArray) -> list[str]:
    group = selection.rules.group
    if group is None:
        return ["left out: its group is full"] * len(rows)
    # One string a group, whatever the number of rows: a label may be long.
    words = [f"left out: its group {_short(name)!r} is full" for name in group.names]
    return [words[code] for code in group.codes[rows].tolist()]


def _short(name: str) -> str:
    return name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…"


def _duplicate(selection: Selection, rows: IntArray) -> list[str]:
    kept = _kept(selection)
    pairs = zip(kept.because[rows].tolist(), kept.similarity[rows].tolist(), strict=True)
    return [f"duplicate of row {row} (similarity {cosine:.2f})" for row, cosine in pairs]


def _unrated(selection: Selection, rows: IntArray) -> list[str]:
    """Rating would not help a row that has no text."""
    if selection.pool is None:
        return ["unrated"] * len(rows)
    return [NO_TEXT if not length else "unrated" for length in selection.pool.lengths[rows]]


def _kept(selection: Selection) -> Any:
    return selection.choice


_WORDS: dict[Fate, Words] = {
    Fate.SELECTED: _selected,
    Fate.BELOW: _below,
    Fate.UNRATED: _unrated,
    Fate.EXCLUDED: _excluded,
    Fate.LOW_SCORE: _low_score,
    Fate.TOO_RARE: _too_rare,
    Fate.GROUP_FULL: _group_full,
    Fate.DUPLICATE: _duplicate,
}
