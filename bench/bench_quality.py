"""Measures how right the curation is, and whether it ever harms, where the truth is planted.

True levels and rating errors of many kinds are planted on embeddings: real ones, or clustered
vectors that the script makes itself. Every way to rank is given the same scores, and what it finds
is compared with the truth. The last lines say which goals are met. The protocol, and what the
columns say, is in README.md beside this file.

Usage: python bench/bench_quality.py --regimes plain --seeds 0 1
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ds2fast.threads import available_threads
from quality_figures import Figures, figures_of
from quality_goals import Means, goals
from quality_plant import Planter
from quality_pool import GRAPH_WIDTH, Pool, make_pool
from quality_record import Record, build_of_package
from quality_regimes import GROUPS, Regime, regimes_of
from quality_table import describe, describe_by_way
from quality_ways import WAYS, Case, Way, ablations, fitting, of_widths, timed


def main() -> None:
    arguments = parse_arguments()
    pool = make_pool(arguments.shared, arguments.rows, arguments.threads)
    names = fitting(arguments.ways, pool)
    ways = {name: WAYS[name] for name in WAYS if name in names}
    further = ablations() if arguments.ablation else {}
    widths = of_widths(arguments.widths)
    settings = {"pool": pool.name, "rows": pool.num_rows, "build": build_of_package()}
    record = Record(arguments.json, settings)
    regimes = regimes_of(arguments.regimes)
    print(f"{pool.name} pool of {pool.num_rows} rows, {arguments.threads} threads", flush=True)
    run(pool, regimes, arguments.seeds, ways | further | widths, record)
    means = record.means(regimes, arguments.seeds, [*ways, *further, *widths])
    tell(means, list(ways), list(further), list(widths))
    if arguments.plots is not None:
        from quality_plots import draw

        for path in draw(means, arguments.plots):
            print(f"plot: {path}")
    finish(means, record, arguments.seeds)


def parse_arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--shared", type=Path, help="folder of the measuring data; without it a synthetic pool")
    add("--rows", type=int, help="random rows of the data, or size of the synthetic pool (8000)")
    add("--regimes", choices=GROUPS, default="plain", help="8, 64 or 128 of them")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], metavar="SEED")
    add(
        "--ways",
        choices=list(WAYS),
        nargs="+",
        default=list(WAYS),
        metavar="WAY",
        help=", ".join(WAYS),
    )
    add("--ablation", action="store_true", help="also weigh score and rarity otherwise")
    add(
        "--widths", type=int, nargs="*", default=[], metavar="K", help="also curate by K neighbours"
    )
    add("--threads", type=int, default=available_threads())
    add("--json", type=Path, help="file of the runs; those that it holds are not run again")
    add("--plots", type=Path, help="folder for plots (SVG); needs matplotlib")
    arguments = parser.parse_args(given)
    if arguments.shared is not None and not (arguments.shared / "data").is_dir():
        parser.error(f"--shared: expected a folder with data/, got {arguments.shared}")
    if arguments.rows is not None and arguments.rows < 1000:
        parser.error(f"--rows: expected 1000 or more, got {arguments.rows}")
    if any(seed < 0 for seed in arguments.seeds):
        parser.error(f"--seeds: expected 0 or more, got {arguments.seeds}")
    if any(not 2 <= width <= GRAPH_WIDTH for width in arguments.widths):
        parser.error(f"--widths: expected 2 to {GRAPH_WIDTH}, got {arguments.widths}")
    if arguments.threads < 1:
        parser.error(f"--threads: expected 1 or more, got {arguments.threads}")
    for package in ("faiss", *(["matplotlib"] if arguments.plots else [])):
        if importlib.util.find_spec(package) is None:
            parser.error(f"expected {package} beside ds2fast (the group bench), got none")
    return arguments


def run(
    pool: Pool, regimes: list[Regime], seeds: list[int], ways: Mapping[str, Way], record: Record
) -> None:
    """All that the record does not hold yet; it is saved after every regime."""
    planter = Planter(pool.vectors)
    waiting = [r for r in regimes if any(record.missing(r, seed, list(ways)) for seed in seeds)]
    started = time.perf_counter()
    for number, regime in enumerate(waiting, start=1):
        for seed in seeds:
            missing = record.missing(regime, seed, list(ways))
            if missing:
                case = Case(pool, planter.plant(regime, seed), seed)
                record.add(regime, seed, measure(case, {name: ways[name] for name in missing}))
        record.save()
        spent = time.perf_counter() - started
        left = spent / number * (len(waiting) - number)
        print(
            f"... {number} of {len(waiting)}: {regime.name}; {spent:.0f} s, {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )


def measure(case: Case, ways: Mapping[str, Way]) -> dict[str, Figures]:
    """Figures of each way on one planted pool."""
    found = {}
    for name, way in ways.items():
        answer, seconds = timed(way, case)
        figures = figures_of(answer, case.planted, case.pool.long_tail)
        found[name] = figures | {"seconds": seconds}
    return found


def tell(means: Means, ways: list[str], further: list[str], widths: list[str]) -> None:
    print(f"\n{describe(means, ways)}")
    print(f"\n{describe_by_way('all ways, mean of all regimes', means, ways)}")
    if further:
        title = "score and rarity weighed otherwise, mean of all regimes"
        print(f"\n{describe_by_way(title, means, further)}")
    if widths:
        print(f"\n{describe_by_way('by neighbours, mean of all regimes', means, widths)}")


def finish(means: Means, record: Record, seeds: list[int]) -> None:
    """The goals, and all of it as one JSON object."""
    found = goals(means)
    print()
    for goal in found:
        print(goal)
    summary: dict[str, Any] = {
        "benchmark": "quality",
        "seeds": seeds,
        "goals": [asdict(goal) for goal in found],
        "regimes": {regime.name: ways for regime, ways in means.items()},
    }
    record.save(**summary)
    print(json.dumps(summary | {"settings": record.settings}, allow_nan=False))


if __name__ == "__main__":
    main()
