"""The folder where what was made is kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

from ds2fast.errors import InputTypeError

CacheDir = str | os.PathLike[str] | Literal[False] | None
"""A folder; None is `DS2FAST_CACHE_DIR` or the user's cache folder; False keeps nothing."""

ENVIRONMENT_VARIABLE = "DS2FAST_CACHE_DIR"


def resolve_cache_dir(cache_dir: CacheDir) -> Path | None:
    """Folder to keep files in, or None to keep none."""
    if cache_dir is False:
        return None
    if cache_dir is None:
        return _user_cache_dir()
    if isinstance(cache_dir, bool) or not isinstance(cache_dir, str | os.PathLike):
        raise InputTypeError(
            f"cache_dir: expected a folder, None or False, got {type(cache_dir).__name__}"
        )
    return Path(cache_dir).expanduser()


def _user_cache_dir() -> Path:
    if chosen := os.environ.get(ENVIRONMENT_VARIABLE):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path("~/Library/Caches/ds2fast").expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ds2fast"
