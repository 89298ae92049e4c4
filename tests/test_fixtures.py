"""Where tests look for the measuring data: a skip must not hide that a named place is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import find_shared_data


def _make_data(place: Path) -> Path:
    (place / "data").mkdir(parents=True)
    (place / "data" / "plant.py").write_text("")
    return place / "data"


def test_the_named_place_is_taken_first(tmp_path: Path) -> None:
    named = _make_data(tmp_path / "named")
    beside = _make_data(tmp_path / "beside")
    assert find_shared_data(str(tmp_path / "named"), tmp_path / "beside") == named
    assert find_shared_data(None, tmp_path / "beside") == beside


def test_a_wrong_name_fails(tmp_path: Path) -> None:
    _make_data(tmp_path / "beside")
    with pytest.raises(pytest.fail.Exception, match=r"DS2FAST_SHARED: .*nowhere"):
        find_shared_data(str(tmp_path / "nowhere"), tmp_path / "beside")


def test_nothing_named_and_nothing_there_skips(tmp_path: Path) -> None:
    with pytest.raises(pytest.skip.Exception, match="nowhere"):
        find_shared_data(None, tmp_path / "nowhere")
