"""The trainers by name: whether they take a pool, and what they are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ds2fast.errors import InputError, InputTypeError
from ds2fast.io.fields import Row
from ds2fast.io.forms import FORMS
from ds2fast.io.rows import check_indices
from ds2fast.pool import Pool
from ds2fast.trainers import axolotl, llama_factory, trl
from ds2fast.trainers.copies import Copy, copy_for
from ds2fast.trainers.files import TrainerFiles
from ds2fast.trainers.layout import Layout
from ds2fast.trainers.losses import Tally, disliked, judged, not_copied, rows_in_words
from ds2fast.trainers.plan import Finding, Plan, Planner
from ds2fast.trainers.survey import Survey, rows_of_pool, survey

_PLANNERS: dict[str, Planner] = {
    "llama-factory": llama_factory.plan,
    "axolotl": axolotl.plan,
    "trl": trl.plan,
}
TRAINERS = tuple(_PLANNERS)
"""The trainers that files are written for."""

_NumberedRows = Callable[[], Iterator[tuple[int, Row]]]
"""Begins a pass over rows and their numbers."""

_LOOKED_AT = 1000
_TAKEN_BY_ALL = (
    "messages whose roles are system, user, assistant and tool, users and assistants in turn, an "
    "assistant's last, their contents strings, are taken by all"
)


def trainer_files(
    name: str, pool: Pool, indices: npt.ArrayLike, *, file: str = "selected.jsonl"
) -> TrainerFiles:
    """What a trainer is given beside the selected rows.

    The rows stay as they are: the entry and the config describe the layout that most of them have
    of those that the trainer takes. Where a copy as messages of role and content would hold more
    rows, they describe that copy. Whatever cannot be copied and whatever the trainer would drop,
    stop at or not read is told with the number of rows.

    Parameters
    ----------
    name : {"llama-factory", "axolotl", "trl"}
        The trainer.
    pool : Pool
        The pool.
    indices : (n,) integers
        The selected rows, which are read twice, and up to five times for a copy; more often
        where a trainer drops all rows of the layouts that it is tried with.
    file : str
        Name of the file with the rows, in the same folder: `.jsonl` or `.parquet`.

    Returns
    -------
    TrainerFiles
        Without any file where the trainer can take none of the rows; a note says why.

    Raises
    ------
    InputError, InputTypeError
        No such trainer, or indices that the pool has not.

    Examples
    --------
    >>> from ds2fast.io.read import read
    >>> rows = [{"instruction": "2+2?", "output": "4"}, {"instruction": "3+3?", "output": None}]
    >>> made = trainer_files("llama-factory", read(rows, scores=None), [0, 1])
    >>> sorted(made.files), len(made.notes)
    (['dataset_info.json', 'llama-factory.yaml'], 1)
    """
    _check_name(name)
    ids = check_indices(indices, len(pool))
    rows = partial(rows_of_pool, pool, ids)
    found = survey(rows())
    way, why = _way(name, found, rows)
    if way is None:
        words = "; ".join(_why(name, found, rows, why)) or "no rows"
        note = f"{name}: no files are written, for it takes no row: {words}"
        return TrainerFiles({}, (note,), (note,))
    notes = [Finding(note) for note in way.plan.notes]
    if way.copy is not None:
        file = way.copy.name(file.rpartition(".")[0])
        notes = [*_copy_notes(way.copy, file, way, found, rows), *notes]
    notes += way.tally.notes(found.num_rows)
    if file.endswith(".jsonl"):
        notes += map(Finding, _mixed_kinds(way.found))
    told = tuple(f"{name}: {note.words}" for note in notes)
    warned = tuple(words for words, note in zip(told, notes, strict=True) if note.lost)
    return TrainerFiles(way.plan.files(file), told, warned, way.copy)


def check_trainer(name: str, pool: Pool) -> None:
    """Refuse, before any work, a trainer that would take none of the rows, or rows of KTO.

    At most 1000 rows are looked at, evenly spaced over the pool.

    Raises
    ------
    InputTypeError, InputError
        `name` is no trainer; of the rows looked at it would drop or stop at each, also at copies:
        the message says which layouts they have and why. Or some of them have `prompt`,
        `completion` and the `label` false: the trainer would learn what is not to be learnt.

    Examples
    --------
    >>> from ds2fast.io.read import read
    >>> check_trainer("axolotl", read([{"question": "2+2?", "answer": "4"}], scores=None))
    """
    _check_name(name)
    some = np.unique(np.linspace(0, len(pool) - 1, min(len(pool), _LOOKED_AT)).astype(np.int64))
    rows = partial(rows_of_pool, pool, some)
    _refuse_disliked(name, rows, len(some))
    found = survey(rows())
    way, why = _way(name, found, rows)
    if way is None:
        words = "; ".join(_why(name, found, rows, why))
        raise InputError(f"trainers: expected rows that {name} takes, got {words}")


def _refuse_disliked(name: str, rows: _NumberedRows, num_rows: int) -> None:
    """Rows of KTO: no config here makes a trainer read their labels."""
    numbers = disliked(rows())
    if numbers:
        raise InputError(
            f"trainers: expected completions to learn from, got the label false in {len(numbers)} "
            f"of {rows_in_words(num_rows)} (first: row {numbers[0]}), on which {name} would train "
            "as on the others; select from the rows whose label is true, or select without a "
            "trainer and write a config for KTO by hand (a label of another meaning: rename it)"
        )


def _check_name(name: Any) -> None:
    if not isinstance(name, str):
        raise InputTypeError(f"trainers: expected names, got {type(name).__name__}")
    if name not in _PLANNERS:
        raise InputError(f"trainers: expected one of {', '.join(TRAINERS)}, got {name!r}")


@dataclass(frozen=True)
class _Way:
    """How a trainer is given rows: as they are or as a copy, of which layout, by which plan."""

    copy: Copy | None
    found: Survey
    layout: Layout
    plan: Plan
    tally: Tally

    @property
    def count(self) -> int:
        return self.found.layouts[self.layout].count


def _way(name: str, found: Survey, rows: _NumberedRows) -> tuple[_Way | None, list[str]]:
    """The way by which the trainer takes most rows, or why there is none.

    As they are where a copy would hold no more.
    """
    plain, why = _planned(name, found, None, rows)
    held = 0 if plain is None else plain.count
    copy, at_most = copy_for(name, found)
    if at_most <= held:
        return plain, why
    written = partial(_copied, copy, rows)
    copied, why_not = _planned(name, survey(written()), copy, written)
    if copied is None or copied.count <= held:
        return plain, why + [f"as a copy, {words}" for words in why_not]
    return copied, why


def _planned(
    name: str, found: Survey, copy: Copy | None, rows: _NumberedRows
) -> tuple[_Way | None, list[str]]:
    """The plan for the layout of most rows, of those that the trainer takes; why not the others."""
    why = []
    for layout in found.by_count():
        seen = found.layouts[layout]
        plan = _PLANNERS[name](layout, seen)
        if isinstance(plan, str):
            why.append(f"{layout} in {rows_in_words(seen.count)}: {plan}")
            continue
        tally = judged(rows(), layout, plan)
        if tally.num_lost < tally.num_rows:
            return _Way(copy, found, layout, plan, tally), why
        reasons = "; ".join(note.words for note in tally.notes(tally.num_rows) if note.lost)
        why.append(f"{layout} in {rows_in_words(seen.count)}: {reasons}")
    return None, why


def _copied(copy: Copy, rows: _NumberedRows) -> Iterator[tuple[int, Row]]:
    return copy.rows(rows())


def _copy_notes(
    copy: Copy, file: str, way: _Way, found: Survey, rows: _NumberedRows
) -> Iterator[Finding]:
    """That the rows are copied, and which could not be."""
    layouts = found.by_count()
    came = ", ".join(f"{of} in {rows_in_words(found.layouts[of].count)}" for of in layouts)
    yield Finding(
        f"{file} holds a copy of {way.found.num_rows} of {rows_in_words(found.num_rows)} as "
        f"{way.layout}, which the config names; the rows came as {came}",
        lost=way.found.num_rows < found.num_rows,
    )
    yield from not_copied(copy, rows()).notes(found.num_rows)


def _why(name: str, found: Survey, rows: _NumberedRows, why: list[str]) -> Iterator[str]:
    """Why the trainer takes no row, and what can be done."""
    yield from why
    if found.layouts:
        tally = not_copied(copy_for(name, found)[0], rows())
        yield from (note.words for note in tally.notes(found.num_rows))
        yield f"mend the rows ({_TAKEN_BY_ALL}), or leave the trainer out"
    if found.without:
        yield (
            f"none of the known forms in {rows_in_words(len(found.without))} (trainers read the "
            f"rows themselves, whatever text= says; forms known: {', '.join(FORMS)})"
        )


def _mixed_kinds(found: Survey) -> Iterator[str]:
    """Fields that Hugging Face's `datasets`, which all three load files with, may refuse."""
    for name, kinds in found.kinds.items():
        if len(kinds) > 1:
            held = ", ".join(
                f"{kind} in {rows_in_words(count)}" for kind, count in kinds.most_common()
            )
            yield f"the field {name} holds {held}: the trainer's loader may refuse the file"
