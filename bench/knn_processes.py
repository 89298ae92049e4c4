"""Runs one way in a process of its own, with its threads pinned, and judges what it found."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ds2fast.results import IntArray
from knn_truth import Truth, Verdict, rounding_slack
from knn_ways import WAYS, Job

OURS = "ours"
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

_SCRIPT = Path(__file__).with_name("knn_ways.py")
_CPUS = Path("/sys/devices/system/cpu")


class RunFailedError(Exception):
    """A way gave no ids, or wrong ones: it has no time."""


@dataclass(frozen=True)
class Run:
    """One run of a way whose ids were right, or are of a way that is not exact.

    Attributes
    ----------
    seconds : float
        For all rows; scaled where only a share of them was searched for.
    measured_seconds : float
        What it took.
    held_mib, peak_mib : float
        Memory of the process before the search (libraries and the pool's file) and at most.
    build : dict or None
        Ours: what was run, with its SIMD level.
    """

    seconds: float
    measured_seconds: float
    held_mib: float
    peak_mib: float
    verdict: Verdict
    build: dict[str, Any] | None


@dataclass(frozen=True)
class Bench:
    """All that runs of one case share.

    `queries` are the rows that rivals search for, and `files` holds the pool and (unless they are
    all rows) the queries.
    """

    files: Path
    truth: Truth
    queries: IntArray
    k: int
    threads: int
    simd: str | None
    limit_seconds: float

    @property
    def share(self) -> float:
        """Of the rows, those that rivals search for."""
        return len(self.queries) / len(self.truth.pool)

    def run(self, way: str) -> Run:
        """Run it once.

        Raises
        ------
        RunFailedError
            It crashed, is not installed, took too long, or its ids are wrong.
        """
        figures = self._finish(way)
        verdict = self._judge(way)
        share = 1.0 if way == OURS else self.share
        prepare, search = figures["prepare_seconds"], figures["search_seconds"]
        return Run(
            prepare + search / share,
            prepare + search,
            figures["held_mib"],
            figures["peak_mib"],
            verdict,
            figures.get("build"),
        )

    def _finish(self, way: str) -> dict[str, Any]:
        chosen = None if self.share == 1 else str(self.files / "queries.npy")
        ids = self.files / "ids.npy"
        ids.unlink(missing_ok=True)
        pool = str(self.files / "pool.npy")
        job = Job(way, pool, chosen, str(ids), self.k, self.threads)
        command = [sys.executable, str(_SCRIPT), json.dumps(asdict(job))]
        simd = self.simd if way == OURS else None
        environment = environment_of(os.environ, self.threads, simd)
        with pinned_to(self.threads):
            return figures_in(run_process(command, environment, self.limit_seconds))

    def _judge(self, way: str) -> Verdict:
        found = np.load(self.files / "ids.npy", mmap_mode="r")
        rows = len(self.truth.pool) if way == OURS else len(self.queries)
        if found.shape != (rows, self.k):
            raise RunFailedError(f"expected ids of shape {(rows, self.k)}, got {found.shape}")
        checked = self.truth.checked
        places = checked if way == OURS else np.searchsorted(self.queries, checked)
        ids = np.asarray(found[places], dtype=np.int64)
        if way == OURS:
            verdict = self.truth.judge_ranking(ids)
        else:
            verdict = self.truth.judge_set(ids, rounding_slack(self.truth.pool.shape[1]))
        if verdict.problem and (way == OURS or WAYS[way].exact):
            raise RunFailedError(f"wrong ids: {verdict.problem}")
        return verdict


def environment_of(given: Mapping[str, str], threads: int, simd: str | None) -> dict[str, str]:
    """The given variables with all thread pools pinned, and the SIMD level of ours."""
    simd_level = {} if simd is None else {"DS2FAST_SIMD": simd}
    return {**given, **dict.fromkeys(THREAD_VARIABLES, str(threads)), **simd_level}


@contextmanager
def pinned_to(threads: int) -> Iterator[None]:
    """Child processes started here may use so many CPUs only, on cores of their own if they can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, one_of_each_core(sorted(before), _core_of)[:threads])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def one_of_each_core(cpus: list[int], core_of: Callable[[int], str]) -> list[int]:
    """The CPUs, those first that are the first of their core."""
    seen: dict[str, int] = {}
    turns = []
    for cpu in cpus:
        core = core_of(cpu)
        turns.append((seen.get(core, 0), cpu))
        seen[core] = seen.get(core, 0) + 1
    return [cpu for _, cpu in sorted(turns)]


def _core_of(cpu: int) -> str:
    try:
        return (_CPUS / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def run_process(command: list[str], environment: dict[str, str], limit_seconds: float) -> str:
    """What the process prints; RunFailedError where it ends badly, not in time or not at all."""
    try:
        ended = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=limit_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RunFailedError(f"took more than {limit_seconds:g} s") from error
    except OSError as error:
        raise RunFailedError(f"{command[0]}: {error.strerror}") from error
    if ended.returncode != 0:
        raise RunFailedError(describe_end(ended.returncode, ended.stderr))
    return ended.stdout


def figures_in(output: str) -> dict[str, Any]:
    """The figures that a process printed as its last line."""
    figures: dict[str, Any] = json.loads(output.splitlines()[-1])
    return figures


def describe_end(code: int, stderr: str) -> str:
    """How a process ended: the signal or the exit code, and the last line it said."""
    how = f"exit code {code}" if code > 0 else f"ended by {signal.Signals(-code).name}"
    said = [line.strip() for line in stderr.splitlines() if line.strip()]
    return f"{how}: {said[-1][:300]}" if said else how
