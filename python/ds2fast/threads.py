"""How many threads this process may use: its CPU affinity and its cgroup's share."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from ds2fast.arguments import as_integer
from ds2fast.errors import InputError

MAX_THREADS = 1024
_OWN_CGROUP = Path("/proc/self/cgroup")
_CGROUP_ROOT = Path("/sys/fs/cgroup")


def resolve_threads(threads: int | None) -> int:
    """Number of threads to use: the given one, or what affinity and cgroup allow for None."""
    if threads is None:
        return available_threads()
    count = as_integer(threads, "threads")
    if not 1 <= count <= MAX_THREADS:
        raise InputError(f"threads: expected 1 to {MAX_THREADS}, got {count}")
    return count


def available_threads() -> int:
    """CPUs in the affinity mask, or fewer where a cgroup quota (a container's limit) is smaller."""
    if hasattr(os, "sched_getaffinity"):
        cpus = len(os.sched_getaffinity(0))
    else:  # macOS has neither affinity masks nor cgroups
        cpus = os.cpu_count() or 1
    quota = _cgroup_cpus()
    return max(1, cpus if quota is None else min(cpus, math.ceil(quota)))


def _cgroup_cpus() -> float | None:
    """The least quota of this process's cgroup and those above it, in CPUs; None for no limit."""
    quotas = [
        quota
        for directory in _cgroup_directories()
        for quota in (_quota_v2(directory), _quota_v1(directory))
        if quota is not None
    ]
    return min(quotas, default=None)


def _cgroup_directories() -> Iterator[Path]:
    """Directories that may hold a quota: the process's own cgroup, and all up to the root."""
    try:
        lines = _OWN_CGROUP.read_text().splitlines()
    except OSError:
        lines = []
    for line in ["0::/", "0:cpu:/", *lines]:
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers == "" or "cpu" in controllers.split(","):
            root = _CGROUP_ROOT if controllers == "" else _CGROUP_ROOT / "cpu"
            own = root / path.lstrip("/")
            yield own
            yield from (parent for parent in own.parents if parent.is_relative_to(root))


def _quota_v2(directory: Path) -> float | None:
    try:
        quota, period = (directory / "cpu.max").read_text().split()
        return None if quota == "max" else float(quota) / float(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _quota_v1(directory: Path) -> float | None:
    try:
        quota = float((directory / "cpu.cfs_quota_us").read_text())
        return None if quota < 0 else quota / float((directory / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError, ZeroDivisionError):
        return None
