"""The roofline: shares divide what they say, pairs count once, failing programs are heard."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench_modules import bench_module

roofline = bench_module("roofline")


def tile_of(level: str, instruction: str | None, rate: float, threads: int = 1) -> dict[str, Any]:
    return {
        "level": level,
        "instruction": instruction,
        "depth": 384,
        "threads": threads,
        "gmacs_best": rate,
        "gmacs_median": rate,
        "cpu_share": 1.0,
        "nanoseconds": 1000.0,
    }


@pytest.fixture
def native() -> dict[str, Any]:
    peaks = [("dot", 1, 400.0), ("dot", 2, 800.0), ("mix", 1, 160.0)]
    scans = [("fast", 1), ("fast", 2), ("plain", 1)]
    return {
        "peaks": [
            {
                "instruction": instruction,
                "threads": threads,
                "gmacs_best": rate,
                "gmacs_median": rate,
                "cpu_share": 1.0,
            }
            for instruction, threads, rate in peaks
        ],
        "tiles": [
            tile_of("plain", None, 10.0),
            tile_of("fast", "dot", 300.0),
            tile_of("fast", "dot", 720.0, threads=2),
        ],
        "scans": [
            {"level": level, "threads": threads, "nanoseconds": 250.0} for level, threads in scans
        ],
    }


def program_that(tmp_path: Path, body: str) -> Path:
    program = tmp_path / "program"
    program.write_text(f"#!{sys.executable}\nimport json, sys\n{body}\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("rows", [2, 3, 7])
def test_each_pair_of_rows_counts_once(rows: int) -> None:
    pairs = [(i, j) for i in range(rows) for j in range(i)]
    assert roofline.unique_macs(rows, 5) == 5 * len(pairs)


def test_a_tile_is_compared_with_the_peak_on_as_many_threads(native: dict[str, Any]) -> None:
    shares = [roofline.tile_share(native, tile) for tile in native["tiles"]]
    assert shares == [None, 0.75, 0.9]


def test_the_table_of_tiles_has_a_line_for_each(native: dict[str, Any]) -> None:
    _, plain, one, two = roofline.describe_tiles(native).splitlines()
    assert plain.split()[:2] == ["plain", "384"]
    assert "-" in plain.split()
    assert "75.0%" in one.split()
    assert "90.0%" in two.split()


def test_a_search_is_compared_with_the_best_peak_anywhere() -> None:
    slow = roofline.Run(2.0, 2.0, 100.0, 300.0, 250.0)
    fast = roofline.Run(1.0, 1.0, 200.0, 320.0, 310.0)
    assert slow.share == pytest.approx(100 / 300)
    beside_tiles = roofline.Search(1, "dot", 400.0, [slow, fast])
    assert (beside_tiles.best, beside_tiles.peak, beside_tiles.share) == (fast, 400.0, 0.5)
    beside_runs = roofline.Search(1, "dot", 310.0, [slow, fast])
    assert (beside_runs.peak, beside_runs.share) == (320.0, 200 / 320)
    figures = json.loads(json.dumps(beside_runs.figures()))
    assert figures["share"] == 200 / 320
    assert figures["runs"][1]["gmacs"] == 200.0


def test_the_peak_of_a_level_is_that_of_its_tile(native: dict[str, Any]) -> None:
    assert roofline.instruction_of(native, "fast") == "dot"
    with pytest.raises(SystemExit, match="no peak for the SIMD level plain"):
        roofline.instruction_of(native, "plain")


def test_the_program_is_told_what_to_measure(tmp_path: Path) -> None:
    program = program_that(tmp_path, "print(json.dumps(sys.argv[1:]))")
    told = roofline.measure(program, 2, 0.25, 4, only="vpdpbusd zmm")
    assert dict(zip(told[::2], told[1::2], strict=True)) == {
        "--threads": "2",
        "--seconds": "0.25",
        "--repeats": "4",
        "--only": "vpdpbusd zmm",
    }
    assert "--only" not in roofline.measure(program, 1, 0.25, 4)


def test_a_program_that_fails_is_heard(tmp_path: Path) -> None:
    program = program_that(tmp_path, "sys.exit('the tile of avx2 differs')")
    with pytest.raises(SystemExit, match="ended with 1 and said: the tile of avx2 differs"):
        roofline.measure(program, 1, 0.1, 1)


def test_wrong_ids_have_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = roofline.synthetic_rows(60, 8)
    roofline.check(pool, 3, 1, 60)
    right = roofline.knn_graph

    def wrong(*arguments: Any, **options: Any) -> Any:
        graph = right(*arguments, **options)
        indices = graph.indices.copy()
        indices[7] = indices[7][::-1]
        return type(graph)(indices, graph.similarities)

    monkeypatch.setattr(roofline, "knn_graph", wrong)
    with pytest.raises(SystemExit, match="1 of 60 rows differ from float64; row 7"):
        roofline.check(pool, 3, 1, 60)


def test_synthetic_rows_are_unit_rows_in_clusters() -> None:
    rows = roofline.synthetic_rows(500, 64)
    np.testing.assert_array_equal(rows, roofline.synthetic_rows(500, 64))
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=0, atol=1e-6)
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, 0)
    # One centre more: 1 / (1 + 0.5²) = 0.8 within a cluster, 0 between any two of the five.
    assert 0.1 < (cosines > 0.5).mean() < 0.4
    assert cosines.max(axis=1).min() > 0.6


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--threads", "0"], "--threads: expected 1 to"),
        (["--seconds", "0"], "--seconds: expected more than 0"),
        (["--rows", "10", "--k", "10"], "--k: expected 1 to 9, got 10"),
        (["--searches", "0"], "--searches: expected 1 or more, got 0"),
        (["--program", "/missing/program"], "--program: expected a file"),
    ],
)
def test_unusable_settings_are_refused(
    given: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        roofline.parse_arguments(given)
    assert message in capsys.readouterr().err


def test_one_thread_is_measured_beside_all() -> None:
    assert roofline.thread_counts(1) == [1]
    assert roofline.thread_counts(8) == [1, 8]
