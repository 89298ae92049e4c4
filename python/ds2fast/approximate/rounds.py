"""The rounds of a search: pure functions of codes and lists, block by block.

A round reads the lists that the one before left and writes new ones. Its blocks may run in any
order, anywhere, again and again: the lists are the same, byte for byte, at every SIMD level and for
any number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ds2fast import _core
from ds2fast.approximate.arrays import Codes, Lists
from ds2fast.results import IdArray, IntArray


@dataclass(frozen=True, eq=False)
class Tree:
    """Places in leaves of near rows, each in one.

    Attributes
    ----------
    order : (M,) int32
        The places, leaf by leaf.
    bounds : (L + 1,) int64
        Where each leaf begins and ends in `order`.
    """

    order: IdArray
    bounds: IntArray

    def blocks(self, most_rows: int) -> Iterator[tuple[int, int]]:
        """Leaves [first, last) of blocks of about so many rows."""
        wanted = np.arange(0, self.bounds[-1], most_rows)
        firsts = np.unique(np.searchsorted(self.bounds, wanted, side="right") - 1)
        ends = [*firsts[1:].tolist(), len(self.bounds) - 1]
        yield from zip(firsts.tolist(), ends, strict=True)


@dataclass(frozen=True)
class Shape:
    """How trees are cut and how far a descent looks.

    Attributes
    ----------
    leaf_rows : int
        Most rows of a leaf.
    least_rows : int
        Fewest rows of a leaf, where there are as many.
    fan_out : int
        Most leaders that the rows of a node are compared with.
    heard : int
        Neighbours of a row, and of each of those, that a descent looks at.
    """

    leaf_rows: int
    least_rows: int
    fan_out: int
    heard: int


def grow(codes: Codes, shape: Shape, seed: int, threads: int, report: _core.Report | None) -> Tree:
    """A tree of one seed."""
    order, bounds = _core.leader_tree(
        codes, shape.leaf_rows, shape.least_rows, shape.fan_out, seed, threads, report
    )
    return Tree(order, bounds)


def join(
    codes: Codes, tree: Tree, block: tuple[int, int], lists: Lists, threads: int,
    report: _core.Report | None = None, *, out: Lists | None = None,
) -> Lists:  # fmt: skip
    """Lists of the rows in a block of leaves, after each met the others of its leaf.

    Those of `tree.order[bounds[first] : bounds[last]]`, in that order; where there is `out`, they
    go to their places there instead.
    """
    first, last = block
    bounds = tree.bounds[first : last + 1]
    is_given = out is not None
    if out is None:
        shape = (int(bounds[-1] - bounds[0]), lists.entries.shape[1])
        out = Lists(np.empty(shape, np.uint32), np.empty(shape, np.float32))
    _core.join_leaves(codes, tree.order, bounds, lists, out, is_given, threads, report)
    return out


def descend(
    codes: Codes, shape: Shape, block: tuple[int, int], lists: Lists, threads: int,
    report: _core.Report | None = None, *, out: Lists | None = None,
) -> Lists:  # fmt: skip
    """Lists of places [first, last), after each met the neighbours of its neighbours.

    Where there is `out`, they go to their places there.
    """
    first, last = block
    if out is None:
        like = lists.part(first, last)
        to = Lists(np.empty_like(like.entries), np.empty_like(like.similarities))
    else:
        to = out.part(first, last)
    _core.descend(codes, lists, first, shape.heard, to, threads, report)
    return to
