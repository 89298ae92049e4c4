"""The runs of the quality bench, kept in a file, so that a run that is stopped can be resumed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import ds2fast
from ds2fast import _core
from ds2fast.io.atomic import atomic_file
from quality_figures import Figures, means
from quality_goals import Means
from quality_regimes import Regime

Runs = dict[str, dict[str, dict[str, Figures]]]
"""Figures by the regime's name, the seed and the way."""


class Record:
    """Figures of every regime, seed and way; written as a whole after each regime.

    Parameters
    ----------
    path : Path or None
        The file, which need not be there yet; None keeps nothing.
    settings : dict
        What figures depend on beside regime, seed and way. A file of other settings is refused.
    """

    def __init__(self, path: Path | None, settings: dict[str, Any]) -> None:
        self.path = path
        self.settings = settings
        self.runs: Runs = {}
        if path is not None and path.exists():
            self._read(path)

    def _read(self, path: Path) -> None:
        try:
            found = json.loads(path.read_text())
            kept, runs = found["settings"], found["runs"]
        except (ValueError, KeyError, TypeError) as error:
            raise SystemExit(f"--json: expected a file of this bench, got {path}") from error
        for name, value in self.settings.items():
            if kept.get(name) != value:
                raise SystemExit(
                    f"--json: {path} holds runs of {name} {kept.get(name)!r}, these are of "
                    f"{value!r}; name another file, or remove this one"
                )
        self.runs = runs

    def missing(self, regime: Regime, seed: int, ways: list[str]) -> list[str]:
        """Those of the ways that have no figures yet."""
        kept = self._of(regime, seed)
        return [way for way in ways if way not in kept]

    def add(self, regime: Regime, seed: int, figures: dict[str, Figures]) -> None:
        """Keep figures by way; those of other ways stay."""
        seeds = self.runs.setdefault(regime.name, {})
        seeds[str(seed)] = self._of(regime, seed) | figures

    def _of(self, regime: Regime, seed: int) -> dict[str, Figures]:
        return self.runs.get(regime.name, {}).get(str(seed), {})

    def means(self, regimes: list[Regime], seeds: list[int], ways: list[str]) -> Means:
        """Of each regime and way, over those of the seeds that were run."""
        found: Means = {}
        for regime in regimes:
            runs = [self._of(regime, seed) for seed in seeds]
            by_way = {way: [run[way] for run in runs if way in run] for way in ways}
            found[regime] = {way: means(figures) for way, figures in by_way.items() if figures}
        return found

    def save(self, **further: Any) -> None:
        """Write all of it under a temporary name, then rename."""
        if self.path is not None:
            whole = {"settings": self.settings} | further | {"runs": self.runs}
            with atomic_file(self.path) as file:
                file.write(json.dumps(whole, indent=1, allow_nan=False).encode() + b"\n")


def build_of_package() -> str:
    """Sixteen hex digits of the package's Python files and its native part: what ran."""
    folder = Path(ds2fast.__file__).parent
    digest = hashlib.sha256()
    for path in [*sorted(folder.rglob("*.py")), Path(_core.__file__)]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
