"""A place to write a file to: what must not be replaced, and whether anything can be written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ds2fast.errors import OutputError

Sources = str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None
"""The file, or the files, that are read."""


def check_place(path: str | os.PathLike[str], *, source: Sources = None) -> Path:
    """Refuse a place that no file can be written to; call it before long work. Changes nothing.

    Whether a file that is there may be replaced is for the caller to say.

    Parameters
    ----------
    path : path-like
        Where a file is to go; its folder has to be there.
    source : path-like, or several, optional
        What is read: none of it may be replaced.

    Returns
    -------
    Path
        The place.

    Raises
    ------
    OutputError
        A directory, the file that is read, no folder, or one that cannot be written to.

    Examples
    --------
    >>> check_place("rated.jsonl").name
    'rated.jsonl'
    """
    target = Path(path)
    try:
        if target.is_dir():
            raise OutputError(f"output: expected a file to write, got the directory {target}")
        if any(is_same_file(target, read) for read in list_sources(source)):
            raise OutputError(f"output: the input {target} would be replaced; name another file")
        if not target.parent.is_dir():
            raise OutputError(
                f"output: cannot write {target}: expected a folder at {target.parent}, got none"
            )
        with tempfile.TemporaryFile(dir=target.parent):
            return target
    except OSError as error:
        raise OutputError(f"output: cannot write {target}: {error.strerror or error}") from error


def list_sources(source: Sources) -> list[str | os.PathLike[str]]:
    """Each file that is read.

    Examples
    --------
    >>> list_sources("a.jsonl"), list_sources(None)
    (['a.jsonl'], [])
    """
    if source is None:
        return []
    return [source] if isinstance(source, str | os.PathLike) else list(source)


def is_same_file(file: Path, source: str | os.PathLike[str]) -> bool:
    """Whether both are there and are one file, by whatever names.

    Examples
    --------
    >>> is_same_file(Path("missing"), "missing")
    False
    """
    with suppress(OSError):  # one of the two is not there: then they are not the same
        return file.samefile(source)
    return False
