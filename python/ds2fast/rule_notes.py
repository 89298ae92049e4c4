"""What each rule did to a selection, in words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ds2fast.exclusion import Repeats
from ds2fast.results import BoolArray, IntArray
from ds2fast.rules import Fate, Rules

_SHOWN_ROWS = 5
_SHOWN_GROUPS = 5


def notes_on(
    rules: Rules,
    fates: npt.NDArray[np.int8],
    order: IntArray,
    asked: int,
    *,
    long_tail: npt.NDArray[np.floating],
    unsettled: int = 0,
) -> tuple[str, ...]:
    """What each rule left out, and how many of these rows would have been selected without rules.

    Parameters
    ----------
    rules : Rules
        The rules in force.
    fates : (N,) int8
        A `Fate` of each row.
    order : (M,) int64
        The rated rows, best first, as they rank without rules.
    asked : int
        Rows that were asked for.
    long_tail : (N,) floats
        Long-tail scores.
    unsettled : int
        Selected rows that were not compared with all selected ones.

    Returns
    -------
    tuple of str
        One sentence a rule that did something, and one where rows are missing.
    """
    effect = _Effect(fates, order, asked)
    notes: list[str] = []
    if rules.excluded is not None:
        notes.append(_on_excluded(rules, effect))
    if rules.min_score is not None:
        what = f"min_score: {effect.rows(Fate.LOW_SCORE)} below {rules.min_score:g} left out"
        notes.append(f"{what}; {effect.would(Fate.LOW_SCORE)}")
    if rules.max_rarity is not None:
        notes.append(_on_rarity(rules.max_rarity, effect, long_tail))
    if rules.max_similarity is not None:
        what = f"max_similarity: {effect.rows(Fate.DUPLICATE)} left out whose cosine to a selected "
        notes.append(
            f"{what}row is at least {rules.max_similarity:g}; {effect.would(Fate.DUPLICATE)}"
        )
    if rules.group is not None:
        notes.extend(_on_groups(rules, effect))
    if unsettled:
        notes.append(_on_unsettled(unsettled, rules))
    if effect.num_selected < asked:
        notes.append(
            f"asked for {asked} rows, selected {effect.num_selected}: the rules let no more through"
        )
    return tuple(notes)


class _Effect:
    """Counts rows by fate: all of them, and those that rank among the first `asked`."""

    def __init__(self, fates: npt.NDArray[np.int8], order: IntArray, asked: int) -> None:
        self.fates = fates
        self.order = order
        self.asked = asked
        self.first = order[:asked]

    @property
    def num_selected(self) -> int:
        return int((self.fates == Fate.SELECTED).sum())

    def rows(self, fate: Fate) -> str:
        return _rows(int((self.fates == fate).sum()))

    def ranked(self, fate: Fate) -> IntArray:
        """The rows among the first, best first."""
        rows: IntArray = self.first[self.fates[self.first] == fate]
        return rows

    def would(self, fate: Fate, *, name_rows: bool = False) -> str:
        rows = self.ranked(fate)
        if len(rows) == 0:
            return "none of them would be selected without rules"
        words = f"{len(rows)} of them would be selected without rules"
        if not name_rows:
            return words
        shown = ", ".join(map(str, rows[:_SHOWN_ROWS].tolist()))
        more = ", ..." * (len(rows) > _SHOWN_ROWS)
        return f"{words} (rows {shown}{more})"


def _on_excluded(rules: Rules, effect: _Effect) -> str:
    excluded = rules.excluded
    if excluded is None:
        return ""
    left_out: BoolArray = effect.fates == Fate.EXCLUDED
    by_run = int((excluded.how[left_out] == Repeats.NGRAM).sum())
    unseen = "" if excluded.similarity is not None else ", which was not looked at"
    return (
        f"exclude: {effect.rows(Fate.EXCLUDED)} left out that repeat {excluded.name} "
        f"({by_run} by a run of words, {int(left_out.sum()) - by_run} by similarity{unseen}); "
        f"{effect.would(Fate.EXCLUDED)}"
    )


def _on_rarity(max_rarity: float, effect: _Effect, long_tail: npt.NDArray[np.floating]) -> str:
    limit = float(np.quantile(long_tail[effect.order], max_rarity))
    return (
        f"max_rarity: {effect.rows(Fate.TOO_RARE)} left out whose long-tail score lies above "
        f"{limit:.4g}, the quantile {max_rarity:g}; {effect.would(Fate.TOO_RARE, name_rows=True)}"
    )


def _on_groups(rules: Rules, effect: _Effect) -> list[str]:
    group = rules.group
    if group is None:
        return []
    full = len(effect.ranked(Fate.GROUP_FULL))
    notes = [f"groups: {_rows(full)} of the first {len(effect.first)} gave way to other groups"]
    if group.quotas is None:
        return notes
    held = group.held(np.flatnonzero(effect.fates == Fate.SELECTED))
    short = np.flatnonzero(held < group.quotas)
    for place in short[:_SHOWN_GROUPS]:
        notes.append(
            f"groups: {group.names[place]!r} could fill {held[place]} of the "
            f"{group.quotas[place]} rows meant for it"
        )
    if len(short) > _SHOWN_GROUPS:
        notes.append(f"groups: {len(short) - _SHOWN_GROUPS} more could not fill theirs either")
    if len(short):
        notes.append("groups: rows that a group could not fill went to the others by rank")
    if group.num_placeless:
        notes.append(
            f"groups: no place of its own for {group.num_placeless} of {group.num_groups}, whose "
            f"share of {effect.asked} is less than a row"
        )
    return notes


def _on_unsettled(unsettled: int, rules: Rules) -> str:
    return (
        f"max_similarity: {_rows(unsettled)} selected that may still be near another selected one: "
        f"all their neighbours in the graph lie at {rules.max_similarity:g} or above, and there "
        "are no vectors to look further"
    )


def _rows(count: int) -> str:
    return f"{count} row" + "s" * (count != 1)
