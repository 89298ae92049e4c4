"""Scores of any container as float64 numbers: NaN where there is none, an error for words."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real
from typing import Any

import numpy as np
import pyarrow as pa

from ds2fast.errors import InputError, InputTypeError
from ds2fast.results import DoubleArray

EXPECTED = "expected a number, null or -1 (unrated) in every row"


def as_numbers(values: Any, *, label: str = "scores") -> DoubleArray:
    """Scores as numbers.

    Parameters
    ----------
    values : (N,) array-like
        A NumPy or Arrow array, a column of a data frame, or a list of numbers and nulls.
    label : str
        Name of the argument in messages.

    Returns
    -------
    numbers : (N,) float64
        NaN where a score is null or NaN; −1 stays.

    Raises
    ------
    InputError
        A word, a bool or an infinite number (the first such row is named), or another shape.
    InputTypeError
        Something that is no sequence of scores.
    """
    if isinstance(values, pa.Array | pa.ChunkedArray):
        numbers = _from_arrow(values, label)
    elif isinstance(values, np.ndarray):
        numbers = _from_numpy(values, label)
    elif isinstance(values, list | tuple):
        numbers = _from_objects(values, label)
    elif hasattr(values, "__arrow_c_stream__"):
        numbers = _from_arrow(pa.chunked_array(values), label)
    elif hasattr(values, "__array__"):
        numbers = _from_numpy(np.asarray(values), label)
    else:
        raise InputTypeError(
            f"{label}: expected a column name, an (N,) array or None, got {type(values).__name__}"
        )
    return _refuse_infinite(numbers, label)


def _from_arrow(values: Any, label: str) -> DoubleArray:
    kind = values.type
    numeric = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
    if not any(is_kind(kind) for is_kind in numeric):
        return _from_objects(values.to_pylist(), label)
    # float64 is exact for any score; only integers past 2**53 are rounded
    return np.array(values.cast(pa.float64(), safe=False), dtype=np.float64)


def _from_numpy(values: np.ndarray[Any, Any], label: str) -> DoubleArray:
    if values.ndim != 1:
        raise InputError(f"{label}: expected an array of shape (N,), got shape {values.shape}")
    if values.dtype.kind not in "iuf":
        return _from_objects(values.tolist(), label)
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.filled(values.astype(np.float64), np.nan)
    return values.astype(np.float64)


def _from_objects(values: Iterable[Any], label: str) -> DoubleArray:
    return np.array([_number(row, value, label) for row, value in enumerate(values)], np.float64)


def _number(row: int, value: Any, label: str) -> float:
    if value is None or type(value).__name__ == "NAType":  # pandas' own null
        return np.nan
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise InputError(f"{label}: {EXPECTED}, got {value!r} in row {row} (the first such row)")
    try:
        return float(value)
    except OverflowError:
        return np.inf


def _refuse_infinite(numbers: DoubleArray, label: str) -> DoubleArray:
    infinite = np.isinf(numbers)
    if infinite.any():
        row = int(infinite.argmax())
        raise InputError(f"{label}: {EXPECTED}, got {numbers[row]} in row {row}")
    return numbers
