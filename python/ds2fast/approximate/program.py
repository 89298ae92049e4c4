"""Which rounds a search runs, and how far it may go before an exact one is cheaper."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from ds2fast.approximate.rounds import Shape


class Kind(StrEnum):
    """What a round is."""

    TREE = "tree"
    DESCENT = "descent"


def steps() -> Iterator[tuple[Kind, ...]]:
    """Rounds between two looks at the recall, without end.

    The first tree fills the lists; later ones find what the others cut apart, and a descent spreads
    what they found.
    """
    yield (Kind.TREE, Kind.TREE, Kind.DESCENT)
    while True:
        yield (Kind.TREE, Kind.DESCENT)


def most_trees(num_rows: int, shape: Shape) -> int:
    """Trees, each with its descent, that cost less than an exact search.

    An exact search multiplies each row with half of all. A tree multiplies it with half of a leaf
    and with the leaders on its way; sorting, lists and the descent take about as long again.
    """
    a_tree = 2 * (shape.leaf_rows // 2 + 2 * shape.fan_out)
    return num_rows // 2 // a_tree
