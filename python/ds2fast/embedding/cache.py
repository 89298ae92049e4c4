"""ONNX graphs that were made from checkpoints, kept in the user's cache folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from ds2fast.cache_dir import CacheDir, resolve_cache_dir
from ds2fast.errors import OutputError
from ds2fast.io.atomic import atomic_file


class GraphCache:
    """Keeps each graph beside its hash, and gives back only what still has that hash."""

    def __init__(self, cache_dir: CacheDir) -> None:
        root = resolve_cache_dir(cache_dir)
        self._folder = None if root is None else root / "encoders"
        self._asked_for = cache_dir is not None

    def get_or_make(self, key: str, make: Callable[[], bytes]) -> bytes:
        """Return the kept graph, or make and keep it.

        Raises
        ------
        OutputError
            Where the folder that the caller named cannot be written. The user's own cache folder
            is a convenience: where it cannot be written, the graph is made each time.
        """
        kept = self._load(key)
        if kept is not None:
            return kept
        graph = make()
        try:
            self._store(key, graph)
        except (OSError, OutputError) as error:
            if self._asked_for:
                raise OutputError(
                    f"cache_dir: expected a folder that can be written, got {self._folder}: {error}"
                ) from error
        return graph

    def _load(self, key: str) -> bytes | None:
        if self._folder is None:
            return None
        try:
            graph = (self._folder / f"{key}.onnx").read_bytes()
            expected = (self._folder / f"{key}.sha256").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None
        return graph if hashlib.sha256(graph).hexdigest() == expected else None

    def _store(self, key: str, graph: bytes) -> None:
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        _write(self._folder / f"{key}.onnx", graph)
        _write(self._folder / f"{key}.sha256", hashlib.sha256(graph).hexdigest().encode())


def _write(path: Path, content: bytes) -> None:
    with atomic_file(path) as file:
        file.write(content)
