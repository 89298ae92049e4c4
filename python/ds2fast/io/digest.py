"""Fingerprints of the input, for the manifest."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from ds2fast.io.rows import row_lines


class DigestedFile(io.RawIOBase):
    """A file whose bytes are hashed as they are read, so that nothing need read it again.

    Parameters
    ----------
    path : Path
        The file; it is opened as it lies on disk.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("rb", buffering=0)
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes read so far, in hexadecimal."""
        return self._digest.hexdigest()

    def readable(self) -> bool:
        """True: it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into `buffer`; the number of bytes, 0 at the end of the file."""
        view = memoryview(buffer).cast("B")
        count = self._file.readinto(view) or 0
        self._digest.update(view[:count])
        return count

    def close(self) -> None:
        """Close the file; the hash stays."""
        self._file.close()
        super().close()


def hash_rows(rows: Any) -> str:
    r"""SHA-256 of data in memory: of its rows as JSON lines, each ended by `\n`.

    Examples
    --------
    >>> hash_rows(["a"]) == hash_rows([{"text": "a"}])
    True
    """
    digest = hashlib.sha256()
    for line in row_lines(rows, np.arange(len(rows))):
        digest.update(line + b"\n")
    return digest.hexdigest()
