"""How an exact graph is cut into tasks, so that the object store is never full."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ds2fast.results import IntArray

_MOST_BYTES = 256 << 20  # of a block: with another one it is seconds of work
_ANSWER_BYTES = 24  # of a neighbour, for the rows of both blocks
_FLOOR_BYTES = 16  # of a row, likewise
_IN_FLIGHT = 2  # tasks for each that runs: one waits for it with its blocks already there
_TASKS_A_SLOT = 4  # at least, in all: so that none waits long for the last one


@dataclass(frozen=True, eq=False)
class BlockPlan:
    """The blocks of a pool's rows, and how many tasks and blocks are out at a time.

    Attributes
    ----------
    bounds : (B + 1,) int64
        Block i holds the rows from `bounds[i]` to `bounds[i + 1]`.
    in_flight : int
        F: most tasks that are sent and not back.
    kept : int
        C = 4·⌈√F⌉: most blocks in the object store.
    """

    bounds: IntArray
    in_flight: int
    kept: int

    @property
    def num_blocks(self) -> int:
        """Number B of blocks."""
        return len(self.bounds) - 1

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Every pair (a, b), a ≤ b, of blocks once.

        First each block with itself: the better the lists are when blocks meet, the less is to do.
        Then tile by tile, of ⌈√F⌉ blocks by as many: what is in flight needs few blocks, and what
        comes next nearly the same ones.
        """
        side, count = self.kept // 4, self.num_blocks
        yield from ((block, block) for block in range(count))
        for top in range(0, count, side):
            for left in range(top, count, side):
                for a in range(top, min(top + side, count)):
                    for b in range(max(a + 1, left), min(left + side, count)):
                        yield a, b


def plan_blocks(num_rows: int, row_bytes: int, k: int, *, slots: int, store: int) -> BlockPlan:
    """The plan for a cluster that runs `slots` tasks at a time.

    Of the object store of `store` bytes the blocks fill half at most: a block is not larger than
    store / (2·C). What F tasks answer, and begin with, fills a quarter at most: 24·k + 16 bytes
    for each row of a block.

    Examples
    --------
    >>> plan = plan_blocks(1_000_000, 1536, 10, slots=16, store=4 << 30)
    >>> plan.num_blocks, plan.in_flight, plan.kept
    (18, 32, 24)
    """
    in_flight = _IN_FLIGHT * slots
    kept = 4 * math.ceil(math.sqrt(in_flight))
    of_blocks = min(_MOST_BYTES, store // (2 * kept)) // row_bytes
    of_answers = store // (4 * in_flight * (_ANSWER_BYTES * k + _FLOOR_BYTES))
    most = max(1, min(of_blocks, of_answers))
    busy = math.ceil(math.sqrt(2 * _TASKS_A_SLOT * slots))  # B·(B + 1)/2 ≥ tasks
    count = min(num_rows, max(busy, -(-num_rows // most)))
    return BlockPlan(np.arange(count + 1) * num_rows // count, in_flight, kept)
