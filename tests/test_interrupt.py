"""A long search can be stopped, lets other Python threads run, and leaves nothing behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from ds2fast.knn import knn_graph
from graph_checks import assert_exact, integer_rows, random_rows
from waiting import PATIENCE, wait_until

# At its end it tells its work since the last report, of which there are some 20 a second.
SEARCH_OF_MINUTES = """
import atexit
import signal
import time
import numpy as np
from ds2fast.knn import knn_graph

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have us ignore it
reported = [0.0]

def report(*call):
    reported[0] = time.process_time()
    print("searching", flush=True)

atexit.register(lambda: print(time.process_time() - reported[0]))
rows = np.random.default_rng(0).standard_normal((60_000, 768), dtype=np.float32)
knn_graph(rows, 10, threads=2, progress=report)
print("finished", flush=True)
"""


def test_ctrl_c_ends_a_long_search() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SEARCH_OF_MINUTES],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"DS2FAST_SIMD": "baseline"},
    )
    try:
        assert process.stdout is not None
        first_line = process.stdout.readline()
        assert first_line == "searching\n", process.communicate()[1]
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert "KeyboardInterrupt" in errors
    assert "finished" not in output
    assert process.returncode == -signal.SIGINT  # how Python ends on an interrupt that none caught
    worked = float(output.splitlines()[-1])
    print(f"from the last report to the exit: {worked:.3f} s of work")  # shown by pytest -rP
    # A second on each thread is the promise, more on a busy machine; it would work for minutes.
    assert worked < 20.0


class AlarmError(Exception):
    """Raised by the signal handler of the tests."""


@contextmanager
def alarm_after(seconds: float) -> Iterator[list[float]]:
    """Raises AlarmError in the main thread once; yields the list that then holds the time of it.

    It is the process's time on its processors, which is the same however busy they are.
    """
    rung: list[float] = []

    def ring(signum: int, frame: FrameType | None) -> None:
        rung.append(time.process_time())
        raise AlarmError

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield rung
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_a_signal_is_handled_though_nobody_watches(
    monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    monkeypatch.setenv("DS2FAST_SIMD", "baseline")
    rows = random_rows(56_000, 256)  # some forty seconds of work
    started = time.process_time()
    with alarm_after(0.4) as rung, pytest.raises(AlarmError):
        knn_graph(rows, 10, threads=threads, progress=False)
    # A second on each thread is the promise; on a busy machine the same work takes more.
    assert rung[0] - started < 6.0 + 2.0 * threads  # the handler ran during the search...
    assert time.process_time() - rung[0] < 6.0 + 2.0 * threads  # ...and ended it
    small = integer_rows(200, 5, 3)
    assert_exact(knn_graph(small, 5, threads=threads, progress=False), small, 5)


def test_other_python_threads_run_during_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS2FAST_SIMD", "baseline")
    ticks = 0
    ended = threading.Event()
    seen: list[int] = []

    def tick() -> None:
        nonlocal ticks
        while not ended.wait(0.001):
            ticks += 1

    rows = random_rows(6000, 768)
    clock = threading.Thread(target=tick)
    clock.start()
    try:
        knn_graph(rows, 10, threads=1, progress=lambda *call: seen.append(ticks))
    finally:
        ended.set()
        clock.join()
    assert len(seen) > 4, "too short a search to tell"
    # Were the lock held but for the reports, there would be hardly more ticks than these.
    assert seen[-1] - seen[0] > 3 * len(seen)


def tasks() -> set[str]:
    """The threads of this process, those of other tests among them."""
    return {task.name for task in Path("/proc/self/task").iterdir()}


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_no_thread_outlives_a_search() -> None:
    knn_graph(random_rows(100, 8), 5, threads=1, progress=False)
    before = tasks()
    knn_graph(random_rows(3000, 64), 5, threads=9, progress=False)
    wait_until(lambda: tasks() <= before)  # the kernel lists one that has ended for a moment yet


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_a_search_runs_on_as_many_threads_as_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS2FAST_SIMD", "baseline")
    before = tasks()
    most = [0]

    def count(stage: str, done: int, total: int) -> None:
        most[0] = max(most[0], len(tasks() - before))

    knn_graph(random_rows(9000, 512), 5, threads=5, progress=count)
    assert most[0] == 4  # and the calling one


def _search_in_a_child(answers: multiprocessing.SimpleQueue[list[int]]) -> None:
    graph = knn_graph(random_rows(300, 8), 5, threads=2, progress=False)
    answers.put(graph.indices[0].tolist())


@pytest.mark.skipif(sys.platform != "linux", reason="fork is safe with NumPy on Linux only")
def test_a_forked_child_can_search() -> None:
    expected = knn_graph(random_rows(300, 8), 5, threads=2, progress=False)
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.SimpleQueue[list[int]] = context.SimpleQueue()
    child = context.Process(target=_search_in_a_child, args=(answers,))
    with warnings.catch_warnings():
        # Python 3.12 warns of forks beside other threads, of which other tests may have left some.
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    child.join(timeout=PATIENCE)
    assert child.exitcode == 0
    assert answers.get() == expected.indices[0].tolist()
