"""The examples run as a user would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

EXAMPLES = sorted(
    path.name
    for path in (ROOT / "examples").glob("*.py")
    if "__main__" in path.read_text() and path.name not in {"demo.py", "make_pool.py"}
)  # `make demo` is the first, and writing its pool has tests of its own

pytestmark = pytest.mark.encoder


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("examples")


def run_example(name: str, encoder: Path, output: Path) -> str:
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / name), "--rows", "400"]
    command += ["--encoder", str(encoder), "--output", str(output)]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_run_here() -> None:
    assert EXAMPLES == ["against_controls.py", "chat_to_trainer.py", "frames.py"]


def test_chat_to_trainer(encoder_dir: Path, output: Path) -> None:
    said = run_example("chat_to_trainer.py", encoder_dir, output)
    files = said.rsplit("files: ", 1)[1].strip().split(", ")
    assert {"selected.jsonl", "control_random.jsonl", "report.html", "trl.yaml"} <= set(files)
    assert len((output / "selection" / "selected.jsonl").read_text().splitlines()) == 40


def test_frames(encoder_dir: Path, output: Path) -> None:
    said = run_example("frames.py", encoder_dir, output)
    assert "score" in said
    assert "shape: (" in said


def test_against_controls(encoder_dir: Path, output: Path) -> None:
    said = run_example("against_controls.py", encoder_dir, output)
    lines = [line.split() for line in said.splitlines() if line.startswith("  ")]
    means = {words[0]: float(words[1]) for words in lines}
    assert set(means) == {"selected", "control_longest", "control_random", "control_top_given"}
    assert means["selected"] > means["control_random"]
    assert said.splitlines()[-1] == "30 rows without near copies"
