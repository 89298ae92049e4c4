"""Result files that are all written before the first of them takes its name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import orjson

from ds2fast.errors import OutputError
from ds2fast.io.atomic import atomic_file, sync_directory, temporary_beside
from ds2fast.io.ownership import (
    MADE_BY,
    MANIFEST,
    is_leftover,
    is_ours,
    listed_hashes,
    read_manifest,
)


class Staging:
    """Files written and synced under temporary names; `publish` gives them their names.

    Used as a context manager, which removes what was not published.

    Parameters
    ----------
    directory : Path
        The output directory; what a killed save left there is removed.

    Attributes
    ----------
    sha256 : dict of str to str
        Hash of each file written so far.
    """

    def __init__(self, directory: Path) -> None:
        self.sha256: dict[str, str] = {}
        self._directory = directory
        self._temporaries: dict[str, Path] = {}

    def __enter__(self) -> Staging:
        with _refused_as(f"cannot clear {self._directory}", "nothing was replaced"):
            for entry in self._directory.iterdir():
                if is_leftover(entry.name) and entry.is_file():
                    entry.unlink()
        return self

    def __exit__(self, *_: object) -> None:
        for temporary in self._temporaries.values():
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """A binary file, on disk when the block ends, that is to become `name`.

        Raises
        ------
        OutputError
            The operating system refused (a full disk, say); nothing was replaced.
        """
        target = self._directory / name
        self._temporaries[name] = temporary_beside(target)
        with (
            _refused_as(f"cannot write {target}", "what was there is unchanged"),
            self._temporaries[name].open("x+b") as file,
        ):
            yield file
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            self.sha256[name] = hashlib.file_digest(file, "sha256").hexdigest()

    def publish(self) -> None:
        """Give the files their names as they were written, the manifest last; other results go.

        Before the first file changes, the manifest says that the results are not complete, so
        that a half-done replacement can be told from results and from files of others.

        Raises
        ------
        OutputError
            The operating system refused; the message says what was left.
        """
        with _refused_as(f"cannot look through {self._directory}", "nothing was replaced"):
            manifest = read_manifest(self._directory / MANIFEST)
            earlier = [file for file in self._directory.iterdir() if is_ours(file, manifest)]
        self._mark_incomplete(listed_hashes(manifest))
        half_done = "what is there is not complete: save again with overwrite=True (--overwrite)"
        with _refused_as(f"cannot replace all of {self._directory}", half_done):
            for file in earlier:
                if file.name not in self._temporaries and file.name != MANIFEST:
                    file.unlink(missing_ok=True)
            for name, temporary in self._temporaries.items():
                if name == MANIFEST:
                    sync_directory(self._directory)
                temporary.replace(self._directory / name)
            sync_directory(self._directory)

    def _mark_incomplete(self, earlier: dict[str, list[str]]) -> None:
        """Until all is in place, a file may be the earlier one or the new one: both are ours."""
        mark = {"made_by": MADE_BY, "complete": False, "files": self.sha256, "earlier": earlier}
        with atomic_file(self._directory / MANIFEST) as file:
            file.write(orjson.dumps(mark))


@contextmanager
def _refused_as(what: str, left: str) -> Iterator[None]:
    """Turn what the operating system refuses into an `OutputError`: what failed, what is left."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{what}: {error.strerror or error}; {left}") from error
