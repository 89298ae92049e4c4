"""Seconds and fit of the solvers of T, for 6, 10 and 20 levels.

A pool of cells that share a true level is made up, and a rater errs to near levels. Told are the
milliseconds of each solver (counting apart), the paper's objective at its end, beside that of 1 501
Adam steps in plain NumPy (the published way, best step), and the error of T.

Usage: python bench/bench_solvers.py --threads 2
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np

from ds2fast import _core, reference
from ds2fast.graph import KnnGraph
from ds2fast.knn import knn_graph
from ds2fast.results import DoubleArray, IntArray
from ds2fast.transition import estimate_transition_matrix

ROWS = 60_000
CELL = 8
WIDTH, SPREAD = 12, 0.45
"""Columns, and how far rows lie from their cell's centre: so that cells overlap a little."""

ADAM_STEPS = 1501
PLAIN_UP_TO = 10
"""Levels beyond which plain NumPy would take minutes."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--levels", type=int, nargs="+", default=[6, 10, 20])
    arguments = parser.parse_args()
    print(f"{ROWS} rows, {arguments.threads} threads")
    print(f"{'levels':>6} {'solver':10} {'ms':>8} {'steps':>6} {'loss':>10} {'T error':>8}")
    results = [run(levels, arguments.threads) for levels in arguments.levels]
    print(json.dumps({"benchmark": "solvers", "rows": ROWS, "results": results}))


def run(num_levels: int, threads: int) -> dict[str, Any]:
    scores, graph, planted = make_pool(num_levels, threads)
    found: dict[str, Any] = {"levels": num_levels}
    for solver in ("sharing", "em", "moments"):
        start = time.perf_counter()
        estimate = estimate_transition_matrix(
            scores, graph, num_levels=num_levels, solver=solver, threads=threads, progress=False
        )
        seconds = time.perf_counter() - start
        error = float(np.abs(estimate.transition_matrix - planted).mean())
        found[solver] = {"seconds": seconds, "steps": estimate.steps, "loss": estimate.loss}
        found[solver] |= {"t_error": error}
        print(
            f"{num_levels:6} {solver:10} {1e3 * seconds:8.1f} {estimate.steps:6} "
            f"{estimate.loss:10.6f} {error:8.4f}",
            flush=True,
        )
    if num_levels <= PLAIN_UP_TO:
        counts = _core.agreement_counts(scores.astype(np.int8), graph.indices, num_levels, threads)
        start = time.perf_counter()
        transition, prior = reference.solve_moments(counts, falling_steps=0)
        seconds = time.perf_counter() - start
        loss = reference.moment_loss(counts, transition, prior)
        error = float(np.abs(transition - planted).mean())
        found["adam"] = {"seconds": seconds, "loss": loss, "t_error": error}
        print(
            f"{num_levels:6} {'NumPy Adam':10} {1e3 * seconds:8.1f} {ADAM_STEPS:6} {loss:10.6f} "
            f"{error:8.4f}",
            flush=True,
        )
    return found


def make_pool(num_levels: int, threads: int) -> tuple[IntArray, KnnGraph, DoubleArray]:
    """Scores, neighbours and the planted matrix."""
    rng = np.random.default_rng(num_levels)
    levels = np.arange(num_levels)
    planted = np.exp(-np.abs(levels[:, None] - levels) * 1.2)
    planted /= planted.sum(axis=1, keepdims=True)
    true = np.repeat(rng.integers(0, num_levels, ROWS // CELL), CELL)
    scores = (planted[true].cumsum(axis=1) > rng.random(ROWS)[:, None]).argmax(axis=1)
    centres = np.repeat(rng.normal(size=(ROWS // CELL, WIDTH)), CELL, axis=0)
    rows = (centres + SPREAD * rng.normal(size=centres.shape)).astype(np.float32)
    return scores, knn_graph(rows, CELL - 1, threads=threads, progress=False), planted


if __name__ == "__main__":
    main()
