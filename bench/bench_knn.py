"""Measures the exact k-NN graph against other ways to the same neighbours.

Each way runs in a process of its own, its threads and CPUs pinned alike. Before a time counts the
ids of some rows are compared with float64 brute force: ours must rank as float64 does, exact rivals
may differ by float32 rounding, approximate ones have their recall told. The protocol, and what the
columns say, is in README.md beside this file.

Usage: python bench/bench_knn.py --case real --threads 2 --rivals faiss-knn
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ds2fast.io.atomic import atomic_file
from ds2fast.results import IntArray
from ds2fast.threads import available_threads
from knn_cases import LARGE, PRESETS, SHARE_OF_LARGE, Case, Measuring, cases_of, sample
from knn_processes import OURS, Bench, RunFailedError
from knn_table import Measured, describe, describe_machine, machine
from knn_truth import Truth
from knn_ways import WAYS

SHORT_SECONDS = 5.0
"""What takes less is run `SHORT_RUNS` times unless told otherwise, and ours again for any rival."""

SHORT_RUNS = 3


def main() -> None:
    arguments = parse_arguments()
    measuring = Measuring.load(arguments.shared)
    result: dict[str, Any] = {"benchmark": "knn", "machine": machine(), "cases": []}
    print(describe_machine(result["machine"]), flush=True)
    for case, pool_origin, bench in benches(arguments, measuring):
        load = os.getloadavg()[0]
        ours, rivals = measure_case(bench, arguments.rivals, arguments.repeats)
        about = describe_case(case, pool_origin, bench, load)
        print(f"\n{about}\n{describe(ours, rivals)}", flush=True)
        result["cases"].append(
            {
                **vars(case),
                "pool": pool_origin,
                "checked_rows": len(bench.truth.checked),
                "load_before": load,
                "ways": [one.figures(ours) for one in (ours, *rivals)],
            }
        )
        save(result, arguments.json)
    print(json.dumps(result))


def parse_arguments() -> argparse.Namespace:
    cpus = available_threads()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rows", type=int, nargs="+", default=[10_000, 40_000])
    add("--widths", type=int, nargs="+", default=[384, 768, 1024])
    add("--k", type=int, nargs="+", default=[10, 50])
    add("--threads", type=int, nargs="+", default=[1, 2][:cpus])
    add("--case", choices=PRESETS, nargs="+", help="instead of the grid of rows, widths and k")
    add("--rivals", choices=WAYS, nargs="*", default=list(WAYS), metavar="WAY", help=str([*WAYS]))
    add("--repeats", type=int, help=f"runs of each; default 1, {SHORT_RUNS} of short ones")
    add("--checked", type=int, default=500, help="rows whose ids are compared with float64")
    add("--query-share", type=float, help=f"that rivals are timed on; 1, or 0.1 from {LARGE} rows")
    add("--simd", metavar="LEVEL", help="DS2FAST_SIMD of our process")
    add("--limit", type=float, default=3600.0, help="seconds that one run may take")
    add("--json", type=Path, help="file for the JSON as well, written after every case")
    default_shared = os.environ.get("DS2FAST_SHARED") or Path(__file__).parents[2] / "shared"
    add("--shared", type=Path, default=Path(default_shared), help="folder of the measuring data")
    arguments = parser.parse_args()
    refuse_unusable(parser, arguments, cpus)
    return arguments


def refuse_unusable(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace, cpus: int
) -> None:
    for threads in arguments.threads:
        if not 1 <= threads <= cpus:
            parser.error(f"--threads: expected 1 to {cpus} (the CPUs usable here), got {threads}")
    share = arguments.query_share
    if share is not None and not 0 < share <= 1:
        parser.error(f"--query-share: expected a share above 0 and at most 1, got {share}")
    for name in ("checked", "repeats"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            parser.error(f"--{name}: expected 1 or more, got {value}")
    if arguments.json is not None and not arguments.json.parent.is_dir():
        parser.error(f"--json: expected a file in a directory, {arguments.json.parent} is none")
    for case in cases_of(arguments):
        if not 1 <= case.k < case.rows:
            parser.error(f"--k: expected 1 to {case.rows - 1} for that many rows, got {case.k}")


def benches(
    arguments: argparse.Namespace, measuring: Measuring
) -> Iterator[tuple[Case, str, Bench]]:
    """The cases, each with its pool in a file that is removed after the last that needs it."""
    cases = cases_of(arguments)
    for (rows, width), alike in itertools.groupby(cases, key=lambda case: (case.rows, case.width)):
        with tempfile.TemporaryDirectory(prefix="bench-knn-") as directory:
            files = Path(directory)
            pool, origin = measuring.pool(rows, width)
            np.save(files / "pool.npy", pool)
            queries = sample(rows, num_queries(rows, arguments.query_share))
            np.save(files / "queries.npy", queries)
            checked = queries[sample(len(queries), min(arguments.checked, len(queries)))]
            yield from with_truth(arguments, files, list(alike), origin, queries, checked)


def with_truth(
    arguments: argparse.Namespace,
    files: Path,
    cases: list[Case],
    origin: str,
    queries: IntArray,
    checked: IntArray,
) -> Iterator[tuple[Case, str, Bench]]:
    pool = np.load(files / "pool.npy", mmap_mode="r")
    truth = Truth.find(pool, checked, max(case.k for case in cases))
    for case in cases:
        yield (
            case,
            origin,
            Bench(files, truth, queries, case.k, case.threads, arguments.simd, arguments.limit),
        )


def num_queries(rows: int, share: float | None) -> int:
    if share is None:
        share = SHARE_OF_LARGE if rows >= LARGE else 1.0
    return max(1, round(rows * share))


def measure_case(
    bench: Bench, rivals: Iterable[str], repeats: int | None
) -> tuple[Measured, list[Measured]]:
    """Ours and the rivals; ours runs right before a rival does, if that is short or the first."""
    ours = Measured(OURS)
    found = [measure_rival(bench, rival, ours, repeats) for rival in rivals]
    if not ours.runs:
        run_ours(bench, ours)
    wanted = repeats or (1 if ours.seconds >= SHORT_SECONDS else SHORT_RUNS)
    while len(ours.runs) < wanted:
        run_ours(bench, ours)
    return ours, found


def measure_rival(bench: Bench, rival: str, ours: Measured, repeats: int | None) -> Measured:
    first = not ours.runs
    measured = Measured(rival)
    if bench.share < 1:
        measured.queries = len(bench.queries)
    wanted = repeats or SHORT_RUNS
    while len(measured.runs) < wanted:
        beside_ours = first or ours.seconds < SHORT_SECONDS
        if beside_ours:
            run_ours(bench, ours)
        say(bench, rival)
        try:
            measured.runs.append(bench.run(rival))
        except RunFailedError as error:
            measured.problem = str(error)
            break
        if beside_ours:
            measured.pairs.append((ours.runs[-1], measured.runs[-1]))
        if repeats is None and measured.runs[0].measured_seconds >= SHORT_SECONDS:
            break
    return measured


def run_ours(bench: Bench, ours: Measured) -> None:
    say(bench, OURS)
    try:
        ours.runs.append(bench.run(OURS))
    except RunFailedError as error:
        raise SystemExit(f"ours: {error}") from error


def say(bench: Bench, way: str) -> None:
    rows, width = bench.truth.pool.shape
    at = f"{rows} x {width}, k = {bench.k}, {bench.threads} threads"
    print(f"... {way}: {at}", file=sys.stderr, flush=True)


def describe_case(case: Case, origin: str, bench: Bench, load: float) -> str:
    plural = "" if case.threads == 1 else "s"
    return (
        f"{case.name}: {case.rows} x {case.width}, k = {case.k}, {case.threads} thread{plural}; "
        f"{origin}; ids of {len(bench.truth.checked)} rows compared with float64; "
        f"load before {load:.2f}"
    )


def save(result: dict[str, Any], path: Path | None) -> None:
    if path is not None:
        with atomic_file(path) as file:
            file.write(json.dumps(result, indent=1).encode() + b"\n")


if __name__ == "__main__":
    main()
