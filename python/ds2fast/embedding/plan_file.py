"""The file of a job's plan: which texts run together, in which order.

Layout (integers little-endian)::

    offset      bytes  content
         0          8  b"DS2FPLN1": the format and its version
         8         16  digest of the job
        24          8  uint64: m, texts of all batches
        32          8  uint64: b, batches
        40     8(b+1)  int64: where each batch begins among the texts, and m
    48 + 8b      16 m  hashes of the texts, batch after batch
         .          4  uint32: CRC-32 of all bytes before
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

from ds2fast.embedding.hashes import HASH_BYTES, HashArray
from ds2fast.embedding.header import DamagedFileError

MAGIC = b"DS2FPLN1"
_FIELDS = struct.Struct("<8s16sQQ")
_CHECKSUM = struct.Struct("<I")


def encode_plan(job: bytes, batches: list[HashArray]) -> bytes:
    """The file of a plan whose batches are those of these hashes, each (texts, 16) uint8."""
    lengths = [len(batch) for batch in batches]
    offsets = np.cumsum([0, *lengths], dtype="<i8")
    content = b"".join(
        [
            _FIELDS.pack(MAGIC, job, int(offsets[-1]), len(batches)),
            offsets.tobytes(),
            *(batch.tobytes() for batch in batches),
        ]
    )
    return content + _CHECKSUM.pack(zlib.crc32(content))


def decode_plan(content: bytes, job: bytes) -> list[HashArray]:
    """Read the batches of a plan.

    Raises
    ------
    DamagedFileError
        It is no plan, is damaged, or that of another job.
    """
    if len(content) < _FIELDS.size + _CHECKSUM.size:
        raise DamagedFileError(f"expected a plan of batches, got {len(content)} bytes")
    if zlib.crc32(content[: -_CHECKSUM.size]) != _CHECKSUM.unpack(content[-_CHECKSUM.size :])[0]:
        raise DamagedFileError("expected a plan of batches, got a damaged one")
    magic, of_job, texts, batches = _FIELDS.unpack_from(content)
    size = _FIELDS.size + 8 * (batches + 1) + HASH_BYTES * texts + _CHECKSUM.size
    if magic != MAGIC or of_job != job or size != len(content):
        raise DamagedFileError("expected the plan of this job, got another one")
    offsets = np.frombuffer(content, "<i8", batches + 1, _FIELDS.size)
    begin = _FIELDS.size + offsets.nbytes
    hashes = np.frombuffer(content, np.uint8, HASH_BYTES * texts, begin).reshape(-1, HASH_BYTES)
    return np.split(hashes, offsets[1:-1]) if batches else []
