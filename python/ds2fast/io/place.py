"""A place to write a file to: what must not be replaced, and whether anything can be written."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from ds2fast.errors import OutputError


def check_place(
    path: str | os.PathLike[str], *, source: str | os.PathLike[str] | None = None
) -> Path:
    """Refuse a place that no file can be written to; call it before long work. Changes nothing.

    Whether a file that is there may be replaced is for the caller to say.

    Parameters
    ----------
    path : path-like
        Where a file is to go; its folder has to be there.
    source : path-like, optional
        The file that is read: it must not be the one that would be replaced.

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
        if is_same_file(target, source):
            raise OutputError(f"output: the input {target} would be replaced; name another file")
        if not target.parent.is_dir():
            raise OutputError(
                f"output: cannot write {target}: expected a folder at {target.parent}, got none"
            )
        with tempfile.TemporaryFile(dir=target.parent):
            return target
    except OSError as error:
        raise OutputError(f"output: cannot write {target}: {error.strerror or error}") from error


def is_same_file(file: Path, source: str | os.PathLike[str] | None) -> bool:
    """Whether both are there and are one file, by whatever names.

    Examples
    --------
    >>> is_same_file(Path("missing"), "missing")
    False
    """
    with suppress(OSError):  # one of the two is not there: then they are not the same
        return source is not None and file.samefile(source)
    return False
