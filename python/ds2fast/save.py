"""A selection as files: rows, controls, every row's scores, and how they were made."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ds2fast.controls import controls_of
from ds2fast.errors import InputError
from ds2fast.io.output import MANIFEST, check_replaceable, made_directory
from ds2fast.io.row_files import RowFiles, RowFormat
from ds2fast.io.staging import Staging
from ds2fast.io.write import write_manifest, write_scores
from ds2fast.manifest import manifest_of, means_record
from ds2fast.reasons import fate_names, reasons_of
from ds2fast.results import IntArray
from ds2fast.run.state import STATE, write_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from ds2fast.outcome import Selection
    from ds2fast.pool import Pool
    from ds2fast.trainers import TrainerFiles

REPORT = "report.html"


@dataclass(frozen=True)
class _Part:
    """Files that belong together, and what the manifest says of them."""

    files: Mapping[str, Callable[[BinaryIO], object]]
    record: Mapping[str, Any]
    warnings: tuple[str, ...] = ()


def save_selection(
    selection: Selection,
    directory: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    rows: RowFormat = "jsonl",
    controls: bool = True,
    trainers: Sequence[str] = (),
    report: bool = False,
) -> tuple[str, ...]:
    """Write the selected rows, the controls, every row's scores, the run's state, the manifest.

    All are written and synced under temporary names first; then they are renamed together, the
    manifest last. Until it is, a manifest with `"complete": false` stands in its place.

    Parameters
    ----------
    selection : Selection
        What to save; one made from arrays has no files of rows.
    directory : path-like
        Made where it is missing. Files of others in it are left alone.
    overwrite : bool
        Whether earlier results of ours are replaced; those that this save does not write go.
    rows : {"jsonl", "parquet"}
        Format of the rows' files: `selected` and the controls.
    controls : bool
        Whether to write `control_random`, `control_longest` and `control_top_given`.
    trainers : sequence of str
        For which trainers to write the data-set entry and a config: see `ds2fast.trainers`.
    report : bool
        Whether to write `report.html`.

    Returns
    -------
    tuple of str
        Of the notes on trainers in the manifest those that tell of rows that are lost.

    Raises
    ------
    InputError
        Rows that cannot be written in that format, a trainer that is not known or cannot take such
        rows; nothing was written.
    MissingExtraError
        A report without the extra `report`; nothing was written.
    OutputError
        A file would be replaced that is not a result of ours, or that the rows were read from, or
        without `overwrite`; the directory cannot be written to. Old results are then as they were,
        unless the message says that they are half replaced.
    """
    target = Path(directory)
    parts = _row_parts(selection, rows, controls=controls, trainers=trainers)
    parts.append(_result_part(selection, report=report))
    written = [name for part in parts for name in part.files]
    sources = [] if selection.pool is None else selection.pool.sources
    check_replaceable(target, overwrite=overwrite, source=sources, written=written)
    record = {name: value for part in parts for name, value in part.record.items()}
    manifest = manifest_of(selection, **record)
    with made_directory(target), Staging(target) as staging:
        for part in parts:
            for name, write in part.files.items():
                with staging.open(name) as file:
                    write(file)
        files = dict(staging.sha256)
        with staging.open(MANIFEST) as file:
            write_manifest(file, {"complete": True, **manifest, "files": files})
        staging.publish()
    return tuple(message for part in parts for message in part.warnings)


def _row_parts(
    selection: Selection, rows: RowFormat, *, controls: bool, trainers: Sequence[str]
) -> list[_Part]:
    """The files of rows; none where the selection was made from arrays."""
    pool = selection.pool
    if pool is None:
        if trainers:
            raise InputError("trainers: expected a selection made from data, got one from arrays")
        return []
    _check_trainers(trainers, pool)
    seed = int(selection.settings.get("seed", 0))
    compared = controls_of(selection, seed) if controls else {}
    sets = {"selected": selection.indices}
    sets |= {f"control_{name}": indices for name, indices in compared.items()}
    files = RowFiles(pool, rows, sets.values())
    writers = {files.name(of): partial(_write_set, files, sets[of]) for of in sets}
    told = {
        name: {"file": files.name(f"control_{name}"), **means_record(selection, indices)}
        for name, indices in compared.items()
    }
    made = _trainer_part(trainers, pool, sets, files.name("selected"))
    return [_Part(writers, {"controls": told}), made]


def _write_set(files: RowFiles, indices: IntArray, file: BinaryIO) -> None:
    files.write(file, indices)


def _check_trainers(trainers: Sequence[str], pool: Pool) -> None:
    if trainers:
        from ds2fast.trainers import check_trainer

        for name in trainers:
            check_trainer(name, pool)


def _trainer_part(
    trainers: Sequence[str], pool: Pool, sets: Mapping[str, IntArray], file: str
) -> _Part:
    """What the trainers need beside the rows: also copies of them, the controls' too."""
    files: dict[str, Callable[[BinaryIO], object]] = {}
    told: dict[str, Any] = {}
    warned: list[str] = []
    if trainers:
        from ds2fast.trainers import trainer_files

        for name in dict.fromkeys(trainers):
            made = trainer_files(name, pool, sets["selected"], file=file)
            copied = {} if made.copy is None else {made.copy.name(of): of for of in sets}
            for copy, of in copied.items():
                files[copy] = partial(_write_copy, made, pool, sets[of])
            files |= {of: partial(_write_bytes, content) for of, content in made.files.items()}
            uneven = _uneven_copies(made, pool, sets)
            warned += [*made.warnings, *uneven]
            told[name] = {"files": [*copied, *made.files], "notes": [*made.notes, *uneven]}
    return _Part(files, {"trainers": told}, tuple(warned))


def _uneven_copies(made: TrainerFiles, pool: Pool, sets: Mapping[str, IntArray]) -> list[str]:
    from ds2fast.trainers import uneven_copies

    note = "" if made.copy is None else uneven_copies(made.copy, pool, sets)
    return [note] if note else []


def _write_copy(made: TrainerFiles, pool: Pool, indices: IntArray, file: BinaryIO) -> None:
    if made.copy is not None:
        made.copy.write(file, pool, indices)


def _result_part(selection: Selection, *, report: bool) -> _Part:
    """Every row's scores, what the run can go on from, and the report."""
    files: dict[str, Callable[[BinaryIO], object]] = {
        "scores.parquet": lambda file: write_scores(file, score_columns(selection)),
        STATE: lambda file: write_state(file, selection),
    }
    if report:
        from ds2fast.report import report_html

        files[REPORT] = partial(_write_bytes, report_html(selection))
    return _Part(files, {})


def _write_bytes(content: bytes, file: BinaryIO) -> None:
    file.write(content)


def score_columns(selection: Selection) -> dict[str, Any]:
    """Columns of `scores.parquet`, one value a row; `rank` counts from 0, −1: not selected."""
    curation, pool = selection.curation, selection.pool
    rank = np.full(len(selection.given_scores), -1, dtype=np.int64)
    rank[selection.indices] = np.arange(len(selection.indices))
    columns: dict[str, Any] = {"index": np.arange(len(rank), dtype=np.int64)}
    given_beside = selection.settings.get("scores_given", False)
    if pool is not None and pool.raw_scores is not None and not given_beside:
        columns["raw_score"] = pool.raw_scores
    if selection.groups is not None:
        columns["group"] = list(selection.groups)
    return columns | {
        "given_score": selection.given_scores,
        "curated_score": curation.scores,
        "misrated": curation.misrated,
        "error_probability": curation.error_probability,
        "suggested_score": curation.suggested,
        "confidence": curation.confidence,
        "expected_score": curation.rank_keys if curation.expected is None else curation.expected,
        "rank_key": selection.keys,
        "long_tail": selection.long_tail,
        "rank": rank,
        "selected": rank >= 0,
        "fate": fate_names(selection),
        "reason": reasons_of(selection),
    }
