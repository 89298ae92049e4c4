"""The exact graph on a cluster: a task for each pair of blocks of rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from ds2fast.blocks import Nearest, between, merge, within
from ds2fast.engines.ray.block_plan import BlockPlan, plan_blocks
from ds2fast.engines.ray.cluster import Cluster
from ds2fast.engines.ray.failure import plain_errors
from ds2fast.engines.ray.shelf import Shelf
from ds2fast.graph import KnnGraph
from ds2fast.graph_search import GraphSearch
from ds2fast.progress import Reporter
from ds2fast.results import DoubleArray, RowArray

_STAGE = "k-NN graph"


def exact_graph(
    cluster: Cluster,
    search: GraphSearch,
) -> KnnGraph:
    """The graph of `search.exact()`, byte for byte.

    Notes
    -----
    With F tasks in flight, two for each that runs, C = 4·⌈√F⌉ blocks at most lie in the object
    store of the driver's node at a time, in half of its bytes at most. A task takes 24·k bytes for
    each row of a block to answer with, and 16 more to begin with; F are there at most. The driver
    holds 16·N·k bytes beyond the vectors.
    """
    rows = search.rows
    cpus = cluster.cpus_of_task(search.threads)
    plan = plan_blocks(
        len(rows),
        rows.shape[1] * rows.itemsize,
        slots=cluster.num_slots(cpus),
        store=cluster.store_here(),
    )
    with search.reporter as reporter, plain_errors():
        found = _Search(rows, search.k, plan, cpus).run(reporter)
    return KnnGraph(found.ids, found.similarities.astype(np.float32), method="exact", recall=1.0)


class _Search:
    """A search by a plan: tasks go out, what comes back is merged."""

    def __init__(self, rows: RowArray, k: int, plan: BlockPlan, cpus: int) -> None:
        import ray

        self._rows = rows
        self._k = k
        self._plan = plan
        self._cpus = cpus
        self._found = Nearest.none(len(rows), k)
        self._shelf = Shelf(lambda block: ray.put(self._block(block)), plan.kept)
        # A task that is lost with its node runs again, as often as that happens.
        as_task = ray.remote(num_cpus=cpus, max_retries=-1, scheduling_strategy="SPREAD")
        self._within, self._between = as_task(within), as_task(between)
        self._out: dict[Any, tuple[int, int]] = {}

    def run(self, reporter: Reporter) -> Nearest:
        """The nearest of every row."""
        import ray

        left = deque(self._plan.pairs())
        total = len(left)
        reporter.update(_STAGE, 0, total, unit=" pairs of blocks")
        try:
            while left or self._out:
                self._send(left)
                ready, _ = ray.wait(list(self._out), num_returns=1)
                self._receive(ready[0])
                done = total - len(left) - len(self._out)
                reporter.update(_STAGE, done, total, unit=" pairs of blocks")
        finally:
            for task in self._out:  # of a search that was stopped
                ray.cancel(task, force=True)
        return self._found

    def _send(self, left: deque[tuple[int, int]]) -> None:
        """Send tasks while there is room for them and their blocks."""
        while left and len(self._out) < self._plan.in_flight:
            a, b = left[0]
            blocks = self._shelf.take({a, b})
            if blocks is None:
                return
            left.popleft()
            self._out[self._task_of(a, b, blocks)] = (a, b)

    def _task_of(self, a: int, b: int, blocks: Mapping[int, Any]) -> Any:
        bounds, k, cpus = self._plan.bounds.tolist(), self._k, self._cpus
        if a == b:
            return self._within.remote(blocks[a], bounds[a], k, cpus)
        return self._between.remote(
            blocks[a],
            bounds[a],
            blocks[b],
            bounds[b],
            k,
            cpus,
            floor_a=self._floors(a),
            floor_b=self._floors(b),
        )

    def _receive(self, task: Any) -> None:
        """Merge what a task found."""
        import ray

        result = ray.get(task)
        a, b = self._out.pop(task)
        self._shelf.give_back({a, b})
        for block, nearest in ((a, result),) if a == b else ((a, result[0]), (b, result[1])):
            known = self._lists(block)
            merge(known, nearest, into=known)

    def _lists(self, block: int) -> Nearest:
        """What is known of a block's rows so far, in place."""
        here = slice(*self._plan.bounds[block : block + 2])
        return Nearest(self._found.ids[here], self._found.similarities[here])

    def _floors(self, block: int) -> DoubleArray:
        """What a neighbour of each of a block's rows must reach to be of use."""
        return self._lists(block).similarities[:, -1].copy()

    def _block(self, block: int) -> RowArray:
        first, end = self._plan.bounds[block : block + 2]
        return self._rows[first:end].copy()  # side by side, whatever they are a part of
