"""Where files lie that take the place of memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ds2fast.cache_dir import CacheDir, resolve_cache_dir


def scratch_folder(cache_dir: CacheDir) -> Path:
    """Where files lie that take the place of memory: with the cache, or with temporary files.

    Examples
    --------
    >>> scratch_folder("kept").as_posix()
    'kept/work'
    """
    root = resolve_cache_dir(cache_dir)
    return Path(tempfile.gettempdir()) if root is None else root / "work"
