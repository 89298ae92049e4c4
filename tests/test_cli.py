"""The command line as a user runs it: exit codes, what goes to stdout, stderr and files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import ds2fast
from ds2fast.cli import main

TOPICS = ("bread", "planets", "SQL joins", "roses", "chess", "violins")


def write_pool(path: Path, *, rows: int = 60) -> list[str]:
    lines = [
        json.dumps(
            {
                "instruction": f"Explain {TOPICS[i % 6]} to me, question {i}.",
                "output": f"Here is what {TOPICS[i % 6]} means. " * (1 + i % 3),
                "score": (i % 6 + (i % 7 == 0)) % 6,
            }
        )
        for i in range(rows)
    ]
    path.write_text("\n".join(lines) + "\n")
    return lines


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.encoder
def test_select_writes_rows_scores_and_manifest(tmp_path: Path, encoder_dir: Path) -> None:
    lines = write_pool(tmp_path / "pool.jsonl")
    out = tmp_path / "out"
    result = run(
        "select", tmp_path / "pool.jsonl", "-n", 10, "-o", out, "--model", encoder_dir,
        "--cache-dir", tmp_path / "cache",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    assert "Transition matrix T" in result.stderr
    assert "selected 10 rows" in result.stderr
    chosen = (out / "selected.jsonl").read_text().splitlines()
    assert len(chosen) == 10
    assert set(chosen) <= set(lines)
    assert pq.read_table(out / "scores.parquet").num_rows == 60
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["encoder"]["weights_sha256"].startswith("53aa5117")
    assert manifest["input"]["path"] == str(tmp_path / "pool.jsonl")


@pytest.mark.encoder
def test_quiet_json_prints_json_alone(tmp_path: Path, encoder_dir: Path) -> None:
    write_pool(tmp_path / "pool.jsonl")
    result = run(
        "select", tmp_path / "pool.jsonl", "--fraction", 0.5, "-o", tmp_path / "out", "-q",
        "--json", "--model", encoder_dir, "--cache-dir", tmp_path / "cache",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    assert json.loads(result.stdout)["selection"]["rows"] == 30


@pytest.mark.encoder
def test_diagnose_prints_t(tmp_path: Path, encoder_dir: Path) -> None:
    write_pool(tmp_path / "pool.jsonl")
    arguments = (tmp_path / "pool.jsonl", "--model", encoder_dir, "--cache-dir", tmp_path / "cache")
    result = run("diagnose", *arguments)
    assert result.exit_code == 0, result.stderr
    assert "Transition matrix T" in result.stdout
    assert "by chance" in result.stdout
    as_json = run("diagnose", *arguments, "--json", "-q")
    matrix = np.array(json.loads(as_json.stdout)["transition"]["transition_matrix"])
    assert np.allclose(matrix.sum(axis=1), 1)


@pytest.mark.encoder
def test_doctor_finds_the_encoder(encoder_dir: Path) -> None:
    result = run("doctor", "--model", encoder_dir)
    assert result.exit_code == 0
    assert "found" in result.stdout
    assert "SIMD level" in result.stdout


def test_doctor_says_what_is_missing() -> None:
    result = run("doctor", "--model", "./nowhere", "--json")
    assert result.exit_code == 0
    encoder = json.loads(result.stdout)["encoder"]
    assert encoder["found"] is False
    assert "nowhere" in encoder["problem"]


def test_bench_checks_and_prints_ratios() -> None:
    result = run("bench", "-n", 300, "-d", 16, "--threads", 2, "--json")
    assert result.exit_code == 0, result.output
    measured = json.loads(result.stdout)
    assert [one["stage"] for one in measured["stages"]] == [
        "k-NN graph", "counts + EM", "curation (51 rounds)", "long tail", "dual sort",
    ]  # fmt: skip
    assert all(one["ratio"] > 0 and one["checked"] for one in measured["stages"])
    assert "ratio" in run("bench", "-n", 300, "-d", 16).stdout


def test_bench_refuses_what_it_cannot_measure() -> None:
    result = run("bench", "-k", 99)
    assert result.exit_code == 2
    assert "k: expected at most 14, got 99" in result.stderr


def error_of(result: Result, code: int) -> str:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    return result.stderr


@pytest.mark.encoder
@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ('{"text": "a", "score": 1}\n{broken\n', ("-n", 1), "line 2"),
        ('{"a": 1, "score": 1}\n', ("-n", 1), "fields seen"),
        ('{"text": "a"}\n{"text": "b"}\n', ("-n", 1), "score"),
        ('{"text": "a", "score": "good"}\n', ("-n", 1), "good"),
        ('{"text": "a", "score": 1}\n{"text": "b", "score": 2}\n', ("-n", 1), "k: expected fewer"),
        ("", ("-n", 1), "at least one row"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(
    tmp_path: Path, encoder_dir: Path, content: str, arguments: tuple[Any, ...], message: str
) -> None:
    (tmp_path / "pool.jsonl").write_text(content)
    out = tmp_path / "out"
    result = run("select", tmp_path / "pool.jsonl", "-o", out, "--model", encoder_dir, *arguments)
    assert message in error_of(result, 2)
    assert not out.exists()


@pytest.mark.encoder
def test_a_missing_file_is_named(tmp_path: Path, encoder_dir: Path) -> None:
    result = run("select", tmp_path / "no.jsonl", "-n", 1, "-o", tmp_path / "o",
                 "--model", encoder_dir)  # fmt: skip
    assert "no.jsonl" in error_of(result, 2)


def test_a_missing_model_says_what_to_do(tmp_path: Path) -> None:
    write_pool(tmp_path / "pool.jsonl")
    result = run("select", tmp_path / "pool.jsonl", "-n", 1, "-o", tmp_path / "o",
                 "--model", tmp_path / "no_model")  # fmt: skip
    assert "no_model" in error_of(result, 2)


def test_a_directory_with_files_of_others_is_refused_at_once(tmp_path: Path) -> None:
    write_pool(tmp_path / "pool.jsonl")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    result = run("select", tmp_path / "pool.jsonl", "-n", 1, "-o", tmp_path / "out",
                 "--overwrite", "--model", "./nowhere")  # fmt: skip
    assert "notes.txt" in error_of(result, 2)


def test_wrong_use_of_options_is_exit_code_2(tmp_path: Path) -> None:
    assert run("select", "x.jsonl", "-o", "out", "--no-such-option").exit_code == 2
    assert run("select", "x.jsonl").exit_code == 2


def test_version_and_help() -> None:
    assert ds2fast.__version__ in run("--version").stdout
    for command in ("select", "diagnose", "doctor", "bench"):
        assert command in run("--help").stdout
        assert "Usage" in run(command, "-h").stdout


@pytest.mark.encoder
def test_the_installed_program_runs(tmp_path: Path, encoder_dir: Path) -> None:
    write_pool(tmp_path / "pool.jsonl")
    program = Path(sys.executable).parent / "ds2fast"
    done = subprocess.run(
        [program, "select", tmp_path / "pool.jsonl", "-n", "5", "-o", tmp_path / "out",
         "--model", encoder_dir],
        env={**os.environ, "DS2FAST_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "selected.jsonl").read_text().count("\n") == 5
