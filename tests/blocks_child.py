"""A process that searches by blocks, to be killed: `blocks_child.py ROWS FOLDER K BLOCK_ROWS`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from ds2fast import _core
from ds2fast.blocks import exact_blocks
from ds2fast.work import WorkFolder


def main(rows: str, folder: str, k: str, block_rows: str) -> None:
    """Say how far it is, a line each time."""
    values = np.load(rows, mmap_mode="r")
    with WorkFolder(Path(folder), {"k": k}) as work:
        exact_blocks(
            values,
            _core.row_norms(values, 1),
            int(k),
            block_rows=int(block_rows),
            threads=2,
            report=lambda done, total: print(done, total, flush=True),
            work=work,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
