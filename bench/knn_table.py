"""What `bench_knn.py` says: the machine, a table for each case, and the figures behind it."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ds2fast import build_info
from knn_processes import OURS, Run
from knn_ways import WAYS

Pairs = list[tuple[Run, Run]]
"""A run of ours, and the rival's run right after it."""


@dataclass
class Measured:
    """All runs of a way in one case; of a rival also the pairs with ours, or why it has no time."""

    way: str
    runs: list[Run] = field(default_factory=list)
    pairs: Pairs = field(default_factory=list)
    problem: str | None = None
    queries: int | None = None  # where a share of them was timed, and the time scaled

    @property
    def seconds(self) -> float:
        """Of its best run."""
        return min(run.seconds for run in self.runs)

    def ratio(self, ours: Measured) -> float:
        """How many times as fast ours is: the best runs of the pairs, so as many of either."""
        if not self.pairs:
            return self.seconds / ours.seconds
        return self.seconds / min(own.seconds for own, _ in self.pairs)

    def pair_ratios(self) -> list[float]:
        """The ratio within each pair."""
        return [rival.seconds / own.seconds for own, rival in self.pairs]

    def figures(self, ours: Measured) -> dict[str, Any]:
        """Plain values for JSON."""
        figures: dict[str, Any] = {"way": self.way, "problem": self.problem}
        if self.problem is not None:
            return figures
        return figures | {
            "seconds": self.seconds,
            "ratio": None if self is ours else self.ratio(ours),
            "pair_ratios": self.pair_ratios(),
            "timed_queries": self.queries,
            "recall": self.runs[0].verdict.recall,
            "peak_mib": max(run.peak_mib for run in self.runs),
            "search_mib": max(run.peak_mib - run.held_mib for run in self.runs),
            "runs": [asdict(run) for run in self.runs],
        }


def describe(ours: Measured, rivals: list[Measured]) -> str:
    """The table of a case."""
    head = (
        f"{'way':<18}{'seconds':>10} {'ours is':>9}  {'in pairs':<16}{'recall':>7}"
        f"{'rows right':>12}{'peak MiB':>10}{'search MiB':>12}  note"
    )
    return "\n".join([head, *(_line(one, ours) for one in (ours, *rivals))])


def _line(one: Measured, ours: Measured) -> str:
    if one.problem is not None:
        return f"{one.way:<18}{'-':>10} {'':>9}  {one.problem}"
    ratio = "" if one is ours else f"{one.ratio(ours):.2f} x"
    pairs = one.pair_ratios()
    spread = f"{min(pairs):.2f} .. {max(pairs):.2f}" if pairs else ""
    verdict = one.runs[0].verdict
    figures = one.figures(ours)
    return (
        f"{one.way:<18}{one.seconds:>10.3f} {ratio:>9}  {spread:<16}{verdict.recall:>7.4f}"
        f"{f'{verdict.rows_right}/{verdict.rows_checked}':>12}{figures['peak_mib']:>10.0f}"
        f"{figures['search_mib']:>12.0f}  {_note(one)}"
    )


def _note(one: Measured) -> str:
    times = len(one.runs)
    notes = ["one run" if times == 1 else f"best of {times}"]
    build = one.runs[0].build
    if build is not None:
        notes.append(f"SIMD level {build['simd_level']}")
    if one.queries is not None:
        notes.append(f"timed on {one.queries} queries, scaled")
    if one.way != OURS and not WAYS[one.way].exact:
        notes.append("approximate")
    if one.way != OURS and not one.pairs:
        notes.append("not beside ours")
    return "; ".join(notes)


def machine() -> dict[str, Any]:
    """What all is run on, and the rivals' versions."""
    packages = sorted({way.package for way in WAYS.values()})
    return {
        "cpu": _cpu_model(),
        **build_info(),
        "rivals": {package: _version(package) for package in packages},
    }


def describe_machine(found: dict[str, Any]) -> str:
    rivals = (f"{package} {version or 'missing'}" for package, version in found["rivals"].items())
    return (
        f"{found['cpu']}, {found['threads']} CPUs usable, SIMD level {found['simd_level']}; "
        f"{found['platform']}, Python {found['python']}\n"
        f"ds2fast {found['version']} ({found['compiler']}); {', '.join(rivals)}"
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    try:
        named = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:  # macOS
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return named[1] if named else platform.processor() or platform.machine()
