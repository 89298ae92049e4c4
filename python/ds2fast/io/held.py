"""Bytes that lie outside memory and are read back by place: the user's file, or a temporary one."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Lock
from typing import Protocol

from ds2fast.errors import InputFileError, OutputError
from ds2fast.io.rows import KEPT_ROWS

ReadAt = Callable[[int, int], bytes]
"""Reads so many bytes from a place on: `read(offset, size)`."""


class Held(Protocol):
    """Where rows lie."""

    def reading(self) -> AbstractContextManager[ReadAt]:
        """Open it for as long as rows are read."""


class UserFile:
    """A file of the user's, which must stay as it was when it was first read.

    Parameters
    ----------
    path : Path
        The file; it need not be there at the time of reading back from the same directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._state = _state(path.stat())

    @contextmanager
    def reading(self) -> Iterator[ReadAt]:
        """Open the file.

        Raises
        ------
        InputFileError
            It is gone, or is not the file that was read: another size or time of change.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise InputFileError(
                f"data: cannot read the rows of {self.path} again: {error.strerror}"
            ) from error
        try:
            yield lambda offset, size: self._read(descriptor, offset, size)
        finally:
            os.close(descriptor)

    def check(self) -> None:
        """Refuse the file where it has changed since the first look."""
        if _state(self.path.stat()) != self._state:
            raise self._changed()

    def _read(self, descriptor: int, offset: int, size: int) -> bytes:
        content = os.pread(descriptor, size, offset)
        while content and len(content) < size:  # the system gives some two gigabytes at a time
            more = os.pread(descriptor, size - len(content), offset + len(content))
            content = content + more if more else b""
        if len(content) < size or _state(os.fstat(descriptor)) != self._state:
            raise self._changed()
        return content

    def _changed(self) -> InputFileError:
        return InputFileError(
            f"data: expected {self.path} as it was when it was read, got a file that has changed "
            "since: its rows stay in it, so it must not be written to while they are used"
        )


def _state(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns


class TemporaryRows:
    """A temporary file without a name, in memory while it is small.

    It goes when it is no longer used, however the process ends.

    Examples
    --------
    >>> rows = TemporaryRows()
    >>> rows.append(b"one"), rows.append(b"three")
    (0, 3)
    >>> with rows.reading() as read:
    ...     read(3, 5)
    b'three'
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=KEPT_ROWS)  # noqa: SIM115 - outlives this
        weakref.finalize(self, self._file.close)
        self._lock = Lock()
        self._size = 0

    def append(self, content: bytes) -> int:
        """Add bytes; where they begin.

        Raises
        ------
        OutputError
            The folder of temporary files is full or cannot be written to.
        """
        begin = self._size
        try:
            self._file.write(content)
        except OSError as error:
            raise OutputError(
                f"cannot keep rows in {tempfile.gettempdir()}: {error.strerror or error}; TMPDIR "
                "names another folder for them"
            ) from error
        self._size += len(content)
        return begin

    @contextmanager
    def reading(self) -> Iterator[ReadAt]:
        """Read what was added."""
        yield self._read

    def _read(self, offset: int, size: int) -> bytes:
        with self._lock:
            self._file.seek(offset)
            return self._file.read(size)
