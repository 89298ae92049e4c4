"""Look for a key, or any piece of it, in all that a run left and said."""

from __future__ import annotations

import random
import string
from collections.abc import Iterable
from pathlib import Path
from typing import Final

PIECE: Final = 8  # characters: as many of 52 letters stand nowhere by chance
_PREFIX: Final = "sk-"


def made_up_key(seed: int) -> str:
    """A key of the usual form."""
    return _PREFIX + "".join(random.Random(seed).choices(string.ascii_letters, k=45))


def places_of(key: str, folder: Path, said: Iterable[str]) -> tuple[list[str], int]:
    """Where a piece of the key stands: files, their names, outputs; and how many were searched."""
    pieces = [key[start : start + PIECE] for start in range(len(_PREFIX), len(key) - PIECE + 1)]
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    texts = {str(path): str(path).encode() + path.read_bytes() for path in files}
    texts |= {f"output {number}": text.encode() for number, text in enumerate(said)}
    found = [name for name, text in texts.items() if any(p.encode() in text for p in pieces)]
    return found, len(texts)
