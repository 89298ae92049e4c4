"""What decided a selection: score, correction or rarity; text length; the rows' sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ds2fast.errors import InputError
from ds2fast.groups import code_labels
from ds2fast.results import BoolArray, DoubleArray, IntArray, ShortRepr

ENOUGH_FOR_A_MATRIX = 500
"""Rated rows below which a source gets no matrix of its own: its entries would be noise."""

SHOWN_SOURCES = 12
"""Sources that are written out; the others are counted."""


@dataclass(frozen=True, eq=False, repr=False)
class Source(ShortRepr):
    """One source (group) of the pool.

    Attributes
    ----------
    name : str
        The group's label in words.
    rows, rated, selected : int
        Rows of the pool, rated rows and selected rows.
    mean_given, mean_key : float or None
        Mean of the scores as given and of the ranking values over its rated rows; None without any.
    transition_matrix : (K, K) float64 or None
        `T[i, a]`: of the posterior mass on level i the share in rows that were given a; NaN in a
        row without mass. A description of the posterior, which knows one T for the whole pool, and
        no estimate of its own. None for fewer than 500 rated rows or without a posterior.
    """

    name: str
    rows: int
    rated: int
    selected: int
    mean_given: float | None
    mean_key: float | None
    transition_matrix: DoubleArray | None = None

    def record(self) -> dict[str, Any]:
        """The figures as JSON can hold them; NaN is None."""
        matrix = None if self.transition_matrix is None else self.transition_matrix.tolist()
        if matrix is not None:
            matrix = [[None if np.isnan(share) else share for share in row] for row in matrix]
        return {**vars(self), "transition_matrix": matrix}


@dataclass(frozen=True, eq=False, repr=False)
class Decided(ShortRepr):
    """What decided a selection. Every selected row counts once: score, correction or rarity.

    Attributes
    ----------
    selected : int
        Number of selected rows.
    by_correction : int
        Rows that the scores as given would not have selected (score descending, then rarity).
    by_rarity : int
        Other rows whose ranking value others share that were left out: rarity chose among them.
    by_score : int
        All other rows: their score as given put them in.
    overlap_given : float
        Share of the selected rows that the scores as given would have selected too.
    length_correlation, length_correlation_ranking : float or None
        Rank correlation (Spearman) of text length in characters with the score as given and with
        the ranking value, over the rated rows. None without texts or where one is constant.
    sources : tuple of Source
        The pool by source, largest first; empty without groups.
    """

    selected: int
    by_score: int
    by_correction: int
    by_rarity: int
    overlap_given: float
    length_correlation: float | None = None
    length_correlation_ranking: float | None = None
    sources: tuple[Source, ...] = ()

    def record(self) -> dict[str, Any]:
        """All figures as JSON can hold them, for a manifest."""
        return {**vars(self), "sources": [source.record() for source in self.sources]}

    def __str__(self) -> str:
        lines = [
            f"of {self.selected} selected rows {self.by_score} were decided by score, "
            f"{self.by_correction} by correction, {self.by_rarity} by rarity; "
            f"{self.overlap_given:.1%} would be selected by the scores as given too"
        ]
        if self.length_correlation is not None or self.length_correlation_ranking is not None:
            lines.append(
                "rank correlation with text length: "
                f"{_in_words(self.length_correlation)} for the scores as given, "
                f"{_in_words(self.length_correlation_ranking)} for the ranking"
            )
        return "\n".join(lines + describe_sources(self.sources))


def decide(
    indices: npt.ArrayLike,
    given: npt.ArrayLike,
    keys: npt.ArrayLike,
    long_tail: npt.ArrayLike,
    *,
    lengths: npt.ArrayLike | None = None,
    groups: Sequence[Any] | npt.NDArray[Any] | None = None,
    posterior: npt.ArrayLike | None = None,
    values: npt.ArrayLike | None = None,
    as_given: npt.ArrayLike | None = None,
    eligible: npt.ArrayLike | None = None,
) -> Decided:
    """Say what decided a selection.

    Parameters
    ----------
    indices : (n,) integers
        The selected rows.
    given : (N,) integers
        Scores as levels 0..K−1 before curation, −1 unrated.
    keys : (N,) floats
        What the rows were ranked by, before rarity: curated scores or expected ones. Equal means
        equal to the last bit: between other values rarity did not choose.
    long_tail : (N,) floats
        Rarity of each row.
    lengths : (N,) integers, optional
        Length of each text in characters.
    groups : (N,) labels, optional
        Source of each row.
    posterior : (N, K) floats, optional
        P(true level) of each row.
    values : (N,) floats, optional
        The real-valued scores that the levels were cut from: the scores as given rank by them.
    as_given : (m,) integers, optional
        Rows that the scores as given would have selected; by default the first by them, by rarity
        among equals. With rules beyond the order these are not the first.
    eligible : (N,) bool, optional
        Rows that might have been selected; by default those that are rated.

    Returns
    -------
    Decided

    Raises
    ------
    InputError
        Arrays of other lengths than `given`; `indices` that are empty, repeated, or no rated rows.

    Examples
    --------
    Row 3 was given a 4 and is expected higher; of rows 0 and 1 the rarer one is in.

    >>> decided = decide([3, 1], [5, 5, 0, 4], [5, 5, 0, 6], [0.1, 0.2, 0.1, 0.1])
    >>> decided.by_score, decided.by_correction, decided.by_rarity, decided.overlap_given
    (0, 1, 1, 0.5)
    """
    levels = np.asarray(given, dtype=np.int64)
    rated = levels >= 0
    chosen = _check_chosen(np.asarray(indices), rated)
    ranking = _of_rows(keys, "keys", len(levels))
    ranking_given = levels if values is None else _of_rows(values, "values", len(levels))
    rarity = _of_rows(long_tail, "long_tail", len(levels))
    if as_given is None:
        same = _first_rows(ranking_given, rarity, rated, len(chosen))
    else:
        same = np.zeros(len(levels), dtype=bool)
        same[np.asarray(as_given, dtype=np.int64)] = True
    corrected = ~same[chosen]
    candidates = rated if eligible is None else rated & np.asarray(eligible, dtype=bool)
    tied = _decided_by_rarity(chosen, ranking, candidates)
    by_correction = int(corrected.sum())
    by_rarity = int((tied & ~corrected).sum())
    return Decided(
        len(chosen),
        len(chosen) - by_correction - by_rarity,
        by_correction,
        by_rarity,
        1.0 - by_correction / len(chosen),
        _length_correlation(ranking_given, lengths, rated),
        _length_correlation(ranking, lengths, rated),
        () if groups is None else find_sources(groups, levels, ranking, chosen, posterior),
    )


def find_sources(
    groups: Sequence[Any] | npt.NDArray[Any],
    given: npt.ArrayLike,
    keys: npt.ArrayLike,
    indices: npt.ArrayLike = (),
    posterior: npt.ArrayLike | None = None,
) -> tuple[Source, ...]:
    """Figures of each source, largest first; the parameters are those of `decide`.

    Raises
    ------
    InputError
        Arrays of other lengths than `given`.

    Examples
    --------
    >>> sources = find_sources(["web", "book", "web"], [4, 5, 1], [4.0, 4.5, 2.0], [1])
    >>> [(source.name, source.rows, source.selected, source.mean_given) for source in sources]
    [('web', 2, 0, 2.5), ('book', 1, 1, 5.0)]
    """
    levels = np.asarray(given, dtype=np.int64)
    ranking = _of_rows(keys, "keys", len(levels))
    names, codes = code_labels(groups, len(levels))
    rated = levels >= 0
    rows, num_rated, selected = (
        np.bincount(part, minlength=len(names))
        for part in (codes, codes[rated], codes[np.asarray(indices, dtype=np.int64)])
    )
    mean_given, mean_key = (
        _means(codes[rated], array[rated], num_rated) for array in (levels, ranking)
    )
    matrices = _matrices_by_source(codes, levels, posterior, num_rated)
    return tuple(
        Source(
            names[s],
            int(rows[s]),
            int(num_rated[s]),
            int(selected[s]),
            mean_given[s],
            mean_key[s],
            matrices[s],
        )
        for s in sorted(range(len(names)), key=lambda s: (-rows[s], names[s]))
    )


def describe_sources(sources: tuple[Source, ...]) -> list[str]:
    """Lines that show each source: amounts, means, and how often each true level was given."""
    if not sources:
        return []
    width = max(len(source.name[:30]) for source in sources[:SHOWN_SOURCES])
    lines = ["by source: rows, selected, mean score as given, mean it ranks by, diagonal of T"]
    for source in sources[:SHOWN_SOURCES]:
        words = (
            f"  {source.name[:30]:<{width}}  {source.rows:>8}  {source.selected:>7}"
            f"  {_in_words(source.mean_given)}  {_in_words(source.mean_key)}"
        )
        if source.transition_matrix is not None:
            shares = " ".join(f"{share:.2f}" for share in np.diag(source.transition_matrix))
            words += f"  {shares}"
        lines.append(words)
    if len(sources) > SHOWN_SOURCES:
        rest = sources[SHOWN_SOURCES:]
        lines.append(
            f"  and {len(rest)} more with {sum(source.rows for source in rest)} rows, "
            f"{sum(source.selected for source in rest)} of them selected"
        )
    return lines


def rank_correlation(first: npt.ArrayLike, second: npt.ArrayLike) -> float | None:
    """Spearman's correlation: Pearson's of the ranks, equal values sharing their mean rank.

    Parameters
    ----------
    first, second : (M,) numbers
        Without NaN.

    Returns
    -------
    float or None
        None where either is constant, or empty.

    Examples
    --------
    >>> rank_correlation([1, 2, 3], [10, 1000, 100])
    0.5
    """
    ranks = average_ranks(first), average_ranks(second)
    if len(ranks[0]) != len(ranks[1]):
        raise InputError(f"second: expected as many values as first ({len(ranks[0])})")
    x, y = (rank - rank.mean() if len(rank) else rank for rank in ranks)
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > 0 else None


def average_ranks(values: npt.ArrayLike) -> DoubleArray:
    """Ranks 1..M of `values`, equal ones sharing the mean of theirs.

    Examples
    --------
    >>> average_ranks([30, 10, 30]).tolist()
    [2.5, 1.0, 2.5]
    """
    _, inverse, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: DoubleArray = (ends - (counts - 1) / 2.0)[inverse]
    return ranks


def _check_chosen(indices: npt.NDArray[Any], rated: BoolArray) -> IntArray:
    fits = indices.ndim == 1 and indices.size and np.issubdtype(indices.dtype, np.integer)
    if not fits or indices.min() < 0 or indices.max() >= len(rated):
        raise InputError(f"indices: expected row numbers in [0, {len(rated)}), got others or none")
    chosen = indices.astype(np.int64)
    if len(np.unique(chosen)) < len(chosen) or not rated[chosen].all():
        raise InputError("indices: expected different rated rows, got one twice or an unrated one")
    return chosen


def _of_rows(values: npt.ArrayLike, name: str, num_rows: int) -> DoubleArray:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (num_rows,):
        raise InputError(f"{name}: expected one value a row ({num_rows},), got {array.shape}")
    return array


def _first_rows(
    scores: npt.NDArray[Any], rarity: DoubleArray, rated: BoolArray, count: int
) -> BoolArray:
    """Mask of the first rows by score, then rarity, then index; scores may be negative here."""
    rows = np.flatnonzero(rated)
    order = np.lexsort((rows, -rarity[rows], -scores[rows]))
    first = np.zeros(len(rated), dtype=bool)
    first[rows[order[:count]]] = True
    return first


def _length_correlation(
    scores: npt.NDArray[Any], lengths: npt.ArrayLike | None, rated: BoolArray
) -> float | None:
    if lengths is None:
        return None
    sizes = _of_rows(lengths, "lengths", len(rated))
    return rank_correlation(scores[rated], sizes[rated])


def _decided_by_rarity(chosen: IntArray, ranking: DoubleArray, rated: BoolArray) -> BoolArray:
    """(n,) bool: chosen rows of the last ranking value, where not all rows of it were chosen."""
    last = ranking[chosen].min()
    tied = ranking[chosen] == last
    candidates = int((ranking[rated] == last).sum())
    return tied if candidates > int(tied.sum()) else np.zeros_like(tied)


def _means(codes: IntArray, values: npt.NDArray[Any], num_rated: IntArray) -> list[float | None]:
    sums = np.bincount(codes, weights=values, minlength=len(num_rated))
    pairs = zip(sums, num_rated, strict=True)
    return [float(total / count) if count else None for total, count in pairs]


def _matrices_by_source(
    codes: IntArray, levels: IntArray, posterior: npt.ArrayLike | None, num_rated: IntArray
) -> list[DoubleArray | None]:
    if posterior is None:
        return [None] * len(num_rated)
    beliefs = np.asarray(posterior, dtype=np.float64)
    if beliefs.ndim != 2 or len(beliefs) != len(levels) or beliefs.shape[1] <= levels.max():
        raise InputError(
            f"posterior: expected shape ({len(levels)}, K) with K above {levels.max()}, "
            f"got {beliefs.shape}"
        )
    rated = levels >= 0
    k = beliefs.shape[1]
    cells = codes[rated] * k + levels[rated]
    mass = [np.bincount(cells, belief, len(num_rated) * k) for belief in beliefs[rated].T]
    counts = np.stack(mass).reshape(k, len(num_rated), k).transpose(1, 0, 2)
    totals = counts.sum(axis=2, keepdims=True)
    shares = np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)
    return [
        share if count >= ENOUGH_FOR_A_MATRIX else None
        for share, count in zip(shares, num_rated, strict=True)
    ]


def _in_words(figure: float | None) -> str:
    return "none" if figure is None else f"{figure:.2f}"
