"""The trainers by name: whether they take a pool, and what they are given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
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
from ds2fast.trainers.layout import Layout, layout_of
from ds2fast.trainers.plan import Plan, Planner
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
        The selected rows, which are read twice, and four times for a copy.
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
    way = _way(name, found, rows)
    if way is None:
        why = "; ".join(_why(name, found, rows)) or "no rows"
        return TrainerFiles({}, (f"{name}: no files are written, for it takes no row: {why}",))
    notes = list(way.plan.notes)
    if way.copy is not None:
        file = way.copy.name(file.rpartition(".")[0])
        rows = partial(_copied, way.copy, rows)
        notes = [*_copy_notes(way.copy, file, way, found, rows_of_pool(pool, ids)), *notes]
    notes += _losses(rows(), way.layout, way.plan, found.num_rows)
    if file.endswith(".jsonl"):
        notes += _mixed_kinds(way.found)
    return TrainerFiles(way.plan.files(file), tuple(f"{name}: {note}" for note in notes), way.copy)


def check_trainer(name: str, pool: Pool) -> None:
    """Refuse, before any work, a trainer that could take none of the rows.

    At most 1000 rows are looked at, evenly spaced over the pool.

    Raises
    ------
    InputTypeError, InputError
        `name` is no trainer; no row has a layout that it takes or can be copied for it: the
        message says which layouts the rows have.

    Examples
    --------
    >>> from ds2fast.io.read import read
    >>> check_trainer("axolotl", read([{"question": "2+2?", "answer": "4"}], scores=None))
    """
    _check_name(name)
    some = np.unique(np.linspace(0, len(pool) - 1, min(len(pool), _LOOKED_AT)).astype(np.int64))
    rows = partial(rows_of_pool, pool, some)
    found = survey(rows())
    if _way(name, found, rows) is None:
        why = "; ".join(_why(name, found, rows))
        raise InputError(f"trainers: expected rows that {name} takes, got {why}")


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

    @property
    def count(self) -> int:
        return self.found.layouts[self.layout].count


def _way(name: str, found: Survey, rows: _NumberedRows) -> _Way | None:
    """The way by which the trainer takes most rows; as they are where a copy would hold no more."""
    plain = _planned(name, found, None)
    held = 0 if plain is None else plain.count
    copy, at_most = copy_for(name, found)
    if at_most <= held:
        return plain
    copied = _planned(name, survey(copy.rows(rows())), copy)
    return plain if copied is None or copied.count <= held else copied


def _planned(name: str, found: Survey, copy: Copy | None) -> _Way | None:
    """The plan for the layout of most rows, of those that the trainer takes."""
    for layout in found.by_count():
        plan = _PLANNERS[name](layout, found.layouts[layout])
        if not isinstance(plan, str):
            return _Way(copy, found, layout, plan)
    return None


def _copied(copy: Copy, rows: _NumberedRows) -> Iterator[tuple[int, Row]]:
    return copy.rows(rows())


def _copy_notes(
    copy: Copy, file: str, way: _Way, found: Survey, rows: Iterable[tuple[int, Row]]
) -> Iterator[str]:
    """That the rows are copied, and which could not be."""
    came = ", ".join(f"{of} in {_rows(found.layouts[of].count)}" for of in found.by_count())
    yield (
        f"{file} holds a copy of {way.found.num_rows} of {_rows(found.num_rows)} as {way.layout}, "
        f"which the config names; the rows came as {came}"
    )
    yield from _not_copied(copy, rows, found.num_rows)


def _not_copied(copy: Copy, rows: Iterable[tuple[int, Row]], num_rows: int) -> Iterator[str]:
    """Why rows cannot be written anew."""
    told = ((number, _why_not_copied(copy, row)) for number, row in rows)
    return _counted(((number, why) for number, why in told if why), num_rows)


def _why_not_copied(copy: Copy, row: Row) -> str:
    try:
        copy.row(row)
    except InputError as error:
        return f"{error}, so a copy for {copy.trainer} cannot hold them"
    return ""


def _why(name: str, found: Survey, rows: _NumberedRows) -> Iterator[str]:
    for layout in found.by_count():
        seen = found.layouts[layout]
        yield f"{layout} in {_rows(seen.count)}: {_PLANNERS[name](layout, seen)}"
    if found.layouts:
        yield from _not_copied(copy_for(name, found)[0], rows(), found.num_rows)
    if found.without:
        yield (
            f"none of the known forms in {_rows(len(found.without))} (trainers read the rows "
            f"themselves, whatever text= says; forms known: {', '.join(FORMS)})"
        )


def _losses(
    rows: Iterable[tuple[int, Row]], chosen: Layout, plan: Plan, num_rows: int
) -> Iterator[str]:
    """What rows lose, with counts and the first row of each kind."""
    found = ((number, loss) for number, row in rows for loss in _losses_of(row, chosen, plan))
    return _counted(found, num_rows)


def _counted(found: Iterable[tuple[int, str]], num_rows: int) -> Iterator[str]:
    """What was found of rows, the most frequent first."""
    counts, first = Counter[str](), dict[str, int]()
    for number, what in found:
        counts[what] += 1
        first.setdefault(what, number)
    for what, count in counts.most_common():
        yield f"{count} of {_rows(num_rows)} (first: row {first[what]}) {what}"


def _losses_of(row: Row, chosen: Layout, plan: Plan) -> Iterable[str]:
    layout = layout_of(row)
    if layout is None:
        return ("have a text in none of the known forms, so they are not described",)
    if layout != chosen:
        return (
            f"hold {layout}, not {chosen} as described: the trainer drops them or stops at them; "
            "select from files of one form each",
        )
    return dict.fromkeys(plan.judge(row))


def _mixed_kinds(found: Survey) -> Iterator[str]:
    """Fields that Hugging Face's `datasets`, which all three load files with, may refuse."""
    for name, kinds in found.kinds.items():
        if len(kinds) > 1:
            held = ", ".join(f"{kind} in {_rows(count)}" for kind, count in kinds.most_common())
            yield f"the field {name} holds {held}: the trainer's loader may refuse the file"


def _rows(count: int) -> str:
    return f"{count} row{'s' * (count != 1)}"
