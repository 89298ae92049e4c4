"""The exact graph on a cluster: a task for each pair of blocks of rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from ds2fast.blocks import between, within
from ds2fast.blocks.mapped import read_block
from ds2fast.engines.ray.block_plan import BlockPlan, plan_blocks
from ds2fast.engines.ray.cluster import Cluster
from ds2fast.engines.ray.driver_lists import DriverLists
from ds2fast.engines.ray.failure import RETRIES, plain_errors
from ds2fast.engines.ray.shelf import Shelf
from ds2fast.graph import KnnGraph
from ds2fast.graph_search import GraphSearch
from ds2fast.progress import Reporter
from ds2fast.results import RowArray
from ds2fast.scratch_place import scratch_folder

_STAGE = "k-NN graph"
_LIST_BYTES = 16  # of a neighbour in the lists, and in the result beside them


def exact_graph(
    cluster: Cluster,
    search: GraphSearch,
) -> KnnGraph:
    """The graph of `search.exact()`, byte for byte.

    Raises
    ------
    InputError
        The search's limit is too small for the graph itself.
    OutputError
        The disk has no room for the lists, where they have to lie there.

    Notes
    -----
    With F tasks in flight, two for each that runs, C = 4·⌈√F⌉ blocks at most lie in the object
    store of a node at a time, in half of its bytes at most. A task takes 24·k bytes for each row of
    a block to answer with, and 16 more to begin with; F are there at most, in a quarter. The driver
    holds N·(16·k + 8) bytes beyond the vectors; N·(8·k + 8), those of the graph and the norms,
    where its limit allows no more, and 12·N·k on disk.
    """
    lists = open_lists(search)
    rows = search.rows
    cpus = cluster.cpus_of_task(search.threads)
    plan = plan_blocks(
        len(rows),
        rows.shape[1] * rows.itemsize,
        search.k,
        slots=cluster.num_slots(cpus),
        store=cluster.least_store(),
    )
    with search.reporter as reporter, plain_errors():
        _Search(cluster, search, lists, plan, cpus).run(reporter)
    return KnnGraph(*lists.result(), method="exact", recall=1.0)


def open_lists(search: GraphSearch) -> DriverLists:
    """Lists that hold nobody yet: on disk where the search's limit has no room for them."""
    search.refuse_below(search.result_memory())
    needed = _LIST_BYTES * len(search.rows) * search.k + search.norms.nbytes
    on_disk = search.limit is not None and needed > search.limit
    folder = scratch_folder(search.cache_dir) if on_disk else None
    return DriverLists(len(search.rows), search.k, folder)


def block_of(rows: RowArray, first: int, end: int) -> RowArray:
    """Rows as Ray sends them fastest: side by side, and no longer a part of a file.

    What is memory-mapped would be pickled by its bytes, several times over, and unpickled by every
    task into memory of its own; a plain array lies in the object store once.
    """
    block = np.ascontiguousarray(read_block(rows, slice(first, end)))
    return cast("RowArray", block)


class _Search:
    """A search by a plan: tasks go out, what comes back is merged."""

    def __init__(
        self, cluster: Cluster, search: GraphSearch, lists: DriverLists, plan: BlockPlan, cpus: int
    ) -> None:
        import ray

        self._cluster = cluster
        self._k = search.k
        self._plan = plan
        self._cpus = cpus
        self._lists = lists
        self._shelf = Shelf(
            lambda block: ray.put(block_of(search.rows, *self._bounds(block))), plan.kept
        )
        as_task = ray.remote(num_cpus=cpus, max_retries=RETRIES, scheduling_strategy="SPREAD")
        self._within, self._between = as_task(within), as_task(between)
        self._out: dict[Any, tuple[int, int]] = {}

    def run(self, reporter: Reporter) -> None:
        """Fill the lists of all rows."""
        left = deque(self._plan.pairs())
        total = len(left)
        reporter.update(_STAGE, 0, total, unit=" pairs of blocks")
        try:
            while left or self._out:
                self._cluster.presence.wait()
                self._send(left)
                self._receive(self._cluster.first_of(self._out, self._cpus))
                done = total - len(left) - len(self._out)
                reporter.update(_STAGE, done, total, unit=" pairs of blocks")
        finally:
            self._cluster.cancel(self._out)  # of a search that was stopped

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
        rows_a, rows_b = self._bounds(a), self._bounds(b)
        if a == b:
            return self._within.remote(blocks[a], rows_a[0], self._k, self._cpus)
        return self._between.remote(
            blocks[a],
            rows_a[0],
            blocks[b],
            rows_b[0],
            self._k,
            self._cpus,
            floor_a=self._lists.floors(slice(*rows_a)),
            floor_b=self._lists.floors(slice(*rows_b)),
        )

    def _receive(self, task: Any) -> None:
        """Merge what a task found."""
        import ray

        result = ray.get(task)
        a, b = self._out.pop(task)
        self._shelf.give_back({a, b})
        for block, nearest in ((a, result),) if a == b else ((a, result[0]), (b, result[1])):
            self._lists.merge(slice(*self._bounds(block)), nearest)

    def _bounds(self, block: int) -> tuple[int, int]:
        first, end = self._plan.bounds[block : block + 2].tolist()
        return first, end
