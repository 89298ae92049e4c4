"""The pins that `make lowest` installs, of the dependencies and of every extra."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "lowest_versions.py"


def lowest_versions(project: dict[str, Any]) -> list[str]:
    spec = importlib.util.spec_from_file_location("lowest_versions", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pins: list[str] = module.lowest_versions(project)
    return pins


def test_every_extra_is_pinned_however_its_list_is_laid_out(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(
        """
        [project]
        name = "our.package"
        dependencies = ["Num_Py >= 2.0, <3, != 2.0.1", "click>=8.2",
          "tqdm~=4.66.3"]
        [project.optional-dependencies]
        one = ["click>=8.10", "only-here==1.5 ; python_version < '3.13'"]
        two = [
          # a remark
          "farm[data,all]>=2.51",
        ]
        all = ["our-package[one,two]"]
        [dependency-groups]
        test = ["not-ours>=1"]
        """
    )
    done = subprocess.run(
        [sys.executable, SCRIPT, path], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "click==8.10",
        "farm[all,data]==2.51",
        "num-py==2.0",
        'only-here==1.5 ; python_version < "3.13"',
        "tqdm==4.66.3",
    ]


@pytest.mark.parametrize("requirement", ["numpy", "numpy<3", "numpy!=2.0", "numpy>2"])
def test_a_requirement_without_a_lower_bound_is_refused(requirement: str) -> None:
    with pytest.raises(ValueError, match=r"numpy.*: expected a lower bound \(>=\), got none"):
        lowest_versions({"name": "ours", "dependencies": [requirement]})


def test_all_that_the_package_may_need_is_pinned() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = document["project"]
    extras = project["optional-dependencies"]
    written = [*project["dependencies"], *(text for texts in extras.values() for text in texts)]
    pinned = [Requirement(pin) for pin in lowest_versions(project)]
    assert {one.name for one in pinned} == {Requirement(text).name for text in written}
    assert all(str(one.specifier).startswith("==") for one in pinned)
