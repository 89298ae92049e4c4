"""Measures how time, memory and results grow with the rows, and ours beside rivals at equal recall.

Parts, each of which can be run alone:

- `graph`: recall against time of the k-NN graph: ours, pynndescent, hnswlib, faiss HNSW and IVF.
- `wide`: ours on vectors of 1 536 and 3 072 dimensions.
- `stages`: the whole of `ds2fast select` from JSON lines to files, at several sizes.
- `overlap`: what a graph of lower recall costs the selection.
- `rival`: end to end beside a script of model2vec, faiss and cleanlab.
- `page`: the tables of the documentation's page, from what the other parts left.

Every part keeps a file, whole after every figure: a run that is cut off goes on with the same
command. The protocol, and what the columns say, is in README.md beside this file.

Usage: python bench/bench_scale.py --parts graph --rows 200000 --rivals-python RIVALS/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import scale_end_to_end
import scale_graph
import scale_overlap
import scale_page
import scale_plots
import scale_stages
from ds2fast.threads import available_threads
from knn_table import machine
from quality_record import build_of_package
from scale_child import Child
from scale_end_to_end import RivalBench
from scale_graph import GraphBench
from scale_overlap import OverlapBench
from scale_record import Record
from scale_rows import default_shared, truth_of, vectors_file
from scale_stages import SelectBench
from scale_ways import RIVALS

ROWS = {
    "graph": [200_000],
    "wide": [50_000],
    "stages": [10_000, 100_000, 300_000, 1_000_000],
    "overlap": [100_000],
    "rival": [100_000],
}
"""Of each part, where `--rows` does not say otherwise."""

RECALLS = {
    "graph": [0.8, 0.9, 0.95, 0.96, 0.98, 0.99, 0.995],
    "wide": [0.95, 0.99],
    "overlap": [0.8, 0.9, 0.95, 0.98],
}
WIDTHS = {"graph": [384], "wide": [1536, 3072]}
WIDTH_OF_OVERLAP = 384
OUT = Path("build/bench-scale")
NEEDS_MODEL = ("stages", "rival")
RIVALS_NEED = "pip install numpy faiss-cpu hnswlib pynndescent model2vec cleanlab"
"""What makes the rivals' environment, which is apart: they pin versions that others do not want."""

RIVALS_PACKAGES = ("faiss-cpu", "hnswlib", "pynndescent", "numba", "model2vec", "cleanlab")
_ASK = "import importlib.metadata as m, sys; print(*(m.version(p) for p in sys.argv[1:]))"


def main() -> None:
    arguments = parse_arguments()
    if arguments.parts == ["page"]:
        print(scale_page.tables(arguments.out))
        return
    about = {
        "machine": machine(),
        "package": build_of_package(),
        "rivals": rivals_of(arguments.rivals_python),
    }
    result: dict[str, Any] = {"benchmark": "scale", **about, "parts": {}}
    for part in arguments.parts:
        if part != "page":
            record = Record.open(arguments.out, part, about, anew=arguments.anew)
            load = os.getloadavg()[0]
            print(f"\n--- {part}, load before {load:.2f}", flush=True)
            further = PARTS[part](record, arguments)
            result["parts"][part] = {"entries": record.entries, "load_before": load, **further}
    if "page" in arguments.parts:
        print(scale_page.tables(arguments.out))
    print(json.dumps(result))
    sys.exit(failed(result))


def parse_arguments() -> argparse.Namespace:
    cpus = available_threads()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--parts", choices=[*PARTS, "page"], nargs="+", default=[*PARTS])
    add("--rows", type=int, nargs="+", help=f"by default those of the part: {ROWS}")
    add("--widths", type=int, nargs="+", help=f"columns of the vectors; default {WIDTHS}")
    add("-k", type=int, default=10, help="neighbours, of graph and wide")
    add("--recalls", type=float, nargs="+", help=f"asked of ours; default {RECALLS}")
    add(
        "--rivals", choices=RIVALS, nargs="*", default=list(RIVALS), metavar="WAY", help=f"{RIVALS}"
    )
    add("--no-exact", action="store_true", help="graph and wide: leave out our exact graph")
    add("--rivals-python", default=sys.executable, help=f"of an environment with: {RIVALS_NEED}")
    add("--model", type=Path, help="static model, of stages and rival: what `ds2fast distill` made")
    add("--max-memory", help="stages: handed on to `ds2fast select`")
    add("--own", type=float, nargs="+", default=[0.0, 0.2], help="rival: shares of rows alone")
    add("--checked", type=int, default=2000, help="rows whose neighbours are compared with float64")
    add("--threads", type=int, default=min(2, cpus))
    add("--limit", type=float, default=3600.0, help="seconds that one process may take")
    add("--out", type=Path, default=OUT, help="folder of the JSON files and plots")
    add("--work", type=Path, help="folder of vectors and pools, kept; by default in --out")
    add("--anew", action="store_true", help="leave what earlier runs found")
    add("--shared", type=Path, default=default_shared(), help="folder of the measuring data")
    arguments = parser.parse_args()
    refuse_unusable(parser, arguments, cpus)
    arguments.work = arguments.work or arguments.out / "work"
    return arguments


def refuse_unusable(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace, cpus: int
) -> None:
    if not 1 <= arguments.threads <= cpus:
        parser.error(f"--threads: expected 1 to {cpus} (CPUs usable here), got {arguments.threads}")
    for name in ("checked", "k"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name}: expected 1 or more, got {getattr(arguments, name)}")
    for rows in arguments.rows or ():
        if rows <= 10 * arguments.k:
            parser.error(f"--rows: expected more than 10 times k ({arguments.k}), got {rows}")
    for recall in arguments.recalls or ():
        if not 0 < recall < 1:
            parser.error(f"--recalls: expected numbers between 0 and 1, got {recall}")
    needy = [part for part in arguments.parts if part in NEEDS_MODEL]
    if needy and (arguments.model is None or not (arguments.model / "model.safetensors").exists()):
        parser.error(
            f"--model: {' and '.join(needy)} expected the directory of a static model (ds2fast "
            f"distill MODEL -o DIR --texts data.jsonl makes one), got {arguments.model}"
        )


def rivals_of(python: str) -> list[str]:
    """Versions of the rivals' packages as far as all are there; else none."""
    asked = [python, "-c", _ASK, *RIVALS_PACKAGES]
    try:
        found = subprocess.run(asked, capture_output=True, text=True, check=False)
    except OSError as error:
        raise SystemExit(f"--rivals-python: {python}: {error.strerror}") from error
    if found.returncode:
        said = found.stderr.strip().splitlines()[-1:]
        print(f"not all rivals are there ({' '.join(said)}); {RIVALS_NEED}", file=sys.stderr)
        return []
    versions = found.stdout.split()
    pairs = zip(RIVALS_PACKAGES, versions, strict=True)
    return [f"{package} {version}" for package, version in pairs]


def failed(result: dict[str, Any]) -> bool:
    """Whether anything of ours has no figure, but for want of time."""
    entries = [one for part in result["parts"].values() for one in part["entries"]]
    return any(
        one["problem"] is not None
        and not one.get("too_long")
        and one["key"].get("way") not in (*RIVALS, *scale_end_to_end.SEARCHES)
        for one in entries
    )


# --- Parts ----------------------------------------------------------------------------------------


def wanted(arguments: argparse.Namespace, part: str, name: str) -> list[Any]:
    """What was asked for by an option, or else the part's own."""
    defaults: dict[str, dict[str, list[Any]]] = {"rows": ROWS, "widths": WIDTHS, "recalls": RECALLS}
    return list(getattr(arguments, name) or defaults[name][part])


def child_of(arguments: argparse.Namespace) -> Child:
    return Child(arguments.threads, arguments.limit)


def run_graph(record: Record, arguments: argparse.Namespace) -> dict[str, Any]:
    return run_graphs(record, arguments, "graph", arguments.rivals)


def run_wide(record: Record, arguments: argparse.Namespace) -> dict[str, Any]:
    return run_graphs(record, arguments, "wide", [])


def run_graphs(
    record: Record, arguments: argparse.Namespace, part: str, rivals: list[str]
) -> dict[str, Any]:
    """Graphs of every size: ours first, then each rival."""
    ratios = []
    exact = [] if arguments.no_exact else ["ours-exact"]
    for rows in wanted(arguments, part, "rows"):
        for width in wanted(arguments, part, "widths"):
            bench = graph_bench(arguments, part, rows, width)
            for way in ("ours", *exact, *rivals):
                bench.measure(record, way)
            print(f"\n{bench.key}\n{scale_graph.describe(record, bench.key)}", flush=True)
            for target in scale_graph.TARGETS if rivals else ():
                found = scale_graph.ratios_at(record, bench.key, target)
                print(f"\n{scale_graph.describe_ratios(found)}", flush=True)
                ratios.append({**bench.key, "ratios": found})
            plot_recall(record, bench, arguments.out / f"{part}-{rows}x{width}.svg")
    return {"ratios": ratios}


def graph_bench(arguments: argparse.Namespace, part: str, rows: int, width: int) -> GraphBench:
    pool = vectors_file(arguments.work, rows, width, arguments.shared)
    truth = truth_of(pool, arguments.checked, arguments.k)
    recalls = wanted(arguments, part, "recalls")
    python = arguments.rivals_python
    return GraphBench(pool, truth, arguments.k, child_of(arguments), python, recalls)


def plot_recall(record: Record, bench: GraphBench, path: Path) -> None:
    ways = dict.fromkeys(one["key"]["way"] for one in record.matching(**bench.key))
    points = {
        way: scale_graph.points_of(record.matching(**bench.key, way=way))
        for way in ways
        if way != "ours-exact"
    }
    if any(one.recall < 1 for found in points.values() for one in found):
        rows, width = bench.truth.pool.shape
        title = f"{rows} × {width}, k = {bench.k}, {bench.child.threads} threads"
        scale_plots.draw_recall(points, title, path)
        print(f"plot: {path}", file=sys.stderr, flush=True)


def run_stages(record: Record, arguments: argparse.Namespace) -> dict[str, Any]:
    limit = arguments.max_memory
    options = () if limit is None else ("--max-memory", limit)
    folder, shared = arguments.work, arguments.shared
    bench = SelectBench(folder, shared, arguments.model, child_of(arguments), options)
    for rows in wanted(arguments, "stages", "rows"):
        bench.measure(record, rows)
    found = record.matching(options=" ".join(options), threads=arguments.threads)
    print(scale_stages.describe(found), flush=True)
    return {}


def run_overlap(record: Record, arguments: argparse.Namespace) -> dict[str, Any]:
    recalls = wanted(arguments, "overlap", "recalls")
    for rows in wanted(arguments, "overlap", "rows"):
        vectors = vectors_file(arguments.work, rows, WIDTH_OF_OVERLAP, arguments.shared)
        bench = OverlapBench(vectors, rows, arguments.shared, child_of(arguments), recalls)
        scale_overlap.measure(record, bench)
        found = record.matching(rows=rows)
        print(f"\n{rows} rows\n{scale_overlap.describe(found)}", flush=True)
        path = arguments.out / f"overlap-{rows}.svg"
        drawn = [one for one in found if one["key"]["kind"] != "exact"]
        scale_plots.draw_overlap(scale_overlap.rows_of(drawn), path)
        print(f"plot: {path}", file=sys.stderr, flush=True)
    return {}


def run_rival(record: Record, arguments: argparse.Namespace) -> dict[str, Any]:
    folder, shared, child = arguments.work, arguments.shared, child_of(arguments)
    model, python = arguments.model.resolve(), arguments.rivals_python
    for rows in wanted(arguments, "rival", "rows"):
        for own in arguments.own:
            bench = RivalBench(folder, shared, model, child, python, rows, own)
            bench.measure(record)
            found = record.matching(rows=rows, own=own)
            print(f"\n{rows} rows, {own:g} of them alone\n{scale_end_to_end.describe(found)}")
    return {}


PARTS: dict[str, Callable[[Record, argparse.Namespace], dict[str, Any]]] = {
    "graph": run_graph,
    "wide": run_wide,
    "stages": run_stages,
    "overlap": run_overlap,
    "rival": run_rival,
}


if __name__ == "__main__":
    main()
