"""Rows of vectors as searches read them: where they lie, checked."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from ds2fast import _core
from ds2fast.arguments import as_numbers, as_type
from ds2fast.errors import InputError, InputTypeError
from ds2fast.results import DoubleArray, RowArray

MAX_ROWS = 2**31 - 1
MAX_WIDTH = 2**16


def as_embedding_rows(embeddings: npt.ArrayLike) -> RowArray:
    """`embeddings` as the search reads them: themselves where they are so, else a float32 copy."""
    if isinstance(embeddings, str | os.PathLike):
        path = os.fspath(embeddings)
        raise InputTypeError(
            f"embeddings: expected an array (N, d), got the path {path!r}; pass "
            f"numpy.load({path!r}, mmap_mode='r')"
        )
    array = as_numbers(embeddings, "embeddings")
    if array.ndim != 2 or array.shape[1] < 1:
        raise InputError(f"embeddings: expected shape (N, d) with d >= 1, got {array.shape}")
    if array.shape[1] > MAX_WIDTH:
        raise InputError(f"embeddings: expected at most {MAX_WIDTH} columns, got {array.shape[1]}")
    if not 2 <= len(array) <= MAX_ROWS:
        raise InputError(f"embeddings: expected 2 to {MAX_ROWS} rows, got {len(array)}")
    if _can_be_read_in_place(array):
        return array
    return as_type(array, np.float32)  # what overflows becomes inf and is named later


def _can_be_read_in_place(array: npt.NDArray[Any]) -> bool:
    size = array.itemsize
    return (
        array.dtype in (np.float32, np.float16)
        and (array.strides[1] == size or array.shape[1] == 1)
        and array.strides[0] % size == 0
        and array.flags.aligned
    )


def row_norms(rows: RowArray, threads: int) -> DoubleArray:
    """Norms of rows that can be searched.

    Raises
    ------
    InputError
        A row with NaN or infinity, or of norm 0; the first one is named.
    """
    norms = _core.row_norms(rows, threads)
    _refuse_unusable_rows(rows, norms)
    return norms


def _refuse_unusable_rows(rows: RowArray, norms: npt.NDArray[np.float64]) -> None:
    bad = ~(np.isfinite(norms) & (norms > 0))
    if not bad.any():
        return
    first = int(bad.argmax())
    if norms[first] == 0:
        found = "only zeros in float32, which have no direction"
    elif np.isnan(rows[first]).any():
        found = "NaN"
    else:
        found = "infinity (or a value beyond float32)"
    raise InputError(
        f"embeddings: expected finite rows of norm > 0; row {first} holds {found} "
        f"({int(bad.sum())} such rows in all)"
    )
