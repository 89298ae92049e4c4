"""Finished selections in folders, made by the real stages, for tests of what reads them again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from ds2fast.outcome import Selection
from ds2fast.pipeline import select
from planted import Planted, plant

ROWS = 240
POOL: Planted = plant(ROWS)
UNRATED_ROW = 7
LONG_ROW = 8


def text_of(row: int) -> str:
    """Text of each row; that of row 8 is longer than what is shown."""
    return f"row {row} of\n cluster {row % 8}" + " and on" * (400 if row == LONG_ROW else 0)


def write_pool(path: Path, rows: range = range(ROWS)) -> Path:
    """The pool as JSON lines; row 7 is unrated."""
    lines = (
        json.dumps(
            {
                "text": text_of(row),
                "score": None if row == UNRATED_ROW else int(POOL.scores[row]),
                "source": "ab"[row % 2],
            }
        )
        for row in rows
    )
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def save_run(data: Any, out: Path, **settings: Any) -> Selection:
    """Select 20 rows of some data of 240 rows, and save."""
    usual: dict[str, Any] = {"n": 20, "k": 5, "trust": 0.5, "embeddings": POOL.rows}
    selection = select(data, progress=False, **(usual | settings))
    selection.save(out)
    return selection


def edit_manifest(out: Path, **entries: Any) -> None:
    """Replace sections of a manifest; None takes one out."""
    manifest = json.loads((out / "manifest.json").read_text()) | entries
    kept = {name: value for name, value in manifest.items() if value is not None}
    (out / "manifest.json").write_text(json.dumps(kept))


def rehash(out: Path, name: str) -> None:
    """Make a manifest vouch for a file as it is now."""
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["files"][name] = hashlib.sha256((out / name).read_bytes()).hexdigest()
    edit_manifest(out, files=manifest["files"])


def same(one: Any, two: Any) -> bool:
    """Whether two columns hold the same values."""
    first, second = np.asarray(one), np.asarray(two)
    numbers = first.dtype.kind == "f"
    return first.shape == second.shape and np.array_equal(first, second, equal_nan=numbers)
