"""The rounds of an approximate search on a cluster: a task for each block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ds2fast import _core
from ds2fast.approximate.arrays import Codes, Lists
from ds2fast.approximate.rounds import Shape, Tree, descend, join
from ds2fast.engines.ray.cluster import Cluster
from ds2fast.engines.ray.failure import plain_errors

_IN_FLIGHT = 2  # tasks for each that runs
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
    """

    def __init__(self, cluster: Cluster, threads: int) -> None:
        self._cpus = cluster.cpus_of_task(threads)
        self._slots = cluster.num_slots(self._cpus)
        self._codes: tuple[Codes, Any] | None = None

    def join(
        self, number: int, codes: Codes, tree: Tree, lists: Lists, out: Lists,  # noqa: ARG002
        report: _core.Report | None,
    ) -> None:  # fmt: skip
        """Each row meets the others of its leaf."""
        import ray

        sent = self._sent(codes), ray.put(tree), ray.put(lists)
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

        sent = self._sent(codes), ray.put(lists)
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

    def _sent(self, codes: Codes) -> Any:
        """The codes in the object store: they are the same in each round of a search."""
        import ray

        if self._codes is None or self._codes[0] is not codes:
            self._codes = codes, ray.put(codes)
        return self._codes[1]

    def _task(self, function: Callable[..., Lists]) -> Any:
        import ray

        options = {"num_cpus": self._cpus, "max_retries": -1, "scheduling_strategy": "SPREAD"}
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
                    while len(out) < _IN_FLIGHT * self._slots and (block := next(blocks, None)):
                        out[send(block)] = block
                    if not out:
                        return
                    ready, _ = ray.wait(list(out), num_returns=1)
                    found = ray.get(ready[0])
                    block = out.pop(ready[0])
                    yield block, found
                    done += block[1] - block[0]
                    if report is not None:
                        report(done, total)
        finally:
            for task in out:  # of a search that was stopped
                ray.cancel(task, force=True)
