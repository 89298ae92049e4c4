"""How much of an encoder's vectors the cache folder has already."""

from __future__ import annotations

from contextlib import suppress

from ds2fast.cache_dir import CacheDir, resolve_cache_dir

_HEAD = 4096  # bytes of a file of vectors that begin with the key, see embedding/header.py


def kept_bytes(cache_dir: CacheDir, weights_sha256: str | None) -> int:
    """Bytes of the largest file of vectors that an encoder with such weights made.

    One run makes one file, of one precision. Of which texts its vectors are is not looked up.

    Examples
    --------
    >>> kept_bytes(False, None)
    0
    """
    root = resolve_cache_dir(cache_dir)
    if root is None or weights_sha256 is None:
        return 0
    sizes = [0]
    named = f'"weights": "{weights_sha256}"'.encode()
    for path in sorted((root / "vectors").glob("*/vectors.bin")):
        with suppress(OSError), path.open("rb") as file:
            if named in file.read(_HEAD):
                sizes.append(path.stat().st_size - _HEAD)
    return max(sizes)
