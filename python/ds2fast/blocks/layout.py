"""Which blocks a pool is cut into, in which order their pairs come, and what that takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ds2fast.errors import InputError
from ds2fast.sizes import as_size

LEAST_BLOCK = 256
"""Rows of the smallest block that is chosen: below, blocks would be all overhead."""

_PAIR_BYTES = 12  # of one neighbour in a list: an int32 and a float64
_FIXED = 24 * 2**20  # what does not grow with the rows: code, leaders, what threads work with


@dataclass(frozen=True)
class Layout:
    """A pool's rows in blocks of one size, but for the last.

    Attributes
    ----------
    num_rows, block_rows : int
        Of the pool, and of a block.

    Examples
    --------
    >>> layout = Layout(10, 4)
    >>> [layout.rows_of(block) for block in range(layout.num_blocks)]
    [slice(0, 4, None), slice(4, 8, None), slice(8, 10, None)]
    >>> list(layout.pairs())
    [(0, 0), (1, 1), (2, 2), (0, 2), (0, 1), (1, 2)]
    """

    num_rows: int
    block_rows: int

    @property
    def num_blocks(self) -> int:
        """How many blocks there are."""
        return -(-self.num_rows // self.block_rows)

    def rows_of(self, block: int) -> slice:
        """The rows of a block."""
        first = block * self.block_rows
        return slice(first, min(first + self.block_rows, self.num_rows))

    def size(self, block: int) -> int:
        """How many rows a block has."""
        rows = self.rows_of(block)
        return int(rows.stop - rows.start)

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Every pair (a, b), a ≤ b, of blocks, once.

        First each block with itself, so that every row has a list before blocks meet: the better
        the lists, the less is left to float64. Then one block stays while the others pass, each
        time in the other direction: the last one read is needed next.
        """
        blocks = range(self.num_blocks)
        yield from ((block, block) for block in blocks)
        for a in blocks:
            others = blocks[a + 1 :]
            yield from ((a, b) for b in (others if a % 2 else reversed(others)))

    def num_comparisons(self, a: int, b: int) -> int:
        """How many pairs of rows a pair of blocks stands for."""
        return self.size(a) * self.size(b) if a != b else self.size(a) * (self.size(a) - 1) // 2


def blocks_memory(
    num_rows: int, depth: int, k: int, block_rows: int, *, itemsize: int = 4, on_disk: bool = True
) -> int:
    """Bytes that the search by blocks takes beyond rows and norms, at most.

    Of two blocks, b rows each, 2b·(w·d + (d + 8) + 44·k + 128): their rows as they are, w bytes a
    value, where they lie in a file; codes of 1 byte a value, candidates and all else that a search
    takes; what it finds. Then the lists of all rows: in a work folder those of the two blocks
    alone, old and new, 2b·24·k; in memory N·16·k. And 24 MiB.

    Parameters
    ----------
    num_rows, depth, k : int
        N rows of d values, k neighbours each.
    block_rows : int
        Rows of a block b.
    itemsize : int
        Bytes of a value w; 0 for rows that are in memory anyway.
    on_disk : bool
        Whether the lists are in a work folder.

    Examples
    --------
    >>> blocks_memory(10_000_000, 384, 24, 400_000) // 2**20  # MiB
    2837
    """
    rows = 2 * min(block_rows, num_rows)
    search = rows * (itemsize * depth + (depth + 8) + (32 + _PAIR_BYTES) * k + 128)
    lists = rows * 2 * _PAIR_BYTES * k if on_disk else num_rows * (_PAIR_BYTES + 4) * k
    return _FIXED + search + lists


def choose_block_rows(
    num_rows: int,
    depth: int,
    k: int,
    max_memory: int,
    *,
    itemsize: int = 4,
    on_disk: bool = True,
) -> int:
    """Rows of the largest blocks for which `blocks_memory` allows; all blocks of about one size.

    Raises
    ------
    InputError
        There is no room for blocks of 256 rows.

    Examples
    --------
    >>> choose_block_rows(1_000_000, 384, 24, 2**30)
    125000
    """

    def needed(block_rows: int) -> int:
        return blocks_memory(num_rows, depth, k, block_rows, itemsize=itemsize, on_disk=on_disk)

    least = min(LEAST_BLOCK, num_rows)
    if needed(least) > max_memory:
        whole_mib = -(-needed(least) // 2**20) * 2**20  # rounded up: as much is enough
        raise InputError(
            f"max_memory: expected at least {as_size(whole_mib)} for a graph of {num_rows} "
            f"rows of {depth} values and {k} neighbours each, got {as_size(max_memory)}"
        )
    per_row = (needed(least) - needed(0)) / least
    largest = max(least, min(num_rows, int((max_memory - needed(0)) / per_row)))
    num_blocks = -(-num_rows // largest)
    return -(-num_rows // num_blocks)
