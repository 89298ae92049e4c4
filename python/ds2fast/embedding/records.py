"""The records behind a header: appended with `pwrite`, read through a memory map.

Layout of a record of width d (28 + 4 d bytes, numbers little-endian)::

    offset   bytes  content
         0      16  hash of the text
        16       4  uint32: tokens of the text
        20       4  uint32: flags; bit 0: the text was cut at the encoder's maximum length,
                    bit 1: the record is the last one of its append
        24     4 d  float32: the vector
    24 + 4d      4  uint32: CRC-32 of the bytes before, begun with the CRC-32 of the header

Record i begins at (size of the header) + i (28 + 4 d). The file is never cut: a process that has
it mapped would die of a page that is gone.
"""

from __future__ import annotations

import mmap
import os
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ds2fast.embedding.hashes import HASH_BYTES, HashArray
from ds2fast.embedding.header import Header
from ds2fast.errors import InputError, InputTypeError, OutputError
from ds2fast.results import BoolArray, FloatArray, IntArray

RecordArray = npt.NDArray[np.void]

WAS_CUT = 1
_ENDS_APPEND = 2
_MOST_TOKENS = 2**32 - 1
_CHECKSUM_BYTES = 4
_CHUNK = 1024  # records that are copied and checked at a time
_SYNC_INTERVAL = 1.0  # seconds
_sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


def record_type(width: int) -> np.dtype[Any]:
    """The dtype of a record."""
    return np.dtype(
        [
            ("hash", np.uint8, (HASH_BYTES,)),
            ("tokens", "<u4"),
            ("flags", "<u4"),
            ("vector", "<f4", (width,)),
            ("checksum", "<u4"),
        ]
    )


def check_batch(hashes: HashArray, vectors: FloatArray, tokens: IntArray, cut: BoolArray) -> None:
    """Refuse arrays that are not those of some texts' records, see `VectorStore.append`."""
    for name, array, kind in (("vectors", vectors, np.float32), ("cut", cut, np.bool_)):
        if array.dtype != kind:
            raise InputTypeError(f"{name}: expected {kind.__name__}, got {array.dtype}")
    if not np.issubdtype(tokens.dtype, np.integer):
        raise InputTypeError(f"tokens: expected integers, got {tokens.dtype}")
    if vectors.ndim != 2 or len(vectors) != len(hashes) or not vectors.shape[1]:
        raise InputError(f"vectors: expected shape ({len(hashes)}, d), got {vectors.shape}")
    for name, column in (("tokens", tokens), ("cut", cut)):
        if column.shape != (len(hashes),):
            raise InputError(f"{name}: expected shape ({len(hashes)},), got {column.shape}")
    if len(tokens) and not (tokens.min() >= 0 and tokens.max() <= _MOST_TOKENS):
        raise InputError(
            f"tokens: expected 0 to {_MOST_TOKENS}, got {tokens.min()} to {tokens.max()}"
        )
    if not np.isfinite(vectors).all():
        row = int(np.isfinite(vectors).all(axis=1).argmin())
        raise InputError(f"vectors: expected finite numbers, row {row} holds others")


def make_records(
    header: Header, hashes: HashArray, vectors: FloatArray, tokens: IntArray, cut: BoolArray
) -> RecordArray:
    """Records of some texts, at least one, that are appended together; with their checksums."""
    records = np.empty(len(hashes), record_type(header.width))
    records["hash"] = hashes
    records["tokens"] = tokens
    records["flags"] = np.where(cut, WAS_CUT, 0)
    records["flags"][-1] |= _ENDS_APPEND
    records["vector"] = vectors
    records["checksum"] = _checksums(records, header.checksum)
    return records


def _checksums(records: RecordArray, seed: int) -> npt.NDArray[np.uint32]:
    """What the checksums of contiguous records must be: 1.1 µs each for d = 384."""
    size = records.dtype.itemsize
    content = records.view(np.uint8).data
    begins = range(0, len(content), size)
    sums = (zlib.crc32(content[at : at + size - _CHECKSUM_BYTES], seed) for at in begins)
    return np.fromiter(sums, np.uint32, len(records))


class RecordFile:
    """A file of records behind a header that was read already.

    Parameters
    ----------
    path : Path
        The file.
    header : Header
        What stands at its beginning.
    writable : bool
        Whether this process holds the lock and may append.

    Attributes
    ----------
    count : int
        Whole records, good or not: those of the file as it was opened or refreshed.
    """

    def __init__(self, path: Path, header: Header, *, writable: bool) -> None:
        self.header = header
        self._path = path
        self._type = record_type(header.width)
        self._map = np.empty(0, self._type)
        self._unsynced = False
        self._synced_at = time.monotonic()
        mode = os.O_RDWR if writable else os.O_RDONLY
        self._descriptor = os.open(path, mode | os.O_CLOEXEC)
        self.count = 0
        self.refresh()

    def refresh(self) -> None:
        """Count the records anew: another process may have appended some."""
        behind_header = os.fstat(self._descriptor).st_size - self.header.size
        self.count = max(self.count, behind_header // self._type.itemsize)

    def drop_damaged_tail(self) -> None:
        """Count down to the last good record: what a crash left behind it is overwritten."""
        while self.count:
            slots = np.arange(max(0, self.count - _CHUNK), self.count)
            good = np.flatnonzero(self.good(slots))
            self.count = int(slots[good[-1]]) + 1 if len(good) else int(slots[0])
            if len(good):
                return

    def hashes(self, begin: int) -> HashArray:
        """Hashes of the records from `begin` on, unchecked, (count − begin, 16) uint8."""
        return np.ascontiguousarray(self._mapped()["hash"][begin:])

    def copies(self, slots: IntArray) -> Iterator[tuple[slice, RecordArray, BoolArray]]:
        """Copies of records, some at a time: which of the slots, the records, which are good.

        What is checked is the copy, so what a good one holds cannot change any more.
        """
        mapped = self._mapped()
        for begin in range(0, len(slots), _CHUNK):
            part = slice(begin, begin + _CHUNK)
            records = mapped[slots[part]]
            yield part, records, records["checksum"] == _checksums(records, self.header.checksum)

    def good(self, slots: IntArray) -> BoolArray:
        """Whether each slot, all below `count`, holds a record with a right checksum."""
        parts = [good for _, _, good in self.copies(slots)]
        return np.concatenate(parts) if parts else np.empty(0, np.bool_)

    def is_torn(self) -> bool:
        """Whether the last append has an end that is not in the file."""
        last = self._mapped()[-1:]["flags"]
        return bool((last & _ENDS_APPEND == 0).any())

    def append(self, records: RecordArray) -> None:
        """Write records behind the last one, and see to it that they get to the disk soon.

        Raises
        ------
        OutputError
            The operating system refused, a full disk say. Records that were written whole count.
        """
        begin = self.header.size + self.count * self._type.itemsize
        try:
            _write_all(self._descriptor, records.view(np.uint8).data, begin)
            self._unsynced = True
            self.count += len(records)
            if time.monotonic() - self._synced_at >= _SYNC_INTERVAL:
                self.sync()
        except OSError as error:
            self.refresh()
            raise OutputError(
                f"cannot append to {self._path}: expected room for {records.nbytes} bytes of "
                f"vectors from byte {begin} on, got: {error.strerror or error}; the vectors before "
                "are kept, make room and run again to go on from them"
            ) from error
        except BaseException:  # Ctrl-C: others may have found what was written whole
            self.refresh()
            raise

    def sync(self) -> None:
        """Have the disk hold all that was appended."""
        if self._unsynced:
            _sync_data(self._descriptor)
            self._unsynced = False
        self._synced_at = time.monotonic()

    def close(self) -> None:
        """Sync and close.

        Raises
        ------
        OutputError
            What was appended last cannot be brought to the disk.
        """
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        self._map = np.empty(0, self._type)
        try:
            if self._unsynced:
                _sync_data(descriptor)
        except OSError as error:
            raise OutputError(
                f"cannot finish {self._path}: expected the disk to take what was appended last, "
                f"got: {error.strerror or error}; run again, what was lost is run anew"
            ) from error
        finally:
            with suppress(OSError):
                os.close(descriptor)

    def _mapped(self) -> RecordArray:
        """The records through a memory map that reaches as far as they do now."""
        if len(self._map) < self.count:
            size = self.header.size + self.count * self._type.itemsize
            memory = mmap.mmap(self._descriptor, size, access=mmap.ACCESS_READ)
            self._map = np.frombuffer(memory, self._type, self.count, self.header.size)
        return self._map[: self.count]


def _write_all(descriptor: int, content: memoryview, offset: int) -> None:
    while content:
        written = os.pwrite(descriptor, content, offset)
        content, offset = content[written:], offset + written
