"""The extension and what is said of it: its stub and its version."""

from __future__ import annotations

import ast
import operator
import re
from pathlib import Path

import pytest

import ds2fast
from ds2fast import _core

STUB = ast.parse((Path(ds2fast.__file__).parent / "_core.pyi").read_text())
FUNCTIONS = {node.name: node for node in STUB.body if isinstance(node, ast.FunctionDef)}
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
METHODS = {
    f"{name}.{method.name}": method
    for name, stub in CLASSES.items()
    for method in stub.body
    if isinstance(method, ast.FunctionDef) and not method.decorator_list
}


def test_the_stub_names_just_what_the_extension_has() -> None:
    native = {name for name in dir(_core) if not name.startswith("_")}
    assert native == set(FUNCTIONS) | set(CLASSES)
    for name, stub in CLASSES.items():
        named = {member.name for member in stub.body if isinstance(member, ast.FunctionDef)}
        assert {member for member in vars(getattr(_core, name)) if member[0] != "_"} == named - {
            "__init__"
        }


@pytest.mark.parametrize("name", sorted(FUNCTIONS | METHODS))
def test_arguments_of_the_stub_are_those_of_the_extension(name: str) -> None:
    documented = operator.attrgetter(name)(_core).__doc__ or ""
    signature = documented.splitlines()[0]
    arguments = re.findall(r"(\w+): ", signature[: signature.index(" -> ")])
    stub = (FUNCTIONS | METHODS)[name].args
    assert arguments == [argument.arg for argument in [*stub.args, *stub.kwonlyargs]]


def test_one_version() -> None:
    assert _core.__version__ == ds2fast.__version__
    assert ds2fast.build_info()["version"] == ds2fast.__version__


def test_build_info_says_what_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS2FAST_SIMD", "baseline")
    info = ds2fast.build_info()
    assert info["simd_level"] == "baseline"
    assert "baseline" in info["simd_levels"]
    assert info["threads"] >= 1


def test_every_public_name_is_there_and_documented() -> None:
    for name in ds2fast.__all__:
        value = getattr(ds2fast, name)
        assert isinstance(value, str) or value.__doc__, name
