"""The rounds of an approximate search on a cluster: a task for each block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ds2fast import _core
from ds2fast.approximate.arrays import Codes, Lists
from ds2fast.approximate.rounds import Shape, Tree, descend, join
from ds2fast.engines.ray.cluster import Cluster
from ds2fast.engines.ray.failure import RETRIES, plain_errors
from ds2fast.errors import InputError
from ds2fast.sizes import as_size

_IN_FLIGHT = 2  # tasks for each that runs
_PLACE_BYTES = 4  # of a row, in a tree
_TASKS_A_SLOT = 4  # in a round: so that none waits long for the last one

Block = tuple[int, int]


class RayRunner:
    """Runs rounds on a cluster; a block that is lost with its node runs again on another one.

    A row's neighbours are anywhere: each node that works holds all codes and lists, once, in its
    object store. Those are M·(d + 16 + 8·w) bytes, and 4·M of a tree, for M distinct rows, lists of
    w entries and d rounded up to 64; and what blocks answer, 8·w bytes a row, for two blocks that
    are out for each that runs.

    Parameters
    ----------
    cluster : Cluster
        Where they run.
    threads : int
        Threads of a task.

    Raises
    ------
    InputError
        Before the first round, where a node's object store is too small for that.
    """

    def __init__(self, cluster: Cluster, threads: int) -> None:
        self._cluster = cluster
        self._cpus = cluster.cpus_of_task(threads)
        self._slots = cluster.num_slots(self._cpus)
        self._codes: tuple[Codes, Any] | None = None

    def join(
        self, number: int, codes: Codes, tree: Tree, lists: Lists, out: Lists,  # noqa: ARG002
        report: _core.Report | None,
    ) -> None:  # fmt: skip
        """Each row meets the others of its leaf."""
        import ray

        sent = self._sent(codes, lists), ray.put(tree), ray.put(plain_lists(lists))
        task = self._task(join)

        def send(block: Block) -> Any:
            return task.remote(sent[0], sent[1], block, sent[2], self._cpus)

        blocks = tree.blocks(self._rows(len(tree.order)))
        for (first, last), found in self._results(blocks, send, len(tree.bounds) - 1, report):
            places = tree.order[tree.bounds[first] : tree.bounds[last]]
            out.entries[places], out.similarities[places] = found

    def descend(
        self, number: int, codes: Codes, shape: Shape, lists: Lists, out: Lists,  # noqa: ARG002
        report: _core.Report | None,
    ) -> None:  # fmt: skip
        """Each row meets the neighbours of its neighbours."""
        import ray

        sent = self._sent(codes, lists), ray.put(plain_lists(lists))
        task = self._task(descend)
        total = len(lists.entries)
        rows = self._rows(total)

        def send(block: Block) -> Any:
            return task.remote(sent[0], shape, block, sent[1], self._cpus)

        blocks = ((first, min(first + rows, total)) for first in range(0, total, rows))
        for (first, last), found in self._results(blocks, send, total, report):
            out.entries[first:last], out.similarities[first:last] = found

    def _rows(self, total: int) -> int:
        return max(1, -(-total // (_TASKS_A_SLOT * self._slots)))

    def _sent(self, codes: Codes, lists: Lists) -> Any:
        """The codes in the object store: they are the same in each round of a search."""
        import ray

        self._cluster.presence.wait()
        if self._codes is None or self._codes[0] is not codes:
            check_store(codes, lists, self._cluster.least_store())
            self._codes = codes, ray.put(plain_codes(codes))
        return self._codes[1]

    def _task(self, function: Callable[..., Lists]) -> Any:
        import ray

        options = {"num_cpus": self._cpus, "max_retries": RETRIES, "scheduling_strategy": "SPREAD"}
        return ray.remote(**options)(function)

    def _results(
        self, blocks: Iterator[Block], send: Callable[[Block], Any], total: int,
        report: _core.Report | None,
    ) -> Iterator[tuple[Block, Lists]]:  # fmt: skip
        """What tasks find, as it comes; `report` hears how many of `total` they stand for."""
        import ray

        out: dict[Any, Block] = {}
        done = 0
        try:
            with plain_errors():
                while True:
                    self._cluster.presence.wait()
                    while len(out) < _IN_FLIGHT * self._slots and (block := next(blocks, None)):
                        out[send(block)] = block
                    if not out:
                        return
                    ready = self._cluster.first_of(out, self._cpus)
                    found = ray.get(ready)
                    block = out.pop(ready)
                    yield block, found
                    done += block[1] - block[0]
                    if report is not None:
                        report(done, total)
        finally:
            self._cluster.cancel(out)  # of a search that was stopped


def plain_codes(codes: Codes) -> Codes:
    """The same codes, as `plain_lists` has lists."""
    return Codes(*map(np.asarray, codes))


def plain_lists(lists: Lists) -> Lists:
    """The same lists as plain arrays: what is memory-mapped would be pickled by its bytes.

    A plain array lies in the object store, and all tasks of a node read it there.
    """
    return Lists(np.asarray(lists.entries), np.asarray(lists.similarities))


def check_store(codes: Codes, lists: Lists, store: int) -> None:
    """Refuse a search for which the smallest object store has no room.

    It has to hold codes, lists, a tree and what two blocks for each that runs answer: those are
    half of all blocks.

    Raises
    ------
    InputError
        The message says how much is expected, and how much there is.
    """
    of_lists = sum(array.nbytes for array in lists)
    of_tree = _PLACE_BYTES * len(lists.entries)
    needed = sum(array.nbytes for array in codes) + of_lists + of_lists // 2 + of_tree
    if needed > store:
        whole_mib = -(-needed // 2**20) * 2**20  # rounded up: as much is enough
        raise InputError(
            f"address: expected nodes whose object stores hold {as_size(whole_mib)} each, for "
            f"codes and lists of {len(lists.entries)} rows, got one of {as_size(store)}: start Ray "
            "with more (--object-store-memory), or search exactly (graph_method='exact')"
        )
