"""The benchmark of embedding: it refuses wrong vectors, and counts and compares as it says."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bench_modules import bench_module

Floats = npt.NDArray[np.float32]


batches = bench_module("embed_batches")
processes = bench_module("embed_processes")
tables = bench_module("embed_table")
truths = bench_module("embed_truth")
ways = bench_module("embed_ways")
bench_embed = bench_module("bench_embed")


# --- Batches --------------------------------------------------------------------------------------


def test_batches_are_sorted_and_keep_to_the_budget() -> None:
    tokens = [[1] * length for length in (2, 9, 3, 1, 3)]
    assert list(batches.sorted_batches(tokens, 6)) == [[1], [2, 4], [0, 3]]


def test_a_batch_is_padded_to_its_longest_text() -> None:
    found = batches.padded([[5, 6, 7], [8]])
    assert found["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert found["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert found["token_type_ids"].tolist() == [[0, 0, 0], [0, 0, 0]]


def test_the_mean_counts_no_padding() -> None:
    hidden = np.array([[[2.0, 8.0], [4.0, 0.0]], [[0.0, 5.0], [99.0, 99.0]]], np.float32)
    found = batches.mean_unit(hidden, [[1, 2], [3]])
    np.testing.assert_allclose(found, [[0.6, 0.8], [0.0, 1.0]], rtol=1e-6)  # means (3, 4), (0, 5)


@pytest.mark.parametrize("workers", [1, 3])
def test_sorted_texts_come_back_in_their_own_order(workers: int) -> None:
    tokens = [[1], [2, 2, 2], [3, 3], [4, 4, 4, 4]]

    def hidden(batch: list[list[int]]) -> Floats:
        angles = batches.padded(batch)["input_ids"].astype(np.float32)
        return np.stack([np.cos(angles), np.sin(angles)], axis=2)

    found = batches.run_sorted(tokens, hidden, 4, workers)
    np.testing.assert_allclose(np.arctan2(found[:, 1], found[:, 0]), [1, 2, 3, 4 - 2 * np.pi])


# --- What vectors are worth -----------------------------------------------------------------------


def test_the_shared_share_is_a_mean_over_rows() -> None:
    expected = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    found = np.array([[4, 3, 9, 8], [8, 7, 6, 5]])
    assert truths.shared_share(expected, found) == (2 / 4 + 4 / 4) / 2


def unit_rows(seed: int, rows: int = 120, width: int = 16) -> Floats:
    drawn = np.random.default_rng(seed).standard_normal((rows, width))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


@pytest.fixture
def levels() -> npt.NDArray[np.int64]:
    return np.random.default_rng(1).integers(0, 6, 120)


@pytest.fixture
def truth(levels: npt.NDArray[np.int64]) -> Any:
    return truths.Truth.find(unit_rows(0), levels)


def test_neighbours_are_those_of_brute_force(truth: Any) -> None:
    cosines = truth.vectors.astype(np.float64) @ truth.vectors.T.astype(np.float64)
    np.fill_diagonal(cosines, -2)
    best = np.argsort(-cosines, axis=1)[:, :10]
    assert [set(row) for row in truth.neighbours.tolist()] == [set(row) for row in best.tolist()]


def test_the_same_vectors_are_worth_all(truth: Any) -> None:
    verdict = truth.judge(truth.vectors, 0.9999)
    assert (verdict.overlap, verdict.selection) == (1.0, 1.0)
    assert verdict.mean_cosine == pytest.approx(1.0, abs=1e-6)
    assert len(truth.selected) == 3  # 3.3 % of 120, rounded down


def test_a_turned_space_keeps_neighbours_and_has_no_cosine(truth: Any) -> None:
    turned = truth.vectors[:, ::-1] * np.float32(-1)
    verdict = truth.judge(turned, 0.0)
    assert (verdict.mean_cosine, verdict.least_cosine) == (None, None)
    assert (verdict.overlap, verdict.selection) == (1.0, 1.0)


def test_cosines_are_those_of_the_same_text(truth: Any) -> None:
    vectors = truth.vectors.copy()
    vectors[3] = -vectors[3]
    verdict = truth.judge(vectors, 0.95)
    assert verdict.mean_cosine == pytest.approx(118 / 120, abs=1e-6)
    assert verdict.least_cosine == pytest.approx(-1, abs=1e-6)
    assert verdict.overlap < 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda v: v[::-1], "expected a mean cosine of 0.99", id="another order"),
        pytest.param(lambda v: v[:-1], r"expected 120 vectors, got .* \(119, 16\)", id="one less"),
        pytest.param(lambda v: v * 1.001, "norm 1, got one that is off by 0.001", id="not unit"),
        pytest.param(lambda v: v * np.nan, "norm 1, got one that is off by nan", id="no numbers"),
        pytest.param(lambda v: np.eye(120), r"shape \(120, 16\), got \(120, 120\)", id="width"),
    ],
)
def test_wrong_vectors_are_refused(truth: Any, change: Any, message: str) -> None:
    with pytest.raises(truths.WrongVectorsError, match=message):
        truth.judge(change(truth.vectors), 0.99)


# --- Ratios and the front -------------------------------------------------------------------------


def measured(way: str, seconds: list[float], overlap: float = 1.0) -> Any:
    runs = {turn: processes.Run(took, 0.0, 1.0, "1") for turn, took in enumerate(seconds)}
    return tables.Measured(way, runs, truths.Verdict(1.0, 1.0, overlap, 1.0))


def test_ratios_are_taken_within_a_round() -> None:
    slow, fast = measured("sentence-transformers", [8.0, 30.0]), measured("ours-fp32", [4.0, 10.0])
    assert fast.ratios(slow) == [2.0, 3.0]
    del fast.runs[0]
    assert fast.ratios(slow) == [3.0]


def test_a_rival_is_beside_the_fastest_of_ours_that_keeps_as_many_neighbours() -> None:
    found = tables.against_front(
        [
            measured("ours-fp32", [10.0, 20.0], 0.9999),
            measured("ours-int8", [2.0, 4.0], 0.95),
            measured("ours-static", [0.1, 0.1], 0.5),
            measured("openvino", [8.0, 16.0], 1.0),  # 0.0001 more than ours: as many
            measured("openvino-int8", [2.5, 5.0], 0.94),
            measured("st-onnx-int8", [1.0, 2.0], 0.952),  # more than our int8 keeps
            measured("st-onnx", [20.0, 40.0], 1.0),
        ]
    )
    assert [(one.rival, one.ours, one.too_far) for one in found] == [
        ("st-onnx-int8", "ours-fp32", True),
        ("openvino", "ours-fp32", True),
        ("openvino-int8", "ours-int8", False),
        ("st-onnx", "ours-fp32", False),
    ]
    assert [one.share for one in found] == pytest.approx([9.0, 0.25, -0.2, -0.5])
    said = tables.describe_front(found)
    assert said == (
        "front: 2 of 4 rivals lie beyond ours: st-onnx-int8: 900% faster than ours-fp32; "
        "openvino: 25% faster than ours-fp32"
    )


def test_a_rival_that_keeps_more_neighbours_than_any_of_ours_is_beyond() -> None:
    rows = [measured("ours-int8", [1.0], 0.95), measured("ctranslate2-int8", [9.0], 0.96)]
    (found,) = tables.against_front(rows)
    assert (found.ours, found.share, found.too_far) == (None, None, True)
    assert "no way of ours keeps as many neighbours" in tables.describe_front([found])


def test_a_front_that_holds_names_the_nearest_rival() -> None:
    rows = [
        measured("ours-bf16", [10.0], 0.99),
        measured("openvino-bf16", [9.8], 0.99),
        measured("st-torch-bf16", [12.0], 0.99),
    ]
    said = tables.describe_front(tables.against_front(rows))
    assert said == (
        "front: none of 2 rivals lies 5% beyond ours; openvino-bf16: 2% faster than ours-bf16"
    )


def test_without_ours_no_front_is_told() -> None:
    assert tables.against_front([measured("openvino", [1.0])]) == []
    assert "not told" in tables.describe_front([])


def test_each_way_has_early_and_late_places() -> None:
    orders = [processes.rotated(["a", "b", "c", "d"], turn, 2) for turn in range(2)]
    assert orders == [["a", "b", "c", "d"], ["c", "d", "a", "b"]]


# --- Processes ------------------------------------------------------------------------------------


def test_threads_are_pinned_and_the_network_is_off() -> None:
    found = processes.environment_for({"HOME": "h", "OMP_NUM_THREADS": "9"}, 2)
    assert found["HOME"] == "h"
    assert {found["OMP_NUM_THREADS"], found["MKL_NUM_THREADS"], found["RAYON_NUM_THREADS"]} == {"2"}
    assert found["HF_HUB_OFFLINE"] == "1"


def test_what_a_model_is_made_of_is_made_before_it() -> None:
    assert processes.models_needed(["openvino-int8", "ours-int8"]) == ["onnx", "openvino-int8"]
    assert processes.models_needed(["ours-fp32", "sentence-transformers"]) == []


STAND_INS = {
    "torch": "float32, bfloat16 = 'f', 'b'\nset_num_threads = int\n",
    "sentence_transformers": """
import zlib
import numpy as np

class SentenceTransformer:
    def __init__(self, directory, device, model_kwargs):
        self.wrong = model_kwargs["torch_dtype"] == "b"

    def encode(self, texts, normalize_embeddings, show_progress_bar):
        seeds = [zlib.crc32(text.encode()) + self.wrong for text in texts]
        return np.array([np.random.default_rng(seed).standard_normal(8) for seed in seeds])
""",
    "fastembed": "import os\nos.abort()\n",
}


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Of stand-ins for the rivals: one is right, one gives other vectors, one crashes."""
    for name, source in STAND_INS.items():
        (tmp_path / f"{name}.py").write_text(source)
        about = tmp_path / f"{name}-7.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 7\n")
    (tmp_path / "config.json").write_text('{"hidden_size": 8}')
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    runner = processes.Runner(tmp_path, tmp_path, tmp_path / "models", sys.executable, 60.0)
    runner.write_texts(["warm"], [f"text {row}" for row in range(120)], [])
    return runner


def test_a_rival_that_is_wrong_or_fails_is_a_row_that_says_so(
    runner: Any, levels: npt.NDArray[np.int64], capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["sentence-transformers", "st-torch-bf16", "fastembed"]
    found = bench_embed.measure(runner, names, levels, 1, 2, {})
    reference, wrong, crashed = found[1]
    assert sorted(reference.runs) == [0, 1]
    assert reference.verdict.overlap == 1.0
    assert all(run.seconds > 0 and run.version == "7" for run in reference.runs.values())
    assert wrong.problem.startswith("wrong vectors: expected a mean cosine of 0.999 or more")
    assert crashed.problem.startswith("ended by SIGABRT")
    result: dict[str, Any] = {"threads": []}
    assert bench_embed.tell(found, 120, 480, 1, result)  # none of ours, so none that is wrong
    lines = capsys.readouterr().out.splitlines()
    assert "wrong vectors" in next(line for line in lines if line.startswith("st-torch-bf16"))
    assert "SIGABRT" in next(line for line in lines if line.startswith("fastembed"))
    (told,) = json.loads(json.dumps(result))["threads"]
    assert [row["problem"] is None for row in told["ways"]] == [True, False, False]


def test_ours_that_fails_is_told_by_the_exit_code(
    runner: Any, levels: npt.NDArray[np.int64], capsys: pytest.CaptureFixture[str]
) -> None:
    found = bench_embed.measure(
        runner, ["sentence-transformers", "ours-static"], levels, 1, 1, {"static": "no model: gone"}
    )
    assert not bench_embed.tell(found, 120, 480, 1, {"threads": []})
    assert "no model: gone" in capsys.readouterr().out


def test_a_reference_that_fails_ends_everything(
    runner: Any, levels: npt.NDArray[np.int64], tmp_path: Path
) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')\n")
    with pytest.raises(SystemExit, match=r"which all is compared with: .*no torch here"):
        bench_embed.measure(runner, ["sentence-transformers"], levels, 1, 1, {})


def test_a_model_that_cannot_be_made_leaves_nothing_behind(runner: Any) -> None:
    with pytest.raises(bench_embed.RunFailedError):
        runner.make("onnx", 1)  # the stand-in has no exporter
    assert list(runner.models.iterdir()) == []
