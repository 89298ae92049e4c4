"""Tables through the cluster, by Ray Data, window by window.

Not through a pool of actors: one that is lost with its node waits for a core of its own, and its
tasks with it, however idle the others are. A task goes to whatever process is free; what takes
long to open stays open in the process (`workers`).
"""

from __future__ import annotations

import logging
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from typing import TYPE_CHECKING, Any

from ds2fast.engines.ray.cluster import Cluster
from ds2fast.engines.ray.failure import RETRIES, plain_errors, raise_told

if TYPE_CHECKING:
    import pyarrow as pa

_WINDOW_SHARE = 4  # a window fills at most this part of the smallest object store: one quarter
_MOST_BYTES = 4 << 30  # of a window, whatever the store


def through_tasks(
    cluster: Cluster,
    function: Callable[..., pa.Table],
    arguments: Mapping[str, Any],
    tables: Iterable[pa.Table],
    cpus: int,
) -> Iterator[pa.Table]:
    """What `function(table, **arguments)` makes of tables on the nodes, in any order.

    There are as many tasks at a time as the cluster has room for, each with `cpus` cores. The
    tables of a window lie in the object store together, and one at a time in this process; the next
    window is sent when it is done. A task that is lost with its node runs again on another one.
    """
    import ray

    limit = min(_MOST_BYTES, cluster.least_store() // _WINDOW_SHARE)
    for window in windows(tables, limit, ray.put):
        yield from _one_window(cluster, function, arguments, window, cpus)
        window.clear()  # the store frees it before the next one is put there


def windows(
    tables: Iterable[pa.Table], limit: int, put: Callable[[pa.Table], Any]
) -> Iterator[list[Any]]:
    """What stands for tables that were put, in windows of so many bytes, or of one larger table.

    Each is put when it is there; those of a window before the first of the next one.
    """
    window: list[Any] = []
    size = 0
    for table in tables:
        if window and size + table.nbytes > limit:
            yield window
            window, size = [], 0
        size += table.nbytes
        window.append(put(table))
    if window:
        yield window


def _one_window(
    cluster: Cluster,
    function: Callable[..., pa.Table],
    arguments: Mapping[str, Any],
    window: list[Any],
    cpus: int,
) -> Iterator[pa.Table]:
    import ray.data

    with plain_errors(), _errors_alone():
        with _without_bars():
            sent = ray.data.from_arrow_refs(window)
            done = sent.map_batches(
                function,
                fn_kwargs=dict(arguments),
                batch_size=None,
                batch_format="pyarrow",
                num_cpus=cpus,
                **_options(cluster, sent.map_batches),
            )
        batches = done.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1)
        try:
            for table in batches:
                raise_told(table)
                yield table
        except BaseException as error:
            if cluster.presence.look():
                # Frames of the error hold what runs, which ends when it is let go: now, and not
                # when the connection has ended.
                traceback.clear_frames(error.__traceback__)
            raise
        finally:
            del sent, done, batches


def _options(cluster: Cluster, map_batches: Callable[..., Any]) -> dict[str, Any]:
    """What tasks run with besides.

    Without an end Ray Data repeats for ever what kills its process. It is to lose the option that
    sets one, and names no other: a version without it has no end.
    """
    options: dict[str, Any] = {}
    if any(one.kind is one.VAR_KEYWORD for one in signature(map_batches).parameters.values()):
        options["max_retries"] = RETRIES
    if cluster.environment:
        options["runtime_env"] = {"env_vars": cluster.environment}
    return options


@contextmanager
def _errors_alone() -> Iterator[None]:
    """Ray Data logs errors alone meanwhile."""
    logger = logging.getLogger("ray.data")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def _without_bars() -> Iterator[None]:
    """A dataset that is made here has no bars of its own."""
    import ray.data
    from ray.util.annotations import RayDeprecationWarning

    context = ray.data.DataContext.get_current()
    has_bars, context.enable_progress_bars = context.enable_progress_bars, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RayDeprecationWarning)  # see `_options`
            yield
    finally:
        context.enable_progress_bars = has_bars
