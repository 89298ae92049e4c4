"""The examples in docstrings run and give what they show."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ds2fast
from rating_process import rating_server


def _examples() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder()
    for found in pkgutil.walk_packages(ds2fast.__path__, "ds2fast."):
        module = importlib.import_module(found.name)
        yield from (test for test in finder.find(module) if test.examples)


EXAMPLES = {test.name: test for test in _examples()}


def _needs_encoder(test: doctest.DocTest) -> bool:
    return any("encoder_dir" in example.source for example in test.examples)


def _needs_server(test: doctest.DocTest) -> bool:
    return any("base_url=server" in example.source for example in test.examples)


def _run(test: doctest.DocTest, **given: Any) -> None:
    test.globs.update(given)
    report: list[str] = []
    failures, tried = doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    assert tried > 0
    assert failures == 0, "".join(report)


@pytest.mark.parametrize(
    "name",
    sorted(
        name
        for name, test in EXAMPLES.items()
        if not _needs_encoder(test) and not _needs_server(test)
    ),
)
def test_example(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # what an example writes
    _run(EXAMPLES[name])


@pytest.mark.parametrize(
    "name", sorted(name for name, test in EXAMPLES.items() if _needs_server(test))
)
def test_example_with_a_server(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS2FAST_RATINGS_DIR", str(tmp_path / "ratings"))
    with rating_server() as server:
        _run(EXAMPLES[name], server=server.base_url)


@pytest.mark.encoder
@pytest.mark.parametrize(
    "name", sorted(name for name, test in EXAMPLES.items() if _needs_encoder(test))
)
def test_example_with_the_encoder(
    name: str, encoder_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DS2FAST_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    _run(EXAMPLES[name], encoder_dir=encoder_dir)


@pytest.mark.parametrize(
    "name", [name for name in ds2fast.__all__ if inspect.isfunction(getattr(ds2fast, name))]
)
def test_every_public_function_has_an_example(name: str) -> None:
    function = getattr(ds2fast, name)
    assert f"{function.__module__}.{function.__qualname__}" in EXAMPLES
