"""The packages that rating needs beyond ds2fast's own."""

from __future__ import annotations

from importlib.util import find_spec

from ds2fast.errors import MissingExtraError


def check_extra() -> None:
    """Refuse to begin without the packages of the extra `rate`.

    Raises
    ------
    MissingExtraError
        One is not installed.
    """
    for name in ("openai", "json_repair"):
        if find_spec(name) is None:
            raise MissingExtraError(f"rating needs the package {name}: pip install 'ds2fast[rate]'")
