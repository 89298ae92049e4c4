"""The output directory: which files in it are results of ours, and what may be replaced."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ds2fast.errors import OutputError
from ds2fast.io.ownership import (
    MADE_BY,
    MANIFEST,
    RESULTS,
    TRAINER_FILES,
    is_harmless,
    is_ours,
    listed_hashes,
    read_manifest,
)
from ds2fast.io.place import Sources, is_same_file, list_sources

__all__ = ["MADE_BY", "MANIFEST", "check_output_dir", "check_replaceable", "made_directory"]


def check_output_dir(
    directory: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    source: Sources = None,
) -> Path:
    """Refuse a directory that results must not go to; call it before long work. Changes nothing.

    A directory that is missing will do where it can be made. One that holds a manifest of ours and
    only results of ours, in whichever format, is taken with `overwrite`, also where a save was cut
    short. Files for trainers (`axolotl.yaml`, say) are ours only as long as nobody changed them.
    What a killed save left under temporary names, the clutter of desktops, and ratings that
    `select --rate-with` left (`rated.jsonl`) do not count.

    Parameters
    ----------
    directory : path-like
        Where the results are to go.
    overwrite : bool
        Whether earlier results of ours may be replaced.
    source : path-like or iterable of path-like, optional
        What is read: it must not be one of the files that would be replaced.

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
    directory: Path,
    *,
    overwrite: bool,
    source: Sources = None,
    written: Collection[str] = (),
) -> None:
    """Refuse where a file would be replaced that must not be; other files may lie beside ours.

    This is all that is asked when results are there to be saved: a stray file in the directory
    must not cost a long run.

    Parameters
    ----------
    directory, overwrite, source
        As `check_output_dir`.
    written : collection of str
        Names that are about to be written; those of results are looked at in any case.

    Raises
    ------
    OutputError
        As `check_output_dir`.
    """
    if directory.exists() and not directory.is_dir():
        raise OutputError(f"output directory: expected a directory, got the file {directory}")
    listed = listed_hashes(read_manifest(directory / MANIFEST))
    names = dict.fromkeys((*RESULTS, *TRAINER_FILES, *listed, *written))
    present = [name for name in names if os.path.lexists(directory / name)]
    results = [name for name in present if name in RESULTS]
    for name in results:
        _refuse_directory(directory / name)
    for name in present:
        _refuse_source(directory / name, source)
    if results:
        _check_ours(directory, results, overwrite)
    _refuse_changed(directory, [name for name in written if name not in RESULTS])


def _refuse_directory(file: Path) -> None:
    if file.is_dir():
        raise OutputError(
            f"output directory: expected a file, got the directory {file.name!r} in it"
        )


def _refuse_source(file: Path, source: Sources) -> None:
    for read in list_sources(source):
        if is_same_file(file, read):
            raise OutputError(
                f"output directory: the input {os.fspath(read)} is the file {file}, which the "
                "results would replace; name another directory"
            )


def _check_ours(directory: Path, present: list[str], overwrite: bool) -> None:
    manifest = read_manifest(directory / MANIFEST)
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


def _refuse_foreign(directory: Path) -> None:
    manifest = read_manifest(directory / MANIFEST)
    entries = sorted(directory.iterdir())
    foreign = [
        entry.name for entry in entries if not is_ours(entry, manifest) and not is_harmless(entry)
    ]
    _refuse_changed(directory, foreign)
    if foreign:
        raise OutputError(
            f"output directory: expected {directory} to be empty or to hold only results of "
            f"ds2fast, but it holds {foreign[0]!r}{_and_more(foreign)}; name another directory"
        )


def _refuse_changed(directory: Path, names: Collection[str]) -> None:
    """Refuse where one of these files is there and is not what a manifest of ours lists."""
    manifest = read_manifest(directory / MANIFEST)
    listed = listed_hashes(manifest)
    for name in names:
        file = directory / name
        if name not in (*TRAINER_FILES, *listed) or not os.path.lexists(file):
            continue
        if not is_ours(file, manifest):
            why = "was changed since ds2fast wrote it" if name in listed else "is not of ds2fast"
            raise OutputError(
                f"output directory: {file} {why}; move it away or name another directory"
            )


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
