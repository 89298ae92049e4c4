"""The Ray cluster that the stages run on: joined, looked over, left as it was."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from ds2fast.closing import Closing
from ds2fast.engines.ray.nodes import check_nodes
from ds2fast.engines.ray.presence import Presence
from ds2fast.errors import InputError

_STORE = "object_store_memory"
_TURN = 5.0  # seconds between two looks at the nodes, while nothing comes

# Nobody is told what runs. A thread of Ray Data's that gathers it would, besides, outlive the
# connection, and end this process where it asks for something just then.
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DATA_USAGE_DISABLED": "1"}

# Whatever asks Ray for something while there is no connection makes one, to a cluster that nobody
# named: what is left of Ray Data's work does when it is thrown away. Read when Ray is imported.
_NOT_BY_ITSELF = {"RAY_ENABLE_AUTO_CONNECT": "0"}

_EXECUTOR = "StreamingExecutor-"  # how Ray Data names its threads
_LONGEST_END = 10.0  # seconds that they have to end in

LONGEST_ALONE = 600.0
"""Seconds without a node to compute on: as long as others may take to come in its place."""


@dataclass(frozen=True)
class Node:
    """A machine of the cluster.

    Attributes
    ----------
    id, host : str
        What Ray calls it, and its address.
    cpus : int
        Cores that Ray may use there.
    store : int
        Bytes of its part of the object store.
    """

    id: str
    host: str
    cpus: int
    store: int


class Cluster(Closing):
    """A connection to a Ray cluster.

    One that runs already is left running; where this process is in a cluster, it stays in it.

    Parameters
    ----------
    address : str or None
        What `ray.init` takes; None starts a cluster on this machine, for as long as this is open.

    Raises
    ------
    InputError
        No cluster is there, or its nodes cannot run ds2fast: the first such node is named.
    """

    def __init__(self, address: str | None) -> None:
        with _variables(**_NOT_BY_ITSELF):
            import ray

        self._is_ours = not ray.is_initialized()
        self._variables = ExitStack()
        try:
            self._variables.enter_context(_variables(**_QUIET))
            if self._is_ours:
                _join(address)
            elif address not in {None, "auto", ray.get_runtime_context().gcs_address}:
                raise InputError(
                    "address: expected that of the cluster that this process is in "
                    f"({ray.get_runtime_context().gcs_address}), got {address!r}"
                )
            self.presence = _presence()
            self.environment = check_nodes([(one.id, one.host) for one in self.nodes()])
        except BaseException:
            self.close()
            raise

    def nodes(self) -> list[Node]:
        """Those that are alive and may compute."""
        found = self._alive()
        able = [node for node in found if node.cpus]
        if not able:
            raise InputError(
                f"address: expected a cluster with a core to compute on, got {len(found)} nodes "
                "without any"
            )
        return able

    def cpus_of_task(self, threads: int) -> int:
        """Cores that a task asks for: as many as its threads, where each node has as many."""
        return min(threads, *(node.cpus for node in self.nodes()))

    def num_slots(self, cpus: int) -> int:
        """Tasks of so many cores that run at a time."""
        return sum(node.cpus // cpus for node in self.nodes())

    def least_store(self) -> int:
        """Bytes of the smallest object store of a node, one that computes nothing included.

        What this process puts there lies in its own node's, and each node has what its tasks need.
        """
        return min(node.store for node in self._alive() if node.store)

    def first_of(self, tasks: Collection[Any], cpus: int) -> Any:
        """The task that is done first, of some that were sent and ask for so many cores.

        Raises
        ------
        InputError
            The cluster is lost, or for ten minutes there was no node that could do one.
        """
        import ray

        last = time.monotonic()
        while True:
            self.presence.wait()
            ready, _ = ray.wait(list(tasks), num_returns=1, timeout=_TURN)
            if ready:
                return ready[0]
            if any(node.cpus >= cpus for node in self._alive()):
                last = time.monotonic()
            elif time.monotonic() - last >= LONGEST_ALONE:
                raise InputError(
                    f"address: expected a cluster that keeps a node of {cpus} cores or more "
                    f"to compute on, got none for {LONGEST_ALONE:.0f} seconds"
                )

    def _alive(self) -> list[Node]:
        import ray

        self.presence.wait()
        return [_node_of(record) for record in ray.nodes() if record["Alive"]]

    def cancel(self, tasks: Collection[Any]) -> None:
        """End tasks that nobody waits for any more."""
        import ray

        if self.presence.look():
            for task in tasks:
                ray.cancel(task, force=True)

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._is_ours:
            import ray

            _wait_for_executors()
            ray.shutdown()
        self._variables.close()


def _wait_for_executors() -> None:
    """Streams that were left early end in threads of their own, which still ask Ray for things."""
    last = time.monotonic() + _LONGEST_END
    for thread in threading.enumerate():
        if thread.name.startswith(_EXECUTOR):
            thread.join(max(0.0, last - time.monotonic()))


def _presence() -> Presence:
    """That of the cluster that was joined, and of the node that this process is on."""
    import ray

    context = ray.get_runtime_context()
    here = context.get_node_id()
    own = next((one for one in ray.nodes() if one["NodeID"] == here), None)
    if own is None:
        raise InputError(f"address: expected a cluster that this machine is a node of, got {here}")
    return Presence(context.gcs_address, f"{own['NodeManagerAddress']}:{own['NodeManagerPort']}")


def _join(address: str | None) -> None:
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        options["include_dashboard"] = False
    try:
        ray.init(address="local" if address is None else address, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        ray.shutdown()
        raise InputError(
            f"address: expected a Ray cluster that can be joined, got {address!r}: {error}"
        ) from error


@contextmanager
def _variables(**wanted: str) -> Iterator[None]:
    """The environment with some variables, unless the user has set them."""
    missing = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(missing)
    try:
        yield
    finally:
        for name in missing:
            os.environ.pop(name, None)


def _node_of(record: Mapping[str, Any]) -> Node:
    resources = record["Resources"]
    return Node(
        record["NodeID"],
        record["NodeManagerAddress"],
        int(resources.get("CPU", 0)),
        int(resources.get(_STORE, 0)),
    )
