"""The ways to a k-NN graph of all rows that `bench_scale.py` compares; as a script, one of them.

A way builds something of the pool once, and finds the neighbours of all rows at one or more
efforts; the seconds of an effort are those of the build and of its search. Run as a script (of
another Python environment where the way is a rival's) it takes a job as JSON and adds a line of
JSON to a file after every effort, so that a process which is stopped loses one effort only.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# What the ways need is imported by the way itself: a rival's process holds nothing of the others.
from knn_ways import drop_self, peak_mib, resident_mib

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
Search = Callable[[int], Ids]
"""From an effort to the ids of so many rows' neighbours, the row itself among them."""

_WARM_ROWS = 2000


@dataclass(frozen=True)
class Job:
    """What a process is to do.

    Attributes
    ----------
    build : dict
        Settings of the build.
    efforts : list of int or float
        In ascending order; the last ones are left out once `enough` of the true ids are found.
    checked, truth : str
        Files of the rows that are looked at, and of their true neighbours.
    folder : str
        Where `efforts.jsonl` and the ids of each effort go.
    """

    way: str
    pool: str
    k: int
    threads: int
    build: dict[str, Any]
    efforts: list[float]
    checked: str
    truth: str
    enough: float
    folder: str


@dataclass(frozen=True)
class Way:
    """A way: the package it is from, the word for its effort, and how it builds.

    Attributes
    ----------
    effort : str or None
        None: the build says it.
    build : callable or None
        None: ours, which our interpreter runs.
    warm_rows : int
        On so many rows all is run once before it is timed.
    """

    package: str
    effort: str | None
    build: Callable[[Floats, Job], Search] | None
    warm_rows: int = _WARM_ROWS

    @property
    def ours(self) -> bool:
        """Whether our interpreter runs it."""
        return self.build is None


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    # Copy on write: some libraries refuse arrays that they may not write to. Nothing is written.
    pool = np.asarray(np.load(job.pool, mmap_mode="c"))
    pool.sum()  # reads the file: no way's time holds that
    way = WAYS[job.way]
    if way.build is None:
        run_ours(pool, job)
    else:
        run_rival(pool, job, way.build, way)


def run_rival(pool: Floats, job: Job, build: Callable[[Floats, Job], Search], way: Way) -> None:
    warm = np.ascontiguousarray(pool[: way.warm_rows])
    build(warm, job)(int(job.efforts[0]))
    checked = np.load(job.checked)
    gc.collect()
    reset_peak()
    held = resident_mib()
    started = time.perf_counter()
    search = build(pool, job)
    built = time.perf_counter() - started
    for number, effort in enumerate(job.efforts):
        started = time.perf_counter()
        found = search(int(effort))
        searched = time.perf_counter() - started
        ids = drop_self(found[checked], checked)
        tell(job, number, ids, figures_of(built, searched, held) | version_of(way.package))
        del found
        if share_of_ids(ids, np.load(job.truth)) >= job.enough:
            break


def run_ours(pool: Floats, job: Job) -> None:
    """One graph of the settings in `build`; its effort is what they say."""
    from ds2fast import build_info, knn_graph

    settings: dict[str, Any] = {**job.build, "threads": job.threads, "progress": False}
    knn_graph(pool[: min(_WARM_ROWS, len(pool))], job.k, **settings)
    gc.collect()
    reset_peak()
    held = resident_mib()
    started = time.perf_counter()
    graph = knn_graph(pool, job.k, **settings)
    took = time.perf_counter() - started
    checked = np.load(job.checked)
    ids = graph.indices[checked].astype(np.int64)
    np.save(Path(job.folder, "similarities.npy"), graph.similarities[checked])
    said: dict[str, Any] = {"said_recall": as_json(graph.recall), "method": graph.method}
    interval = getattr(graph, "recall_interval", None)
    said["said_interval"] = None if interval is None else [float(end) for end in interval]
    tell(job, 0, ids, figures_of(0.0, took, held) | said | {"build": build_info()})


def tell(job: Job, number: int, ids: Ids, figures: dict[str, Any]) -> None:
    """Keep the ids, then say that they are there."""
    np.save(Path(job.folder, f"ids-{number}.npy"), ids)
    line = json.dumps({"number": number, "effort": job.efforts[number], **figures})
    with Path(job.folder, "efforts.jsonl").open("a") as file:
        file.write(line + "\n")


def figures_of(build: float, search: float, held_mib: float) -> dict[str, Any]:
    """Seconds and memory: what was held before (libraries and the pool's file), and at most."""
    return {
        "build_seconds": build,
        "search_seconds": search,
        "seconds": build + search,
        "held_mib": held_mib,
        "peak_mib": peak_mib(),
    }


def reset_peak() -> None:
    """Where Linux can: what was held at most is counted from now on."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def share_of_ids(found: Ids, true: Ids) -> float:
    """How many of the true ids were found: near enough to recall to stop by."""
    same = (found[:, :, None] == true[:, None, : found.shape[1]]).any(axis=2)
    return float(same.mean())


def version_of(package: str) -> dict[str, str]:
    from importlib.metadata import version

    return {"version": version(package)}


def as_json(value: float) -> float | None:
    """The number, or None for NaN, which JSON has not."""
    return None if np.isnan(value) else float(value)


# --- Rivals ---------------------------------------------------------------------------------------


def pynndescent(pool: Floats, job: Job) -> Search:
    """Its effort is `n_neighbors`, a build each: more are asked for, and the nearest k kept."""

    def search(_effort: int) -> Ids:
        from pynndescent import NNDescent

        index = NNDescent(
            pool,
            metric=job.build["metric"],
            n_neighbors=job.build["n_neighbors"],
            n_jobs=job.threads,
            random_state=0,
            verbose=False,
        )
        ids, _ = index.neighbor_graph
        return np.asarray(ids)[:, : job.k + 1]

    return search


def hnswlib(pool: Floats, job: Job) -> Search:
    import hnswlib as library

    index = library.Index(space="ip", dim=pool.shape[1])
    index.init_index(len(pool), M=job.build["M"], ef_construction=job.build["ef"], random_seed=0)
    index.add_items(pool, num_threads=job.threads)

    def search(effort: int) -> Ids:
        index.set_ef(effort)
        ids, _ = index.knn_query(pool, job.k + 1, num_threads=job.threads)
        return np.asarray(ids).astype(np.int64)

    return search


def faiss_hnsw(pool: Floats, job: Job) -> Search:
    import faiss

    faiss.omp_set_num_threads(job.threads)
    index = faiss.IndexHNSWFlat(pool.shape[1], job.build["M"], faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = job.build["ef"]
    index.add(pool)

    def search(effort: int) -> Ids:
        index.hnsw.efSearch = effort
        return np.asarray(index.search(pool, job.k + 1)[1])

    return search


def faiss_ivf(pool: Floats, job: Job) -> Search:
    import faiss

    faiss.omp_set_num_threads(job.threads)
    lists = max(1, min(len(pool) // 40, round(job.build["lists"] * len(pool) ** 0.5)))
    quantiser = faiss.IndexFlatIP(pool.shape[1])
    index = faiss.IndexIVFFlat(quantiser, pool.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.max_points_per_centroid = 64  # a quarter of the default: as good here, and faster
    index.train(pool)
    index.add(pool)

    def search(effort: int) -> Ids:
        index.nprobe = min(effort, lists)
        return np.asarray(index.search(pool, job.k + 1)[1])

    return search


WAYS = {
    "ours": Way("ds2fast", None, None),
    "ours-exact": Way("ds2fast", None, None),
    "pynndescent": Way("pynndescent", None, pynndescent, warm_rows=20_000),
    "hnswlib": Way("hnswlib", "ef", hnswlib),
    "faiss-hnsw": Way("faiss-cpu", "efSearch", faiss_hnsw),
    "faiss-ivf": Way("faiss-cpu", "nprobe", faiss_ivf),
}
RIVALS = tuple(name for name, way in WAYS.items() if not way.ours)


def runs_of(way: str, recalls: Iterable[float]) -> list[tuple[dict[str, Any], list[float]]]:
    """What a way is run with: a process each, of one build and its efforts in ascending order."""
    if way == "ours-exact":
        return [({"method": "exact"}, [1.0])]
    if way == "ours":
        return [({"method": "approximate", "recall": one}, [one]) for one in sorted(recalls)]
    if way == "pynndescent":
        return [
            ({"metric": "dot", "n_neighbors": effort}, [effort]) for effort in (11, 15, 20, 30, 45)
        ]
    if way == "faiss-ivf":
        return [({"lists": 4}, [1, 2, 4, 8, 16, 32, 64, 128])]
    efforts = [12, 16, 24, 36, 64, 100, 160, 256]
    builds = [(8, 40), (12, 60), (16, 100), (24, 200)]
    return [({"M": links, "ef": ef}, list(map(float, efforts))) for links, ef in builds]


if __name__ == "__main__":
    main()
