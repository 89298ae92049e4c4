"""How many threads this process may use: its CPU affinity and its cgroup's share."""

from __future__ import annotations

import math
import os
from pathlib import Path

from ds2fast.arguments import as_integer
from ds2fast.errors import InputError

MAX_THREADS = 1024
_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = Path("/sys/fs/cgroup/cpu")


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
    try:
        quota, period = _CGROUP_V2.read_text().split()
    except (OSError, ValueError):
        try:
            quota = (_CGROUP_V1 / "cpu.cfs_quota_us").read_text().strip()
            period = (_CGROUP_V1 / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if quota in {"max", "-1"}:
        return None
    try:
        return float(quota) / float(period)
    except (ValueError, ZeroDivisionError):
        return None
