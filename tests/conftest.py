"""Fixtures shared by all tests: where the measuring data and the real encoder are."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# A shell that starts us in the background has us ignore Ctrl-C, which some tests press.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says nothing on a machine that is shared.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the user's folders, nor finds what an earlier run kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DS2FAST_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("DS2FAST_RATINGS_DIR", str(tmp_path_factory.mktemp("ratings")))
        for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_VERSION"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The measuring data beside the checkout, or where `DS2FAST_SHARED` says that they are."""
    return find_shared_data(os.environ.get("DS2FAST_SHARED"), ROOT.parent / "shared")


def find_shared_data(named: str | None, beside: Path) -> Path:
    """The data's folder. Missing beside the checkout they are skipped, missing where named not."""
    shared = Path(named) if named else beside
    if not (shared / "data" / "plant.py").is_file():
        missing = f"the measuring data are not in {shared} (data/plant.py is looked for)"
        if named:
            pytest.fail(f"DS2FAST_SHARED: {missing}")
        pytest.skip(missing)
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
