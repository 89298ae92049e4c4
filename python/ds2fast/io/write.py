"""Write results so that a crash or a full disk leaves either the old file or the new one, whole."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from ds2fast.errors import InputError, InputTypeError, OutputError
from ds2fast.io.atomic import TEMPORARY_NAME, atomic_file
from ds2fast.io.rows import check_indices
from ds2fast.pool import Pool

OUTPUT_FILES = ("selected.jsonl", "scores.parquet", "manifest.json", "report.html")
MADE_BY = "ds2fast"


def write_rows(pool: Pool, indices: npt.ArrayLike, path: str | os.PathLike[str]) -> None:
    r"""Write rows as JSON lines, in the order of `indices`.

    Parameters
    ----------
    pool : Pool
        Rows of a JSONL file go out byte for byte as they came, each ended by `\n`; rows of other
        data are written as JSON.
    indices : (n,) integers
        Row numbers in [0, N), best first.
    path : path-like
        The file; an old one is replaced.

    Raises
    ------
    InputError
        An index outside [0, N); nothing is written.
    OutputError
        The file cannot be written; an old one is unchanged.
    """
    order = check_indices(indices, len(pool))
    with atomic_file(path) as file:
        for line in pool.lines(order):
            file.write(line + b"\n")


def write_scores(path: str | os.PathLike[str], columns: Mapping[str, Any]) -> None:
    """Write one Parquet column per entry, in order.

    Parameters
    ----------
    path : path-like
        The file; an old one is replaced.
    columns : mapping of str to (N,) array-like
        Arrays, or lists of strings and None. NaN stays NaN, None becomes null.

    Raises
    ------
    InputError
        No column, columns of different lengths or of values that Arrow cannot hold.
    OutputError
        The file cannot be written; an old one is unchanged.
    """
    if not columns:
        raise InputError("columns: expected at least one column, got none")
    arrays = {name: _as_arrow(name, values) for name, values in columns.items()}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"columns: expected columns of one length, got {lengths}")
    with atomic_file(path) as file:
        pq.write_table(pa.table(arrays), file)


def _as_arrow(name: str, values: Any) -> Any:
    try:
        return pa.array(values)
    except (pa.ArrowException, TypeError) as error:
        raise InputError(f"columns: cannot write {name!r} as a column: {error}") from error


def write_manifest(path: str | os.PathLike[str], manifest: Mapping[str, Any]) -> None:
    """Write a manifest as indented JSON that begins with `"made_by": "ds2fast"`.

    Keys keep the order of the mapping, which is the order to read them in. NumPy numbers and
    arrays, nested mappings, dates and paths are taken; NaN becomes null.

    Raises
    ------
    InputTypeError
        A value that JSON cannot hold.
    OutputError
        The file cannot be written; an old one is unchanged.
    """
    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
    entries = {"made_by": MADE_BY, **manifest}
    try:
        text = orjson.dumps(entries, default=_as_json, option=options)
    except TypeError as error:
        raise InputTypeError(f"manifest: expected values that JSON can hold, got {error}") from None
    with atomic_file(path) as file:
        file.write(text)


def _as_json(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(type(value).__name__)


def check_output_dir(directory: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Refuse a directory that results must not go to; call it before long work. Changes nothing.

    A directory that is missing will do where it can be made. One that holds a manifest of ours and
    only files that ds2fast writes is taken with `overwrite`.

    Raises
    ------
    OutputError
        A file is there; the directory holds other files, holds ours and `overwrite` is False, or
        is not writable.

    Examples
    --------
    >>> check_output_dir("out").name
    'out'
    """
    target = Path(directory)
    if target.exists() and not target.is_dir():
        raise OutputError(f"output directory: expected a directory, got the file {target}")
    try:
        if target.is_dir():
            _check_holdings(target, overwrite)
        with tempfile.TemporaryFile(dir=_nearest_directory(target)):
            return target
    except OSError as error:
        raise _unwritable(target, error) from error


def prepare_output_dir(directory: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """`check_output_dir`, then make the directory where it is missing; the same errors.

    Files of ours that are there stay until each new one is whole.

    Examples
    --------
    >>> import tempfile
    >>> prepare_output_dir(tempfile.mkdtemp()).is_dir()
    True
    """
    target = check_output_dir(directory, overwrite=overwrite)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(target, error) from error
    return target


def _nearest_directory(target: Path) -> Path:
    """The directory itself, or the one that it would be made in."""
    return next(place for place in (target, *target.absolute().parents) if place.exists())


def _unwritable(target: Path, error: OSError) -> OutputError:
    return OutputError(f"output directory: cannot write to {target}: {error.strerror or error}")


def _check_holdings(directory: Path, overwrite: bool) -> None:
    entries = sorted(entry.name for entry in directory.iterdir())
    ours = [name for name in entries if _is_output_name(name)]
    foreign = [name for name in entries if name not in ours]
    if foreign:
        raise OutputError(
            f"output directory: expected {directory} to be empty or to hold only results of "
            f"ds2fast, but it holds {foreign[0]!r}{_and_more(foreign)}; name another directory"
        )
    if not entries:
        return
    if not _is_our_manifest(directory / "manifest.json"):
        raise OutputError(
            f"output directory: {directory} holds {ours[0]!r}{_and_more(ours)} but no "
            "manifest.json of ds2fast beside it, so it may not be ours (or a run was cut short); "
            "remove it or name another directory"
        )
    if not overwrite:
        raise OutputError(
            f"output directory: {directory} holds results already; overwrite=True (--overwrite) "
            "replaces them"
        )


def _is_output_name(name: str) -> bool:
    """Whether a file has one of our names, or is what a killed run left of one."""
    unfinished = TEMPORARY_NAME.fullmatch(name)
    return (unfinished.group(1) if unfinished else name) in OUTPUT_FILES


def _and_more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _is_our_manifest(path: Path) -> bool:
    try:
        manifest = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("made_by") == MADE_BY
