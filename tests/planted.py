"""Pools whose true scores, rater and clusters are known, for tests of what is found again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ds2fast.graph import KnnGraph
from ds2fast.knn import knn_graph
from ds2fast.results import DoubleArray, FloatArray, IntArray

CLUSTER_SIZE = 30


@dataclass(frozen=True)
class Planted:
    """Rows in clusters, the true level of each, and what a rater made of it."""

    rows: FloatArray
    graph: KnnGraph
    true: IntArray
    scores: IntArray
    rater: DoubleArray
    prior: DoubleArray
    seed: int

    @property
    def realised(self) -> DoubleArray:
        """(K, K): how often each true level was given each score."""
        table = np.zeros_like(self.rater)
        np.add.at(table, (self.true, self.scores), 1.0)
        return np.asarray(table / table.sum(axis=1, keepdims=True))

    def rate(self, rater: DoubleArray, seed: int) -> IntArray:
        """(N,): scores of one rater, drawn independently of all others."""
        return draw_scores(self.true, rater, np.random.default_rng([self.seed, seed]))

    def repeat(self, num_rows: int) -> IntArray:
        """(N,): a second score of so many rows by the same rater, −1 elsewhere."""
        return self._only(self.rate(self.rater, 1), num_rows)

    def know(self, num_rows: int) -> IntArray:
        """(N,): the true level of so many rows, −1 elsewhere."""
        return self._only(self.true, num_rows)

    def _only(self, values: IntArray, num_rows: int) -> IntArray:
        generator = np.random.default_rng([self.seed, 2])
        kept = generator.choice(len(values), num_rows, replace=False)
        out = np.full(len(values), -1)
        out[kept] = values[kept]
        return out


def noisy_rater(num_levels: int, right: float) -> DoubleArray:
    """T whose errors fall with the distance from the true level."""
    level = np.arange(num_levels)
    errors = np.exp(-np.abs(level[None] - level[:, None]).astype(float))
    np.fill_diagonal(errors, 0.0)
    errors *= (1 - right) / errors.sum(axis=1, keepdims=True)
    return np.asarray(right * np.eye(num_levels) + errors)


def draw_scores(true: IntArray, rater: DoubleArray, generator: np.random.Generator) -> IntArray:
    """A score of each row, by the row of T of its true level."""
    drawn = generator.random(len(true))
    return np.asarray((rater[true].cumsum(axis=1) > drawn[:, None]).argmax(axis=1))


def plant(
    num_rows: int = 6000,
    prior: tuple[float, ...] = (0.1, 0.25, 0.4, 0.25),
    *,
    right: float = 0.7,
    own: float = 0.0,
    width: int = 20,
    seed: int = 0,
) -> Planted:
    """Clusters of 30 rows share a true level, but for a share `own` with a level of their own."""
    generator = np.random.default_rng(seed)
    num_clusters = num_rows // CLUSTER_SIZE
    centres = generator.normal(size=(num_clusters, 16))
    cluster = np.arange(num_rows) % num_clusters
    rows = (centres[cluster] + 0.3 * generator.normal(size=(num_rows, 16))).astype(np.float32)
    true = generator.choice(len(prior), num_clusters, p=prior)[cluster]
    alone = generator.random(num_rows) < own
    true = np.where(alone, generator.choice(len(prior), num_rows, p=prior), true)
    rater = noisy_rater(len(prior), right)
    return Planted(
        rows=rows,
        graph=knn_graph(rows, width, progress=False),
        true=true,
        scores=draw_scores(true, rater, generator),
        rater=rater,
        prior=np.array(prior),
        seed=seed,
    )
