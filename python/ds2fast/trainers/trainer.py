"""The trainers by name: whether they take a pool, and what they are given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ds2fast.errors import InputError, InputTypeError
from ds2fast.io.fields import Row
from ds2fast.io.forms import FORMS
from ds2fast.io.rows import check_indices
from ds2fast.pool import Pool
from ds2fast.trainers import axolotl, llama_factory, trl
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

_LOOKED_AT = 1000


def trainer_files(
    name: str, pool: Pool, indices: npt.ArrayLike, *, file: str = "selected.jsonl"
) -> TrainerFiles:
    """What a trainer is given beside the selected rows.

    The rows stay as they are: the entry and the config describe the layout that most of them have
    of those that the trainer takes. Whatever the trainer would drop, stop at or not read is told
    with the number of rows.

    Parameters
    ----------
    name : {"llama-factory", "axolotl", "trl"}
        The trainer.
    pool : Pool
        The pool.
    indices : (n,) integers
        The selected rows, which are read twice.
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
    planner = _planner(name)
    ids = check_indices(indices, len(pool))
    found = survey(rows_of_pool(pool, ids))
    taken, refused = _plans(planner, found)
    if not taken:
        why = "; ".join(_why(found, refused)) or "no rows"
        return TrainerFiles({}, (f"{name}: no files are written, for it takes no row: {why}",))
    layout, plan = next(iter(taken.items()))
    notes = [*plan.notes, *_losses(rows_of_pool(pool, ids), layout, plan, found.num_rows)]
    if file.endswith(".jsonl"):
        notes += _mixed_kinds(found)
    return TrainerFiles(plan.files(file), tuple(f"{name}: {note}" for note in notes))


def check_trainer(name: str, pool: Pool) -> None:
    """Refuse, before any work, a trainer that could take none of the rows.

    At most 1000 rows are looked at, evenly spaced over the pool.

    Raises
    ------
    InputTypeError, InputError
        `name` is no trainer; no row has a layout that it takes: the message says which layouts the
        rows have, and what to do.

    Examples
    --------
    >>> from ds2fast.io.read import read
    >>> check_trainer("axolotl", read([{"question": "2+2?", "answer": "4"}], scores=None))
    """
    planner = _planner(name)
    some = np.unique(np.linspace(0, len(pool) - 1, min(len(pool), _LOOKED_AT)).astype(np.int64))
    found = survey(rows_of_pool(pool, some))
    taken, refused = _plans(planner, found)
    if not taken:
        why = "; ".join(_why(found, refused))
        raise InputError(f"trainers: expected rows that {name} takes, got {why}")


def _planner(name: Any) -> Planner:
    if not isinstance(name, str):
        raise InputTypeError(f"trainers: expected names, got {type(name).__name__}")
    if name not in _PLANNERS:
        raise InputError(f"trainers: expected one of {', '.join(TRAINERS)}, got {name!r}")
    return _PLANNERS[name]


def _plans(planner: Planner, found: Survey) -> tuple[dict[Layout, Plan], dict[Layout, str]]:
    """The layouts that the trainer takes, that of most rows first, and why it refuses others."""
    taken, refused = dict[Layout, Plan](), dict[Layout, str]()
    for layout in found.by_count():
        plan = planner(layout, found.layouts[layout])
        if isinstance(plan, str):
            refused[layout] = plan
        else:
            taken[layout] = plan
    return taken, refused


def _why(found: Survey, refused: dict[Layout, str]) -> Iterator[str]:
    for layout, reason in refused.items():
        yield f"{layout} in {_rows(found.layouts[layout].count)}: {reason}"
    if found.without:
        yield (
            f"none of the known forms in {_rows(len(found.without))} (trainers read the rows "
            f"themselves, whatever text= says; forms known: {', '.join(FORMS)})"
        )


def _losses(
    rows: Iterable[tuple[int, Row]], chosen: Layout, plan: Plan, num_rows: int
) -> Iterator[str]:
    """What rows lose, with counts and the first row of each kind."""
    counts, first = Counter[str](), dict[str, int]()
    for number, row in rows:
        for loss in _losses_of(row, chosen, plan):
            counts[loss] += 1
            first.setdefault(loss, number)
    for loss, count in counts.most_common():
        yield f"{count} of {_rows(num_rows)} (first: row {first[loss]}) {loss}"


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
