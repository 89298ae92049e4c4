"""Pins of the lowest versions that a `pyproject.toml` allows, for pip to install.

    python scripts/lowest_versions.py pyproject.toml > lowest.txt

One `name==version` a line, for the dependencies of the package and of every extra: `make lowest`
runs the tests with these. A requirement that has no lower bound is an error.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version


def lowest_versions(project: dict[str, Any]) -> list[str]:
    """Pins for the table `[project]`; the highest, where several extras bound the same package.

    Parameters
    ----------
    project : dict
        With `name`, `dependencies` and `optional-dependencies`.

    Raises
    ------
    ValueError
        A requirement without a lower bound.

    Examples
    --------
    >>> extras = {"plot": ["matplotlib>=3.9"], "all": ["ours[plot]"]}
    >>> lowest_versions(
    ...     {"name": "ours", "dependencies": ["numpy>=2.0,<3"], "optional-dependencies": extras}
    ... )
    ['matplotlib==3.9', 'numpy==2.0']
    """
    extras = project.get("optional-dependencies", {}).values()
    lists = [project.get("dependencies", []), *extras]
    pins: dict[tuple[str, str], Version] = {}
    for requirement in (Requirement(text) for texts in lists for text in texts):
        # An extra may gather others of the same package, whose bounds are met where they stand.
        if canonicalize_name(requirement.name) != canonicalize_name(project["name"]):
            key, version = _named(requirement), _lowest(requirement)
            pins[key] = max(pins.get(key, version), version)
    return [f"{name}=={version}{marker}" for (name, marker), version in sorted(pins.items())]


def _named(requirement: Requirement) -> tuple[str, str]:
    """The package with extras of its own, and where it is needed at all."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return canonicalize_name(requirement.name) + extras, marker


def _lowest(requirement: Requirement) -> Version:
    bounds = [Version(s.version) for s in requirement.specifier if s.operator in (">=", "==", "~=")]
    if not bounds:
        raise ValueError(f"{requirement}: expected a lower bound (>=), got none")
    return max(bounds)


def main() -> int:
    """The command line: prints the pins and returns 0; 2 on wrong use."""
    if len(sys.argv) != 2:
        print("expected the path of a pyproject.toml", file=sys.stderr)
        return 2
    document = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print("\n".join(lowest_versions(document["project"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
