"""Amounts of memory as a user writes them."""

from __future__ import annotations

import re

import numpy as np

from ds2fast.arguments import as_count
from ds2fast.errors import InputError, InputTypeError

_UNITS = {
    "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
    "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40,
}  # fmt: skip
_AMOUNT = re.compile(r"\s*(-?)(\d+(?:\.\d*)?|\.\d+)\s*([kmgt](?:i?b)?|b)\s*", re.IGNORECASE)


def as_memory(value: object, name: str = "max_memory") -> int:
    """Bytes of an amount of memory.

    Parameters
    ----------
    value : int or str
        Bytes, or a number with a unit: B, kB, MB, GB, TB (powers of 1000), KiB, MiB, GiB, TiB
        (powers of 1024), in either case. A letter alone, as in 500M or 4G, is a power of 1024, as
        container tools have it.
    name : str
        What the amount is called in messages.

    Returns
    -------
    int
        At least 1; of a broken number of bytes the whole ones.

    Raises
    ------
    InputError
        No amount, or none above 0.
    InputTypeError
        Neither an integer nor a str.

    Examples
    --------
    >>> as_memory("4GiB"), as_memory("4G"), as_memory("500 MB"), as_memory(1_000_000)
    (4294967296, 4294967296, 500000000, 1000000)
    """
    if isinstance(value, str):
        return _parse(value, name)
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InputTypeError(
            f"{name}: expected bytes, or a number with a unit such as '4GiB' or '500 MB', got "
            f"{type(value).__name__}"
        )
    return as_count(value, name)


def _parse(text: str, name: str) -> int:
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise InputError(
            f"{name}: expected a number with a unit (B, kB, MB, GB, TB, KiB, MiB, GiB, TiB) such "
            f"as '4GiB' or '500 MB', got {text!r}"
        )
    amount = int(float(found[2]) * _UNITS[found[3].lower()])
    if found[1] or amount < 1:
        raise InputError(f"{name}: expected a positive number of bytes, got {text!r}")
    return amount
