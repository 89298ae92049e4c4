"""What vectors are worth: cosine to the reference, the same neighbours, the same selection."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from ds2fast import knn_graph, select
from ds2fast.results import FloatArray, IdArray, IntArray

NEIGHBOURS = 10
SELECTED_SHARE = 0.033
"""Of the rows; 10 000 of the 300 000 of the paper."""

NUM_LEVELS = 6
NORM_SLACK = 1e-5
"""How far from 1 a vector's norm may be: float32 rounding of the norm and of the row."""


class WrongVectorsError(Exception):
    """Vectors that are not what the way says that they are: it has no time."""


@dataclass(frozen=True)
class Verdict:
    """One way's vectors beside the reference's.

    Attributes
    ----------
    mean_cosine, least_cosine : float or None
        To the reference's vector of the same text; None where the space is another one.
    overlap : float
        Share of the reference's 10 nearest neighbours that are among the way's 10 (mean of rows).
    selection : float
        Share of the rows selected by the reference's vectors that are selected by the way's.
    """

    mean_cosine: float | None
    least_cosine: float | None
    overlap: float
    selection: float


@dataclass(frozen=True)
class Truth:
    """The reference's vectors of N texts, and what follows from them.

    `neighbours` is (N, 10), `levels` are the planted ratings of these rows.
    """

    vectors: FloatArray
    neighbours: IdArray
    levels: IntArray
    selected: IntArray

    @classmethod
    def find(cls, vectors: FloatArray, levels: IntArray) -> Truth:
        """What follows from the reference's vectors."""
        vectors = check_unit(vectors, len(levels))
        return cls(vectors, neighbours_of(vectors), levels, selected_by(vectors, levels))

    def judge(self, vectors: FloatArray, least_mean_cosine: float) -> Verdict:
        """Refuse wrong vectors, measure the others.

        Raises
        ------
        WrongVectorsError
            They are of another shape, not finite, not of norm 1, or too far from the reference.
        """
        vectors = check_unit(vectors, len(self.vectors))
        mean, least = self._cosines(vectors, least_mean_cosine)
        return Verdict(
            mean,
            least,
            shared_share(self.neighbours, neighbours_of(vectors)),
            shared_share(self.selected[None], selected_by(vectors, self.levels)[None]),
        )

    def noise(self) -> float:
        """Share of the selection that another seed keeps, of the same vectors."""
        other = selected_by(self.vectors, self.levels, seed=1)
        return shared_share(self.selected[None], other[None])

    def _cosines(
        self, vectors: FloatArray, least_mean_cosine: float
    ) -> tuple[float | None, float | None]:
        if not least_mean_cosine:
            return None, None
        if vectors.shape != self.vectors.shape:
            raise WrongVectorsError(
                f"expected vectors of shape {self.vectors.shape}, got {vectors.shape}"
            )
        cosines = np.einsum("ij,ij->i", self.vectors, vectors, dtype=np.float64)
        mean, least = float(cosines.mean()), float(cosines.min())
        if mean < least_mean_cosine:
            raise WrongVectorsError(
                f"expected a mean cosine of {least_mean_cosine} or more to the reference, got "
                f"{mean:.5f}"
            )
        return mean, least


def check_unit(vectors: FloatArray, rows: int) -> FloatArray:
    """The rows scaled to norm 1; refused where they are further from it than rounding goes."""
    if vectors.ndim != 2 or len(vectors) != rows:
        raise WrongVectorsError(f"expected {rows} vectors, got an array of shape {vectors.shape}")
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    furthest = float(np.abs(norms - 1).max())
    if not furthest <= NORM_SLACK:  # a norm that is no number is refused too
        raise WrongVectorsError(f"expected vectors of norm 1, got one that is off by {furthest:g}")
    return np.asarray(vectors / norms, np.float32)


def neighbours_of(vectors: FloatArray) -> IdArray:
    return knn_graph(vectors, NEIGHBOURS, progress=False).indices


def selected_by(vectors: FloatArray, levels: IntArray, seed: int = 0) -> IntArray:
    with warnings.catch_warnings():
        # Whether the evidence is weak is no question here: planted ratings are what they are.
        warnings.simplefilter("ignore")
        found = select(
            scores=levels,
            embeddings=vectors,
            fraction=SELECTED_SHARE,
            num_levels=NUM_LEVELS,
            seed=seed,
            progress=False,
        )
    return found.indices


def shared_share(expected: IntArray | IdArray, found: IntArray | IdArray) -> float:
    """Mean over the rows: the share of a row's ids in `expected` that its row in `found` has."""
    shares = [
        len(set(one) & set(other)) / len(one)
        for one, other in zip(expected.tolist(), found.tolist(), strict=True)
    ]
    return float(np.mean(shares))
