"""What the stages return: small frozen dataclasses that carry their own settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
RowArray = npt.NDArray[np.float32] | npt.NDArray[np.float16]
DoubleArray = npt.NDArray[np.float64]
IdArray = npt.NDArray[np.int32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class ShortRepr:
    """Prints a dataclass in one line: arrays and other large values by their size alone."""

    def __repr__(self) -> str:
        words = (f"{item.name}={_brief(getattr(self, item.name))}" for item in _fields_of(self))
        return f"{type(self).__name__}({', '.join(words)})"


def _fields_of(instance: Any) -> tuple[Field[Any], ...]:
    return fields(instance)


def _brief(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, str)):
        return f"{type(value).__name__}[{len(value)}]"
    return repr(value)


class FrozenArrays(ShortRepr):
    """Makes the arrays of a dataclass read-only: a result says what was found, and stays so."""

    def __post_init__(self) -> None:
        for item in _fields_of(self):
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray):
                view = value.view()  # the array that was given stays as it is
                view.setflags(write=False)
                object.__setattr__(self, item.name, view)


@dataclass(frozen=True, eq=False, repr=False)
class Embeddings(ShortRepr):
    """Unit vectors of texts, and how they were made.

    Attributes
    ----------
    vectors : (N, d) float32
        One row of norm 1 per text; `np.asarray(embeddings)` gives them.
    model : str
        The model's id or directory, as it was asked for.
    precision : {"fp32", "bf16", "int8"}
        Arithmetic that the encoder ran in.
    reason : str
        Why this precision.
    truncated : int
        Number of texts that were cut at the model's maximum length.
    backend : {"native", "onnxruntime", "static"}
        What the encoder ran in.
    num_run : int
        Distinct texts that were encoded now, in comparisons too (of precisions, of a static model
        with its encoder).
    num_kept : int
        Distinct texts that did not run now: their vectors were kept from before.
    notes : tuple of str
        What should be known about kept vectors: that none are kept, say, and why.
    """

    vectors: FloatArray
    model: str
    precision: str
    reason: str
    truncated: int
    backend: str = "native"
    num_run: int = 0
    num_kept: int = 0
    notes: tuple[str, ...] = ()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if dtype is None or np.dtype(dtype) == self.vectors.dtype:
            return self.vectors.copy() if copy else self.vectors
        if copy is False:
            raise ValueError(f"copy=False: float32 vectors cannot be viewed as {np.dtype(dtype)}")
        return self.vectors.astype(dtype)

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True, eq=False, repr=False)
class TransitionEstimate(FrozenArrays):
    """How the rater turns true scores into given ones (paper section 3.2, HOC).

    Attributes
    ----------
    transition_matrix : (K, K) float64
        `T[i, j]` = P(given score j | true score i); rows sum to 1.
    prior : (K,) float64
        `p[i]` = P(true score i).
    observed : (K,) float64
        Share of each given score among the rows that were counted.
    correct_given_score : (K,) float64
        P(true score j | given score j) = T_jj p_j / P(given j), at most 1; NaN for a level never
        given.
    agreement : float
        Share of counted rows whose nearest rated neighbour was given the same score.
    chance_agreement : float
        The same share if neighbours had nothing to do with each other: Σ observed².
    num_counted : int
        Rows with a score and two rated neighbours: the rows behind the counts.
    solver : str
        `"em"` or `"moments"`.
    loss : float
        The paper's objective ‖ĉ1−c1‖ + ‖ĉ2−c2‖ + ‖ĉ3−c3‖ at the estimate.
    steps : int
        Steps that the solver took.
    converged : bool
        Whether EM ended because no entry moved by 1e-10 in a step, not after 20 000 steps. Always
        true for `"moments"`, which makes a fixed number of steps.
    """

    transition_matrix: DoubleArray
    prior: DoubleArray
    observed: DoubleArray
    correct_given_score: DoubleArray
    agreement: float
    chance_agreement: float
    num_counted: int
    solver: str
    loss: float
    steps: int = 0
    converged: bool = True

    @property
    def num_levels(self) -> int:
        """Number of score levels K."""
        return len(self.prior)


@dataclass(frozen=True, eq=False, repr=False)
class Curation(FrozenArrays):
    """Scores after curation (paper section 3.3, SimiFeat).

    Attributes
    ----------
    scores : (N,) int64
        Curated score of each row; −1 where the row is unrated.
    misrated : (N,) bool
        Rows whose given score is more likely wrong than right.
    suggested : (N,) int64
        The score that the neighbours suggest; the given one where no round flagged the row, −1
        unrated.
    confidence : (N,) float64
        The paper's product, max q_n · error_probability_n. Not a calibrated probability.
    error_probability : (N,) float64
        (flagged + 1) / (rounds seen + 2); NaN where the row is unrated.
    method, min_confidence, k, rounds, seed
        The settings that made it.
    """

    scores: IntArray
    misrated: BoolArray
    suggested: IntArray
    confidence: DoubleArray
    error_probability: DoubleArray
    method: str
    min_confidence: float
    k: int
    rounds: int
    seed: int

    @property
    def corrected(self) -> BoolArray:
        """(N,) bool: misrated rows whose suggestion was taken (confidence ≥ `min_confidence`)."""
        return self.misrated & (self.confidence >= self.min_confidence)
