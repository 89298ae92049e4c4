"""A selection as a finished run holds it, where ranking its rows anew would give another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ds2fast.choice import Choice, Fate
from ds2fast.decided import Decided, Source
from ds2fast.errors import InputFileError
from ds2fast.run.finished import FinishedRun

if TYPE_CHECKING:
    from ds2fast.outcome import Selection


def restored(run: FinishedRun, again: Selection) -> Selection:
    """The selection that a run holds, to be shown.

    Near-duplicates were told by vectors, which a run does not keep: by the graph alone others may
    be found. So the rows, their fates, and what decided are those that were saved.

    Parameters
    ----------
    run : FinishedRun
        The finished run.
    again : Selection
        What `reselect` makes of it with nothing changed.

    Returns
    -------
    Selection
        Which row a duplicate repeats is not kept: −1.

    Raises
    ------
    InputFileError
        Rows are not scored and ranked as in the run: another version of ds2fast wrote it.
    """
    _refuse_other_ranking(run, again)
    try:
        choice = _choice_of(run)
        decided = _decided_of(run.manifest["selection"]["decided"])
        selection = replace(
            again,
            indices=choice.indices,
            choice=choice,
            settings=run.settings,
            timings=run.manifest["timings_seconds"],
            warnings=tuple(run.manifest["warnings"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _other_version(run) from error
    vars(selection)["decided"] = decided  # as the cached property would keep it
    return selection


def _refuse_other_ranking(run: FinishedRun, again: Selection) -> None:
    pairs: dict[str, npt.NDArray[Any]] = {
        "curated_score": again.curated_scores,
        "rank_key": again.keys,
        "long_tail": again.long_tail,
    }
    for name, found in pairs.items():
        # Another processor may add up in another order.
        if not np.allclose(run.scores[name], found, rtol=1e-5, atol=1e-6, equal_nan=True):
            raise _other_version(run)


def _other_version(run: FinishedRun) -> InputFileError:
    return InputFileError(
        f"run: expected {run.directory} to be of this version of ds2fast, but it scored or ranked "
        "rows in another way; select again"
    )


def _choice_of(run: FinishedRun) -> Choice:
    told, rank = run.manifest["selection"], run.scores["rank"]
    chosen = np.flatnonzero(rank >= 0)
    numbers = {fate.name.lower(): int(fate) for fate in Fate}
    fates = np.array([numbers[name] for name in run.scores["fate"]], dtype=np.int8)
    return Choice(
        indices=chosen[np.argsort(rank[chosen], kind="stable")].astype(np.int64),
        fates=fates,
        because=np.full(len(rank), -1, dtype=np.int64),
        similarity=np.full(len(rank), np.nan, dtype=np.float32),
        asked=int(told["asked"]),
        notes=tuple(told["notes"]),
        unsettled=int(told["unsettled"]),
    )


def _decided_of(record: Mapping[str, Any]) -> Decided:
    """What `Decided.record` gave; the sources' own matrices are left out."""
    sources = [Source(**{**source, "transition_matrix": None}) for source in record["sources"]]
    return Decided(**{**record, "sources": tuple(sources)})
