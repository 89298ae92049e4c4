"""The part `stages`: the whole of `ds2fast select`, from JSON lines to files, at several sizes."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from knn_processes import RunFailedError, figures_in
from scale_child import Child, failure
from scale_record import Entry, Record
from scale_rows import say

SCRIPT = Path(__file__).with_name("scale_select.py")
POOLS = Path(__file__).with_name("scale_pool.py")
FRACTION = 0.1
ELSE = "start, save and all else"
WHOLE = "whole"


@dataclass(frozen=True)
class SelectBench:
    """How `select` is run: the folder of the pools, the static model, and further options."""

    folder: Path
    shared: Path
    model: Path
    child: Child
    options: tuple[str, ...]

    def key(self, rows: int) -> dict[str, Any]:
        """Of an entry."""
        options = " ".join(self.options)
        return {"rows": rows, "threads": self.child.threads, "options": options}

    def measure(self, record: Record, rows: int) -> None:
        """One run, but where it is on record."""
        key = self.key(rows)
        if record.find(**key) is None:
            pool = pool_file(self.folder, rows, self.shared)
            say(f"select: {key}")
            record.add(key, self.run(pool))

    def run(self, pool: Path) -> dict[str, Any]:
        """Seconds by stage and peak memory of one run, whose files are looked at first."""
        with tempfile.TemporaryDirectory(prefix="bench-scale-", dir=self.folder) as name:
            out = Path(name) / "out"
            try:
                return timed_select(self.child, pool, out, self.model, FRACTION, self.options)
            except RunFailedError as error:
                return failure(error)


def timed_select(
    child: Child, pool: Path, out: Path, model: Path, fraction: float, options: tuple[str, ...]
) -> dict[str, Any]:
    """Run `ds2fast select`, look at its rows, and tell its figures."""
    command = [sys.executable, str(SCRIPT), "select", str(pool), "-o", str(out), "--no-cache", "-q"]
    command += ["--fraction", str(fraction), "--model", str(model)]
    started = time.perf_counter()
    said = child.run([*command, "--threads", str(child.threads), *options])
    seconds = time.perf_counter() - started
    manifest = json.loads((out / "manifest.json").read_text())
    check_selected(pool, out / "selected.jsonl", manifest["selection"]["rows"])
    stages: dict[str, float] = manifest["timings_seconds"]
    return {
        "seconds": seconds,
        "stages": stages | {ELSE: seconds - sum(stages.values()), WHOLE: seconds},
        "graph": manifest["graph"],
        "peak_mib": figures_in(said)["peak_mib"],
        "build": manifest["build"],
    }


def check_selected(pool: Path, selected: Path, count: int) -> None:
    """The selected lines are lines of the pool, as many as were said, and none is there twice."""
    marks = list(_marks(selected))
    missing = set(marks)
    if len(marks) != count or len(missing) != count:
        raise SystemExit(f"ours: expected {count} different rows, {selected} has {len(missing)}")
    for mark in _marks(pool):
        missing.discard(mark)
    if missing:
        raise SystemExit(f"ours: {len(missing)} selected rows are none of {pool}")


def _marks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            yield blake2b(line.rstrip(b"\n"), digest_size=16).digest()


def pool_file(folder: Path, rows: int, shared: Path) -> Path:
    """The pool of so many rows, made where it is not there yet."""
    path = folder / f"pool-{rows}.jsonl"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        say(f"making a pool of {rows} rows")
        command = [sys.executable, str(POOLS), str(rows), str(path), "--shared", str(shared)]
        subprocess.run(command, check=True)
    return path


# --- What is said ---------------------------------------------------------------------------------


def describe(entries: list[Entry]) -> str:
    """Seconds of each stage by size, and between sizes the power of N that they grow with."""
    timed = sorted(_timed(entries), key=lambda one: one["key"]["rows"])
    lines = [_line("stage", [f"{one['key']['rows']}" for one in timed], "^N")]
    for stage in stages_of(timed):
        seconds = [f"{one['stages'].get(stage, math.nan):.2f}" for one in timed]
        growth = [f"{power:.2f}" for power in growth_of(timed, stage)]
        lines.append(_line(stage, seconds, " ".join(growth)))
    peaks = [f"{one['peak_mib']:.0f}" for one in timed]
    lines.append(_line("peak MiB", peaks, " ".join(f"{one:.2f}" for one in growth_of(timed))))
    lines += [f"{one['key']}: {one['problem']}" for one in entries if one["problem"] is not None]
    return "\n".join(lines)


def _line(name: str, values: list[str], last: str) -> str:
    return f"{name:<27}" + "".join(f"{value:>11}" for value in values) + f"   {last}"


def _timed(entries: list[Entry]) -> list[Entry]:
    return [one for one in entries if one["problem"] is None]


def stages_of(timed: list[Entry]) -> list[str]:
    """Names of the stages, in their order; the whole comes last."""
    names = dict.fromkeys(name for one in timed for name in one["stages"])
    return [*(name for name in names if name not in (ELSE, WHOLE)), ELSE, WHOLE]


def growth_of(timed: list[Entry], stage: str | None = None) -> list[float]:
    """Between neighbouring sizes: p, where seconds (of no stage: peak memory) grow as N^p."""
    return [
        growth(
            (first["key"]["rows"], _figure(first, stage)),
            (then["key"]["rows"], _figure(then, stage)),
        )
        for first, then in itertools.pairwise(timed)
    ]


def _figure(entry: Entry, stage: str | None) -> float:
    return float(entry["peak_mib"] if stage is None else entry["stages"].get(stage, math.nan))


def read_on(timed: list[Entry], stage: str | None, rows: int) -> float:
    """The figure at so many rows, by the two largest sizes; of one size in proportion.

    By their power of N where that is 1 or more; else by the line through them, for what grows
    less has a part that is there whatever the rows. In proportion, too, where the larger size took
    no longer: it went another way, as the graph does that is approximate there.
    """
    points = [(float(one["key"]["rows"]), _figure(one, stage)) for one in timed[-2:]]
    last_rows, last = points[-1]
    if len(points) == 1 or last <= points[0][1]:
        return last * rows / last_rows
    power = growth(*points)
    if power >= 1:
        return float(last * (rows / last_rows) ** power)
    slope = (last - points[0][1]) / (last_rows - points[0][0])
    return last + slope * (rows - last_rows)


def growth(first: tuple[float, float], then: tuple[float, float]) -> float:
    """The power p of N^p through two (N, figure); NaN where a figure is not above 0."""
    (rows, figure), (more_rows, more) = first, then
    if not (figure > 0 and more > 0):
        return math.nan
    return math.log(more / figure) / math.log(more_rows / rows)
