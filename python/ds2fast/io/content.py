"""Bytes of a file as they were before it was packed: gzip, Zstandard or neither."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import zstandard

from ds2fast.errors import InputError, InputFileError
from ds2fast.io.digest import DigestedFile
from ds2fast.io.names import STDIN

_BUFFER = 1 << 18
_PACKED = 1 << 14  # unpacked at once: it may become a thousand times as much
_BOM = b"\xef\xbb\xbf"
_MAGIC = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst"}
_WORDS = {".gz": "gzip", ".zst": "Zstandard"}


class FileContent:
    """What a file holds, read once from its beginning to its end.

    Parameters
    ----------
    path : Path
        The file; `-` is standard input, which tells by its first bytes whether it is packed. The
        name of any other file tells.

    Attributes
    ----------
    name : str
        The file in messages.
    packing : str
        `".gz"`, `".zst"` or `""`; that of standard input is known once it is opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_stdin = str(path) == STDIN
        self.name = "standard input" if self._is_stdin else str(path)
        suffix = path.suffix.lower()
        self.packing = suffix if suffix in _WORDS else ""
        self._digested: DigestedFile | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 of the file as it lies on disk, once it was read."""
        return "" if self._digested is None else self._digested.sha256

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The content, to be read inside `reading_errors`."""
        raw = _Lent(sys.stdin.buffer) if self._is_stdin else self._path.open("rb", buffering=0)
        self._digested = DigestedFile(raw)
        with self._digested, io.BufferedReader(self._digested, _BUFFER) as packed:
            if self._is_stdin:
                first = packed.peek(4)
                magic = (kind for magic, kind in _MAGIC.items() if first.startswith(magic))
                self.packing = next(magic, "")
            if self.packing == ".gz":
                yield cast(BinaryIO, gzip.GzipFile(fileobj=packed, mode="rb"))
            elif self.packing == ".zst":
                yield cast(BinaryIO, io.BufferedReader(_Unpacked(cast(BinaryIO, packed)), _BUFFER))
            else:
                yield packed
            while packed.read(_BUFFER):  # what follows the packed bytes is part of the hash
                pass

    def lines(self) -> Iterator[tuple[int, bytes]]:
        r"""Each line's place in the unpacked content, and the line.

        Without byte order mark and line ends (`\n` or `\r\n`, nothing else).

        Raises
        ------
        InputError, InputFileError
            The packing is broken, or the file cannot be read on; the message tells the last line.
        """
        number = place = 0
        with self.reading_errors(lambda: f"after line {number}"), self.open() as content:
            for number, line in enumerate(content, start=1):
                row = line.removeprefix(_BOM) if number == 1 else line
                begin = place + len(line) - len(row)
                place += len(line)
                yield begin, row.removesuffix(b"\n").removesuffix(b"\r")

    @contextmanager
    def reading_errors(self, where: Any) -> Iterator[None]:
        """Turn what reading raises into errors that name the file and the place."""
        try:
            yield
        except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError) as error:
            kind = _WORDS.get(self.packing, "")
            raise InputError(
                f"{self.name}: expected a whole {kind} file, got one that is broken {where()}: "
                f"{error}"
            ) from error
        except (InputFileError, InputError):
            raise
        except OSError as error:
            raise InputFileError(f"{self.name}: cannot read on {where()}: {error}") from error


class _Lent(io.RawIOBase):
    """Standard input, which is not ours to close."""

    def __init__(self, file: Any) -> None:
        super().__init__()
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return int(self._file.readinto(buffer) or 0)


class _Unpacked(io.RawIOBase):
    """Content of Zstandard frames, one behind the other, the last of them whole.

    The library's own reader takes half a frame for a whole one.
    """

    def __init__(self, packed: BinaryIO) -> None:
        super().__init__()
        self._packed = packed
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._is_inside = False
        self._rest = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not len(self._ready):
            packed = self._rest or self._packed.read(_PACKED)
            if not packed:
                if self._is_inside:
                    raise EOFError("the file ends within a frame")
                return 0
            self._unpack(packed)
        view = memoryview(buffer).cast("B")
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _unpack(self, packed: bytes) -> None:
        self._ready, self._is_inside = memoryview(self._frame.decompress(packed)), True
        self._rest = b""
        if self._frame.eof:
            self._rest, self._is_inside = self._frame.unused_data, False
            self._frame = zstandard.ZstdDecompressor().decompressobj()
