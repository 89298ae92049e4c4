"""Ratings as files: the rows with their fields behind them, and a manifest of how they came."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from ds2fast.errors import InputError, OutputError
from ds2fast.io.atomic import atomic_file
from ds2fast.io.output import MADE_BY, MANIFEST
from ds2fast.io.place import check_place
from ds2fast.io.rows import dump_row
from ds2fast.io.write import write_manifest
from ds2fast.pool import Pool

_ROWS_AT_ONCE = 4096


class Rated(Protocol):
    """What `save_ratings` needs of ratings."""

    @property
    def pool(self) -> Pool:
        """The rows that were rated."""

    @property
    def is_complete(self) -> bool:
        """Whether every row was asked for."""

    def fields(self) -> Mapping[str, Sequence[Any]]:
        """Names, and of each its N values; None is null."""

    def manifest(self) -> Mapping[str, Any]:
        """How the ratings came; `input` in it has the `sha256` of the pool."""


def append_fields(line: bytes, fields: Mapping[str, Any]) -> bytes:
    """A JSON object's line with fields behind its own, which stay byte for byte.

    Parameters
    ----------
    line : bytes
        One JSON object, as `Pool.lines` gives it.
    fields : mapping of str to any
        Names that the object does not have.

    Raises
    ------
    InputError
        `line` does not begin and end as an object does.

    Examples
    --------
    >>> append_fields(b'{"text": "a frog" }', {"score": 4, "reason": None})
    b'{"text": "a frog","score":4,"reason":null }'
    """
    end = line.rfind(b"}")
    begin = line.find(b"{")
    if begin < 0 or end <= begin or line[:begin].strip() or line[end + 1 :].strip():
        raise InputError(f"line: expected a JSON object, got {line[:60]!r}")
    if not fields:
        return line
    last = len(line[:end].rstrip())  # blanks before the bracket stay before it
    comma = b"" if last == begin + 1 else b","
    return line[:last] + comma + dump_row(fields)[1:-1] + line[last:]


def taken_fields(pool: Pool, names: Collection[str]) -> tuple[int, str] | None:
    """The first row that has a field of one of these names already, and the name; else None.

    Examples
    --------
    >>> from ds2fast.io.read import read
    >>> pool = read([{"text": "a"}, {"text": "b", "score": 1}], scores=None)
    >>> taken_fields(pool, ["score", "ratings"])
    (1, 'score')
    """
    for begin in range(0, len(pool), _ROWS_AT_ONCE):
        rows = pool.take(np.arange(begin, min(begin + _ROWS_AT_ONCE, len(pool))))
        for row, own in enumerate(rows, start=begin):
            keys = {"text"} if isinstance(own, str) else {str(key) for key in own}
            taken = next((name for name in names if name in keys), None)
            if taken is not None:
                return row, taken
    return None


def check_ratings_output(
    path: str | os.PathLike[str], pool: Pool, *, overwrite: bool = False
) -> Path:
    """Refuse a place that ratings must not go to; call it before long work. Changes nothing.

    Ratings of the same input whose manifest says that they are not complete may be replaced.

    Parameters
    ----------
    path : path-like
        A file `NAME.jsonl`; its manifest is `NAME.manifest.json` beside it.
    pool : Pool
        The rows that are rated.
    overwrite : bool
        Whether other files at these two places may be replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OutputError
        Another extension; a file is there that may not be replaced, or that the rows were read
        from; the place cannot be written to.

    Examples
    --------
    >>> from ds2fast.io.read import read
    >>> check_ratings_output("rated.jsonl", read(["a frog"], scores=None)).name
    'rated.jsonl'
    """
    target = Path(path)
    if target.suffix.lower() != ".jsonl":
        raise OutputError(f"output: expected a file of .jsonl, got {target}")
    places = [
        check_place(place, source=pool.sources) for place in (target, manifest_beside(target))
    ]
    present = next((place for place in places if os.path.lexists(place)), None)
    if present is None or overwrite or _is_unfinished(manifest_beside(target), pool):
        return target
    raise OutputError(
        f"output: {present} is there already; overwrite=True (--overwrite) replaces it"
    )


def manifest_beside(path: Path) -> Path:
    """Where the manifest of ratings is.

    Examples
    --------
    >>> manifest_beside(Path("rated.jsonl")).name
    'rated.manifest.json'
    """
    return path.with_name(f"{path.stem}.{MANIFEST}")


def _is_unfinished(manifest: Path, pool: Pool) -> bool:
    """Whether a manifest is of ratings of this pool that are not complete."""
    try:
        record = json.loads(manifest.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    if not isinstance(record, dict) or record.get("made_by") != MADE_BY:
        return False
    rated = record.get("input")
    same = isinstance(rated, dict) and rated.get("sha256") == pool.sha256
    return same and record.get("complete") is False


def save_ratings(ratings: Rated, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write the rows with their ratings, and the manifest beside them.

    Rows of a JSONL file stay as they were, byte for byte, with the fields appended; others are
    written as JSON. Until all is in place the manifest says `"complete": false`.

    Parameters
    ----------
    ratings : Rated
        What to save.
    path : path-like
        A file `NAME.jsonl`; the manifest is `NAME.manifest.json`.
    overwrite : bool
        Whether files that are there are replaced; see `check_ratings_output`.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        Fields of other lengths than the pool, or that a row has already.
    OutputError
        As `check_ratings_output`; or the operating system refused.
    """
    pool, fields = ratings.pool, ratings.fields()
    _check_fields(pool, fields)
    target = check_ratings_output(path, pool, overwrite=overwrite)
    manifest = manifest_beside(target)
    record = {"complete": None, **ratings.manifest()} | {"complete": ratings.is_complete}
    with atomic_file(target) as file:
        sha256 = _write_rated(file, pool, fields)
        # Before the rows take their name no manifest may speak of those that were there.
        with atomic_file(manifest) as mark:
            write_manifest(mark, {"complete": False, "input": {"sha256": pool.sha256}})
    record["files"] = {target.name: sha256}
    with atomic_file(manifest) as file:
        write_manifest(file, record)
    return target


def _check_fields(pool: Pool, fields: Mapping[str, Sequence[Any]]) -> None:
    for name, values in fields.items():
        if len(values) != len(pool):
            raise InputError(f"fields: expected {len(pool)} values of {name!r}, got {len(values)}")
    taken = taken_fields(pool, fields.keys())
    if taken is not None:
        raise InputError(
            f"fields: expected names that no row has, row {taken[0]} has {taken[1]!r} already"
        )


def _write_rated(file: BinaryIO, pool: Pool, fields: Mapping[str, Sequence[Any]]) -> str:
    """Write the rows, down to the operating system, and give their SHA-256."""
    digest = hashlib.sha256()
    for row, line in enumerate(pool.lines(np.arange(len(pool)))):
        own = {name: values[row] for name, values in fields.items()}
        rated = append_fields(line, own) + b"\n"
        digest.update(rated)
        file.write(rated)
    file.flush()
    return digest.hexdigest()
