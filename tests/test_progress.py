"""Progress: what a callable hears, when a bar is drawn, and that errors of a callable come back."""

from __future__ import annotations

import re
import sys
import time
from typing import Any

import numpy as np
import pytest

from ds2fast import progress as progress_module
from ds2fast.errors import InputTypeError
from ds2fast.knn import knn_graph
from ds2fast.progress import Reporter
from ds2fast.sizes import as_size
from graph_checks import assert_exact, integer_rows, random_rows
from waiting import PATIENCE

STAGE = "k-NN graph"


class Recorder:
    """A progress callable that remembers what it was called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, int]] = []

    def __call__(self, stage: str, done: int, total: int) -> None:
        self.calls.append((stage, done, total))


# --- The search -----------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("num_rows", [2, 50, 6000])
def test_a_search_reports_from_nothing_to_all(num_rows: int, threads: int) -> None:
    heard = Recorder()
    knn_graph(random_rows(num_rows, 300), 1, threads=threads, progress=heard)
    stages, done, totals = zip(*heard.calls, strict=True)
    assert set(stages) == {STAGE}
    assert len(set(totals)) == 1
    assert all(type(number) is int for call in heard.calls for number in call[1:])
    assert done[0] >= 0
    assert (np.diff(done) >= 0).all()
    assert done[-1] == totals[0]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_search_reports_some_twenty_times_a_second(
    monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    monkeypatch.setenv("DS2FAST_SIMD", "baseline")  # a second or so
    heard = Recorder()
    rows = random_rows(9000, 300)
    started, began = time.monotonic(), time.thread_time()
    knn_graph(rows, 5, threads=threads, progress=heard)
    elapsed, worked = time.monotonic() - started, time.thread_time() - began
    # Every 50 ms, and once at the end of each of the search's three phases and of the whole. A busy
    # machine may miss some: of its time only what this thread has worked is counted.
    assert worked / 0.05 / 5 <= len(heard.calls) <= elapsed / 0.05 + 4
    assert len({done for _, done, _ in heard.calls}) > worked / 0.05 / 10


def test_watching_changes_nothing() -> None:
    rows = integer_rows(500, 5, 3)
    assert_exact(knn_graph(rows, 7, progress=Recorder()), rows, 7)


class StopError(Exception):
    """Raised by a progress callable of the tests."""


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("at_least", [0, 1, 5])
def test_an_error_of_the_callable_reaches_the_caller(threads: int, at_least: int) -> None:
    raised = StopError("enough")

    def stop(stage: str, done: int, total: int) -> None:
        if done >= at_least:
            raise raised

    rows = random_rows(5000, 64)
    with pytest.raises(StopError) as caught:
        knn_graph(rows, 5, threads=threads, progress=stop)
    assert caught.value is raised
    knn_graph(rows[:100], 5, threads=threads, progress=False)  # nothing is left in disorder


def test_a_callable_that_raised_is_not_called_again(monkeypatch: pytest.MonkeyPatch) -> None:
    # All rows equal: blocks take some 0.2 s each, so that other threads still work when the first
    # one's report fails. When which thread ends is chance, hence several tries.
    monkeypatch.setenv("DS2FAST_SIMD", "baseline")
    rows = np.repeat(random_rows(1, 1024), 6200, axis=0)
    for _ in range(5):
        reports_of_work: list[int] = []

        def stop_once(stage: str, done: int, total: int, seen: list[int] = reports_of_work) -> None:
            if done > 0:
                seen.append(done)
            if len(seen) == 1:
                raise StopError

        with pytest.raises(StopError):
            knn_graph(rows, 5, threads=3, progress=stop_once)
        assert len(reports_of_work) == 1


def test_a_callable_of_other_arguments_is_an_error_of_the_callers() -> None:
    with pytest.raises(TypeError, match="positional argument"):
        knn_graph(random_rows(50, 4), 5, progress=lambda done: None)  # type: ignore[arg-type]  # the test


# --- The bar --------------------------------------------------------------------------------------


@pytest.fixture
def bars_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short stages get bars too."""
    monkeypatch.setattr(progress_module, "_BAR_DELAY", 0.0)


@pytest.mark.usefixtures("bars_at_once")
def test_true_draws_a_bar_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    knn_graph(random_rows(300, 8), 5, progress=True)
    output = capsys.readouterr()
    assert output.out == ""
    assert STAGE in output.err
    assert "100%" in output.err
    assert output.err.endswith("\n")


@pytest.mark.usefixtures("bars_at_once")
def test_the_bar_of_a_search_says_how_much_memory_it_takes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    knn_graph(random_rows(3000, 384), 10, progress=True)
    # 3000 rows of 384 bytes of codes, 32 for each of 10 neighbours, and 64: 2.2 MiB.
    assert f"{STAGE} (needs 2 MiB): " in capsys.readouterr().err


def test_sizes_are_told_in_units_that_read_well() -> None:
    assert as_size(230_400_000) == "220 MiB"
    assert as_size(2 * 2**30 + 2**29) == "2.5 GiB"


@pytest.mark.usefixtures("bars_at_once")
@pytest.mark.parametrize("progress", [False, None])
def test_nothing_is_drawn_unasked_or_away_from_a_terminal(
    capsys: pytest.CaptureFixture[str], progress: bool | None
) -> None:
    knn_graph(random_rows(300, 8), 5, progress=progress)
    output = capsys.readouterr()
    assert output.out == output.err == ""


@pytest.mark.usefixtures("bars_at_once")
@pytest.mark.parametrize(("progress", "draws"), [(None, True), (True, True), (False, False)])
def test_on_a_terminal_a_bar_is_drawn_unless_refused(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    progress: bool | None,
    draws: bool,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    knn_graph(random_rows(300, 8), 5, progress=progress)
    assert (STAGE in capsys.readouterr().err) == draws


def test_a_process_without_stderr_can_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)  # as Python sets it where the stream is closed
    rows = random_rows(50, 4)
    assert_exact(knn_graph(rows, 5), rows, 5)


@pytest.mark.usefixtures("bars_at_once")
def test_the_bar_of_a_search_that_failed_is_closed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail_early() -> None:
        with Reporter(True).stage("work") as report:
            assert report is not None
            report(1, 10)
            raise StopError

    with pytest.raises(StopError):
        fail_early()
    drawn = capsys.readouterr().err
    assert "1/10" in drawn
    assert drawn.endswith("\n")  # what is printed next begins on a line of its own


# --- The reporter ---------------------------------------------------------------------------------


@pytest.mark.parametrize("progress", [1, 0, "yes", 0.5, [print], np.True_])
def test_what_is_no_progress_is_named(progress: Any) -> None:
    kind = type(progress).__name__
    expected = rf"^progress: expected None, a bool or a callable\(stage, done, total\), got {kind}$"
    with pytest.raises(InputTypeError, match=expected):
        Reporter(progress)


def test_a_reporter_passes_through_and_all_else_becomes_one() -> None:
    reporter = Reporter(False)
    assert Reporter.of(reporter) is reporter
    assert isinstance(Reporter.of(False), Reporter)


def test_stages_share_a_reporter() -> None:
    heard = Recorder()
    reporter = Reporter(heard)
    reporter.update("embedding", 3, 4)
    knn_graph(random_rows(50, 4), 5, progress=reporter)
    assert heard.calls[0] == ("embedding", 3, 4)
    assert {stage for stage, _, _ in heard.calls[1:]} == {STAGE}
    assert heard.calls[-1][1] == heard.calls[-1][2]


def test_nobody_listens_so_nothing_is_to_be_called() -> None:
    with Reporter(False).stage("work") as report:
        assert report is None


def _draw(steps: list[tuple[str, int, int]], capsys: pytest.CaptureFixture[str]) -> str:
    with Reporter(True) as reporter:
        for stage, done, total in steps:
            reporter.update(stage, done, total, unit="row")
    return capsys.readouterr().err


def last_states(drawn: str) -> list[str]:
    """What a terminal shows in the end: of each line, what follows its last carriage return."""
    return [line.rsplit("\r", 1)[-1] for line in drawn.split("\n")[:-1]]


@pytest.mark.usefixtures("bars_at_once")
def test_each_stage_has_one_bar(capsys: pytest.CaptureFixture[str]) -> None:
    drawn = _draw([("first", 1, 2), ("first", 2, 2), ("second", 5, 5)], capsys)
    lines = last_states(drawn)
    assert [line.split(":")[0] for line in lines] == ["first", "second"]
    assert all("100%" in line for line in lines)


@pytest.mark.usefixtures("bars_at_once")
def test_a_stage_that_was_left_early_keeps_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    drawn = _draw([("first", 1, 4), ("second", 5, 5)], capsys)
    lines = last_states(drawn)
    assert "25%" in lines[0]
    assert "100%" in lines[1]


@pytest.mark.usefixtures("bars_at_once")
def test_an_end_that_is_reported_twice_draws_one_bar(capsys: pytest.CaptureFixture[str]) -> None:
    # Kernels report about every 50 ms and once at the end: both may be the end.
    drawn = _draw([("work", 3, 9), ("work", 9, 9), ("work", 9, 9)], capsys)
    assert drawn.count("\n") == 1


def test_an_early_error_leaves_no_bar_behind(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StopError), Reporter(True):
        raise StopError
    assert capsys.readouterr().err == ""


def test_a_short_stage_gets_no_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_module, "_BAR_DELAY", PATIENCE)  # short, however slow the machine
    with Reporter(True).stage("work") as report:
        assert report is not None
        report(1, 2)
        report(2, 2)
    assert capsys.readouterr().err == ""


def rate_of(drawn: str) -> float:
    """Units a second, as the last state of a bar tells them."""
    found = re.search(r"([\d.]+)rows/s\]$", last_states(drawn)[-1].rstrip())
    assert found is not None, drawn
    return float(found[1])


def test_a_rate_counts_from_the_start_of_its_stage(capsys: pytest.CaptureFixture[str]) -> None:
    # Kernels that are quick tell their total only when they are done.
    started = time.monotonic()
    with Reporter(True).stage("work", unit="rows") as report:
        assert report is not None
        time.sleep(0.7)
        report(70, 70)
    elapsed = time.monotonic() - started
    assert 0.9 * 70 / elapsed < rate_of(capsys.readouterr().err) <= 70 / 0.7 + 0.01


@pytest.mark.usefixtures("bars_at_once")
@pytest.mark.parametrize(("total", "shown"), [(10_000, "10000/10000"), (20_000, "20.0k/20.0k")])
def test_only_large_totals_are_shortened(
    capsys: pytest.CaptureFixture[str], total: int, shown: str
) -> None:
    assert shown in _draw([("work", 1, total), ("work", total, total)], capsys)


@pytest.mark.usefixtures("bars_at_once")
def test_a_stage_that_runs_twice_has_two_bars(capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter(True) as reporter:
        for _ in range(2):
            with reporter.stage("work") as report:
                assert report is not None
                report(5, 5)
    assert len(last_states(capsys.readouterr().err)) == 2
