"""Blocks of rows in the object store, so many at a time and no more."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any


class Shelf:
    """Holds the blocks that tasks in flight need, and those that were needed last.

    Parameters
    ----------
    put : callable
        `put(block)` puts a block into the object store and gives what stands for it there.
    capacity : int
        Most blocks that are there at a time, at least 2.

    Examples
    --------
    >>> shelf = Shelf(lambda block: f"block {block}", 2)
    >>> shelf.take({0, 1})
    {0: 'block 0', 1: 'block 1'}
    >>> shelf.take({2}) is None
    True
    >>> shelf.give_back({0, 1})
    >>> shelf.take({1, 2})
    {1: 'block 1', 2: 'block 2'}
    """

    def __init__(self, put: Callable[[int], Any], capacity: int) -> None:
        self._put = put
        self._capacity = capacity
        self._there: OrderedDict[int, Any] = OrderedDict()  # least recently taken first
        self._users: Counter[int] = Counter()

    def take(self, blocks: set[int]) -> dict[int, Any] | None:
        """What stands for the blocks; None where there is no room until some are given back."""
        missing = sorted(blocks - self._there.keys())
        idle = [block for block in self._there if not self._users[block] and block not in blocks]
        excess = len(self._there) + len(missing) - self._capacity
        if excess > len(idle):
            return None
        for block in idle[: max(0, excess)]:
            del self._there[block]  # the store frees what nobody stands for
        for block in missing:
            self._there[block] = self._put(block)
        for block in blocks:
            self._there.move_to_end(block)
        self._users.update(blocks)
        return {block: self._there[block] for block in sorted(blocks)}

    @property
    def held(self) -> set[int]:
        """Blocks that are there."""
        return set(self._there)

    def give_back(self, blocks: set[int]) -> None:
        """Tell that a task is done with the blocks."""
        self._users.subtract(blocks)
