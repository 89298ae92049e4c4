"""The rows of a finished run, read again from where they were or where they lie now."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ds2fast.errors import InputError, InputFileError
from ds2fast.io.names import files_named
from ds2fast.io.read import read
from ds2fast.pool import Pool

Files = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""A file or pattern, or several in order."""

WAY_OUT = (
    "if the rows lie elsewhere now, name the files: data= (explain, report: --data FILE; "
    "select --from OUT FILE)"
)


def read_rows(directory: Path, taken: Mapping[str, Any], num_rows: int, data: Files | None) -> Pool:
    """The rows that a run was made from, checked by the hashes that were kept of their files.

    Parameters
    ----------
    directory : Path
        The run's folder, for messages.
    taken : mapping
        What its manifest says of the input.
    num_rows : int
        Rows of the run.
    data : path-like or list of them, optional
        Where the files are now, in the order of the first time; by default where they were.

    Raises
    ------
    InputError
        The rows came from no files.
    InputFileError
        A file is missing or holds other rows, or there are more or fewer files than there were.
    """
    kept = taken.get("files") or []
    if not kept:
        raise InputError(
            f"run: expected one whose rows came from files, to read them again, but those of "
            f"{directory} came {_whence(taken)}; Selection.report(), Selection.explain() and "
            "`select --report` show them while they are at hand"
        )
    paths = [Path(file["path"]) for file in kept]
    if data is None:
        for path, file in zip(paths, kept, strict=True):
            _check_unchanged(path, file["sha256"])
    else:
        paths = _moved(directory, kept, data)
    how = taken.get("read") or {}
    pool = read(
        paths[0] if len(paths) == 1 else paths,
        text=how.get("text"),
        scores=how.get("scores"),
        num_levels=how.get("num_levels"),
        edges=how.get("edges"),
    )
    if len(pool) != num_rows:
        raise InputFileError(
            f"run: expected the {num_rows} rows that {directory} is of, got {len(pool)} "
            f"from {paths[0]}{' and others' if len(paths) > 1 else ''}; select again"
        )
    return pool


def sha256_of(path: Path) -> str:
    """The hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _moved(directory: Path, kept: Sequence[Mapping[str, str]], data: Files) -> list[Path]:
    """The files that are named now, each of which must be the one that it stands for."""
    found = files_named(data if isinstance(data, str | os.PathLike) else list(map(Path, data)))
    if not found or len(found) != len(kept):
        raise InputFileError(
            f"data: expected the {len(kept)} file{'s' * (len(kept) != 1)} that the rows of "
            f"{directory} came from ({_names(kept)}), got {len(found or ())}"
        )
    for path, file in zip(found, kept, strict=True):
        if not path.is_file():
            raise InputFileError(f"data: expected a file on disk, got {path}")
        if _hash_of(path, "data: expected the rows in") != file["sha256"]:
            raise InputFileError(
                f"data: expected {path} to hold what {file['path']} held when rows were selected "
                f"from it, but it holds something else; the files go in this order: {_names(kept)}"
            )
    return found


def _names(kept: Sequence[Mapping[str, str]]) -> str:
    """The files' names; of many the first ones."""
    names = [Path(file["path"]).name for file in kept]
    return ", ".join(names if len(names) <= 5 else [*names[:5], "..."])


def _check_unchanged(path: Path, sha256: str) -> None:
    if _hash_of(path, "run: expected the rows in") != sha256:
        raise InputFileError(
            f"run: expected {path} as it was when rows were selected from it, but it has changed "
            f"since; select again, or {WAY_OUT}"
        )


def _hash_of(path: Path, expected: str) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise InputFileError(
            f"{expected} {path}, as when they were selected from, but it cannot be read: "
            f"{error.strerror or error}; {WAY_OUT}"
        ) from error


def _whence(taken: Mapping[str, Any]) -> str:
    return "from memory or standard input" if "sha256" in taken else "as arrays, without rows"
