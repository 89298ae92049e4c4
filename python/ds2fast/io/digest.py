"""A fingerprint of the input, for the manifest."""

from __future__ import annotations

import hashlib
import os
from typing import Any, cast

import numpy as np

from ds2fast.errors import InputFileError
from ds2fast.io.rows import row_lines
from ds2fast.io.source import check_file, open_source
from ds2fast.pool import Pool


def input_hash(data: Any) -> str:
    """SHA-256 of the input, in hexadecimal.

    Parameters
    ----------
    data : path, list, table or Pool
        Of a file (or a pool that was read from one) the bytes are hashed as they lie on disk; of
        data in memory its rows as JSON lines.

    Raises
    ------
    InputFileError, InputError, InputTypeError
        As `ds2fast.read` does for data that cannot be opened.

    Examples
    --------
    >>> input_hash(["a"]) == input_hash([{"text": "a"}])
    True
    """
    if isinstance(data, Pool):
        return _hash_file(data.path) if data.path is not None else _hash_rows(data.rows)
    if isinstance(data, str | os.PathLike):
        return _hash_file(check_file(cast("str | os.PathLike[str]", data)))
    return _hash_rows(open_source(data).rows)


def _hash_file(path: os.PathLike[str]) -> str:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - any path-like
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputFileError(f"data: cannot read {path}: {error.strerror}") from error


def _hash_rows(rows: Any) -> str:
    digest = hashlib.sha256()
    for line in row_lines(rows, np.arange(len(rows))):
        digest.update(line + b"\n")
    return digest.hexdigest()
