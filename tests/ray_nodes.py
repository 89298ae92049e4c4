"""A Ray cluster of several nodes on this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster

from ray_held import begun
from waiting import wait_until

_STORE = 80 << 20  # bytes, the least that Ray takes


class Nodes:
    """A node for the driver, which computes nothing, and others of one core each."""

    def __init__(self) -> None:
        head = {"num_cpus": 0, "object_store_memory": _STORE, "include_dashboard": False}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address: str = self._cluster.address
        self._nodes: dict[str, Any] = {}

    def grow_to(self, count: int) -> None:
        """Have so many nodes, or more."""
        while len(self._nodes) < count:
            node = self._cluster.add_node(num_cpus=1, object_store_memory=_STORE)
            self._nodes[node.node_id] = node

    def __len__(self) -> int:
        return len(self._nodes)

    def kill(self, node: str) -> None:
        """End a node at once, with all that it does and holds."""
        self._cluster.remove_node(self._nodes.pop(node))

    def kill_all(self) -> None:
        """End all but the driver's, which computes nothing."""
        for node in list(self._nodes):
            self.kill(node)

    @contextmanager
    def kill_at_work(self, folder: Path) -> Iterator[list[str]]:
        """Kill the node that begins held work first; the list that is given then names it."""
        killed: list[str] = []
        over = threading.Event()

        def wait_and_kill() -> None:
            wait_until(lambda: begun(folder) or over.is_set())
            if over.is_set():  # nothing was held: the block has failed
                return
            killed.append(begun(folder)[0][0])
            self.kill(killed[0])
            (folder / "go").touch()

        thread = threading.Thread(target=wait_and_kill)
        thread.start()
        try:
            yield killed
        finally:
            over.set()
            (folder / "go").touch()
            thread.join()

    def close(self) -> None:
        """End all nodes."""
        self._cluster.shutdown()
