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
BinArray = npt.NDArray[np.uint8]


class ShortRepr:
    """Prints a dataclass in one line: large values by their size alone, None not at all."""

    def __repr__(self) -> str:
        values = ((item.name, getattr(self, item.name)) for item in _fields_of(self))
        words = (f"{name}={_brief(value)}" for name, value in values if value is not None)
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


@dataclass(frozen=True)
class Verdict:
    """How far an estimate, or a selection, may be trusted, and why.

    Attributes
    ----------
    word : {"verified", "plausible", "weak", "unreliable"}
        `verified`: an independent signal agrees. `plausible`: the fit holds, but nothing
        independent checks it. `weak`, `unreliable`: something speaks against it.
    causes : tuple of str
        What led to the word, worst first.
    trust : float
        Share of the way from given to curated scores that a ranking should go: 1; ½ where the
        estimate is weak; 0 where it is unreliable. What speaks against a selection alone (junk
        among the rarest rows, say) leaves it as it is.
    """

    word: str
    causes: tuple[str, ...] = ()
    trust: float = 1.0

    def __str__(self) -> str:
        return f"{self.word}: {'; '.join(self.causes)}" if self.causes else self.word


UNCHECKED = Verdict("plausible")
"""Nothing speaks against a result, and nothing was checked."""


@dataclass(frozen=True, eq=False, repr=False)
class Clusterability(FrozenArrays):
    """How likely a neighbour shows a row's true level, by how similar it is.

    Attributes
    ----------
    edges : (B + 1,) float64
        Similarities that bound the bins, ascending.
    sharing : (B,) float64
        α of each bin: P(the neighbour shows the level of the row's neighbourhood); else it shows
        the pool's mix of levels.
    """

    edges: DoubleArray
    sharing: DoubleArray


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
        Share of counted rows whose nearest counted neighbour was given the same score.
    chance_agreement : float
        The same share if neighbours had nothing to do with each other: Σ observed².
    num_counted : int
        Rows with a score and two counted neighbours: the rows behind the counts.
    solver : str
        `"sharing"`, `"em"`, `"moments"` or, without a graph, `"panel"`.
    loss : float
        The paper's objective ‖ĉ1−c1‖ + ‖ĉ2−c2‖ + ‖ĉ3−c3‖ at the estimate; NaN without a graph.
    steps : int
        Steps that the solver took.
    converged : bool
        Whether the solver ended by itself, not by its limit of steps. Always true for `"moments"`,
        which makes a fixed number of steps.
    signal : tuple of str
        What, beside neighbours, T rests on: `"repeats"`, `"gold"`, `"raters"`.
    num_signal : int
        Rows with more than one rating, or a gold label.
    own : float or None
        Share of rows with a quality of their own, unrelated to that of their neighbours; None where
        nothing tells it apart from noise of the rater.
    clusterability : Clusterability or None
        How likely near rows share a true level; of `"sharing"` only.
    lower, upper : (K, K) float64 or None
        95 % bands of T; None unless `bootstrap` resamples were asked for.
    prior_lower, prior_upper : (K,) float64 or None
        95 % bands of p.
    bootstrap : int
        Resamples behind the bands.
    misfit : float
        Total variation between the counted triples and the fitted ones, beyond what sampling
        explains; NaN where it was not measured.
    rater_matrices : (R, K, K) float64 or None
        With several raters: T of each; `transition_matrix` is then that of the fused score.
    repeat_agreement : float
        How often two ratings of one row by the only rater are equal; NaN without repeats.
    gold_correlation : float
        Correlation of gold labels with the given scores of these rows; NaN without, or of one kind.
    raters_apart : float
        How far apart the shares of rows of their own lie that single raters show against the
        others, with a graph; NaN with one rater.
    rater_ties : (R,) float64 or None
        With several raters: the strongest correlation, without its sign, of each with another; NaN
        where too few rows have two ratings.
    verdict : Verdict
        How far to trust this.
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
    signal: tuple[str, ...] = ()
    num_signal: int = 0
    own: float | None = None
    clusterability: Clusterability | None = None
    lower: DoubleArray | None = None
    upper: DoubleArray | None = None
    prior_lower: DoubleArray | None = None
    prior_upper: DoubleArray | None = None
    bootstrap: int = 0
    misfit: float = float("nan")
    rater_matrices: DoubleArray | None = None
    repeat_agreement: float = float("nan")
    gold_correlation: float = float("nan")
    raters_apart: float = float("nan")
    rater_ties: DoubleArray | None = None
    verdict: Verdict = UNCHECKED

    @property
    def num_levels(self) -> int:
        """Number of score levels K."""
        return len(self.prior)

    def __str__(self) -> str:
        from ds2fast.summary import describe_estimate

        return describe_estimate(self)


@dataclass(frozen=True, eq=False, repr=False)
class Curation(FrozenArrays):
    """Scores after curation (paper section 3.3).

    Attributes
    ----------
    scores : (N,) int64
        Curated score of each row; −1 where the row is unrated.
    misrated : (N,) bool
        Rows whose given score is more likely wrong than right.
    suggested : (N,) int64
        The score that is suggested; the given one where no other is, −1 unrated.
    confidence : (N,) float64
        Of `"posterior"`: P(the suggested score is the true one), calibrated as far as the estimate
        holds. Of `"simifeat"`: the paper's product, max q_n · error_probability_n, which is no
        probability. 0 where no other score is suggested.
    error_probability : (N,) float64
        Of `"posterior"`: P(the given score is not the true one). Of `"simifeat"`: (flagged + 1) /
        (rounds seen + 2). NaN where the row is unrated.
    expected : (N,) float64
        What a ranking goes by. Of `"posterior"`: the mean of the true score, cautious where the
        estimate leaves something open (see `curate_scores`). Of `"simifeat"`: the curated score.
        −1 unrated.
    rank_step : float or None
        Rows whose `expected` rounds to the same multiple of this count as equal, so that rarity
        decides among them; None: only exact ties do.
    posterior : (N, K) float64 or None
        P(true score) of each row, NaN where it is unrated; None of `"simifeat"`.
    method, min_confidence, k, rounds, seed
        The settings that made it; `rounds` is 0 and `seed` unused where nothing is drawn.
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
    expected: DoubleArray | None = None
    rank_step: float | None = None
    posterior: DoubleArray | None = None

    @property
    def corrected(self) -> BoolArray:
        """(N,) bool: misrated rows whose suggestion was taken (confidence ≥ `min_confidence`)."""
        offered = (self.confidence > 0.0) | (self.method == "simifeat")
        return self.misrated & offered & (self.confidence >= self.min_confidence)

    @property
    def rank_keys(self) -> DoubleArray:
        """(N,) float64: what `dual_sort` ranks by: `expected`, in steps of `rank_step`."""
        return self.keys_shrunk_to(None, 1.0)

    def keys_shrunk_to(self, given: IntArray | None, trust: float) -> DoubleArray:
        """`rank_keys` with only a share `trust` of the way from the given scores taken."""
        expected = np.asarray(self.scores if self.expected is None else self.expected, float)
        if given is not None and trust < 1.0:
            expected = np.where(given < 0, -1.0, given + trust * (expected - given))
        if self.rank_step is None or trust == 0.0:
            return expected
        return np.where(expected < 0, -1.0, np.round(expected / self.rank_step) * self.rank_step)
