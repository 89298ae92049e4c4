"""The output directory: which files in it are results of ours, and what may be replaced."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ds2fast.errors import OutputError
from ds2fast.io.atomic import TEMPORARY_NAME
from ds2fast.io.place import is_same_file

MANIFEST = "manifest.json"
OUTPUT_FILES = ("selected.jsonl", "scores.parquet", MANIFEST, "report.html")
MADE_BY = "ds2fast"

# What desktops and network file systems put into a folder by themselves.
_CLUTTER = re.compile(r"\.DS_Store|\._.*|Thumbs\.db|[Dd]esktop\.ini|\.directory|\.nfs[0-9a-f]+")


def check_output_dir(
    directory: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    source: str | os.PathLike[str] | None = None,
) -> Path:
    """Refuse a directory that results must not go to; call it before long work. Changes nothing.

    A directory that is missing will do where it can be made. One that holds a manifest of ours and
    only files that ds2fast writes is taken with `overwrite`, also where a save was cut short. What
    a killed save left under temporary names, and the clutter of desktops, do not count.

    Parameters
    ----------
    directory : path-like
        Where the results are to go.
    overwrite : bool
        Whether earlier results of ours may be replaced.
    source : path-like, optional
        The file that is read: it must not be one of those that would be replaced.

    Raises
    ------
    OutputError
        A file is there; the directory holds other files, holds ours and `overwrite` is False, or
        is not writable; `source` would be replaced.

    Examples
    --------
    >>> check_output_dir("out").name
    'out'
    """
    target = Path(directory)
    check_replaceable(target, overwrite=overwrite, source=source)
    try:
        if target.is_dir():
            _refuse_foreign(target)
        with tempfile.TemporaryFile(dir=_nearest_directory(target)):
            return target
    except OSError as error:
        raise _unwritable(target, error) from error


def check_replaceable(
    directory: Path, *, overwrite: bool, source: str | os.PathLike[str] | None = None
) -> None:
    """Refuse where a file would be replaced that must not be; other files may lie beside ours.

    This is all that is asked when results are there to be saved: a stray file in the directory
    must not cost a long run.

    Raises
    ------
    OutputError
        As `check_output_dir`.
    """
    if directory.exists() and not directory.is_dir():
        raise OutputError(f"output directory: expected a directory, got the file {directory}")
    present = [name for name in OUTPUT_FILES if os.path.lexists(directory / name)]
    for name in present:
        _refuse_source(directory / name, source)
        if (directory / name).is_dir():
            raise OutputError(
                f"output directory: expected a file, got the directory {name!r} in it"
            )
    if present:
        _check_ours(directory, present, overwrite)


def _refuse_source(file: Path, source: str | os.PathLike[str] | None) -> None:
    if source is not None and is_same_file(file, source):
        raise OutputError(
            f"output directory: the input {os.fspath(source)} is the file {file}, which the "
            "results would replace; name another directory"
        )


def _check_ours(directory: Path, present: list[str], overwrite: bool) -> None:
    manifest = _read_manifest(directory)
    if manifest is None:
        raise OutputError(
            f"output directory: {directory} holds {present[0]!r}{_and_more(present)} but no "
            f"{MANIFEST} of ds2fast beside it, so it may not be ours; remove it or name another "
            "directory"
        )
    if not overwrite:
        holds = "results already" if manifest.get("complete", True) else "a save that was cut short"
        raise OutputError(
            f"output directory: {directory} holds {holds}; overwrite=True (--overwrite) replaces it"
        )


def _read_manifest(directory: Path) -> dict[str, object] | None:
    """The manifest, None where it is missing or not of ours."""
    try:
        manifest = json.loads((directory / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    ours = isinstance(manifest, dict) and manifest.get("made_by") == MADE_BY
    return manifest if ours else None


def _refuse_foreign(directory: Path) -> None:
    names = sorted(entry.name for entry in directory.iterdir())
    foreign = [
        name
        for name in names
        if name not in OUTPUT_FILES and not is_leftover(name) and not _CLUTTER.fullmatch(name)
    ]
    if foreign:
        raise OutputError(
            f"output directory: expected {directory} to be empty or to hold only results of "
            f"ds2fast, but it holds {foreign[0]!r}{_and_more(foreign)}; name another directory"
        )


def is_leftover(name: str) -> bool:
    """Whether a file has a name that only a killed save of ours can have left."""
    unfinished = TEMPORARY_NAME.fullmatch(name)
    return unfinished is not None and unfinished.group(1) in OUTPUT_FILES


def _and_more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


@contextmanager
def made_directory(directory: Path) -> Iterator[None]:
    """Make a directory where it is missing; on failure what was made is removed if it is empty.

    Raises
    ------
    OutputError
        It cannot be made.
    """
    missing = [place for place in (directory, *directory.parents) if not place.exists()]
    try:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(directory, error) from error
        yield
    except BaseException:  # also Ctrl-C: a folder made for nothing goes again
        with suppress(OSError):
            for place in missing:
                place.rmdir()
        raise


def _nearest_directory(target: Path) -> Path:
    """The directory itself, or the one that it would be made in."""
    return next(place for place in (target, *target.absolute().parents) if place.exists())


def _unwritable(target: Path, error: OSError) -> OutputError:
    return OutputError(f"output directory: cannot write to {target}: {error.strerror or error}")
