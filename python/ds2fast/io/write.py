"""What goes into the result files: rows, every row's scores, the manifest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import orjson

from ds2fast.errors import InputError, InputTypeError
from ds2fast.io.output import MADE_BY
from ds2fast.io.rows import check_indices
from ds2fast.io.unicode import all_storable, storable
from ds2fast.pool import Pool


def write_rows(file: BinaryIO, pool: Pool, indices: npt.ArrayLike) -> None:
    r"""Write rows as JSON lines, in the order of `indices`.

    Parameters
    ----------
    file : binary file
        Where to write.
    pool : Pool
        Rows of a JSONL file go out byte for byte as they came, each ended by `\n`; rows of other
        data are written as JSON.
    indices : (n,) integers
        Row numbers in [0, N), best first.

    Raises
    ------
    InputError
        An index outside [0, N); nothing is written.
    """
    for line in pool.lines(check_indices(indices, len(pool))):
        file.write(line + b"\n")


def write_scores(file: BinaryIO, columns: Mapping[str, Any]) -> None:
    """Write one Parquet column per entry, in order.

    Parameters
    ----------
    file : binary file
        Where to write.
    columns : mapping of str to (N,) array-like
        Arrays, or lists of strings and None. NaN stays NaN, None becomes null.

    Raises
    ------
    InputError
        No column, columns of different lengths or of values that Arrow cannot hold.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not columns:
        raise InputError("columns: expected at least one column, got none")
    arrays = {name: _as_arrow(name, values) for name, values in columns.items()}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"columns: expected columns of one length, got {lengths}")
    pq.write_table(pa.table(arrays), file)


def _as_arrow(name: str, values: Any) -> Any:
    import pyarrow as pa

    try:
        return pa.array(values)
    except UnicodeEncodeError:
        return pa.array([None if value is None else storable(value) for value in values])
    except (pa.ArrowException, TypeError) as error:
        raise InputError(f"columns: cannot write {name!r} as a column: {error}") from error


def write_manifest(file: BinaryIO, manifest: Mapping[str, Any]) -> None:
    """Write a manifest as indented JSON that begins with `"made_by": "ds2fast"`.

    Keys keep the order of the mapping, which is the order to read them in. NumPy numbers and
    arrays, nested mappings, dates and paths are taken; NaN becomes null. What UTF-8
    cannot hold of a file's name or a label is spelt out: neither may cost a finished selection.

    Raises
    ------
    InputTypeError
        A value that JSON cannot hold.
    """
    entries = {"made_by": MADE_BY, **manifest}
    try:
        text = _as_text(entries)
    except TypeError:
        try:
            text = _as_text(all_storable(entries))
        except TypeError as error:
            message = f"manifest: expected values that JSON can hold, got {error}"
            raise InputTypeError(message) from None
    file.write(text)


def _as_text(entries: Mapping[str, Any]) -> bytes:
    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(entries, default=_as_json, option=options)


def _as_json(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return storable(os.fspath(value))
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(type(value).__name__)
