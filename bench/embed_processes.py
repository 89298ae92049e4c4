"""Runs one way of `bench_embed.py`, or makes one model, in a process of its own, threads pinned."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ds2fast.results import FloatArray
from embed_models import MODELS
from embed_ways import WAYS, Job
from knn_processes import environment_of, figures_in, pinned_to, run_process

DISTILLED = "static"
"""The one model that is ours: made anew each time, by our interpreter, and its seconds told."""

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Run:
    """What a process said of its run; `seconds` are those of all texts, the model loaded."""

    seconds: float
    load_seconds: float
    peak_mib: float
    version: str


@dataclass(frozen=True)
class Runner:
    """All that runs share: files, interpreters, and the limit of one process.

    `work` is a folder of this run alone; `models` keeps what was made of the checkpoint.
    """

    encoder: Path
    work: Path
    models: Path
    rival_python: str
    limit_seconds: float

    @property
    def texts(self) -> Path:
        """The file of the texts that warm up, and of those that are timed."""
        return self.work / "texts.json"

    def place(self, model: str) -> Path:
        """The folder of a model."""
        return (self.work if model == DISTILLED else self.models) / model

    def write_texts(self, warm: list[str], timed: list[str], calibration: list[str]) -> None:
        """Put them where the processes read them."""
        self.texts.write_text(json.dumps([warm, timed]))
        (self.work / "calibration.json").write_text(json.dumps(calibration))

    def make(self, model: str, threads: int) -> float | None:
        """Seconds that it took; None where it was there.

        Raises
        ------
        RunFailedError
            What makes it is not installed, or failed.
        """
        target = self.place(model)
        if target.is_dir():
            return None
        # Half a model must not be taken for one: it gets its name when it is whole.
        staged = target.with_name(f".{model}.{os.getpid()}")
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True)
        python = sys.executable if model == DISTILLED else self.rival_python
        calibration = str(self.work / "calibration.json")
        command = [python, str(_HERE / "embed_models.py"), model, str(self.encoder)]
        begun = time.perf_counter()
        try:
            self._run([*command, calibration, str(self.models), str(staged)], threads)
            staged.rename(target)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        return time.perf_counter() - begun

    def run(self, way: str, threads: int) -> Run:
        """Run it once.

        Raises
        ------
        RunFailedError
            It crashed, is not installed, or took too long.
        """
        model = WAYS[way].model
        models = self.models if model is None else self.place(model).parent
        vectors = self._file(way)
        vectors.unlink(missing_ok=True)
        job = Job(way, str(self.encoder), str(models), str(self.texts), str(vectors), threads)
        python = sys.executable if WAYS[way].ours else self.rival_python
        command = [python, str(_HERE / "embed_ways.py"), json.dumps(asdict(job))]
        said = self._run(command, threads)
        return Run(**figures_in(said))

    def vectors(self, way: str) -> FloatArray:
        """What its latest run wrote."""
        found: FloatArray = np.load(self._file(way))
        return found

    def _file(self, way: str) -> Path:
        return self.work / f"{way}.npy"

    def _run(self, command: list[str], threads: int) -> str:
        with pinned_to(threads):
            return run_process(command, environment_for(os.environ, threads), self.limit_seconds)


def environment_for(given: Mapping[str, str], threads: int) -> dict[str, str]:
    """The given variables, all thread pools pinned, nothing asked of the network."""
    return {
        **environment_of(given, threads, None),
        "RAYON_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "true",
        "HF_HUB_OFFLINE": "1",
    }


def models_needed(ways: list[str]) -> list[str]:
    """In the order in which they can be made: OpenVINO's int8 is made of the ONNX graph."""
    needed = {WAYS[way].model for way in ways}
    if "openvino-int8" in needed:
        needed.add("onnx")
    return [model for model in MODELS if model in needed]


def checkpoint_key(encoder: Path) -> str:
    """Names the checkpoint by its weights."""
    with (encoder / "model.safetensors").open("rb") as weights:
        return hashlib.file_digest(weights, "sha256").hexdigest()[:12]


def rotated(ways: list[str], turn: int, turns: int) -> list[str]:
    """The order of a round: over all rounds each way has early and late places."""
    begin = turn * len(ways) // turns
    return [*ways[begin:], *ways[:begin]]
