"""Measures how well T and the misrated rows are found where both are known.

Plants true scores and rating errors on the 40 000 real embeddings of the measuring data (its
`plant.py`), then compares with what ds2fast finds. For each regime, means over the seeds of:

- T error: mean |T̂ − T| over all entries, T counted from the planted (true, given) pairs;
- F1 of the misrated rows and mean absolute error of the curated scores, for either solver.

Usage: python bench/bench_planted.py --shared ../shared --threads 1
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt

from ds2fast.curation import curate_scores
from ds2fast.graph import KnnGraph
from ds2fast.knn import knn_graph
from ds2fast.results import DoubleArray, FloatArray, IntArray
from ds2fast.transition import estimate_transition_matrix

NUM_LEVELS = 6
GRAPH_WIDTH = 14  # room for the 9 neighbours that a round counts: a tenth of them is not drawn
COLUMNS = (
    "given_mae",
    "moments_t_error",
    "em_t_error",
    "moments_f1",
    "moments_mae",
    "em_f1",
    "em_mae",
)

Plant = Callable[..., tuple[IntArray, IntArray, DoubleArray]]
Figures = dict[str, float]


def main() -> None:
    arguments = parse_arguments()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # of the k-means inside plant()
    data = arguments.shared / "data"
    plant = load_plant(data / "plant.py")
    embeddings = load_embeddings(data / "instructions.minilm.f16.npy")
    started = time.perf_counter()
    graph = knn_graph(embeddings, GRAPH_WIDTH, threads=arguments.threads, progress=False)
    print(f"graph of {graph.num_rows} rows: {time.perf_counter() - started:.1f} s", flush=True)
    print(f"{'structure':9} {'noise':12}", *(f"{name:>15}" for name in COLUMNS))
    results = {}
    for structure in plant.STRUCTURES:
        for noise, rate in plant.NOISES:
            runs = [
                measure(plant.plant(embeddings, structure, noise, rate, seed), graph, arguments)
                for seed in arguments.seeds
            ]
            means = {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
            results[f"{structure} {noise} {rate}"] = means
            row = (f"{means[name]:15.3f}" for name in COLUMNS)
            print(f"{structure:9} {noise:8} {rate:3}", *row, flush=True)
    print(
        json.dumps(
            {
                "benchmark": "planted",
                "rows": graph.num_rows,
                "seeds": arguments.seeds,
                "threads": arguments.threads,
                "graph_width": GRAPH_WIDTH,
                "regimes": results,
            }
        )
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, required=True, help="folder of the measuring data")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def load_plant(path: Path) -> ModuleType:
    """The module that plants errors; it needs faiss-cpu."""
    spec = importlib.util.spec_from_file_location("plant", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_embeddings(path: Path) -> FloatArray:
    """(40 000, 384) float32 rows of norm 1."""
    rows = np.load(path).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def measure(
    planted: tuple[IntArray, IntArray, DoubleArray], graph: KnnGraph, arguments: argparse.Namespace
) -> Figures:
    true, scores, _ = planted
    counted = np.zeros((NUM_LEVELS, NUM_LEVELS))
    np.add.at(counted, (true, scores), 1)
    transition = counted / counted.sum(axis=1, keepdims=True)
    figures = {"given_mae": mean_error(true, scores)}
    for solver in ("moments", "em"):
        started = time.perf_counter()
        estimate = estimate_transition_matrix(
            scores, graph, solver=solver, num_levels=NUM_LEVELS, threads=arguments.threads
        )
        figures[f"{solver}_seconds"] = time.perf_counter() - started
        started = time.perf_counter()
        curation = curate_scores(scores, graph, estimate, threads=arguments.threads)
        figures[f"{solver}_curation_seconds"] = time.perf_counter() - started
        figures[f"{solver}_t_error"] = float(np.abs(estimate.transition_matrix - transition).mean())
        figures[f"{solver}_f1"] = f1(curation.misrated, scores != true)
        figures[f"{solver}_mae"] = mean_error(true, curation.scores)
    return figures


def mean_error(true: IntArray, scores: IntArray) -> float:
    return float(np.abs(true - scores).mean())


def f1(found: npt.NDArray[np.bool_], planted: npt.NDArray[np.bool_]) -> float:
    return float(2 * (found & planted).sum() / (found.sum() + planted.sum()))


if __name__ == "__main__":
    main()
