"""What a user's data names: files, patterns of files, standard input."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from typing import Any

from ds2fast.errors import InputError, InputFileError, InputTypeError

_PLAIN = (".jsonl", ".json", ".csv")
EXTENSIONS = (*(f"{name}{packed}" for name in _PLAIN for packed in ("", ".gz", ".zst")), ".parquet")
"""Ends of the names of files that can be read, in any case of letters."""

_KINDS = ".jsonl, .json, .csv (each also .gz, .zst) or .parquet"
STDIN = "-"
_PATTERN = re.compile(r"[*?\[]")


def files_named(data: Any) -> list[Path] | None:
    """The files that `data` names, checked; None where it names none but is data itself.

    Parameters
    ----------
    data : path, list of paths, or data
        `"-"` is standard input. A name with `*`, `?` or `[...]` that no file has is a pattern, of
        which the files come sorted; `**` stands for folders. A list of strings names files where
        each ends as a file's name does.

    Raises
    ------
    InputFileError
        A file that does not exist or cannot be read, a directory, a pattern without any file.
    InputError
        A file of an unknown extension.
    InputTypeError
        A list of paths and something else.

    Examples
    --------
    >>> files_named("-")
    [PosixPath('-')]
    >>> files_named(["a text", "another text"]) is None
    True
    """
    if isinstance(data, str | os.PathLike):
        return check_file(os.fspath(data))
    if not isinstance(data, list | tuple) or not data:
        return None
    other = next((one for one in data if not isinstance(one, str | os.PathLike)), None)
    if other is None and all(map(_looks_like_file, data)):
        return [path for name in data for path in check_file(os.fspath(name))]
    if not any(isinstance(one, os.PathLike) for one in data):
        return None
    found = "strings that name no file" if other is None else type(other).__name__
    raise InputTypeError(f"data: expected paths alone in a list with a path, got {found} too")


def _looks_like_file(one: Any) -> bool:
    return isinstance(one, os.PathLike) or one == STDIN or one.lower().endswith(EXTENSIONS)


def check_file(data: str | os.PathLike[str]) -> list[Path]:
    """The readable files that one path, pattern or `"-"` names; see `files_named` for errors."""
    path = Path(data)
    if str(path) == STDIN:
        return [path]
    if not _PATTERN.search(str(path)) or path.exists():
        _check_one(path)
        return [path]
    found = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207
    files = [one for one in found if not one.is_dir()]
    if not files:
        raise InputFileError(f"data: expected files, but the pattern {path} matches none")
    for one in files:
        _check_one(one)
    return files


def _check_one(path: Path) -> None:
    if path.is_dir():
        raise InputFileError(f"data: expected a file, got the directory {path}")
    if not path.exists():
        raise InputFileError(f"data: expected a file, but {path} does not exist")
    if not path.name.lower().endswith(EXTENSIONS):
        raise InputError(f"data: expected a file of {_KINDS}, got {path}")
    if path.is_fifo():
        return  # to open it would take its bytes from the reader
    try:
        with path.open("rb"):
            return
    except OSError as error:
        raise InputFileError(f"data: cannot read {path}: {error.strerror}") from error
