"""The benchmark of scale: how it reads times at equal recall, keeps figures, and refuses graphs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench_modules import bench_module

recalls = bench_module("scale_recall")
records = bench_module("scale_record")
stages = bench_module("scale_stages")
graphs = bench_module("scale_graph")
children = bench_module("scale_child")
ways = bench_module("scale_ways")
overlaps = bench_module("scale_overlap")
rival = bench_module("scale_rival")
pages = bench_module("scale_page")
truths = bench_module("knn_truth")

Point = recalls.Point


# --- Recall against time --------------------------------------------------------------------------


def test_the_front_leaves_out_what_is_beaten_in_time_and_recall() -> None:
    best = [Point(1.0, 0.9, "a"), Point(4.0, 0.99, "c")]
    beaten = [Point(2.0, 0.9, "b"), Point(5.0, 0.98, "d"), Point(1.0, 0.8, "e")]
    assert recalls.front([*beaten, *reversed(best)]) == best


def test_between_two_points_the_log_of_time_follows_the_log_of_the_missed() -> None:
    points = [Point(2.0, 0.9, "few"), Point(8.0, 0.999, "many")]
    reading = recalls.read_at(points, 0.99)  # half of the way from 0.1 to 0.001
    assert reading.seconds == pytest.approx(4.0)
    assert reading.cheapest == points[1]
    assert reading.how == "between (few) and (many)"


@pytest.mark.parametrize(
    ("points", "target", "seconds", "how"),
    [
        pytest.param([(3.0, 0.97)], 0.95, 3.0, "cheapest", id="nothing below"),
        pytest.param([(1.0, 0.9), (3.0, 1.0)], 0.95, 3.0, "cheapest", id="misses none"),
        pytest.param([(1.0, 0.9), (3.0, 0.95)], 0.95, 3.0, "cheapest", id="just there"),
        pytest.param([(1.0, 0.9)], 0.95, None, "not reached (0.9000 in 1.0 s", id="too low"),
        pytest.param([], 0.95, None, "not measured", id="none"),
    ],
)
def test_what_cannot_be_read_between_points(
    points: list[tuple[float, float]], target: float, seconds: float | None, how: str
) -> None:
    reading = recalls.read_at([Point(*one, "x") for one in points], target)
    assert reading.seconds == seconds
    assert reading.how.startswith(how)


# --- The file of figures --------------------------------------------------------------------------


def test_figures_are_on_disk_at_once_and_found_again(tmp_path: Path) -> None:
    about = {"machine": {"threads": 2}, "versions": ("a", "b")}
    record = records.Record.open(tmp_path / "new", "graph", about, anew=False)
    record.add({"way": "x", "rows": 5}, {"seconds": 1.5})
    on_disk = json.loads((tmp_path / "new" / "scale-graph.json").read_text())
    assert on_disk["entries"] == [{"key": {"way": "x", "rows": 5}, "problem": None, "seconds": 1.5}]
    again = records.Record.open(tmp_path / "new", "graph", about, anew=False)
    assert again.find(way="x", rows=5)["seconds"] == 1.5
    assert again.find(way="x") is None
    assert len(again.matching(way="x")) == 1
    again.add({"way": "x", "rows": 5}, {"seconds": 2.5})
    assert [one["seconds"] for one in again.entries] == [2.5]


def test_what_failed_is_tried_again_and_what_took_too_long_is_not(tmp_path: Path) -> None:
    record = records.Record.open(tmp_path, "graph", {}, anew=False)
    record.add({"way": "crashed"}, {"problem": "exit code 1"})
    record.add({"way": "slow"}, {"problem": "took more than 9 s", "too_long": True})
    again = records.Record.open(tmp_path, "graph", {}, anew=False)
    assert [one["key"]["way"] for one in again.entries] == ["slow"]
    assert records.Record.open(tmp_path, "graph", {}, anew=True).entries == []


def test_a_file_of_another_machine_or_none_of_ours_is_refused(tmp_path: Path) -> None:
    record = records.Record.open(tmp_path, "graph", {"machine": "a"}, anew=False)
    record.add({"way": "x"}, {})
    with pytest.raises(SystemExit, match=r"holds figures of machine 'a', these are of 'b'"):
        records.Record.open(tmp_path, "graph", {"machine": "b"}, anew=False)
    record.path.write_text("[1]")
    with pytest.raises(SystemExit, match="expected a file of this bench, with entries"):
        records.Record.open(tmp_path, "graph", {"machine": "a"}, anew=False)


# --- Graphs ---------------------------------------------------------------------------------------


@pytest.fixture
def truth() -> Any:
    # Angles of 0, 10, 25, 45 and 90 degrees.
    radians = np.deg2rad([0.0, 10.0, 25.0, 45.0, 90.0])
    rows = np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)
    return truths.Truth.find(rows, np.array([0, 2]), 2)


def right_similarities() -> Any:
    return np.cos(np.deg2rad([[10.0, 25.0], [15.0, 20.0]])).astype(np.float32)


def test_a_right_graph_passes(truth: Any) -> None:
    ids = np.array([[1, 2], [1, 3]])
    # Rows are float32, so their angles are off by up to 2^-24 each.
    exact = graphs.cosines_of(truth, ids)
    np.testing.assert_allclose(exact, right_similarities(), rtol=0, atol=4 * 2.0**-24)
    graphs.refuse_wrong(truth, ids, exact.astype(np.float32), exact=True)


@pytest.mark.parametrize(
    ("ids", "exact", "message"),
    [
        ([[1, 3], [1, 3]], True, "wrong ids: 1 of 2 rows"),
        ([[1, 1], [1, 3]], False, "twice"),
        ([[1, 0], [1, 3]], False, "the row itself"),
        ([[1, -1], [1, 3]], False, "no row"),
        ([[1, 5], [1, 3]], False, "no row"),
    ],
)
def test_a_wrong_graph_of_ours_ends_all(
    truth: Any, ids: list[list[int]], exact: bool, message: str
) -> None:
    with pytest.raises(SystemExit, match=message):
        graphs.refuse_wrong(truth, np.array(ids), right_similarities(), exact=exact)


def test_an_approximate_graph_may_miss_but_not_lie(truth: Any) -> None:
    ids = np.array([[1, 3], [1, 3]])
    similarities = graphs.cosines_of(truth, ids).astype(np.float32)
    graphs.refuse_wrong(truth, ids, similarities, exact=False)
    similarities[0, 1] += 1e-6
    with pytest.raises(SystemExit, match="row 0, neighbour 1: similarity"):
        graphs.refuse_wrong(truth, ids, similarities, exact=False)


def test_the_ratio_takes_a_measured_graph_of_ours(tmp_path: Path) -> None:
    record = records.Record.open(tmp_path, "graph", {}, anew=False)
    case = {"rows": 9, "width": 2, "k": 1, "threads": 1}

    def add(way: str, build: dict[str, Any], *efforts: tuple[float, float]) -> None:
        figures = [
            {"effort": 7, "seconds": seconds, "recall": recall, "build_seconds": 0.0}
            for seconds, recall in efforts
        ]
        memory = {"held_mib": 1.0, "peak_mib": 2.0}
        efforts_found = [one | memory for one in figures]
        record.add({**case, "way": way, "build": build}, {"efforts": efforts_found})

    add("ours", {"recall": 0.9}, (1.0, 0.9))
    add("ours", {"recall": 0.999}, (4.0, 0.999))
    add("hnswlib", {"M": 8}, (10.0, 0.9), (40.0, 0.999))
    add("faiss-ivf", {"lists": 4}, (3.0, 0.7))
    record.add({**case, "way": "pynndescent", "build": {}}, {"efforts": [], "problem": "gone"})
    ours, hnswlib, ivf, gone = graphs.ratios_at(record, case, 0.99)
    assert (ours["measured_seconds"], ours["measured_recall"]) == (4.0, 0.999)
    assert hnswlib["ratio"] == pytest.approx(20.0 / 4.0)
    assert hnswlib["ratio_interpolated"] == pytest.approx(20.0 / 2.0)
    assert (ivf["ratio"], gone["ratio"]) == (None, None)
    table = graphs.describe_ratios([ours, hnswlib, ivf, gone])
    assert "not reached (0.7000 in 3.0 s, lists 4, nprobe 7)" in table
    assert "gone" in graphs.describe(record, case)
    page = "\n".join(pages.graph_tables(record))
    # At 0.95: 10 · 4^(log 2 / log 100) = 12.3 s, and ours that reaches it took 4 s.
    assert "| hnswlib | 12.3 s | 3.1 × as fast | 20.0 s | 5.0 × as fast |" in page


@pytest.mark.parametrize("way", ["ours", *ways.RIVALS])
def test_each_way_has_a_process_of_its_own_for_every_build(way: str) -> None:
    runs = ways.runs_of(way, [0.95, 0.9])
    builds = [json.dumps(build) for build, _ in runs]
    assert len(set(builds)) == len(runs) >= 1  # the key of an entry tells them apart
    for _, efforts in runs:
        assert efforts == sorted(efforts)


def test_what_a_process_finished_before_it_ended_badly_is_kept(
    truth: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "half.py"
    script.write_text(
        "import json, sys\nimport numpy as np\njob = json.loads(sys.argv[1])\n"
        "np.save(job['folder'] + '/ids-0.npy', np.array([[1, 2], [1, 0]]))\n"
        "figures = {'number': 0, 'effort': 1.0, 'seconds': 3.0}\n"
        "open(job['folder'] + '/efforts.jsonl', 'a').write(json.dumps(figures) + '\\n')\n"
        "sys.exit('out of memory')\n"
    )
    monkeypatch.setattr(graphs, "SCRIPT", script)
    child = children.Child(1, 60.0)
    bench = graphs.GraphBench(tmp_path / "none.npy", truth, 2, child, sys.executable, [])
    figures = bench.run("faiss-ivf", {"lists": 4}, [1.0, 2.0])
    assert figures["problem"] == "exit code 1: out of memory"
    assert figures["too_long"] is False
    assert figures["efforts"] == [{"effort": 1.0, "seconds": 3.0, "recall": 0.75}]


def test_a_process_that_takes_too_long_is_stopped_and_said_so() -> None:
    child = children.Child(1, 0.2)
    with pytest.raises(children.RunFailedError) as error:
        child.run([sys.executable, "-c", "import time; time.sleep(60)"])
    assert children.failure(error.value) == {"problem": "took more than 0.2 s", "too_long": True}


# --- Stages ---------------------------------------------------------------------------------------


def test_the_power_that_seconds_grow_with() -> None:
    assert stages.growth((1000, 2.0), (10_000, 200.0)) == pytest.approx(2.0)
    assert np.isnan(stages.growth((1000, 0.0), (10_000, 2.0)))
    entries = [
        {"key": {"rows": rows}, "problem": None, "stages": {"read": seconds}, "peak_mib": 10.0}
        for rows, seconds in ((4000, 9.0), (1000, 3.0))
    ]
    table = stages.describe(entries).splitlines()
    assert table[0].split() == ["stage", "1000", "4000", "^N"]
    # log 3 / log 4
    assert table[1].split() == ["read", "3.00", "9.00", "0.79"]


def test_reading_on_is_by_the_last_power_or_the_line(tmp_path: Path) -> None:
    record = records.Record.open(tmp_path, "stages", {}, anew=False)
    # The graph takes four times as long for twice the rows; "read" 0.1 s more for 500 000 more.
    for rows, graph, read in ((250_000, 1.0, 2.0), (500_000, 4.0, 2.1), (1_000_000, 16.0, 2.2)):
        timings = {"read": read, "k-NN graph": graph, stages.ELSE: 0.0}
        whole = {**timings, stages.WHOLE: read + graph}
        key = {"rows": rows, "options": ""}
        record.add(key, {"stages": whole, "peak_mib": rows / 1000})
    assert stages.read_on(record.entries, "k-NN graph", 10_000_000) == pytest.approx(1600.0)
    assert stages.read_on(record.entries, "read", 10_000_000) == pytest.approx(2.2 + 18 * 0.1)
    assert stages.read_on(record.entries[:1], "read", 500_000) == pytest.approx(4.0)
    # What took another way at the larger size is no power of N: in proportion from there.
    other_way = [record.entries[2], record.entries[1]]
    other_way[1] = {**other_way[1], "key": {"rows": 2_000_000, "options": ""}}
    assert stages.read_on(other_way, "k-NN graph", 6_000_000) == pytest.approx(12.0)
    _, table = pages.stages_tables(record)
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    by_name = {line[0]: line for line in cells}
    assert by_name["k-NN graph"][1:] == ["1.0", "4.0", "16.0", "2.00", "26.7 min", "44.4 h"]
    assert by_name["whole"][5] == "26.7 min"  # 1 604 s
    assert by_name["peak MiB"][1:] == ["250", "500", "1000", "1.00", "10000", "100000"]


@pytest.mark.parametrize(
    ("selected", "message"),
    [
        ("b\nb\n", "expected 2 different rows"),
        ("b\n", "expected 2 different rows"),
        ("b\nx\n", "1 selected rows are none of"),
    ],
)
def test_selected_lines_must_be_lines_of_the_pool(
    tmp_path: Path, selected: str, message: str
) -> None:
    (tmp_path / "pool").write_text("a\nb\nc\n")
    (tmp_path / "out").write_text("c\nb\n")
    stages.check_selected(tmp_path / "pool", tmp_path / "out", 2)
    (tmp_path / "out").write_text(selected)
    with pytest.raises(SystemExit, match=message):
        stages.check_selected(tmp_path / "pool", tmp_path / "out", 2)


# --- Overlap --------------------------------------------------------------------------------------


def test_neighbours_are_dropped_with_their_probability_and_the_rest_moves_up() -> None:
    rows = 2000
    indices = (np.arange(rows)[:, None] + np.arange(1, 41)) % rows
    similarities = np.tile(np.linspace(0.9, 0.5, 40, dtype=np.float32), (rows, 1))
    graph = overlaps.dropped(indices, similarities, 20, 0.8)
    assert graph.k == 20
    assert (np.diff(graph.similarities, axis=1) < 0).all()
    np.testing.assert_array_equal(
        graph.similarities, similarities[0][(graph.indices - np.arange(rows)[:, None]) % rows - 1]
    )
    # 20 000 draws: a standard deviation of 0.0028.
    assert overlaps.recall_of(graph, similarities[:, :20]) == pytest.approx(0.8, abs=0.015)
    whole = overlaps.dropped(indices, similarities, 20, 1.0)
    assert overlaps.recall_of(whole, similarities[:, :20]) == 1.0


def test_overlap_and_true_mean_of_the_best_rows() -> None:
    true = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    own, exact = np.array([9, 8, 7, 6]), np.array([9, 7, 5, 3])
    found = overlaps.compare_first(own, exact, 0.4, true)
    assert found == {"share": 0.4, "overlap": 0.5, "true_mean": 7.5}


# --- The rivals' script ---------------------------------------------------------------------------


def test_the_votes_are_of_the_neighbours_and_not_of_the_row() -> None:
    labels = np.array([0, 1, 1])
    ids, similarities = np.array([[1, 2], [0, 2], [0, 1]]), np.array([[0.9, 0.3]] * 3)
    found = rival.votes(labels, ids, similarities, 2)
    # Weights 3/4 and 1/4, half a smoothing to each level, then scaled to 1.
    smooth = rival.SMOOTHING / 2
    expected = (np.array([[0, 1], [0.75, 0.25], [0.75, 0.25]]) + smooth) / (1 + 2 * smooth)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_row_itself_is_no_neighbour_of_it() -> None:
    ids = np.array([[0, 2, 1], [2, 0, 1], [1, 0, 3]])
    left, similarities = rival.without_self(ids, ids / 10)
    assert left.tolist() == [[2, 1], [2, 0], [1, 0]]
    np.testing.assert_array_equal(similarities, left / 10)
