"""Run a small selection with a known answer on the installed ds2fast: `try_selection.py [LEVEL]`.

Every SIMD level that runs here must find the same neighbours as plain NumPy, and the selection must
hold the rows planted as the best. With LEVEL, the highest level that runs here must be that one.
"""

from __future__ import annotations

import os
import sys

import numpy as np
import numpy.typing as npt

import ds2fast

CLUSTERS, SIZE, WIDTH, LEVELS, K = 30, 20, 24, 3, 10
TRUE_SCORES = np.repeat(np.arange(CLUSTERS) % LEVELS, SIZE)
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


def make_pool() -> tuple[Floats, Integers]:
    """Tight clusters of one true score each, and scores of which one in ten is wrong."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CLUSTERS, WIDTH)).repeat(SIZE, axis=0)
    rows = centres + 0.1 * rng.standard_normal(centres.shape)
    scores = TRUE_SCORES.copy()
    wrong = rng.permutation(len(scores))[: len(scores) // 10]
    scores[wrong] = (scores[wrong] + 1) % LEVELS
    return rows.astype(np.float32), scores


def nearest_rows(rows: Floats) -> npt.NDArray[np.intp]:
    """The neighbours by plain NumPy in float64."""
    unit = rows.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    similarities = unit @ unit.T
    np.fill_diagonal(similarities, -np.inf)
    return np.argsort(-similarities, axis=1, kind="stable")[:, :K]


def find_faults(rows: Floats, scores: Integers) -> list[str]:
    """What is wrong with the neighbours and with the selection; nothing, one hopes."""
    faults = []
    for level in ds2fast.build_info()["simd_levels"]:
        os.environ["DS2FAST_SIMD"] = level
        graph = ds2fast.knn_graph(rows, k=K, progress=False)
        if not np.array_equal(graph.indices, nearest_rows(rows)):
            faults.append(f"{level}: neighbours differ from those of plain NumPy")
    del os.environ["DS2FAST_SIMD"]
    best = np.flatnonzero(TRUE_SCORES == LEVELS - 1)
    selection = ds2fast.select(scores=scores, embeddings=rows, n=len(best) // 2, progress=False)
    strangers = np.setdiff1d(selection.indices, best)
    if len(selection.indices) != len(best) // 2 or len(strangers) > 0:
        faults.append(f"select: {len(strangers)} rows that are not among the best")
    return faults


def main(arguments: list[str]) -> int:
    """Run the check; return the exit code."""
    os.environ.pop("DS2FAST_SIMD", None)
    level = ds2fast.build_info()["simd_level"]
    faults = find_faults(*make_pool())
    if arguments and level != arguments[0]:
        faults.append(f"SIMD level: expected {arguments[0]}, got {level}")
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults:
        print(f"ds2fast {ds2fast.__version__}, SIMD level {level}: selection as planted")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
