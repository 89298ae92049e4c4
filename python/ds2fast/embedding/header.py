"""The head of a file of vectors: what they are vectors of, in words, and how wide they are.

Layout (integers little-endian)::

    offset  bytes  content
         0      8  b"DS2FVEC1": the format and its version
         8      4  uint32: size of the header, a multiple of 4096; the records begin there
        12      4  uint32: d, the width of the vectors
        16      4  uint32: bytes of the key's text
        20      4  uint32: CRC-32 of the whole header with these four bytes zero
        24      .  the key as JSON (UTF-8, names sorted)
         .      .  zeros up to the size of the header

The CRC-32 also seeds those of the records, so that a record only ever counts under its own header.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

from ds2fast.errors import InputError, InputFileError, InputTypeError

StoreKey = Mapping[str, str | int]
"""What tells the vectors of one store from those of another: model hash, precision, pooling, ..."""

MAGIC = b"DS2FVEC1"
_FIELDS = struct.Struct("<8sIIII")
_BLOCK = 4096  # the records begin on a page


class DamagedFileError(InputFileError):
    """A file of the store that is not what was written there; the message says what is wrong."""


@dataclass(frozen=True)
class Header:
    """What a file of vectors says of itself.

    Attributes
    ----------
    width : int
        d, the numbers of a vector.
    size : int
        Bytes before the first record.
    checksum : int
        CRC-32 of the header, the seed of the records' own.
    """

    width: int
    size: int
    checksum: int


def key_text(key: StoreKey) -> str:
    """The key as JSON, one text for equal keys.

    Raises
    ------
    InputTypeError, InputError
        A name that is no str, a value that is neither str nor int, or no name at all.
    """
    if not isinstance(key, Mapping):
        raise InputTypeError(f"key: expected a mapping, got {type(key).__name__}")
    if not key:
        raise InputError("key: expected at least one name, got an empty mapping")
    for name, value in key.items():
        if not isinstance(name, str):
            raise InputTypeError(f"key: expected names of type str, got {name!r}")
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise InputTypeError(
                f"key[{name!r}]: expected a str or an int, got {type(value).__name__}"
            )
    return json.dumps(dict(key), sort_keys=True, ensure_ascii=False)


def key_digest(key: StoreKey) -> str:
    """32 hexadecimal digits that name the key and the format: another version, another folder."""
    return blake2b(MAGIC + key_text(key).encode(), digest_size=16).hexdigest()


def encode_header(key: StoreKey, width: int) -> bytes:
    """The header of a file of vectors that are `width` wide."""
    words = key_text(key).encode()
    size = -(-(_FIELDS.size + len(words)) // _BLOCK) * _BLOCK
    blank = (_FIELDS.pack(MAGIC, size, width, len(words), 0) + words).ljust(size, b"\0")
    return _FIELDS.pack(MAGIC, size, width, len(words), zlib.crc32(blank)) + blank[_FIELDS.size :]


def decode_header(content: bytes, key: StoreKey) -> Header:
    """Read the header that `content` begins with.

    Raises
    ------
    DamagedFileError
        It is no header, is damaged, or that of another key.
    """
    if len(content) < _FIELDS.size:
        raise DamagedFileError(f"expected a header of vectors, got a file of {len(content)} bytes")
    magic, size, width, _, checksum = _FIELDS.unpack_from(content)
    if magic != MAGIC:
        raise DamagedFileError(f"expected a file that begins with {MAGIC!r}, got {magic!r}")
    # What this key's header must be is known but for the width; every bit is compared.
    expected = encode_header(key, width)
    if size != len(expected) or content[: len(expected)] != expected:
        raise DamagedFileError("expected the header of this key, got a damaged or another one")
    return Header(width, size, checksum)


def header_size(key: StoreKey) -> int:
    """Bytes of the header of a file of this key's vectors."""
    return len(encode_header(key, 0))
