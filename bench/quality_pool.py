"""The pool of the quality bench: real embeddings, or clustered vectors that anyone can make."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ds2fast import KnnGraph, knn_graph, long_tail_scores, read
from ds2fast.results import DoubleArray, FloatArray

GRAPH_WIDTH = 50
LONG_TAIL_NEIGHBOURS = 10
MOST_ROWS_DOUBLED = 8000
WIDTH, THEMES = 64, 24
COPIES = 0.02
"""Of the synthetic rows: the share that nearly equals another row."""


@dataclass(frozen=True)
class Pool:
    """Vectors, what is derived of them once, and how long the texts are.

    Attributes
    ----------
    name : str
        `"real"` or `"synthetic"`.
    vectors : (N, d) float32
        Unit rows.
    graph : KnnGraph
        50 wide: stages read as much of it as they need.
    lengths : (N,) float64 or None
        Characters of each text; None where there are none.
    threads : int
        Of the stages.
    """

    name: str
    vectors: FloatArray
    graph: KnnGraph
    lengths: DoubleArray | None
    threads: int

    @property
    def num_rows(self) -> int:
        """Number of rows N."""
        return len(self.vectors)

    @cached_property
    def long_tail(self) -> FloatArray:
        """(N,) rarity of each row."""
        return long_tail_scores(self.graph, k=LONG_TAIL_NEIGHBOURS, threads=self.threads)

    @cached_property
    def doubled_graph(self) -> KnnGraph:
        """Of the pool concatenated with itself: most rows meet their own copy first."""
        twice = np.concatenate([self.vectors, self.vectors])
        return knn_graph(twice, self.graph.k, threads=self.threads, progress=False)


def make_pool(shared: Path | None, num_rows: int | None, threads: int) -> Pool:
    """The real pool of `shared`, or random rows of it; without it a synthetic one."""
    if shared is None:
        vectors, lengths = synthetic_vectors(num_rows or MOST_ROWS_DOUBLED), None
    else:
        vectors = load_embeddings(shared / "data" / "instructions.minilm.f16.npy")
        lengths = text_lengths(shared / "data" / "instructions.jsonl.gz")
        rows = _some_rows(len(vectors), num_rows)
        vectors, lengths = vectors[rows], lengths[rows]
    graph = knn_graph(vectors, GRAPH_WIDTH, threads=threads, progress=False)
    return Pool("synthetic" if shared is None else "real", vectors, graph, lengths, threads)


def load_embeddings(path: Path) -> FloatArray:
    """(40 000, 384) float32 rows of norm 1."""
    return unit_rows(np.load(path).astype(np.float32))


def text_lengths(path: Path) -> DoubleArray:
    """(N,) float64: characters of each text, as ds2fast renders it."""
    return np.array([len(text) for text in read(path, scores=None).texts], dtype=np.float64)


def _some_rows(all_rows: int, num_rows: int | None) -> slice | np.ndarray:
    """All, or as many by a fixed draw, in their own order."""
    if num_rows is None or num_rows == all_rows:
        return slice(None)
    if num_rows > all_rows:
        raise SystemExit(f"--rows: expected at most {all_rows}, got {num_rows}")
    return np.sort(np.random.default_rng(0).choice(all_rows, num_rows, replace=False))


def synthetic_vectors(num_rows: int, seed: int = 0) -> FloatArray:
    """(N, 64) float32 unit rows: themes of topics of rows, loose and dense ones, and some copies.

    As in texts, some rows are close to their topic and some are far from all others.
    """
    rng = np.random.default_rng(seed)
    themes = rng.normal(size=(THEMES, WIDTH))
    num_topics = max(THEMES, num_rows // 60)
    topics = themes[rng.integers(0, THEMES, num_topics)] + rng.normal(size=(num_topics, WIDTH))
    topic = rng.integers(0, num_topics, num_rows)
    looseness = rng.uniform(0.6, 2.6, num_topics)[topic] * rng.uniform(0.6, 1.6, num_rows)
    rows = topics[topic] + looseness[:, None] * rng.normal(size=(num_rows, WIDTH))
    copies = rng.choice(num_rows, int(COPIES * num_rows), replace=False)
    rows[copies] = rows[rng.integers(0, num_rows, len(copies))]
    rows[copies] += 0.01 * rng.normal(size=(len(copies), WIDTH))
    return unit_rows(rows.astype(np.float32))


def unit_rows(rows: FloatArray) -> FloatArray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))
