"""How many threads: the user's number, or what CPU affinity and the cgroup's quota allow."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ds2fast import threads
from ds2fast.errors import Ds2fastError, InputError, InputTypeError
from ds2fast.threads import MAX_THREADS, available_threads, resolve_threads

SetQuota = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SetQuota:
    """Pretends to be a machine: `machine(cpus, v2=..., quota=..., period=...)`."""

    def pretend(
        cpus: int, *, v2: str | None = None, quota: str | None = None, period: str | None = None
    ) -> None:
        monkeypatch.setattr(
            os, "sched_getaffinity", lambda pid: set(range(10, 10 + cpus)), raising=False
        )
        monkeypatch.setattr(threads, "_CGROUP_ROOT", tmp_path)
        monkeypatch.setattr(threads, "_OWN_CGROUP", tmp_path / "self")
        (tmp_path / "cpu").mkdir(exist_ok=True)
        for name, text in (("cpu.max", v2), ("cpu/cpu.cfs_quota_us", quota),
                           ("cpu/cpu.cfs_period_us", period)):  # fmt: skip
            if text is not None:
                (tmp_path / name).write_text(text)

    return pretend


def test_affinity_counts_where_there_is_no_cgroup(machine: SetQuota) -> None:
    machine(5)
    assert available_threads() == 5
    assert resolve_threads(None) == 5


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),  # part of a CPU: use it
        ("100001 100000\n", 2),
        ("20000 100000\n", 1),
        ("0 100000\n", 1),
        ("6400000 100000\n", 8),  # more than the affinity mask has
        ("250000 50000\n", 5),
        ("200000 0\n", 8),  # nothing that a kernel writes: no limit that could be read
        ("many few\n", 8),
    ],
)
def test_a_quota_of_cgroup_v2(machine: SetQuota, content: str, expected: int) -> None:
    machine(8, v2=content)
    assert available_threads() == expected


@pytest.mark.parametrize(
    ("quota", "period", "expected"),
    [
        ("-1\n", "100000\n", 8),
        ("300000\n", "100000\n", 3),
        ("50000\n", "100000\n", 1),
        ("250000\n", "100000\n", 3),
        ("300000\n", "0\n", 8),
        ("300000\n", None, 8),
        ("", "100000\n", 8),
    ],
)
def test_a_quota_of_cgroup_v1(
    machine: SetQuota, quota: str, period: str | None, expected: int
) -> None:
    machine(8, quota=quota, period=period)
    assert available_threads() == expected


def test_the_lesser_quota_of_v1_and_v2_counts(machine: SetQuota) -> None:
    machine(8, v2="200000 100000\n", quota="300000\n", period="100000\n")
    assert available_threads() == 2


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"slice/job": "300000 100000"}, 3),
        ({"slice/job": "max 100000", "slice": "200000 100000"}, 2),
        ({"slice/job": "500000 100000", "slice": "400000 100000"}, 4),
        ({"slice/other": "100000 100000"}, 8),
    ],
)
def test_the_quotas_above_the_own_cgroup_count(
    machine: SetQuota, tmp_path: Path, limits: dict[str, str], expected: int
) -> None:
    machine(8)
    (tmp_path / "self").write_text("0::/slice/job\n")
    for path, content in limits.items():
        (tmp_path / path).mkdir(parents=True, exist_ok=True)
        (tmp_path / path / "cpu.max").write_text(content)
    assert available_threads() == expected


def test_a_v1_quota_of_the_own_cgroup_counts(machine: SetQuota, tmp_path: Path) -> None:
    machine(8)
    (tmp_path / "self").write_text("4:memory:/m\n3:cpu,cpuacct:/docker/a\n")
    own = tmp_path / "cpu" / "docker" / "a"
    own.mkdir(parents=True)
    (own / "cpu.cfs_quota_us").write_text("200000")
    (own / "cpu.cfs_period_us").write_text("100000")
    assert available_threads() == 2


def test_an_unreadable_v2_file_leaves_v1(machine: SetQuota) -> None:
    machine(8, v2="", quota="300000\n", period="100000\n")
    assert available_threads() == 3


def test_without_affinity_masks_all_cpus_count(
    machine: SetQuota, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(8)
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert available_threads() == 12
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_threads() == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_a_process_pinned_to_one_cpu_uses_one_thread() -> None:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert available_threads() == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize("given", [1, 3, MAX_THREADS, np.int64(3)])
def test_a_given_number_stands(machine: SetQuota, given: Any) -> None:
    machine(2)
    resolved = resolve_threads(given)
    assert resolved == given
    assert type(resolved) is int


@pytest.mark.parametrize("given", [0, -1, -(10**6), MAX_THREADS + 1, np.int64(0), 10**30])
def test_a_number_out_of_range_is_named(given: Any) -> None:
    with pytest.raises(InputError, match=rf"^threads: expected 1 to 1024, got {given}$"):
        resolve_threads(given)


@pytest.mark.parametrize(
    "given",
    [True, np.True_, 2.0, "2", [2], np.array([1, 2]), np.array(2.5), np.array([2])],
    ids=repr,
)
def test_what_is_no_integer_is_named(given: Any) -> None:
    with pytest.raises(Ds2fastError, match=r"^threads: expected an integer, got "):
        resolve_threads(given)
    with pytest.raises(InputTypeError):
        resolve_threads(given)
