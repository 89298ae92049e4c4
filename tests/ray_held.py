"""Work of nodes that says where it begins and is held until it may go on."""

from __future__ import annotations

import functools
import os
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any


def hold(folder: Path, task: object) -> None:
    """Tell that a task began on this node; wait until the file `go` is there."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    (folder / f"{node} {task} {uuid.uuid4().hex}").touch()
    while not (folder / "go").exists():
        time.sleep(0.01)


def begun(folder: Path) -> list[tuple[str, str]]:
    """The node and the task of every beginning so far."""
    names = [path.name.split() for path in folder.iterdir() if path.name != "go"]
    return [(node, task) for node, task, _ in names]


def held(folder: Path, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of which each call is held; its integers, or the table's, tell the calls apart."""

    def call(*arguments: Any, **more: Any) -> Any:
        first = arguments[0]
        numbers = [value for value in arguments if isinstance(value, int)]
        numbers += [n for value in arguments if type(value) is tuple for n in value]
        if hasattr(first, "column_names"):
            numbers = first["number"].to_pylist()
        hold(folder, "-".join(map(str, numbers)))
        return function(*arguments, **more)

    return call


def noting(folder: Path, variable: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of which each call notes a variable of its environment, as a file's name."""

    @functools.wraps(function)
    def call(*arguments: Any, **more: Any) -> Any:
        (folder / os.environ.get(variable, "unset")).touch()
        return function(*arguments, **more)

    return call


def killing() -> Callable[..., Any]:
    """A function that kills the process that calls it."""

    def call(*_: Any, **__: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    return call
