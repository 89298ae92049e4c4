"""The choice of a precision by what it does to the user's own texts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from ds2fast import _core
from ds2fast.arguments import as_count, as_number
from ds2fast.embedding.distinct import DistinctTexts
from ds2fast.embedding.engine import Precision
from ds2fast.embedding.job import TextVectors
from ds2fast.embedding.overlap import neighbour_overlap
from ds2fast.errors import InputError

NEIGHBOURS = 10


@dataclass(frozen=True)
class PrecisionGate:
    """What a faster arithmetic has to reach on a sample of the user's texts to be taken.

    Attributes
    ----------
    sample : int
        Distinct texts that are compared with float32; at least 12. Chosen by their hashes.
    cosine : float
        Least mean cosine between the two vectors of a text.
    overlap : float
        Least share of the 10 nearest neighbours within the sample that both have in common.

    Raises
    ------
    InputTypeError, InputError
        A sample that is no integer or too small, a threshold that is no number.

    Examples
    --------
    >>> from ds2fast.embedding import PrecisionGate
    >>> PrecisionGate(overlap=0.98).sample
    1000
    """

    sample: int = 1000
    cosine: float = 0.99
    overlap: float = 0.85

    def __post_init__(self) -> None:
        as_count(self.sample, "gate.sample", minimum=NEIGHBOURS + 2)
        for name, least in (("cosine", self.cosine), ("overlap", self.overlap)):
            if math.isnan(as_number(least, f"gate.{name}")):  # nothing would reach it, unsaid
                raise InputError(f"gate.{name}: expected a number, got {least}")


class Runner(Protocol):
    """What a choice needs of a job."""

    @property
    def backend(self) -> str:
        """What the model runs in."""

    def run(self, texts: DistinctTexts, precision: Precision, *, stage: str = ...) -> TextVectors:
        """Vectors of texts in one precision."""


@dataclass(frozen=True)
class Choice:
    """A precision, and why it is used."""

    precision: Precision
    reason: str


def choose_precision(
    wanted: Precision | Literal["auto"], texts: DistinctTexts, gate: PrecisionGate, job: Runner
) -> Choice:
    """The precision asked for; of "auto", the fastest that the gate lets through, else float32.

    Parameters
    ----------
    wanted : str
        What the user asked for.
    texts : DistinctTexts
        The user's.
    gate : PrecisionGate
        What "auto" asks of a precision.
    job : Runner
        Gives unit rows of texts.
    """
    if wanted != "auto":
        return Choice(wanted, "it was asked for")
    candidates = faster_precisions(job.backend)
    if not candidates:
        return Choice("fp32", "this processor has no products of bytes or of bfloat16")
    if len(texts) < 2 * gate.sample:
        return Choice(
            "fp32",
            f"{len(texts)} texts are too few for a comparison of {gate.sample} to save time",
        )
    sample = texts.sample(gate.sample)
    exact = job.run(sample, "fp32", stage="comparing: fp32").vectors
    refused: list[str] = []
    for precision in candidates:
        fast = job.run(sample, precision, stage=f"comparing: {precision}").vectors
        cosine = float(np.einsum("nd,nd->n", exact, fast, dtype=np.float64).mean())
        overlap = neighbour_overlap(exact, fast, NEIGHBOURS)
        found = (
            f"{precision} on {len(sample)} of these texts: mean cosine to fp32 {cosine:.4f} (at "
            f"least {gate.cosine:g}), neighbours in common {overlap:.3f} (at least "
            f"{gate.overlap:g})"
        )
        if cosine >= gate.cosine and overlap >= gate.overlap:
            return Choice(precision, "; ".join([*refused, found]))
        refused.append(f"not {found}")
    return Choice("fp32", "; ".join(refused))


def faster_precisions(backend: str) -> list[Precision]:
    """Precisions that are faster than float32 on this machine, the fastest first."""
    known: tuple[Precision, ...] = ("int8", "bf16") if backend == "native" else ("int8",)
    native = _core.native_precisions()
    return [precision for precision in known if precision in native]
