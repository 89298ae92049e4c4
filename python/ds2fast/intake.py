"""What the stages start from: levels, and texts, vectors or a graph of the same rows."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ds2fast.checks import UNRATED, check_estimate, check_graph
from ds2fast.clock import Clock
from ds2fast.embedding import encoder_info
from ds2fast.embedding.encode import check_model
from ds2fast.errors import InputError, InputTypeError
from ds2fast.exclusion import check_excluding, read_excluding, refuse_same_rows
from ds2fast.given import Given
from ds2fast.graph import KnnGraph
from ds2fast.groups import label_words
from ds2fast.io.names import files_named
from ds2fast.io.origin import load_origin
from ds2fast.io.read import read
from ds2fast.io.vectors import load_vectors
from ds2fast.pool import Pool
from ds2fast.ratings import DEFAULT_SCORES, Scale, is_names, read_ratings
from ds2fast.results import Curation, IntArray, RowArray, TransitionEstimate
from ds2fast.settings import Settings
from ds2fast.vector_rows import as_embedding_rows


@dataclass(frozen=True)
class Intake:
    """What the stages start from: levels, and texts, vectors or a graph of the same rows."""

    given: Given
    pool: Pool | None
    embeddings: RowArray | None
    graph: KnnGraph | None
    encoder: dict[str, Any] | None
    scores_given: bool  # beside the pool, not in it
    groups: tuple[str, ...] | None = None  # a label a row
    excluding: Pool | None = None  # rows that must not be repeated


def read_intake(
    data: Any,
    text: str | None,
    scores: Any,
    embeddings: npt.ArrayLike | os.PathLike[str] | None,
    graph: KnnGraph | None,
    settings: Settings,
    clock: Clock,
    *,
    repeats: Any = None,
    gold: Any = None,
    groups: Any = None,
    exclude: Any = None,
) -> Intake:
    """Read and check what `select` and `diagnose` were given, before any long work."""
    if embeddings is not None and graph is not None:
        raise InputError("embeddings, graph: expected at most one of the two, got both")
    if data is not None and not isinstance(data, Pool):
        files_named(data)  # before the encoder, which may have to be downloaded
    if exclude is not None and data is None:
        raise InputError("exclude: expected beside data, whose texts it is compared with, got none")
    if exclude is not None:
        check_excluding(exclude, data)
    if text is not None and (data is None or isinstance(data, Pool)):
        raise InputError(
            "text: expected rows or a file beside it, got none (read() takes text= too)"
        )
    # The encoder comes before the rows: that it is missing must not be found after a long read.
    encoder = None
    if data is not None and embeddings is None and graph is None:
        encoder = _find_encoder(settings)
    with clock.stage("read"):
        pool = _as_pool(data, text, scores, settings)
        scale = Scale(settings.num_levels, settings.edges)
        seen = read_ratings(pool, scores, repeats, gold, scale)
        ratings = _without_textless(pool, seen.ratings)
        further = None if seen.repeats is None else _without_textless(pool, seen.repeats)
        rows = None if embeddings is None else _as_rows(embeddings, pool)
        excluding = None
        if pool is not None and exclude is not None:
            excluding = read_excluding(exclude, pool.text_option)
            refuse_same_rows(pool, excluding)
    if isinstance(data, Pool):
        clock.timings["read"] += data.read_seconds
    if pool is None and rows is None and graph is None:
        raise InputError("data: expected data, or embeddings= or graph= beside scores=, got none")
    if graph is not None:
        check_given_graph(graph, len(ratings), settings.k)
    if rows is not None and len(rows) != len(ratings):
        raise InputError(f"embeddings: expected one row a score ({len(ratings)}), got {len(rows)}")
    if len(ratings) <= settings.k:
        raise InputError(
            f"k: expected fewer than the number of rows ({len(ratings)}), got {settings.k}; pass a "
            "smaller k= (-k)"
        )
    scores_given = (
        pool is None
        or not isinstance(scores, str)
        or (isinstance(data, Pool) and scores != DEFAULT_SCORES)
    )
    return Intake(
        Given(ratings, seen.num_levels, further, seen.gold, seen.values),
        pool,
        rows,
        graph,
        encoder,
        scores_given,
        None if groups is None else read_groups(groups, pool, len(ratings)),
        excluding,
    )


def read_groups(groups: Any, pool: Pool | None, num_rows: int) -> tuple[str, ...]:
    """A label for each row: of a field of the rows, or as given.

    Raises
    ------
    InputError, InputTypeError
        A field without rows, or that none has; labels of another number than rows, or no labels.
    """
    if not isinstance(groups, str):
        return label_words(groups, num_rows)
    if pool is None:
        raise InputError(f"groups: expected labels beside arrays, got the field {groups!r}")
    try:
        return label_words(pool.column(groups), num_rows)
    except InputError as error:
        raise InputError(f"groups: {str(error).removeprefix('column: ')}") from None


def _find_encoder(settings: Settings) -> dict[str, Any]:
    check_model(settings.model, precision=settings.precision, long_text=settings.long_text)
    return asdict(encoder_info(settings.model))


def check_given_graph(graph: KnnGraph, num_rows: int, k: int) -> None:
    """Refuse a graph of other rows, or a narrower one than k."""
    check_graph(graph)
    if graph.num_rows != num_rows:
        raise InputError(f"graph: expected one row a score ({num_rows}), got {graph.num_rows}")
    if graph.k < k:
        raise InputError(f"k: expected at most the given graph's {graph.k} neighbours, got {k}")


def check_given_stages(
    transition: TransitionEstimate | None, curation: Curation | None, given: Given
) -> None:
    """Refuse results of stages that cannot be of these scores."""
    if transition is not None:
        _check_transition(transition, given)
    if curation is not None:
        _check_curation(curation, given.scores)
        for name, seen in (("repeats", given.repeats), ("gold", given.gold)):
            if seen is not None:
                raise InputError(f"{name}: expected without curation=, which leaves it without use")


def _check_transition(transition: TransitionEstimate, given: Given) -> None:
    if not isinstance(transition, TransitionEstimate):
        raise InputTypeError(
            f"transition: expected a TransitionEstimate, got {type(transition).__name__}"
        )
    check_estimate(transition, given.scores)
    raters = 1 if transition.rater_matrices is None else len(transition.rater_matrices)
    if raters != given.ratings.shape[1]:
        raise InputError(
            f"transition: expected one of {given.ratings.shape[1]} raters, as scores has columns, "
            f"got one of {raters}"
        )
    shares = (*transition.transition_matrix, transition.prior, transition.observed)
    if any((share < 0).any() or abs(share.sum() - 1.0) > 1e-6 for share in shares):
        raise InputError(
            "transition: expected rows of T, prior and observed shares that sum to 1, got others"
        )


def _check_curation(curation: Curation, levels: IntArray) -> None:
    if not isinstance(curation, Curation):
        raise InputTypeError(f"curation: expected a Curation, got {type(curation).__name__}")
    if len(curation.scores) != len(levels):
        got = len(curation.scores)
        raise InputError(f"curation: expected one score a row ({len(levels)}), got {got}")
    differs = (curation.scores < 0) != (levels < 0)
    if differs.any():
        raise InputError(
            "curation: expected one of these scores, got one that differs in which rows are "
            f"unrated; first such row: {int(differs.argmax())}"
        )
    expected, posterior = curation.expected, curation.posterior
    if expected is not None and not (
        expected.shape == levels.shape and np.array_equal(expected >= 0, levels >= 0)
    ):
        raise InputError(
            f"curation: expected one with an expected score of each rated row ({len(levels)}, and "
            f"-1 where unrated), got other values, of shape {expected.shape}"
        )
    if posterior is not None and (posterior.ndim != 2 or len(posterior) != len(levels)):
        raise InputError(
            f"curation: expected a posterior ({len(levels)}, K), got shape {posterior.shape}"
        )


def _as_rows(embeddings: npt.ArrayLike | os.PathLike[str], pool: Pool | None) -> RowArray:
    """Vectors as the search reads them; those of a file stay in it, and must be of these texts."""
    if not isinstance(embeddings, str | os.PathLike):
        return as_embedding_rows(embeddings)
    vectors = load_vectors(embeddings)
    rows = as_embedding_rows(vectors)
    origin = load_origin(Path(embeddings), vectors.shape)
    if origin is not None and pool is not None:
        origin.check_texts(pool.texts)
    return rows


def _as_pool(data: Any, text: str | None, scores: Any, settings: Settings) -> Pool | None:
    if isinstance(data, Pool) and settings.edges is not None:
        raise InputError("edges: expected beside data that is read now; read() takes edges= too")
    if data is None or isinstance(data, Pool):
        return data
    first = scores[0] if is_names(scores) else scores
    if first is not None and not isinstance(first, str) and np.ndim(first) > 1:
        first = None  # several raters beside the rows
    return read(
        data,
        text=text,
        scores=first,
        num_levels=settings.num_levels,
        edges=settings.edges,
        max_memory=settings.max_memory,
    )


def _without_textless(pool: Pool | None, ratings: IntArray) -> IntArray:
    """A row without text is unrated: nothing can be learnt from it."""
    if pool is None or pool.empty.count == 0:
        return ratings
    return np.where((pool.lengths > 0)[:, None], ratings, UNRATED)
