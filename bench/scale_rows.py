"""The vectors of the scale bench: real-like rows in a file, made by a process of its own.

    python bench/scale_rows.py 200000 384 rows.npy ../shared

Making a million rows takes several times their memory, which the bench then need not hold.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from ds2fast.io.atomic import atomic_file
from ds2fast.results import FloatArray, IntArray
from knn_cases import Measuring, sample
from knn_truth import Truth


def main() -> None:
    rows, width, out, shared = sys.argv[1:]
    vectors, _ = Measuring.load(Path(shared)).pool(int(rows), int(width))
    with atomic_file(out) as file:
        np.save(file, vectors)


def vectors_file(folder: Path, rows: int, width: int, shared: Path) -> Path:
    """The file of so many rows, made where it is not there yet."""
    path = folder / f"rows-{rows}x{width}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        say(f"making {rows} x {width} vectors")
        command = [sys.executable, __file__, str(rows), str(width), str(path), str(shared)]
        subprocess.run(command, check=True)
    return path


def truth_of(path: Path, checked: int, k: int) -> Truth:
    """The true neighbours of some rows of the file, kept beside it."""
    pool: FloatArray = np.load(path, mmap_mode="r")
    rows: IntArray = sample(len(pool), min(checked, len(pool)))
    kept = path.with_name(f"{path.stem}-truth-{len(rows)}x{k}.npz")
    if not kept.exists():
        say(f"neighbours of {len(rows)} rows by float64 brute force")
        found = Truth.find(pool, rows, k)
        with atomic_file(kept) as file:
            np.savez(file, ids=found.ids, cosines=found.cosines)
    with np.load(kept) as arrays:
        return Truth(pool, rows, arrays["ids"], arrays["cosines"])


def default_shared() -> Path:
    """Where the measuring data lie."""
    return Path(os.environ.get("DS2FAST_SHARED") or Path(__file__).parents[2] / "shared")


def say(text: str) -> None:
    print(f"... {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
