"""The work folder of a search whose codes and lists lie on disk."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from ds2fast import _core
from ds2fast.blocks.mapped import release
from ds2fast.cache_dir import CacheDir
from ds2fast.results import RowArray
from ds2fast.scratch_place import scratch_folder
from ds2fast.work import WorkFolder, remove_abandoned

_HASHED = 4096  # rows that are hashed at a time


def open_graph_work(rows: RowArray, cache_dir: CacheDir, **settings: Any) -> WorkFolder:
    """The folder of a search of these rows with these settings; work that was begun is there.

    Raises
    ------
    OutputError
        The folder cannot be written, or another run is working there.
    """
    folder = scratch_folder(cache_dir)
    remove_abandoned(folder)
    key = {
        "what": "k-NN graph",
        "version": _core.__version__,
        "rows": list(rows.shape),
        "type": str(rows.dtype),
        "digest": _digest(rows),
        **settings,
    }
    return WorkFolder(folder, key)


def _digest(rows: RowArray) -> str:
    """Of the bytes of all rows."""
    digest = blake2b(digest_size=16)
    for first in range(0, len(rows), _HASHED):
        digest.update(rows[first : first + _HASHED].tobytes())
        release(rows)
    return digest.hexdigest()
