"""Choose rows from the order of a dual sort within rules, and say what became of every row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ds2fast.arguments import as_count
from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.results import FloatArray, FrozenArrays, IntArray
from ds2fast.rule_notes import notes_on
from ds2fast.rules import Fate, Rules
from ds2fast.selection import dual_sort
from ds2fast.walk import Step, Walk, walk_down

__all__ = ["Choice", "Fate", "Rules", "choose"]


@dataclass(frozen=True, eq=False, repr=False)
class Choice(FrozenArrays):
    """Rows chosen within rules, and what became of the others; `choose` makes it.

    Attributes
    ----------
    indices : (n',) int64
        The selected rows, best first.
    fates : (N,) int8
        A `Fate` of each row.
    because : (N,) int64
        The selected row that a duplicate repeats, or the evaluation row that an excluded row
        repeats; −1 elsewhere.
    similarity : (N,) float32
        Cosine of a duplicate to that row; NaN elsewhere.
    asked : int
        Rows that were asked for; the rules may leave fewer.
    notes : tuple of str
        What each rule did, in words.
    unsettled : int
        Selected rows that could not be compared with all selected ones, for want of vectors.
    """

    indices: IntArray
    fates: npt.NDArray[np.int8]
    because: IntArray
    similarity: FloatArray
    asked: int
    notes: tuple[str, ...] = ()
    unsettled: int = 0

    def counts(self) -> dict[str, int]:
        """Rows by fate, in the order of `Fate`; fates of no row are left out."""
        numbers = np.bincount(self.fates, minlength=len(Fate))
        return {fate.name.lower(): int(numbers[fate]) for fate in Fate if numbers[fate]}


def choose(
    keys: npt.ArrayLike,
    long_tail: npt.ArrayLike,
    count: int,
    rules: Rules,
    *,
    graph: KnnGraph | None = None,
    vectors: npt.ArrayLike | None = None,
    threads: int | None = None,
    may_be_none: bool = False,
) -> Choice:
    """The first `count` rows of the dual sort that the rules let through.

    With empty rules this is `dual_sort`. Rules may leave fewer rows than were asked for: a note
    says so. The row that a duplicate repeats is the selected one nearest to it; see `walk_down` for
    how groups and near-duplicates are judged.

    Parameters
    ----------
    keys : (N,) numbers
        What rows rank by; below 0 or NaN is unrated and never selected.
    long_tail : (N,) floats
        Long-tail scores, finite.
    count : int
        Rows to select, at most the rated ones.
    rules : Rules
        What limits the selection.
    graph : KnnGraph, optional
        Neighbours of the rows; needed for `max_similarity`.
    vectors : (N, d) floats, optional
        The rows' vectors, for near-duplicates that the graph cannot settle.
    threads : int, optional
        Threads to use; None is what CPU affinity and cgroup allow.
    may_be_none : bool
        Whether rules may leave no row at all.

    Returns
    -------
    Choice

    Raises
    ------
    InputError
        As `dual_sort`; rules for another number of rows; `max_similarity` without a graph; no row
        that the rules let through, unless there may be none.

    Examples
    --------
    >>> choice = choose([5, 4, 3, -1], [0.1, 0.1, 0.1, 0.1], 1, Rules(min_score=4))
    >>> choice.indices.tolist(), choice.counts()
    ([0], {'selected': 1, 'below': 1, 'unrated': 1, 'low_score': 1})
    """
    if rules.is_empty:
        return _choose_first(np.asarray(keys), dual_sort(keys, long_tail, count))
    asked = as_count(count, "count")
    order = dual_sort(keys, long_tail)
    if asked > len(order):
        raise InputError(
            f"count: expected at most the number of rated rows ({len(order)}), got {asked}"
        )
    fates = _fates_before_walk(np.asarray(keys), np.asarray(long_tail), order, rules)
    if graph is not None and rules.max_similarity is not None and graph.num_rows != len(fates):
        raise InputError(f"graph: expected {len(fates)} rows, got {graph.num_rows}")
    open_rows = order[fates[order] == Fate.BELOW]
    if len(open_rows) == 0 and not may_be_none:
        raise InputError(f"rules: expected some to let a rated row through, got {_words(fates)}")
    walk = walk_down(
        open_rows,
        asked,
        group=rules.group,
        max_similarity=rules.max_similarity,
        graph=graph,
        vectors=vectors,
        threads=threads,
    )
    if not (walk.steps == Step.SELECTED).any() and not may_be_none:
        raise InputError("rules: expected groups to have room for a rated row, got caps of 0")
    _follow(walk, open_rows, asked, fates)
    because, similarity = _causes(walk, open_rows, fates, rules)
    chosen = open_rows[walk.steps == Step.SELECTED]
    notes = notes_on(
        rules, fates, order, asked, long_tail=np.asarray(long_tail), unsettled=walk.unsettled
    )
    return Choice(chosen, fates, because, similarity, asked, notes, walk.unsettled)


def _choose_first(keys: npt.NDArray[Any], first: IntArray) -> Choice:
    fates = np.where(keys >= 0, np.int8(Fate.BELOW), np.int8(Fate.UNRATED))
    fates[first] = Fate.SELECTED
    because = np.full(len(fates), -1, dtype=np.int64)
    return Choice(first, fates, because, np.full(len(fates), np.nan, dtype=np.float32), len(first))


def _fates_before_walk(
    keys: npt.NDArray[Any], long_tail: npt.NDArray[Any], order: IntArray, rules: Rules
) -> npt.NDArray[np.int8]:
    """Rows that are left out wherever they rank; the first rule that holds names it."""
    fates = np.full(len(keys), Fate.UNRATED, dtype=np.int8)
    fates[order] = Fate.BELOW
    rarity = long_tail[order]
    if rules.max_rarity is not None:
        fates[order[rarity > np.quantile(rarity, rules.max_rarity)]] = Fate.TOO_RARE
    if rules.min_score is not None:
        fates[order[keys[order] < rules.min_score]] = Fate.LOW_SCORE
    if rules.excluded is not None:
        excluded = _for_rows(rules.excluded.rows, "excluded", len(keys))
        fates[order[excluded[order]]] = Fate.EXCLUDED
    if rules.group is not None:
        _for_rows(rules.group.codes, "group", len(keys))
    return fates


def _for_rows(array: npt.NDArray[Any], name: str, num_rows: int) -> npt.NDArray[Any]:
    if array.shape != (num_rows,):
        raise InputError(f"{name}: expected a rule for {num_rows} rows, got one for {len(array)}")
    return array


def _follow(walk: Walk, open_rows: IntArray, asked: int, fates: npt.NDArray[np.int8]) -> None:
    """Write the walk's steps as fates. Behind the last of all rows asked for, rows are not reached.

    The walk looks further where a group's rows are far down, but what it passed over there would
    not have been selected anyhow.
    """
    steps = walk.steps.copy()
    selected = np.flatnonzero(steps == Step.SELECTED)
    if len(selected) == asked:
        steps[selected[-1] + 1 :] = Step.NOT_REACHED
    fate_of = np.array([Fate.BELOW, Fate.SELECTED, Fate.GROUP_FULL, Fate.DUPLICATE], dtype=np.int8)
    fates[open_rows] = fate_of[steps]


def _causes(
    walk: Walk, open_rows: IntArray, fates: npt.NDArray[np.int8], rules: Rules
) -> tuple[IntArray, FloatArray]:
    """The row that made each row a duplicate or a repeat, and a duplicate's cosine to it."""
    because = np.full(len(fates), -1, dtype=np.int64)
    similarity = np.full(len(fates), np.nan, dtype=np.float32)
    is_duplicate = fates[open_rows] == Fate.DUPLICATE
    because[open_rows[is_duplicate]] = walk.because[is_duplicate]
    similarity[open_rows[is_duplicate]] = walk.similarities[is_duplicate]
    if rules.excluded is not None:
        repeats = fates == Fate.EXCLUDED
        because[repeats] = rules.excluded.because[repeats]
    return because, similarity


def _words(fates: npt.NDArray[np.int8]) -> str:
    left_out = (Fate.EXCLUDED, Fate.LOW_SCORE, Fate.TOO_RARE)
    numbers = {fate.name.lower(): int((fates == fate).sum()) for fate in left_out}
    return ", ".join(f"{number} {name}" for name, number in numbers.items() if number)
