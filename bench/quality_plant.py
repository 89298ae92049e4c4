"""Plants true levels and rating errors on a pool's vectors; all random draws are of one seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ds2fast.results import DoubleArray, FloatArray, IntArray
from quality_noise import NUM_LEVELS, noise_matrix
from quality_regimes import Regime

PRIOR = np.array([0.06, 0.15, 0.28, 0.30, 0.17, 0.04])
ROWS_PER_CLUSTER = 100
LIKENESS_BITS = 12
"""Rows on the same side of so many random planes are alike: they may share their error."""

Clusters = tuple[IntArray, FloatArray]
"""Cluster of each row (N,), and the centres (C, d)."""


@dataclass(frozen=True)
class Planted:
    """What only the bench knows, and what the rater gave.

    Attributes
    ----------
    true, scores : (N,) int64
        True and given level.
    matrix : (K, K) float64
        What the errors were drawn from.
    own : float
        Share of rows whose true level is their own.
    """

    true: IntArray
    scores: IntArray
    matrix: DoubleArray
    own: float

    @property
    def counted(self) -> DoubleArray:
        """(K, K) T counted from the pairs of true and given level; NaN rows of absent levels."""
        pairs = np.zeros((NUM_LEVELS, NUM_LEVELS))
        np.add.at(pairs, (self.true, self.scores), 1)
        total = pairs.sum(axis=1, keepdims=True)
        counted = np.full_like(pairs, np.nan)
        np.divide(pairs, total, out=counted, where=total > 0)
        return counted

    @property
    def prior(self) -> DoubleArray:
        """(K,) shares of the true levels."""
        return np.bincount(self.true, minlength=NUM_LEVELS) / len(self.true)

    def repeats(self, num_rows: int, times: int, seed: int) -> IntArray:
        """(N, times) int64: random rows rated again by the same rater; −1 for the others."""
        rng = np.random.default_rng([seed, 1])
        rows = rng.choice(len(self.true), min(num_rows, len(self.true)), replace=False)
        found = np.full((len(self.true), times), -1)
        for time in range(times):
            found[rows, time] = rate(self.true[rows], self.matrix, rng.random(len(rows)))
        return found


class Planter:
    """Plants regimes on vectors; the clusters of a seed are found once, and serve all regimes.

    Parameters
    ----------
    vectors : (N, d) float32
        Unit rows.
    find_clusters : callable, optional
        `(vectors, num_clusters, seed) -> (cluster of each row, centres)`; k-means by default.
    """

    def __init__(
        self,
        vectors: FloatArray,
        find_clusters: Callable[[FloatArray, int, int], Clusters] | None = None,
    ) -> None:
        self.vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        self._find_clusters = find_clusters or k_means
        self._clusters: dict[int, Clusters] = {}

    def plant(self, regime: Regime, seed: int) -> Planted:
        """True and given levels. The order of the draws is part of what a seed means."""
        rng = np.random.default_rng(seed)
        true = self._true_levels(regime, seed, rng)
        matrix = noise_matrix(regime.noise, regime.rate)
        draws = self._draws(regime.shared_error, rng)
        return Planted(true, rate(true, matrix, draws), matrix, regime.own)

    def _true_levels(self, regime: Regime, seed: int, rng: np.random.Generator) -> IntArray:
        clusters, centres = self._clusters_of(seed)
        if regime.structure == "cluster":
            near = rng.choice(NUM_LEVELS, len(centres), p=PRIOR)[clusters]
        else:
            near = self._smooth_levels(clusters, centres, rng)
        num_rows = len(self.vectors)
        alone = rng.random(num_rows) < regime.own
        own = rng.choice(NUM_LEVELS, num_rows, p=PRIOR)
        return np.where(alone, own, near).astype(np.int64)

    def _smooth_levels(
        self, clusters: IntArray, centres: FloatArray, rng: np.random.Generator
    ) -> IntArray:
        """Levels along a direction over the clusters, and a little along another over the rows."""
        width = self.vectors.shape[1]
        wide = centres @ rng.normal(size=width)
        fine = self.vectors @ rng.normal(size=width)
        value = wide[clusters] + 0.15 * fine / fine.std() * wide.std()
        return np.asarray(np.digitize(value, np.quantile(value, PRIOR.cumsum()[:-1])))

    def _draws(self, shared_error: float, rng: np.random.Generator) -> DoubleArray:
        """(N,) uniform numbers that decide each row's error; alike rows may have one in common."""
        num_rows, width = len(self.vectors), self.vectors.shape[1]
        draws = rng.random(num_rows)
        if not shared_error:
            return draws
        sides = self.vectors @ rng.normal(size=(width, LIKENESS_BITS)) > 0
        alike = sides @ (1 << np.arange(LIKENESS_BITS))
        shares = rng.random(num_rows) < shared_error
        return np.where(shares, rng.random(1 << LIKENESS_BITS)[alike], draws)

    def _clusters_of(self, seed: int) -> Clusters:
        if seed not in self._clusters:
            number = max(4 * NUM_LEVELS, len(self.vectors) // ROWS_PER_CLUSTER)
            self._clusters[seed] = self._find_clusters(self.vectors, number, seed)
        return self._clusters[seed]


def k_means(vectors: FloatArray, num_clusters: int, seed: int) -> Clusters:
    """Spherical k-means of faiss."""
    import faiss

    found = faiss.Kmeans(vectors.shape[1], num_clusters, niter=15, seed=seed + 1, spherical=True)
    found.train(vectors)
    return found.index.search(vectors, 1)[1][:, 0], np.asarray(found.centroids)


def rate(true: IntArray, matrix: DoubleArray, draws: DoubleArray) -> IntArray:
    """(N,) int64: given levels, by uniform draws, from each true level's row of the matrix."""
    below = matrix.cumsum(axis=1)[true, :-1] <= draws[:, None]
    return np.asarray(below.sum(axis=1))
