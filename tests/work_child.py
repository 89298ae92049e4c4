"""Processes that the tests of work folders start, limit and kill: `work_child.py WHAT FOLDER`."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np

from ds2fast.errors import OutputError
from ds2fast.work import WorkFolder

KEY = {"what": "squares", "rows": 400}
BLOCK = 4


def squares(folder: Path) -> None:
    """Work block by block; before a block is finished, its array already holds other bytes."""
    with WorkFolder(folder, KEY) as work:
        found = work.array("squares", (400,), np.int64)
        for first in range(0, 400, BLOCK):
            if not work.is_finished(str(first)):
                found[first : first + BLOCK] = -1
                print(first, flush=True)
                found[first : first + BLOCK] = np.arange(first, first + BLOCK) ** 2
                work.note(str(first), {"sum": int(found[first : first + BLOCK].sum())})
                work.finish(str(first), found)


def hold(folder: Path) -> None:
    """Work in the folder until a line comes."""
    with WorkFolder(folder, KEY):
        print("open", flush=True)
        sys.stdin.readline()


def limited(folder: Path) -> None:
    """Make an array that is beyond the most bytes that a file may have."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
    _make_two(folder)


def full(folder: Path) -> None:
    """Make arrays on a disk that is too small for the second."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=True)
    _make_two(folder)


def _make_two(folder: Path) -> None:
    with WorkFolder(folder, KEY) as work:
        small = work.array("small", (1000,), np.int64)
        small[:] = 7
        work.finish("small", small)
        try:
            work.array("large", (1000, 1000), np.int64)
        except OutputError as error:
            print(error)
    with WorkFolder(folder, KEY) as work:
        kept = bool((work.array("small", (1000,), np.int64) == 7).all())
        print(kept, sorted(entry.name for entry in work.path.iterdir()))


if __name__ == "__main__":
    {"squares": squares, "hold": hold, "limited": limited, "full": full}[sys.argv[1]](
        Path(sys.argv[2])
    )
