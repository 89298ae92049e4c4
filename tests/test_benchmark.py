"""`ds2fast bench`: what it compares, what it times, and how it says so."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np
import pytest

from ds2fast import benchmark, reference
from ds2fast.benchmark import (
    GRAPH_WIDTH,
    ResultsDifferError,
    describe_measurements,
    format_seconds,
    make_rows,
    measure,
    search_plainly,
)
from ds2fast.errors import InputError

STAGES = [
    "k-NN graph",
    "k-NN graph, BLAS",
    "sharing counts",
    "neighbours' beliefs",
    "counts + EM",
    "SimiFeat (51 rounds)",
    "long tail",
    "dual sort",
]


def test_every_stage_is_compared_and_timed() -> None:
    measured = measure(200, 16, threads=2)
    assert (measured["rows"], measured["dimensions"], measured["threads"]) == (200, 16, 2)
    assert [one["stage"] for one in measured["stages"]] == STAGES
    for one in measured["stages"]:
        assert one["checked"]
        assert one["scaled_from"] is None
        assert one["ratio"] == pytest.approx(one["numpy_seconds"] / one["native_seconds"])


def test_a_search_on_a_sample_is_scaled_and_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "MAX_PLAIN_ROWS", 150)
    monkeypatch.setattr(benchmark, "PLAIN_SEARCHES", 20)
    seen: list[int] = []

    def timed(call: Any) -> tuple[Any, float]:
        result = call()
        if isinstance(result, tuple) and len(result[0]) == 20:
            seen.append(20)
            return result, 3.0
        return result, 1.0

    monkeypatch.setattr(benchmark, "_timed", timed)
    measured = measure(200, 16)
    assert seen == [20]
    search = measured["stages"][0]
    assert search["numpy_seconds"] == 3.0 * 200 / 20
    assert search["scaled_from"] == 20
    assert "of 20 rows" in search["checked"]
    assert "* NumPy timed on 20 of 200 rows, and scaled to all" in describe_measurements(measured)


def test_the_sampled_search_is_the_reference() -> None:
    rows, _ = make_rows(300, 12, seed=3)
    doubles = rows.astype(np.float64)
    chosen = np.array([250, 3, 17])
    ids, similarities = search_plainly(
        doubles, np.sqrt((doubles * doubles).sum(axis=1)), chosen, GRAPH_WIDTH
    )
    expected_ids, expected = reference.knn_graph(rows, GRAPH_WIDTH)
    assert np.array_equal(ids, expected_ids[chosen])
    assert np.array_equal(similarities, expected[chosen])


def test_the_search_in_blocks_finds_the_neighbours() -> None:
    rows, _ = make_rows(230, 12, seed=4)
    ids = benchmark.search_in_blocks(rows, 5, block=100)
    expected, _ = reference.knn_graph(rows, 5)
    assert np.array_equal(np.sort(ids, axis=1), np.sort(expected, axis=1))


def _wrong_graph(*arguments: Any, **options: Any) -> Any:
    graph = RIGHT["knn_graph"](*arguments, **options)
    return dataclasses.replace(graph, indices=np.roll(graph.indices, 1, axis=0))


def _wrong_estimate(*arguments: Any, **options: Any) -> Any:
    estimate = RIGHT["estimate_transition_matrix"](*arguments, **options)
    return dataclasses.replace(estimate, transition_matrix=estimate.transition_matrix + 1e-3)


def _wrong_curation(*arguments: Any, **options: Any) -> Any:
    curation = RIGHT["curate_scores"](*arguments, **options)
    scores = curation.scores.copy()
    scores[7] = (scores[7] + 1) % 6
    return dataclasses.replace(curation, scores=scores)


def _wrong_rarity(*arguments: Any, **options: Any) -> Any:
    return RIGHT["long_tail_scores"](*arguments, **options) + np.float32(1e-5)


def _wrong_order(*arguments: Any, **options: Any) -> Any:
    return RIGHT["dual_sort"](*arguments, **options)[::-1]


def _wrong_counts(*arguments: Any) -> Any:
    triples = RIGHT["count_sharing"](*arguments)
    counts = triples.counts.copy()
    counts[0, 0, 0, 0] += 1
    return dataclasses.replace(triples, counts=counts)


def _wrong_beliefs(*arguments: Any) -> Any:
    return RIGHT["neighbour_beliefs"](*arguments)[:, ::-1]


WRONG = {
    "count_sharing": (_wrong_counts, "sharing counts"),
    "neighbour_beliefs": (_wrong_beliefs, "neighbours' beliefs"),
    "knn_graph": (_wrong_graph, "k-NN graph"),
    "estimate_transition_matrix": (_wrong_estimate, "counts"),
    "curate_scores": (_wrong_curation, "SimiFeat"),
    "long_tail_scores": (_wrong_rarity, "long tail"),
    "dual_sort": (_wrong_order, "dual sort"),
}
RIGHT = {name: getattr(benchmark, name) for name in WRONG}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_wrong_result_gets_no_time(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    wrong, stage = WRONG[name]
    monkeypatch.setattr(benchmark, name, wrong)
    with pytest.raises(ResultsDifferError, match=f"^{stage}.*: expected the results of reference"):
        measure(200, 16)


def test_no_stage_draws_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Drawing takes time, which would be measured as the stage's.
    listeners: list[Any] = []
    monkeypatch.setattr(
        "ds2fast.progress.Reporter._draw", lambda *arguments: listeners.append(arguments)
    )
    monkeypatch.setattr("ds2fast.progress._stderr_is_terminal", lambda: True)
    measure(200, 16)
    assert listeners == []
    assert capsys.readouterr().err == ""


def test_short_stages_count_with_their_best_run(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("ds2fast.benchmark.time.perf_counter", lambda: clock[0])
    pauses = iter([0.05, 0.01, 0.05, 0.05, 0.05])
    _, best = benchmark._timed(lambda: clock.append(clock.pop() + next(pauses)))
    assert best == pytest.approx(0.01)
    assert list(pauses) == []  # five runs


def test_long_stages_run_once() -> None:
    runs: list[int] = []

    def slow() -> None:
        runs.append(1)
        time.sleep(0.55)

    assert benchmark._timed(slow)[1] >= 0.55
    assert len(runs) == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (349.2, "349 s"),
        (12.34, "12.3 s"),
        (1.0, "1.00 s"),
        (0.99996, "1.00 s"),
        (0.1724, "172 ms"),
        (0.00999, "9.99 ms"),
        (0.000585, "585 µs"),
        (3.2e-7, "0.32 µs"),
    ],
)
def test_seconds_have_three_digits_and_a_unit(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("rows", "dimensions", "message"),
    [
        (99, 16, "num_rows: expected at least 100, got 99"),
        (100, 1, "dimensions: expected at least 2"),
    ],
)
def test_too_little_to_measure(rows: int, dimensions: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure(rows, dimensions)
