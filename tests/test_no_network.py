"""No network: what is in the cache is used without a try to connect, what is missing is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ds2fast.embedding import embed
from encoder_fixtures import make_tiny_encoder
from waiting import PATIENCE

NAME = "somebody/tiny-encoder"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TEXTS = ["the frog sat on the mat", "stone", ""]

UNPLUGGED = """
import json, socket, sys

tries = []

def refuse(*arguments, **settings):
    tries.append(repr(arguments))
    raise OSError("the network is unplugged")

for owner, name in (
    (socket.socket, "connect"),
    (socket.socket, "connect_ex"),
    (socket.socket, "sendto"),
    (socket, "getaddrinfo"),
    (socket, "gethostbyname"),
):
    setattr(owner, name, refuse)

import ds2fast
from ds2fast.errors import ModelNotFoundError

settings = json.loads(sys.argv[1])
answer = {}
try:
    result = ds2fast.embed(**settings)
    answer["vectors"] = result.vectors.tolist()
    answer["num_run"] = result.num_run
except ModelNotFoundError as error:
    answer["error"] = str(error)
print(json.dumps(answer | {"tries": tries}))
"""


def run_unplugged(home: Path, **settings: Any) -> dict[str, Any]:
    """`embed` in a process whose every connection fails, with the hub's own cache in `home`."""
    unset = {"HF_HUB_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_OFFLINE"}
    environment = {key: value for key, value in os.environ.items() if key not in unset}
    environment |= {"HF_HOME": str(home), "DS2FAST_CACHE_DIR": str(home / "vectors")}
    done = subprocess.run(
        [sys.executable, "-c", UNPLUGGED, json.dumps({"texts": TEXTS, **settings})],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A cache of the hub's library that holds the tiny encoder."""
    repository = tmp_path / "home" / "hub" / f"models--{NAME.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    encoder = make_tiny_encoder(tmp_path / "tiny")
    shutil.copytree(encoder.directory, repository / "snapshots" / COMMIT)
    return tmp_path / "home"


@pytest.mark.parametrize("backend", ["native", "onnxruntime"])
def test_cached_model_runs_without_a_try_to_connect(
    home: Path, tmp_path: Path, backend: Any
) -> None:
    first = run_unplugged(home, model=NAME, backend=backend)
    assert (first["tries"], first["num_run"]) == ([], 3)
    local = embed(TEXTS, model=tmp_path / "tiny", cache_dir=False, backend=backend)
    assert first["vectors"] == pytest.approx(local.vectors, abs=1e-5)
    again = run_unplugged(home, model=NAME, backend=backend)
    assert (again["tries"], again["num_run"]) == ([], 0)
    assert again["vectors"] == first["vectors"]


def test_directory_runs_without_a_try_to_connect(home: Path, tmp_path: Path) -> None:
    answer = run_unplugged(home, model=str(tmp_path / "tiny"))
    assert (answer["tries"], answer["num_run"]) == ([], 3)


def test_missing_model_says_what_to_do(home: Path) -> None:
    answer = run_unplugged(home, model="somebody/else")
    assert answer["tries"]  # the hub is asked for what is not there: without this none is proven
    for word in ("somebody/else", str(home / "hub"), "could not be reached", "HF_HOME"):
        assert word in answer["error"]
    assert "pass a local directory that holds the encoder" in answer["error"]


def test_model_that_is_there_in_part_says_what_to_do(home: Path) -> None:
    next(home.rglob("model.safetensors")).unlink()
    answer = run_unplugged(home, model=NAME)
    assert answer["tries"]
    assert f"model '{NAME}': not, or not whole, in the Hugging Face cache" in answer["error"]
    assert "HF_HOME" in answer["error"]


def test_directory_that_is_not_there_asks_nobody(home: Path, tmp_path: Path) -> None:
    answer = run_unplugged(home, model=str(tmp_path / "nothing"))
    assert answer["tries"] == []
    assert "expected a directory" in answer["error"]
    assert "or a Hugging Face id (org/name)" in answer["error"]
