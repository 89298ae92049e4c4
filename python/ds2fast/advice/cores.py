"""How many threads are worth trying: one, one a physical core, all that are allowed."""

from __future__ import annotations

import os
from pathlib import Path

from ds2fast.threads import available_threads

_CPUS = Path("/sys/devices/system/cpu")


def thread_counts() -> list[int]:
    """Numbers of threads to compare, ascending."""
    usable = available_threads()
    return sorted({1, min(physical_cores(), usable), usable})


def physical_cores(cpus: Path = _CPUS) -> int:
    """Cores behind the CPUs of this process's affinity; the CPUs where that is not told."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    allowed = os.sched_getaffinity(0)
    siblings = {_siblings(cpus, cpu) for cpu in allowed}
    return len(siblings)


def _siblings(cpus: Path, cpu: int) -> str:
    """The CPUs that share a core with one, as the kernel writes them."""
    try:
        return (cpus / f"cpu{cpu}/topology/thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)
