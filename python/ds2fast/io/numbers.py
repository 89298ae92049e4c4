"""Scores of any container as float64 numbers: NaN where there is none, an error for words."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real
from typing import Any

import numpy as np

from ds2fast.errors import InputError, InputTypeError
from ds2fast.io.arrow import is_arrow
from ds2fast.io.fields import Place, row_place
from ds2fast.results import DoubleArray

EXPECTED = "expected a number, null or -1 (unrated) in every row"


def read_numbers(values: Any, *, label: str = "scores", place: Place = row_place) -> DoubleArray:
    """Scores as numbers.

    Parameters
    ----------
    values : (N,) array-like
        A NumPy or Arrow array, a column of a data frame, or a list of numbers and nulls.
    label : str
        Name of the argument in messages.
    place : callable(row) -> str
        Where a row stands, for messages.

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
    if isinstance(values, np.ndarray):
        numbers = _from_numpy(values, label, place)
    elif isinstance(values, list | tuple):
        numbers = _from_objects(values, label, place)
    elif is_arrow(values, "Array", "ChunkedArray") or hasattr(values, "__arrow_c_stream__"):
        numbers = _from_arrow(values, label, place)
    elif hasattr(values, "__array__"):
        numbers = _from_numpy(np.asarray(values), label, place)
    else:
        raise InputTypeError(
            f"{label}: expected a column name, an (N,) array or None, got {type(values).__name__}"
        )
    return _refuse_infinite(numbers, label, place)


def _from_arrow(values: Any, label: str, place: Place) -> DoubleArray:
    import pyarrow as pa

    if not isinstance(values, pa.Array | pa.ChunkedArray):
        values = pa.chunked_array(values)
    kind = values.type
    numeric = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
    if not any(is_kind(kind) for is_kind in numeric):
        return _from_objects(values.to_pylist(), label, place)
    # float64 is exact for any score; only integers past 2**53 are rounded
    return np.array(values.cast(pa.float64(), safe=False), dtype=np.float64)


def _from_numpy(values: np.ndarray[Any, Any], label: str, place: Place) -> DoubleArray:
    if values.ndim != 1:
        raise InputError(f"{label}: expected an array of shape (N,), got shape {values.shape}")
    if values.dtype.kind not in "iuf":
        return _from_objects(values.tolist(), label, place)
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.filled(values.astype(np.float64), np.nan)
    return values.astype(np.float64)


def _from_objects(values: Iterable[Any], label: str, place: Place) -> DoubleArray:
    numbers = [_number(row, value, label, place) for row, value in enumerate(values)]
    return np.array(numbers, dtype=np.float64)


def _number(row: int, value: Any, label: str, place: Place) -> float:
    if value is None or type(value).__name__ == "NAType":  # pandas' own null
        return np.nan
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise InputError(f"{label}: {EXPECTED}, got {value!r} in {place(row)} (the first such)")
    try:
        return float(value)
    except OverflowError:
        return np.inf


def _refuse_infinite(numbers: DoubleArray, label: str, place: Place) -> DoubleArray:
    infinite = np.isinf(numbers)
    if infinite.any():
        row = int(infinite.argmax())
        raise InputError(f"{label}: {EXPECTED}, got {numbers[row]} in {place(row)}")
    return numbers
