"""Arrays in files, read and written so that they do not pile up in memory."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
import numpy.typing as npt

from ds2fast.results import RowArray

_CHUNK_BYTES = 16 << 20


def read_block(rows: RowArray, span: slice) -> RowArray:
    """A block of rows in memory: a copy of what lies in a file, else the rows where they are.

    Of a file no more than a chunk is mapped at a time, beside the copy.
    """
    if not is_mapped(rows):
        return rows[span]
    block = np.empty((span.stop - span.start, rows.shape[1]), rows.dtype)
    chunk = max(1, _CHUNK_BYTES // max(1, block.itemsize * rows.shape[1]))
    for first in range(0, len(block), chunk):
        block[first : first + chunk] = rows[span][first : first + chunk]
        release(rows)
    return block


def is_mapped(array: npt.NDArray[Any]) -> bool:
    """Whether the bytes of an array are those of a file."""
    return _mapping(array) is not None


def release(array: npt.NDArray[Any]) -> None:
    """Give the memory of a mapped array back; its bytes stay where they are, in the file."""
    mapping = _mapping(array)
    if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)


def _mapping(array: npt.NDArray[Any]) -> mmap.mmap | None:
    """The mapping of a file that a `np.memmap` is a view of, however often sliced.

    None for a private one ("c"), whose changes are in memory alone, and for any other mapping:
    nothing tells whether that is private.
    """
    base: Any = array
    is_shared = False
    while base is not None and not isinstance(base, mmap.mmap):
        if isinstance(base, np.memmap):
            is_shared = base.mode != "c"
        base = getattr(base, "base", None)
    return base if is_shared else None
