"""Tables through the cluster, by Ray Data, window by window.

Not through a pool of actors: one that is lost with its node waits for a core of its own, and its
tasks with it, however idle the others are. A task goes to whatever process is free; what takes
long to open stays open in the process (`workers`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ds2fast.engines.ray.cluster import Cluster
from ds2fast.engines.ray.failure import plain_errors, raise_told

if TYPE_CHECKING:
    import pyarrow as pa

WINDOW_SHARE = 4
"""A window fills at most this part of the object store of the node that sends it: one quarter."""


def through_tasks(
    cluster: Cluster,
    function: Callable[..., pa.Table],
    arguments: Mapping[str, Any],
    tables: Iterable[pa.Table],
    cpus: int,
) -> Iterator[pa.Table]:
    """What `function(table, **arguments)` makes of tables on the nodes, in any order.

    There are as many tasks at a time as the cluster has room for, each with `cpus` cores. The
    tables of a window lie in the object store together; the next window is sent when it is done.
    A task that is lost with its node runs again on another one.
    """
    for window in _windows(tables, cluster.store_here() // WINDOW_SHARE):
        yield from _one_window(cluster, function, arguments, window, cpus)


def _windows(tables: Iterable[pa.Table], limit: int) -> Iterator[list[pa.Table]]:
    window: list[pa.Table] = []
    size = 0
    for table in tables:
        if window and size + table.nbytes > limit:
            yield window
            window, size = [], 0
        window.append(table)
        size += table.nbytes
    if window:
        yield window


def _one_window(
    cluster: Cluster,
    function: Callable[..., pa.Table],
    arguments: Mapping[str, Any],
    window: list[pa.Table],
    cpus: int,
) -> Iterator[pa.Table]:
    import ray.data

    with plain_errors():
        with _silence():
            sent = ray.data.from_arrow(window)
        done = sent.map_batches(
            function,
            fn_kwargs=dict(arguments),
            batch_size=None,
            batch_format="pyarrow",
            num_cpus=cpus,
            **({"runtime_env": {"env_vars": cluster.environment}} if cluster.environment else {}),
        )
        for table in done.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1):
            raise_told(table)
            yield table


@contextmanager
def _silence() -> Iterator[None]:
    """A dataset that is made here has no bars of its own, and tells errors alone."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    has_bars, context.enable_progress_bars = context.enable_progress_bars, False
    try:
        yield
    finally:
        context.enable_progress_bars = has_bars
