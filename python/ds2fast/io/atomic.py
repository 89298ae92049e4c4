"""Files that take their name only when they are whole and on disk."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ds2fast.errors import OutputError

TEMPORARY_NAME = re.compile(r"\.(.+)\.[0-9a-f]{12}\.tmp")
"""What a killed run may leave of a file; the group is the file's name."""


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file that takes its name only when it is whole and on disk.

    It is written under a temporary name beside `path`, synced, then renamed; where anything fails
    the temporary file is removed and what was at `path` stays.

    Raises
    ------
    OutputError
        The operating system refused (a full disk, no permission, no such directory).
    """
    target = Path(path)
    temporary = temporary_beside(target)
    try:
        with _removed_on_failure(temporary):
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        sync_directory(target.parent)
    except OSError as error:
        raise OutputError(
            f"cannot write {target}: {error.strerror or error}; what was there is unchanged"
        ) from error


def temporary_beside(target: Path) -> Path:
    """A name for a file that is to become `target`; `TEMPORARY_NAME` knows it again."""
    return target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")


@contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:  # also Ctrl-C: no half file may stay behind
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise


def sync_directory(directory: Path) -> None:
    """Make a rename last through a power cut, on file systems that can sync a directory."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
