"""The ways to find neighbours that `bench_knn.py` compares; as a script, one of them on one pool.

A way is prepared with the pool and then searches for queries; the two are timed apart, since only
the second grows with the queries. Run as a script (`bench_knn.py` does that, so that a way may
crash) it takes a job as JSON, writes the ids into a file and prints one line of JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# What the ways need is imported by the way itself: a rival's process holds nothing of the others.
Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
Search = Callable[[Floats, int], Ids]
"""From queries and a count to the ids of so many nearest rows, (queries, count)."""

_WARM_ROWS = 1000
_MIB = 2.0**20


@dataclass(frozen=True)
class Way:
    """A rival: the package it is from, whether it is exact, and how it is prepared."""

    package: str
    exact: bool
    prepare: Callable[[Floats, int], Search]


@dataclass(frozen=True)
class Job:
    """What a process is to do: files of the pool, of the query rows (or all), of the ids."""

    way: str
    pool: str
    queries: str | None
    ids: str
    k: int
    threads: int


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    # Copy on write: torch refuses arrays that it may not write to. Nothing is written.
    pool = np.asarray(np.load(job.pool, mmap_mode="c"))
    pool.sum()  # reads the file: no way's time holds that
    found, figures = time_ours(pool, job) if job.way == "ours" else time_rival(pool, job)
    figures["peak_mib"] = peak_mib()
    np.save(job.ids, found)
    print(json.dumps(figures))


def time_ours(pool: Floats, job: Job) -> tuple[Ids, dict[str, Any]]:
    """The whole graph, whatever the queries."""
    from ds2fast import build_info, knn_graph

    warm = pool[: max(_WARM_ROWS, 4 * job.k)]
    knn_graph(warm, min(job.k, len(warm) - 1), threads=job.threads, progress=False)
    held = resident_mib()
    started = time.perf_counter()
    graph = knn_graph(pool, job.k, threads=job.threads, progress=False)
    searched = time.perf_counter() - started
    ids = graph.indices.astype(np.int64)
    return ids, figures_of(0.0, searched, held) | {"build": build_info()}


def time_rival(pool: Floats, job: Job) -> tuple[Ids, dict[str, Any]]:
    way = WAYS[job.way]
    rows = np.arange(len(pool)) if job.queries is None else np.load(job.queries)
    queries = pool if job.queries is None else np.ascontiguousarray(pool[rows])
    count = job.k + 1  # a row finds itself too
    warm = pool[: max(_WARM_ROWS, 4 * job.k)]
    way.prepare(warm, job.threads)(warm, min(count, len(warm)))
    held = resident_mib()
    started = time.perf_counter()
    search = way.prepare(pool, job.threads)
    prepared = time.perf_counter()
    ids = search(queries, count)
    searched = time.perf_counter()
    return drop_self(ids, rows), figures_of(prepared - started, searched - prepared, held)


def drop_self(ids: Ids, rows: Ids) -> Ids:
    """Without the row itself; without the last where duplicates of it have crowded it out."""
    ids = np.asarray(ids).astype(np.int64)
    own = ids == rows[:, None]
    place = np.where(own.any(axis=1), own.argmax(axis=1), ids.shape[1] - 1)
    kept = np.ones(ids.shape, dtype=np.bool_)
    kept[np.arange(len(ids)), place] = False
    return ids[kept].reshape(len(ids), -1)


def figures_of(prepare: float, search: float, held_mib: float) -> dict[str, Any]:
    return {"prepare_seconds": prepare, "search_seconds": search, "held_mib": held_mib}


def resident_mib() -> float:
    """Memory that this process holds now: its libraries and the pool's file are in it."""
    return _status_mib("VmRSS")


def peak_mib() -> float:
    """The most that this process has held.

    Where Linux tells it: `getrusage` counts there what the parent held when it started us.
    """
    return _status_mib("VmHWM")


def _status_mib(field: str) -> float:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / _MIB if sys.platform == "darwin" else peak / 1024
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


# --- Rivals ---------------------------------------------------------------------------------------

# Queries at once, of ways that leave that to the caller (and hold every query's similarity to every
# row): of the powers of two those that were fastest on two threads at 40 000 and 160 000 x 384.
NUMPY_BLOCK = 64
TORCH_BLOCK = 256
USEARCH_BLOCK = 32


def faiss_knn(pool: Floats, threads: int) -> Search:
    import faiss

    faiss.omp_set_num_threads(threads)

    def search(queries: Floats, count: int) -> Ids:
        found = faiss.knn(queries, pool, count, metric=faiss.METRIC_INNER_PRODUCT)
        return np.asarray(found[1])

    return search


def faiss_flat(pool: Floats, threads: int) -> Search:
    import faiss

    faiss.omp_set_num_threads(threads)
    index = faiss.IndexFlatIP(pool.shape[1])
    index.add(pool)
    return lambda queries, count: np.asarray(index.search(queries, count)[1])


def faiss_sq8(pool: Floats, threads: int) -> Search:
    import faiss

    faiss.omp_set_num_threads(threads)
    index = faiss.IndexScalarQuantizer(
        pool.shape[1], faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.train(pool)
    index.add(pool)
    return lambda queries, count: np.asarray(index.search(queries, count)[1])


def numpy_blocks(pool: Floats, _threads: int) -> Search:
    def search(queries: Floats, count: int) -> Ids:
        found = np.empty((len(queries), count), dtype=np.int64)
        products = np.empty((NUMPY_BLOCK, len(pool)), dtype=np.float32)
        for begin in range(0, len(queries), NUMPY_BLOCK):
            block = queries[begin : begin + NUMPY_BLOCK]
            cosines = np.matmul(block, pool.T, out=products[: len(block)])
            best = np.argpartition(cosines, len(pool) - count, axis=1)[:, len(pool) - count :]
            order = np.argsort(-np.take_along_axis(cosines, best, axis=1), axis=1)
            found[begin : begin + NUMPY_BLOCK] = np.take_along_axis(best, order, axis=1)
        return found

    return search


def sklearn_brute(metric: str) -> Callable[[Floats, int], Search]:
    def prepare(pool: Floats, threads: int) -> Search:
        from sklearn.neighbors import NearestNeighbors

        index = NearestNeighbors(algorithm="brute", metric=metric, n_jobs=threads).fit(pool)
        return lambda queries, count: np.asarray(
            index.kneighbors(queries, count, return_distance=False)
        )

    return prepare


def torch_blocks(precision: str) -> Callable[[Floats, int], Search]:
    def prepare(pool: Floats, threads: int) -> Search:
        import torch

        torch.set_num_threads(threads)
        numbers = getattr(torch, precision)
        columns = torch.from_numpy(pool).to(numbers).T

        def search(queries: Floats, count: int) -> Ids:
            rows = torch.from_numpy(queries).to(numbers)
            with torch.inference_mode():
                found = [
                    torch.topk(rows[begin : begin + TORCH_BLOCK] @ columns, count).indices
                    for begin in range(0, len(rows), TORCH_BLOCK)
                ]
            return np.asarray(torch.cat(found).numpy())

        return search

    return prepare


def usearch_exact(pool: Floats, threads: int) -> Search:
    from usearch.index import search as search_exact

    def search(queries: Floats, count: int) -> Ids:
        found = [
            search_exact(
                pool,
                queries[begin : begin + USEARCH_BLOCK],
                count,
                "ip",
                exact=True,
                threads=threads,
            ).keys
            for begin in range(0, len(queries), USEARCH_BLOCK)
        ]
        return np.concatenate([np.asarray(keys) for keys in found]).astype(np.int64)

    return search


WAYS = {
    "faiss-knn": Way("faiss-cpu", True, faiss_knn),
    "faiss-flat": Way("faiss-cpu", True, faiss_flat),
    "faiss-sq8": Way("faiss-cpu", False, faiss_sq8),
    "torch-fp32": Way("torch", True, torch_blocks("float32")),
    "torch-bf16": Way("torch", False, torch_blocks("bfloat16")),
    "numpy": Way("numpy", True, numpy_blocks),
    "sklearn-cosine": Way("scikit-learn", True, sklearn_brute("cosine")),
    "sklearn-euclidean": Way("scikit-learn", True, sklearn_brute("euclidean")),
    "usearch": Way("usearch", True, usearch_exact),
}
"""Rivals by name; the first is measured beside ours whatever that takes."""


if __name__ == "__main__":
    main()
