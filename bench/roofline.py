"""Measures what this processor can do at best, and how much of that the k-NN search reaches.

Builds the native program in cpp/, which times loops of single instructions that touch registers
only, and the int8 tile of every SIMD level beside them. Then the whole search runs in this process,
the peak of its level measured right before and right after it. What the columns say is in README.md
beside this file.

Usage: python bench/roofline.py --threads 2
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ds2fast import build_info, knn_graph
from ds2fast.results import FloatArray
from ds2fast.threads import available_threads
from knn_cases import SEED, Measuring, sample, with_unit_rows
from knn_processes import pinned_to
from knn_table import machine
from knn_truth import Truth

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build" / "bench" / "bench" / "cpp" / "roofline"

_CLUSTER_ROWS = 100
_SPREAD = 0.5
_GIGA = 1e9

Json = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One search, and the peak of its instruction right before and right after it (GMAC/s)."""

    seconds: float
    cpu_seconds: float
    gmacs: float
    peak_before: float
    peak_after: float

    @property
    def share(self) -> float:
        """Of the better one of the two peaks."""
        return self.gmacs / max(self.peak_before, self.peak_after)


@dataclass(frozen=True)
class Search:
    """All runs on so many threads."""

    threads: int
    instruction: str
    peak_beside_tiles: float
    runs: list[Run]

    @property
    def best(self) -> Run:
        """The shortest."""
        return min(self.runs, key=lambda run: run.seconds)

    @property
    def peak(self) -> float:
        """Best ever seen on so many threads."""
        seen = [peak for run in self.runs for peak in (run.peak_before, run.peak_after)]
        return max(self.peak_beside_tiles, *seen)

    @property
    def share(self) -> float:
        """Best run by best peak."""
        return self.best.gmacs / self.peak

    def figures(self) -> Json:
        """Plain values for JSON."""
        return {"share": self.share, "peak_gmacs_best": self.peak, **asdict(self)}


def main() -> None:
    arguments = parse_arguments()
    pool, origin = make_pool(arguments)  # first: that it is missing must not be found at the end
    program = arguments.program or build()
    result: Json = {"benchmark": "roofline", "machine": this_machine(), "load": os.getloadavg()[0]}
    print(describe_machine(result["machine"], result["load"]), flush=True)
    with pinned_to(arguments.threads):
        native = measure(program, arguments.threads, arguments.seconds, arguments.repeats)
    print(f"\n{describe_peaks(native)}\n\n{describe_tiles(native)}", flush=True)
    searches = [
        measure_search(arguments, program, native, pool, threads)
        for threads in thread_counts(arguments.threads)
    ]
    print(f"\n{describe_searches(searches, pool, arguments.k, origin)}", flush=True)
    result |= {"native": native, "rows": len(pool), "width": pool.shape[1], "k": arguments.k}
    result |= {"pool": origin, "searches": [search.figures() for search in searches]}
    print(json.dumps(result))


def parse_arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    cpus = available_threads()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rows", type=int, default=40_000, help="of the pool that is searched")
    add("--width", type=int, default=384)
    add("--k", type=int, default=10)
    add("--threads", type=int, default=cpus, help="measured beside one thread")
    add("--seconds", type=float, default=0.3, help="that each peak and each tile is measured")
    add("--repeats", type=int, default=3, help="of all measurements, in turns")
    add("--searches", type=int, default=3, help="runs of the whole search on so many threads")
    add("--checked", type=int, default=100, help="rows whose ids are compared with float64")
    add("--synthetic", action="store_true", help="random clusters instead of the measuring data")
    add("--program", type=Path, help="the native program; it is built where none is given")
    default_shared = os.environ.get("DS2FAST_SHARED") or ROOT.parent / "shared"
    add("--shared", type=Path, default=Path(default_shared), help="folder of the measuring data")
    arguments = parser.parse_args(given)
    refuse_unusable(parser, arguments, cpus)
    return arguments


def refuse_unusable(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace, cpus: int
) -> None:
    if not 1 <= arguments.threads <= cpus:
        parser.error(
            f"--threads: expected 1 to {cpus} (the CPUs usable here), got {arguments.threads}"
        )
    for name in ("rows", "width", "repeats", "searches", "checked"):
        value = getattr(arguments, name)
        if value < 1:
            parser.error(f"--{name}: expected 1 or more, got {value}")
    if not 0 < arguments.seconds <= 60:
        parser.error(f"--seconds: expected more than 0 and at most 60, got {arguments.seconds:g}")
    if not 1 <= arguments.k < arguments.rows:
        parser.error(f"--k: expected 1 to {arguments.rows - 1}, got {arguments.k}")
    if arguments.program is not None and not arguments.program.is_file():
        parser.error(f"--program: expected a file, {arguments.program} is none")


def thread_counts(threads: int) -> list[int]:
    """One thread, and so many."""
    return sorted({1, threads})


# --- The native program ---------------------------------------------------------------------------


def build() -> Path:
    """The native program, built by the preset `bench` into build/bench."""
    tools = Path(sys.executable).parent
    cmake = shutil.which("cmake", path=f"{tools}{os.pathsep}{os.environ.get('PATH', '')}")
    if cmake is None:
        raise SystemExit("expected cmake, found none: pip install --group build")
    # ninja stands beside cmake where pip installed them.
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', '')}"}
    for command in (["--preset", "bench"], ["--build", "--preset", "bench"]):
        built = subprocess.run(
            [cmake, *command],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode != 0:
            raise SystemExit(f"cmake {' '.join(command)} failed:\n{built.stdout}{built.stderr}")
    return PROGRAM


def measure(
    program: Path, threads: int, seconds: float, repeats: int, only: str | None = None
) -> Json:
    """What the native program says; with `only` of the peak of one instruction."""
    command = [str(program), "--threads", str(threads), "--seconds", repr(seconds)]
    command += ["--repeats", str(repeats), *([] if only is None else ["--only", only])]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        said = ended.stderr.strip() or "nothing"
        raise SystemExit(f"{program} ended with {ended.returncode} and said: {said}")
    figures: Json = json.loads(ended.stdout)
    return figures


def peak_of(native: Json, instruction: str, threads: int) -> float:
    """Best rate of an instruction on so many threads."""
    return next(
        float(peak["gmacs_best"])
        for peak in native["peaks"]
        if peak["instruction"] == instruction and peak["threads"] == threads
    )


def instruction_of(native: Json, level: str) -> str:
    """What bounds the int8 tile of a level."""
    for tile in native["tiles"]:
        if tile["level"] == level and tile["instruction"] is not None:
            return str(tile["instruction"])
    raise SystemExit(f"the native program knows no peak for the SIMD level {level}")


# --- The whole search -----------------------------------------------------------------------------


def make_pool(arguments: argparse.Namespace) -> tuple[FloatArray, str]:
    """The rows to search in, and where they are from."""
    if arguments.synthetic:
        return synthetic_rows(arguments.rows, arguments.width), "random clusters"
    return Measuring.load(arguments.shared).pool(arguments.rows, arguments.width)


def synthetic_rows(rows: int, width: int) -> FloatArray:
    """Unit rows around random centres, about a hundred around each; always the same ones."""
    generator = np.random.default_rng(SEED)
    centres = generator.standard_normal((-(-rows // _CLUSTER_ROWS), width), dtype=np.float32)
    values = generator.standard_normal((rows, width), dtype=np.float32)
    values *= np.float32(_SPREAD)
    values += centres[generator.integers(len(centres), size=rows)]
    return with_unit_rows(values)


def measure_search(
    arguments: argparse.Namespace, program: Path, native: Json, pool: FloatArray, threads: int
) -> Search:
    """Runs of the search, each between two measurements of the peak; its ids are checked first."""
    instruction = instruction_of(native, str(build_info()["simd_level"]))

    def peak() -> float:
        found = measure(program, threads, arguments.seconds, 1, only=instruction)
        return peak_of(found, instruction, threads)

    with pinned_to(threads):
        check(pool, arguments.k, threads, min(arguments.checked, len(pool)))
        runs = [measure_run(pool, arguments.k, threads, peak) for _ in range(arguments.searches)]
    return Search(threads, instruction, peak_of(native, instruction, threads), runs)


def check(pool: FloatArray, k: int, threads: int, rows: int) -> None:
    """Ends the script where ids of some rows differ from float64's; warms the search up."""
    graph = knn_graph(pool, k, threads=threads, progress=False)
    checked = sample(len(pool), rows)
    ids = graph.indices[checked].astype(np.int64)
    verdict = Truth.find(pool, checked, k).judge_ranking(ids)
    if verdict.problem is not None:
        raise SystemExit(f"wrong ids on {threads} threads: {verdict.problem}")


def measure_run(pool: FloatArray, k: int, threads: int, peak: Callable[[], float]) -> Run:
    before = peak()
    started, cpu_started = time.perf_counter(), time.process_time()
    knn_graph(pool, k, threads=threads, progress=False)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    return Run(seconds, cpu_seconds, unique_macs(*pool.shape) / seconds / _GIGA, before, peak())


def unique_macs(rows: int, width: int) -> int:
    """Multiply-adds of all pairs of rows, each pair once."""
    return rows * (rows - 1) // 2 * width


# --- What is printed ------------------------------------------------------------------------------


def this_machine() -> Json:
    return {name: value for name, value in machine().items() if name != "rivals"}


def describe_machine(found: Json, load: float) -> str:
    return (
        f"{found['cpu']}, {found['threads']} CPUs usable, SIMD level {found['simd_level']}, load "
        f"{load:.2f}; {found['platform']}\n"
        f"ds2fast {found['version']} ({found['compiler']}), Python {found['python']}\n"
        "GMAC/s: 10^9 multiply-adds a second; CPU: of its CPUs what the best measurement had (less "
        "than all: others were in the way); share: of the best peak on as many threads"
    )


def describe_peaks(native: Json) -> str:
    head = f"{'peak of':<24}{'threads':>8}{'best GMAC/s':>13}{'CPU':>6}{'median':>9}"
    lines = (
        f"{peak['instruction']:<24}{peak['threads']:>8}{peak['gmacs_best']:>13.1f}"
        f"{peak['cpu_share']:>6.0%}{peak['gmacs_median']:>9.1f}"
        for peak in native["peaks"]
    )
    return "\n".join([head, *lines])


def describe_tiles(native: Json) -> str:
    head = (
        f"{'int8 tile of':<14}{'depth':>6}{'threads':>8}{'best GMAC/s':>13}{'CPU':>6}{'median':>9}"
        f"{'share':>8}  {'of':<24}{'tile ns':>9}{'scan ns':>9}"
    )
    return "\n".join([head, *(_tile_line(native, tile) for tile in native["tiles"])])


def _tile_line(native: Json, tile: Json) -> str:
    share = tile_share(native, tile)
    scan = next(
        scan["nanoseconds"]
        for scan in native["scans"]
        if (scan["level"], scan["threads"]) == (tile["level"], tile["threads"])
    )
    return (
        f"{tile['level']:<14}{tile['depth']:>6}{tile['threads']:>8}{tile['gmacs_best']:>13.1f}"
        f"{tile['cpu_share']:>6.0%}{tile['gmacs_median']:>9.1f}"
        f"{'-' if share is None else f'{share:.1%}':>8}  "
        f"{tile['instruction'] or '':<24}{tile['nanoseconds']:>9.0f}{scan:>9.0f}"
    )


def tile_share(native: Json, tile: Json) -> float | None:
    """Best tile by best peak; None where the instruction that bounds it is not known."""
    if tile["instruction"] is None:
        return None
    best: float = tile["gmacs_best"]
    return best / peak_of(native, tile["instruction"], tile["threads"])


def describe_searches(searches: Iterable[Search], pool: FloatArray, k: int, origin: str) -> str:
    rows, width = pool.shape
    head = (
        f"{'threads':>7}{'seconds':>10}{'best GMAC/s':>13}{'CPU':>6}{'peak':>9}{'share':>8}  "
        f"{'share of own peaks':<20}of"
    )
    about = f"whole search: {rows} x {width}, k = {k}; {origin}"
    return "\n".join([about, head, *(_search_line(search) for search in searches)])


def _search_line(search: Search) -> str:
    shares = [run.share for run in search.runs]
    cpu_share = search.best.cpu_seconds / search.best.seconds / search.threads
    span = f"{min(shares):.1%} .. {max(shares):.1%}"
    return (
        f"{search.threads:>7}{search.best.seconds:>10.3f}{search.best.gmacs:>13.1f}"
        f"{cpu_share:>6.0%}{search.peak:>9.1f}{search.share:>8.1%}  {span:<20}{search.instruction}"
    )


if __name__ == "__main__":
    main()
