"""Arrays in files without a name: bigger than memory, and gone with the process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ds2fast.errors import OutputError

DiskArray: TypeAlias = "np.memmap[Any, np.dtype[Any]]"
"""An array whose bytes are those of a file."""

_ZEROS = bytes(1 << 20)


def scratch_array(folder: Path, shape: tuple[int, ...], dtype: npt.DTypeLike) -> DiskArray:
    """A new array of zeros in a file without a name.

    Parameters
    ----------
    folder : Path
        Where the file is to lie; it is made where it is missing.
    shape : tuple of int
        Of one element at least.
    dtype : dtype
        One without objects.

    Returns
    -------
    np.memmap
        Its room on disk is there from the start, and is free again when the array is gone.

    Raises
    ------
    OutputError
        The disk has no room for it, say.

    Examples
    --------
    >>> from pathlib import Path
    >>> rows = scratch_array(Path("scratch"), (2, 3), np.float32)
    >>> rows[1] = 1.0
    >>> rows.sum(), list(Path("scratch").iterdir())
    (np.float32(3.0), [])
    """
    size = num_bytes(shape, dtype)
    with _refused_as(folder, size), _nameless(folder) as file:
        reserve(file.fileno(), 0, size)
        return np.memmap(file, dtype, "r+", shape=shape)


class Spool:
    """Numbers that come part by part, one behind the other: in memory, or in a file without a name.

    Parameters
    ----------
    dtype : dtype
        Of the numbers.
    folder : Path or None
        Where the file is to lie; None is memory.

    Examples
    --------
    >>> spool = Spool(np.int32)
    >>> spool.add(np.array([3, 1], np.int32))
    >>> spool.add(np.array([2], np.int32))
    >>> spool.joined()
    array([3, 1, 2], dtype=int32)
    """

    def __init__(self, dtype: npt.DTypeLike, folder: Path | None = None) -> None:
        self._dtype = np.dtype(dtype)
        self._parts: list[npt.NDArray[Any]] = []
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._count = 0

    def add(self, numbers: npt.NDArray[Any]) -> None:
        """Add some numbers.

        Raises
        ------
        OutputError
            The disk has no room for them, say.
        """
        self._count += len(numbers)
        if self._folder is None:
            self._parts.append(numbers)
            return
        with _refused_as(self._folder, numbers.nbytes):
            if self._file is None:
                self._file = _open_nameless(self._folder)
            self._file.write(np.ascontiguousarray(numbers, self._dtype).data)

    def joined(self) -> npt.NDArray[Any]:
        """All numbers so far; nothing is added after it."""
        if self._file is None:
            empty = np.empty(0, self._dtype)
            joined = np.concatenate([empty, *self._parts], dtype=self._dtype)
            self._parts = []
            return joined
        with self._file as file:
            if not self._count:
                return np.empty(0, self._dtype)
            file.flush()
            return np.memmap(file, self._dtype, "r", shape=(self._count,))


def reserve(descriptor: int, first: int, size: int) -> None:
    """Room for so many zeros behind the first bytes of a file: a full disk fails here, not later.

    Where a mapped file has no room, the process is killed by a bus error as it writes to it.

    Raises
    ------
    OSError
        There is no room.
    """
    if not size:
        return
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, first, size)
        return
    for start in range(first, first + size, len(_ZEROS)):  # macOS
        os.pwrite(descriptor, _ZEROS[: first + size - start], start)


def num_bytes(shape: tuple[int, ...], dtype: npt.DTypeLike) -> int:
    """Bytes of an array.

    Examples
    --------
    >>> num_bytes((1000, 384), np.float32)
    1536000
    """
    return int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize


@contextmanager
def _nameless(folder: Path) -> Iterator[IO[bytes]]:
    with _open_nameless(folder) as file:
        yield file


def _open_nameless(folder: Path) -> IO[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryFile(dir=folder)


@contextmanager
def _refused_as(folder: Path, size: int) -> Iterator[None]:
    """Turn what the operating system refuses into an `OutputError`."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot keep {size / 1e9:.3g} GB in {folder}: {error.strerror or error}; make room, "
            "or name another folder (cache_dir=, --cache-dir)"
        ) from error
