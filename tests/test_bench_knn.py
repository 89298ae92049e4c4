"""The benchmark of the k-NN graph: it refuses wrong ids and counts and scales as it says."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bench_modules import bench_module

Ids = npt.NDArray[np.int64]


truths = bench_module("knn_truth")
ways = bench_module("knn_ways")
processes = bench_module("knn_processes")
tables = bench_module("knn_table")
bench_knn = bench_module("bench_knn")

# Angles in degrees on a circle: the nearest of row 0 are 1, then 2 and 3 (tied, on either side),
# then 4 (on the circle's other half, 5 and 6 are further still).
ANGLES = np.array([0.0, 10.0, -20.0, 20.0, 45.0, 90.0, 135.0])


@pytest.fixture
def truth() -> Any:
    radians = np.deg2rad(ANGLES)
    rows = np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)
    return truths.Truth.find(rows, np.array([0, 6]), 4)


def ids_of_both(first: list[int]) -> Ids:
    return np.array([first, [5, 4, 3, 1][: len(first)]], dtype=np.int64)


def test_the_truth_of_a_circle(truth: Any) -> None:
    assert truth.ids.tolist() == [[1, 2, 3, 4], [5, 4, 3, 1]]
    expected = np.cos(np.deg2rad([[10, 20, 20, 45], [45, 90, 115, 125]]))
    np.testing.assert_allclose(truth.cosines, expected, rtol=0, atol=1e-7)


def test_the_truth_of_several_blocks_is_that_of_plain_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(truths, "_BLOCK", 7)
    rows = np.random.default_rng(0).integers(-3, 4, (50, 3)).astype(np.float32)
    rows[~rows.any(axis=1), 0] = 1
    truth = truths.Truth.find(rows, np.array([3, 30]), 9)
    doubles = rows.astype(np.float64)
    for place, own in enumerate((3, 30)):
        cosines = [
            float(doubles[own] @ row / np.linalg.norm(doubles[own]) / np.linalg.norm(row))
            for row in doubles
        ]
        best = sorted((cosines[other] for other in range(50) if other != own), reverse=True)[:9]
        np.testing.assert_allclose(truth.cosines[place], best, rtol=0, atol=1e-15)


@pytest.mark.parametrize("first", [[1, 2, 3, 4], [1, 3, 2, 4]])
def test_the_float64_ranking_is_right_whatever_way_ties_go(truth: Any, first: list[int]) -> None:
    verdict = truth.judge_ranking(ids_of_both(first))
    assert (verdict.problem, verdict.rows_right, verdict.recall) == (None, 2, 1.0)


@pytest.mark.parametrize(
    ("first", "recall"),
    [
        pytest.param([2, 1, 3, 4], 1.0, id="two that do not tie have changed places"),
        pytest.param([1, 2, 3, 5], 7 / 8, id="a further row"),
        pytest.param([1, 2, 2, 4], 7 / 8, id="one row twice"),
        pytest.param([0, 1, 2, 3], 7 / 8, id="the row itself"),
        pytest.param([1, 2, 3, -1], 7 / 8, id="no row"),
        pytest.param([1, 2, 3, 7], 7 / 8, id="a row beyond the last"),
    ],
)
def test_a_wrong_ranking_is_refused(truth: Any, first: list[int], recall: float) -> None:
    verdict = truth.judge_ranking(ids_of_both(first))
    assert (verdict.rows_right, verdict.rows_checked, verdict.recall) == (1, 2, recall)
    assert verdict.problem.startswith("1 of 2 rows differ from float64; row 0: neighbour ")


def test_a_rivals_order_is_free_but_not_its_choice(truth: Any) -> None:
    slack = truths.rounding_slack(2)
    assert truth.judge_set(ids_of_both([4, 3, 2, 1]), slack).problem is None
    assert truth.judge_set(ids_of_both([1, 2]), slack).problem is None  # 3 ties with 2
    assert truth.judge_set(ids_of_both([3, 1]), slack).recall == 1.0
    assert "neighbour 1 is 4" in truth.judge_set(ids_of_both([1, 4]), slack).problem
    assert "neighbour 2 is 2" in truth.judge_set(ids_of_both([1, 2, 2]), slack).problem


def test_the_slack_is_twice_the_rounding_of_a_sum_and_its_norms() -> None:
    assert truths.rounding_slack(384) == (384 + 8) / 2**23


def test_a_rival_may_miss_by_the_slack_and_not_by_more() -> None:
    slack = truths.rounding_slack(3)
    for share, right in ((0.9, True), (1.1, False)):
        # Rows 1 and 2 are at cosines 0.5 and 0.5 - share * slack of row 0.
        cosines = np.array([1.0, 0.5, 0.5 - share * slack])
        rows = np.stack([cosines, np.sqrt(1 - cosines**2), np.zeros(3)], axis=1)
        truth = truths.Truth.find(rows.astype(np.float32), np.array([0]), 1)
        verdict = truth.judge_set(np.array([[2]]), slack)
        assert (verdict.problem is None) is right
        assert verdict.recall == 0.0


def test_the_row_itself_is_dropped_or_else_the_last() -> None:
    found = np.array([[4, 1, 2], [3, 5, 9], [7, 8, 6]])
    assert ways.drop_self(found, np.array([4, 5, 0])).tolist() == [[1, 2], [3, 9], [7, 8]]


def test_one_cpu_of_each_core_comes_first() -> None:
    cores = {0: "a", 1: "a", 4: "b", 5: "b", 8: "c"}
    assert processes.one_of_each_core(sorted(cores), cores.__getitem__) == [0, 4, 8, 1, 5]


def test_how_a_process_ended_is_said() -> None:
    aborted = processes.describe_end(-6, "terminate called\n  what():  std::bad_alloc\n\n")
    assert aborted == "ended by SIGABRT: what():  std::bad_alloc"
    assert processes.describe_end(3, "") == "exit code 3"


def test_the_ratio_counts_as_many_runs_of_ours_as_of_the_rival() -> None:
    def run(seconds: float) -> Any:
        verdict = truths.Verdict(1.0, 5, 5, None)
        return processes.Run(seconds, seconds, 0.0, 0.0, verdict, None)

    runs = [run(seconds) for seconds in (2.0, 4.0, 1.0)]
    ours = tables.Measured("ours", runs)
    rival = tables.Measured("numpy", [run(12.0), run(20.0)])
    assert rival.ratio(ours) == 12.0  # never beside ours: against the best of all
    rival.pairs = list(zip(runs[:2], rival.runs, strict=True))
    assert rival.ratio(ours) == 6.0  # the run that took 1 s was beside another rival
    assert rival.pair_ratios() == [6.0, 5.0]


# --- Whole runs, in processes of their own --------------------------------------------------------


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    rows = np.random.default_rng(0).standard_normal((300, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    queries = np.arange(0, 300, 3)
    np.save(tmp_path / "pool.npy", rows)
    np.save(tmp_path / "queries.npy", queries)
    truth = truths.Truth.find(rows, queries[::2], 5)
    return processes.Bench(tmp_path, truth, queries, 5, 1, None, 60.0)


def test_ours_and_a_rival_are_measured(bench: Any) -> None:
    ours, (rival,) = bench_knn.measure_case(bench, ["numpy"], 1)
    for measured in (ours, rival):
        (run,) = measured.runs
        assert (run.verdict.recall, run.verdict.rows_right) == (1.0, 50)
    assert rival.queries == 100
    run = rival.runs[0]
    assert run.measured_seconds < run.seconds <= 3 * run.measured_seconds
    assert run.peak_mib >= run.held_mib > 0
    table = tables.describe(ours, [rival]).splitlines()
    assert len(table) == 3
    assert "timed on 100 queries, scaled" in table[2]


def test_a_simd_level_is_that_of_ours(bench: Any) -> None:
    run = dataclasses.replace(bench, simd="baseline").run("ours")
    assert run.build["simd_level"] == "baseline"


def test_a_rival_that_fails_is_a_row_that_says_so(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "usearch.py").write_text("import os\nos.abort()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    ours, (rival,) = bench_knn.measure_case(bench, ["usearch"], 1)
    assert rival.problem.startswith("ended by SIGABRT")
    assert "ended by SIGABRT" in tables.describe(ours, [rival])
    assert rival.figures(ours) == {"way": "usearch", "problem": rival.problem}


def test_wrong_ids_of_ours_end_everything(bench: Any) -> None:
    far = dataclasses.replace(bench.truth, cosines=bench.truth.cosines + 1e-9)
    with pytest.raises(SystemExit, match=r"ours: wrong ids: 50 of 50 rows differ from float64"):
        bench_knn.measure_case(dataclasses.replace(bench, truth=far), ["numpy"], 1)


def test_wrong_ids_of_a_rival_are_a_row_without_a_time(bench: Any) -> None:
    far = dataclasses.replace(bench.truth, cosines=bench.truth.cosines + 1e-3)
    with pytest.raises(processes.RunFailedError, match="wrong ids: 50 of 50 rows differ"):
        dataclasses.replace(bench, truth=far).run("numpy")
