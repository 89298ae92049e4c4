"""Fixtures shared by all tests: where the measuring data and the real encoder are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The measuring data beside the checkout (`DS2FAST_SHARED` may point elsewhere)."""
    shared = Path(os.environ.get("DS2FAST_SHARED", ROOT.parent / "shared"))
    if not (shared / "data" / "plant.py").is_file():
        pytest.skip(f"needs the measuring data, looked for in {shared}")
    return shared / "data"


@pytest.fixture(scope="session")
def encoder_dir() -> Path:
    """The real all-MiniLM-L6-v2 checkpoint, which `make` fetches; missing, the test fails."""
    encoder = Path(os.environ.get("DS2FAST_ENCODER", ROOT / ".cache" / "encoder"))
    if not (encoder / "model.safetensors").is_file():
        pytest.fail(
            f"the real encoder is not in {encoder}: run `python scripts/fetch_encoder.py {encoder}`"
        )
    return encoder
