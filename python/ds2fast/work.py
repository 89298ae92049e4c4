"""Work that is too big for memory, or too long to lose: arrays on disk and a journal of its steps.

A work folder is named after a digest of all that its bytes depend on, and holds

    key.json        that, in words
    NAME.npy        an array; it takes its name when it is there in its full size
    journal         a line a step: CRC-32 of the rest, a blank, the step as JSON
    lock            empty; who holds a lock on it works here

What is promised:

- A step in the journal is finished: its arrays were on disk before its line was. A process that is
  killed leaves at most one torn line, which the next one drops, with the step.
- An array has all its room from the start: a full disk is an error when the array is made, where it
  can be reported, and no bus error in the middle of the work.
- One process works in a folder; a second one is refused.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ds2fast.closing import Closing
from ds2fast.errors import InputError, InputTypeError, OutputError
from ds2fast.io.atomic import TEMPORARY_NAME, atomic_file, sync_directory, temporary_beside
from ds2fast.io.lock import WriterLock
from ds2fast.io.scratch import DiskArray, num_bytes, reserve

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""What a journal can hold of a step."""

_FORMAT = 1  # raised whenever what is in a folder is laid out in another way
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_DIGEST = re.compile(r"[0-9a-f]{32}")


class WorkFolder(Closing):
    """Arrays on disk and the steps that are finished, for work that can be taken up again.

    A context manager; one thread at a time. Its end keeps what is there, `remove` does not.

    Parameters
    ----------
    folder : Path
        Where work folders are kept; this one is the folder inside that its key's digest names.
    key : mapping of str to JSON
        All that the bytes of the work depend on, the version of what computes them too.

    Attributes
    ----------
    path : Path
        The work folder itself.

    Raises
    ------
    InputTypeError
        `key` is no mapping of JSON values.
    OutputError
        The folder cannot be made or written, or another run is working there.

    Examples
    --------
    >>> from pathlib import Path
    >>> def squares() -> list[int]:
    ...     with WorkFolder(Path("work"), {"what": "squares", "rows": 6}) as work:
    ...         found = work.array("squares", (6,), np.int64)
    ...         for first in (0, 3):
    ...             if not work.is_finished(f"rows from {first}"):
    ...                 found[first : first + 3] = np.arange(first, first + 3) ** 2
    ...                 work.finish(f"rows from {first}", found)
    ...         return found.tolist()
    >>> squares()
    [0, 1, 4, 9, 16, 25]
    """

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        text = _key_text(key)
        self.path = Path(folder) / _digest(text.encode())
        self._lock = WriterLock(self.path / "lock", "working")
        with _refused_as(f"cannot work in {self.path}"):
            self._enter()
        try:
            with _refused_as(f"cannot work in {self.path}"):
                self._clear_leftovers()
                if not (self.path / "key.json").exists():
                    _write(self.path / "key.json", text.encode())
            self._journal = _Journal(self.path / "journal")
        except BaseException:  # also Ctrl-C: the lock is given back
            self._lock.release()
            raise

    def array(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> DiskArray:
        """An array in a file: as it was left, or new and all zeros.

        Parameters
        ----------
        name : str
            Letters, digits, `-` and `_`.
        shape : tuple of int
        dtype : dtype
            One without objects.

        Returns
        -------
        np.memmap
            What is written to it is on disk when a step is finished with it, or a while later.

        Raises
        ------
        InputError
            A name of other signs; an array of that name that has another shape or type.
        OutputError
            The disk has no room for it, say.
        """
        if not _NAME.fullmatch(name):
            raise InputError(f"name: expected letters, digits, - and _, got {name!r}")
        path, wanted = self.path / f"{name}.npy", np.dtype(dtype)
        with _refused_as(f"cannot make {path}, {_size_words(shape, wanted)}"):
            if not path.exists():
                _make_array(path, shape, wanted)
            found = np.lib.format.open_memmap(path, mode="r+")
        if found.shape != tuple(shape) or found.dtype != wanted:
            raise InputError(
                f"{name}: expected {_array_words(shape, wanted)}, which {path} is not: got "
                f"{_array_words(found.shape, found.dtype)}"
            )
        return found

    def is_finished(self, step: str) -> bool:
        """Whether the step was finished, by this process or one before it."""
        return step in self._journal.finished

    def finish(self, step: str, *arrays: DiskArray) -> None:
        """Bring arrays of this folder to the disk, then note there that the step is finished.

        Raises
        ------
        OutputError
            What the operating system refuses; the step is not finished.
        """
        with _refused_as(f"cannot keep what was finished in {self.path}"):
            for array in arrays:
                array.flush()
        self._journal.append({"finished": step})

    def note(self, step: str, value: Json) -> None:
        """Keep a small result of a step, before it is finished; a later one takes its place.

        Raises
        ------
        InputTypeError
            A value that JSON has no word for, NaN among them.
        OutputError
            As in `finish`.
        """
        self._journal.append({"step": step, "value": value})

    def value(self, step: str) -> Json:
        """What was noted of a step last; None where nothing was."""
        return self._journal.values.get(step)

    def close(self) -> None:
        """Keep what is there and let other processes work here."""
        self._journal.close()
        self._lock.release()

    def remove(self) -> None:
        """Remove the folder and all that is in it: the result is safe elsewhere.

        Arrays that are still open keep their bytes, and the room on disk, until they are gone.

        Raises
        ------
        OutputError
            The operating system refuses.
        """
        self._journal.close()
        _remove_folder(self.path)
        self._lock.release()

    def _enter(self) -> None:
        """Make the folder and take its lock, again where it was removed between the two."""
        while True:
            self.path.mkdir(parents=True, exist_ok=True)
            refusal = self._lock.acquire()
            if refusal is not None and self.path.exists():
                raise OutputError(
                    f"cannot work in {self.path}: {refusal}; wait for its end, or give this run "
                    "a folder of its own (cache_dir=, --cache-dir)"
                )
            if refusal is None and self._lock.has_name():
                return
            self._lock.release()

    def _clear_leftovers(self) -> None:
        """What a killed process left under temporary names, here and of removed folders."""
        for entry in self.path.glob(".*.tmp"):
            if TEMPORARY_NAME.fullmatch(entry.name):
                entry.unlink()
        for entry in self.path.parent.glob(f".{self.path.name}.*.tmp"):
            shutil.rmtree(entry, ignore_errors=True)


def remove_abandoned(folder: Path, *, days: float = 30.0) -> int:
    """Remove work folders that no run has touched for so many days: the disk space of dead runs.

    Nothing but a work folder is touched: one that is named after the digest of its key.json.

    Parameters
    ----------
    folder : Path
        Where work folders are kept, among whatever else; it need not be there.
    days : float
        Since the last step was finished. A folder that a run works in stays, whatever its age.

    Returns
    -------
    int
        How many were removed.

    Raises
    ------
    OutputError
        The operating system refuses.

    Examples
    --------
    >>> from pathlib import Path
    >>> remove_abandoned(Path("work"))
    0
    """
    for entry in Path(folder).glob(".*.tmp"):
        _remove_leftover(entry)
    removed = 0
    for path in sorted(Path(folder).glob("*")):
        journal, lock = path / "journal", WriterLock(path / "lock")
        if not _is_work_folder(path) or not _is_older(journal, days) or lock.acquire() is not None:
            continue
        try:
            if lock.has_name():
                _remove_folder(path)
                removed += 1
        finally:
            lock.release()
    return removed


class _Journal:
    """The steps of a folder, a line each, on disk as soon as they are appended."""

    def __init__(self, path: Path) -> None:
        self.finished: set[str] = set()
        self.values: dict[str, Json] = {}
        self._path = path
        with _refused_as(f"cannot write {path}"):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                self._end = self._read_lines()
                os.ftruncate(self._descriptor, self._end)  # behind it is a torn line
                sync_directory(path.parent)
            except BaseException:
                os.close(self._descriptor)
                raise

    def append(self, entry: dict[str, Json]) -> None:
        """Write an entry to the disk, then count it."""
        line = _line(entry)
        with _refused_as(f"cannot write {self._path}"):
            try:
                written = os.pwrite(self._descriptor, line, self._end)
                if written < len(line):  # tells why by failing, on most systems
                    written += os.pwrite(self._descriptor, line[written:], self._end + written)
                if written < len(line):
                    raise OSError(f"{written} of {len(line)} bytes were written")
                os.fsync(self._descriptor)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(self._descriptor, self._end)
                raise
        self._end += len(line)
        self._count(entry)

    def close(self) -> None:
        """Let go of the file."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _read_lines(self) -> int:
        """Count the entries; where the last good line ends."""
        content = self._path.read_bytes()
        end = 0
        while (stop := content.find(b"\n", end)) >= 0:
            entry = _entry(content[end : stop + 1])
            if entry is None:
                break
            self._count(entry)
            end = stop + 1
        return end

    def _count(self, entry: dict[str, Json]) -> None:
        finished, step = entry.get("finished"), entry.get("step")
        if isinstance(finished, str):
            self.finished.add(finished)
        if isinstance(step, str):
            self.values[step] = entry.get("value")


def _line(entry: dict[str, Json]) -> bytes:
    try:
        text = json.dumps(entry, allow_nan=False).encode("ascii")
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"value: expected what JSON can hold, got another: {error}") from error
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _entry(line: bytes) -> dict[str, Json] | None:
    """What a line says; None where it is torn or damaged."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return None
    found = json.loads(text)
    return found if isinstance(found, dict) else None


def _key_text(key: Mapping[str, Any]) -> str:
    if not isinstance(key, Mapping):
        raise InputTypeError(f"key: expected a mapping, got {type(key).__name__}")
    try:
        return json.dumps({"format": _FORMAT, "key": dict(key)}, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"key: expected what JSON can hold, got another: {error}") from error


def _digest(key_text: bytes) -> str:
    return blake2b(key_text, digest_size=16).hexdigest()


def _make_array(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """A file of zeros that has all its room; it takes its name when that is on disk."""
    temporary = temporary_beside(path)
    try:
        with temporary.open("xb") as file:
            header = {"descr": dtype.str, "fortran_order": False, "shape": tuple(shape)}
            np.lib.format.write_array_header_2_0(file, header)
            file.flush()
            reserve(file.fileno(), file.tell(), num_bytes(shape, dtype))
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:  # also Ctrl-C
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def _remove_folder(path: Path) -> None:
    """Under another name first: a half-removed folder must not be taken for work."""
    with _refused_as(f"cannot remove {path}"):
        gone = temporary_beside(path)
        path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)  # the next run there clears it, too


def _is_work_folder(path: Path) -> bool:
    """Whether a folder is one of ours: where they are kept there may be any other program's."""
    if not _DIGEST.fullmatch(path.name) or path.is_symlink():
        return False
    try:
        is_ours = _digest((path / "key.json").read_bytes()) == path.name
        return is_ours and (path / "journal").is_file()
    except OSError:  # not there, or not for us to read
        return False


def _remove_leftover(path: Path) -> None:
    """Remove the rest of a folder of ours, of which a process was killed as it removed it."""
    found = TEMPORARY_NAME.fullmatch(path.name)
    if found and _DIGEST.fullmatch(found[1]) and path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)


def _is_older(journal: Path, days: float) -> bool:
    try:
        return time.time() - journal.stat().st_mtime > days * 86_400
    except FileNotFoundError:  # another run has just removed it
        return False


def _write(path: Path, content: bytes) -> None:
    with atomic_file(path) as file:
        file.write(content)


def _array_words(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    return f"{tuple(shape)} {dtype}"


def _size_words(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    return f"{num_bytes(shape, dtype) / 1e9:.3g} GB on disk"


@contextmanager
def _refused_as(what: str) -> Iterator[None]:
    """Turn what the operating system refuses into an `OutputError`."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{what}: {error.strerror or error}") from error
