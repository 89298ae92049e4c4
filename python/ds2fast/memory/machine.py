"""What memory this process holds, and what the machine and its container have left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_OWN_STATUS = Path("/proc/self/status")
_OWN_CGROUP = Path("/proc/self/cgroup")
_MACHINE = Path("/proc/meminfo")
_MOUNTS = Path("/proc/self/mounts")
_CGROUP_ROOT = Path("/sys/fs/cgroup")
_NO_LIMIT = 1 << 60  # cgroup v1 says "none" by a number about as large as there are


def held_memory() -> int | None:
    """Bytes that this process holds itself, pages of files apart; None where nothing tells it.

    Examples
    --------
    >>> held = held_memory()
    >>> held is None or held > 0
    True
    """
    return _field(_OWN_STATUS, "RssAnon")


def available_memory() -> int | None:
    """Bytes that this process may still take; None where nothing tells it (macOS).

    The least of what the machine has left and of what its cgroup and those above it do: a
    container's limit. Pages of files that can be dropped count as left.

    Examples
    --------
    >>> left = available_memory()
    >>> left is None or left > 0
    True
    """
    machine = _field(_MACHINE, "MemAvailable")
    left = [amount for amount in (machine, *_cgroups_left()) if amount is not None]
    return max(0, min(left)) if left else None


def lies_in_memory(folder: Path) -> bool:
    """Whether files in a folder are kept in memory (tmpfs), and take it from all processes.

    Examples
    --------
    >>> lies_in_memory(Path("/"))
    False
    """
    kinds = {
        Path(words[1].replace("\\040", " ")): words[2]
        for words in map(str.split, _lines(_MOUNTS))
        if len(words) > 2
    }
    place = folder.resolve()
    mount = next((one for one in (place, *place.parents) if one in kinds), None)
    return mount is not None and kinds[mount] in {"tmpfs", "ramfs"}


def _cgroups_left() -> Iterator[int]:
    for folder, names in _cgroup_folders():
        limit, used = (_number(folder / name) for name in names[:2])
        if limit is None or used is None or limit >= _NO_LIMIT:
            continue
        droppable = _field(folder / "memory.stat", names[2]) or 0
        yield limit - used + droppable


def _cgroup_folders() -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """Folders that may hold a limit, up to the root, and the names of what tells it there."""
    second = ("memory.max", "memory.current", "inactive_file")
    first = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    for line in ["0::/", "0:memory:/", *_lines(_OWN_CGROUP)]:
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and "memory" not in controllers.split(","):
            continue
        root, names = (_CGROUP_ROOT / "memory", first) if controllers else (_CGROUP_ROOT, second)
        own = root / path.lstrip("/")
        for folder in (own, *own.parents):
            if folder.is_relative_to(root):
                yield folder, names


def _field(path: Path, name: str) -> int | None:
    """Bytes behind a name in a file of lines such as `Name: 12 kB`, or `name 12`."""
    for line in _lines(path):
        label, _, rest = line.replace(":", " ", 1).partition(" ")
        words = rest.split()
        if label == name and words and words[0].isdecimal():
            return int(words[0]) * (1024 if words[1:] == ["kB"] else 1)
    return None


def _number(path: Path) -> int | None:
    """The number in a file; None where there is none, `max` among others."""
    words = " ".join(_lines(path)).split()
    return int(words[0]) if words and words[0].isdecimal() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
