"""Fingerprints of the input and its texts."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

HASH_BYTES = 16
"""128 bits: among 10⁹ texts two share a hash with probability 10⁻²¹."""


@dataclass(frozen=True)
class InputFile:
    """A file that rows came from.

    Attributes
    ----------
    path : Path
        Its absolute path.
    sha256 : str
        SHA-256 of its bytes as they were read, in hexadecimal.
    """

    path: Path
    sha256: str


class DigestedFile(io.RawIOBase):
    """A file whose bytes are hashed as they are read, so that nothing need read it again.

    Parameters
    ----------
    file : binary file
        What is read; closing this closes it.
    """

    def __init__(self, file: Any) -> None:
        super().__init__()
        self._file = file
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
        return int(count)

    def close(self) -> None:
        """Close the file; the hash stays."""
        self._file.close()
        super().close()


def text_hash(text: str) -> bytes:
    """BLAKE2b of the text's UTF-8, 16 bytes.

    Examples
    --------
    >>> len(text_hash("a frog"))
    16
    """
    # A lone surrogate has no UTF-8; it gets bytes that no valid text has.
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).digest()


def hash_lines(lines: Iterator[bytes]) -> str:
    r"""SHA-256 of rows that lie in no file: of them as JSON lines, each ended by `\n`.

    Examples
    --------
    >>> hash_lines(iter([b"ab"])) == hash_lines(iter([b"a", b"b"]))
    False
    """
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line + b"\n")
    return digest.hexdigest()


def join_digests(digests: Iterable[str]) -> str:
    """One digest of several in their order; of one it is that one.

    Examples
    --------
    >>> join_digests(["0123"])
    '0123'
    >>> join_digests(["a", "b"]) == join_digests(["b", "a"])
    False
    """
    found = list(digests)
    if len(found) == 1:
        return found[0]
    return hashlib.sha256("\n".join(found).encode()).hexdigest()
