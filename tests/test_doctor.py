"""`ds2fast doctor` looks only on this machine, and says what it saw in lines that fit a page."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import NoReturn

import pytest
from huggingface_hub import constants

import ds2fast
from ds2fast.doctor import describe_examination, examine
from encoder_fixtures import make_tiny_encoder

NAME = "tiny-org/tiny-encoder"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        pytest.fail("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return cache


def fill(cache: Path) -> Path:
    """A snapshot of a whole encoder, laid out as the hub's library does."""
    repository = cache / f"models--{NAME.replace('/', '--')}"
    revision = "0123456789abcdef0123456789abcdef01234567"
    make_tiny_encoder(repository / "snapshots" / revision)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    return repository / "snapshots" / revision


def test_an_encoder_in_the_cache_is_found(hub_cache: Path) -> None:
    snapshot = fill(hub_cache)
    encoder = examine(NAME)["encoder"]
    assert encoder["found"] is True
    assert encoder["revision"] == snapshot.name
    assert encoder["max_tokens"] == 16  # as make_tiny_encoder writes it


def test_an_encoder_that_is_not_here_is_not_downloaded(hub_cache: Path) -> None:
    encoder = examine(NAME)["encoder"]
    assert encoder["found"] is False
    assert encoder["problem"] == "not on this machine; `select` would download it"
    assert list(hub_cache.iterdir()) == []


def test_a_part_of_an_encoder_is_not_completed(hub_cache: Path) -> None:
    snapshot = fill(hub_cache)
    (snapshot / "model.safetensors").unlink()
    problem = examine(NAME)["encoder"]["problem"]
    assert "only a part of it" in problem
    assert str(snapshot) in problem


def test_offline_says_what_forbids_the_download(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE forbids" in examine(NAME)["encoder"]["problem"]


def test_a_directory_is_looked_into(tmp_path: Path) -> None:
    directory = make_tiny_encoder(tmp_path / "encoder").directory
    assert examine(str(directory))["encoder"]["found"] is True
    shutil.rmtree(directory)
    assert "nothing there" in examine(str(directory))["encoder"]["problem"]


def test_no_line_is_wider_than_a_page(hub_cache: Path) -> None:
    for model in (NAME, "./nowhere", "one/name/too/many"):
        said = describe_examination(examine(model))
        assert "not usable" in said
        assert max(len(line) for line in said.splitlines()) <= 100


def test_the_machine_is_described() -> None:
    findings = examine("./nowhere")
    said = describe_examination(findings)
    build = ds2fast.build_info()
    for word in (ds2fast.__version__, build["simd_level"], f"{build['threads']} threads", "GiB"):
        assert word in said
    unknown = describe_examination({**findings, "memory_gib": None})
    assert "memory unknown" in unknown
