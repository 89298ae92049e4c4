"""The packages that a report needs beyond ds2fast's own."""

from __future__ import annotations

from importlib.util import find_spec

from ds2fast.errors import MissingExtraError

PACKAGES = ("jinja2", "matplotlib")


def has_extra() -> bool:
    """Whether the packages of the extra `report` are installed."""
    return all(find_spec(name) is not None for name in PACKAGES)


def check_extra() -> None:
    """Refuse to begin without the packages of the extra `report`.

    Raises
    ------
    MissingExtraError
        One is not installed.
    """
    for name in PACKAGES:
        if find_spec(name) is None:
            raise MissingExtraError(
                f"a report needs the package {name}: pip install 'ds2fast[report]'"
            )
