"""Whether each node of a cluster can run this very ds2fast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ds2fast import _core
from ds2fast.errors import InputError

LEVEL_VARIABLE = "DS2FAST_SIMD"


def check_nodes(nodes: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Ask every node (its id and host) what it runs.

    Returns
    -------
    dict
        Variables that workers need in their environment: where a node's processor is another one,
        the SIMD level of this machine, for vectors depend on it in their last bits.

    Raises
    ------
    InputError
        A node has no ds2fast, or another version of it.
    """
    import ds2fast

    replies = _ask(nodes)
    for (_, host), reply in zip(nodes, replies, strict=True):  # a host may have several nodes
        if reply["error"]:
            raise InputError(
                f"address: expected nodes with ds2fast {ds2fast.__version__}, got {host} where it "
                f"cannot be imported ({reply['error']}): install it on every node, as here"
            )
        if reply["version"] != ds2fast.__version__:
            raise InputError(
                f"address: expected nodes with ds2fast {ds2fast.__version__}, as here, got "
                f"{reply['version']} on {host}"
            )
    level = _core.simd_level()
    is_alike = all(reply["level"] == level for reply in replies)
    return {} if is_alike else {LEVEL_VARIABLE: level}


def _ask(nodes: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(num_cpus=0, max_retries=0)(_make_question())
    asked = [
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote()
        for node, _ in nodes
    ]
    replies = []
    for (_, host), answer in zip(nodes, asked, strict=True):
        try:
            replies.append(ray.get(answer))
        except ray.exceptions.RayError as error:
            raise InputError(
                f"address: expected nodes that run tasks, {host} does not: {error}"
            ) from error
    return replies


def _make_question() -> Callable[[], dict[str, Any]]:
    """A task that needs nothing of ours: Ray sends a function within a function whole."""

    def question() -> dict[str, Any]:
        try:
            import ds2fast
            from ds2fast import _core
        except ImportError as error:
            return {"error": str(error) or type(error).__name__}
        return {"error": "", "version": ds2fast.__version__, "level": _core.simd_level()}

    return question
