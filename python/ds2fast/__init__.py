"""ds2fast: select the small, high-quality, diverse subset of LLM-rated instruction data (DS2)."""

from ds2fast import audit
from ds2fast.build import build_info
from ds2fast.curation import curate_scores
from ds2fast.diversity import long_tail_scores
from ds2fast.embedding import DEFAULT_MODEL, PrecisionGate, embed
from ds2fast.embedding.distill import distill
from ds2fast.errors import (
    Ds2fastError,
    InputError,
    InputFileError,
    InputTypeError,
    MissingExtraError,
    ModelNotFoundError,
    OutputError,
    RatingAlarm,
    ServerError,
    TrainerWarning,
)
from ds2fast.evidence import WeakEvidenceWarning
from ds2fast.graph import KnnGraph
from ds2fast.io.read import read
from ds2fast.knn import knn_graph
from ds2fast.outcome import Diagnosis, Selection
from ds2fast.panel import RaterPanel, rate_raters
from ds2fast.pipeline import diagnose, select
from ds2fast.pool import Pool
from ds2fast.rating import RatingEstimate, Ratings, estimate_rating, rate
from ds2fast.reselect import reselect
from ds2fast.results import (
    Clusterability,
    Curation,
    Embeddings,
    TransitionEstimate,
    Verdict,
)
from ds2fast.run.difference import difference
from ds2fast.run.explain import explain
from ds2fast.selection import dual_sort
from ds2fast.transition import estimate_transition_matrix

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_MODEL",
    "Clusterability",
    "Curation",
    "Diagnosis",
    "Ds2fastError",
    "Embeddings",
    "InputError",
    "InputFileError",
    "InputTypeError",
    "KnnGraph",
    "MissingExtraError",
    "ModelNotFoundError",
    "OutputError",
    "Pool",
    "PrecisionGate",
    "RaterPanel",
    "RatingAlarm",
    "RatingEstimate",
    "Ratings",
    "Selection",
    "ServerError",
    "TrainerWarning",
    "TransitionEstimate",
    "Verdict",
    "WeakEvidenceWarning",
    "audit",
    "build_info",
    "curate_scores",
    "diagnose",
    "difference",
    "distill",
    "dual_sort",
    "embed",
    "estimate_rating",
    "estimate_transition_matrix",
    "explain",
    "knn_graph",
    "long_tail_scores",
    "rate",
    "rate_raters",
    "read",
    "reselect",
    "select",
]
