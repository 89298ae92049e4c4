"""Texts by their hash: what the store and the plans know a text by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ds2fast.errors import InputError, InputTypeError
from ds2fast.io.digest import HASH_BYTES, text_hash
from ds2fast.results import IntArray

__all__ = [
    "HASH_BYTES",
    "HashArray",
    "check_hashes",
    "distinct_hashes",
    "hash_texts",
    "join_hashes",
    "split_hashes",
    "text_hash",
]

HashArray = npt.NDArray[np.uint8]


def hash_texts(texts: Iterable[str]) -> HashArray:
    """`text_hash` of each text.

    Returns
    -------
    (n, 16) uint8

    Examples
    --------
    >>> hash_texts(["a frog", "a toad"]).shape
    (2, 16)
    """
    return join_hashes([text_hash(text) for text in texts])


def join_hashes(hashes: Iterable[bytes]) -> HashArray:
    """Hashes of 16 bytes each as the rows of an array, (n, 16) uint8."""
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, HASH_BYTES)


def split_hashes(hashes: HashArray) -> list[bytes]:
    """The rows of a hash array, each as bytes."""
    joined = hashes.tobytes()
    return [joined[begin : begin + HASH_BYTES] for begin in range(0, len(joined), HASH_BYTES)]


def distinct_hashes(hashes: HashArray) -> tuple[IntArray, IntArray]:
    """Where each hash comes first, and which of these firsts each hash equals.

    Parameters
    ----------
    hashes : (n, 16) uint8

    Returns
    -------
    firsts : (m,) int64
        Rows of the distinct hashes, ascending.
    inverse : (n,) int64
        Of each row the place of its own among them.

    Examples
    --------
    >>> firsts, inverse = distinct_hashes(hash_texts(["a frog", "a toad", "a frog"]))
    >>> firsts.tolist(), inverse.tolist()
    ([0, 1], [0, 1, 0])
    """
    halves = np.ascontiguousarray(hashes).view(np.uint64)
    order = np.lexsort((halves[:, 1], halves[:, 0]))  # stable: equal ones stay in their order
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (halves[order[1:]] != halves[order[:-1]]).any(axis=1)
    of_group = order[begins]
    firsts = np.sort(of_group)
    inverse = np.empty(len(order), np.int64)
    inverse[order] = np.searchsorted(firsts, of_group)[np.cumsum(begins) - 1]
    return firsts, inverse


def check_hashes(hashes: Any) -> HashArray:
    """`hashes` where it is (n, 16) uint8.

    Raises
    ------
    InputTypeError, InputError
        Something else.
    """
    if not isinstance(hashes, np.ndarray) or hashes.dtype != np.uint8:
        kind = hashes.dtype if isinstance(hashes, np.ndarray) else type(hashes).__name__
        raise InputTypeError(f"hashes: expected an array of uint8, got {kind}")
    if hashes.ndim != 2 or hashes.shape[1] != HASH_BYTES:
        raise InputError(f"hashes: expected shape (n, {HASH_BYTES}), got {hashes.shape}")
    return hashes
