"""Texts by their hash: what the store and the plans know a text by."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from ds2fast.errors import InputError, InputTypeError

HashArray = npt.NDArray[np.uint8]

HASH_BYTES = 16
"""128 bits: among 10⁹ texts two share a hash with probability 10⁻²¹."""


def text_hash(text: str) -> bytes:
    """BLAKE2b of the text's UTF-8, 16 bytes.

    Examples
    --------
    >>> len(text_hash("a frog"))
    16
    """
    # A lone surrogate has no UTF-8; it gets bytes that no valid text has.
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).digest()


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
