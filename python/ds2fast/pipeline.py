"""`select` and `diagnose`: the stages of DS2 (arXiv 2410.10877) joined; only here are all known."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from ds2fast import _core
from ds2fast.arguments import as_count, as_number, as_share
from ds2fast.checks import MAX_LEVELS, UNRATED, check_estimate, check_graph
from ds2fast.curation import MAX_SEED, curate_scores
from ds2fast.diversity import long_tail_scores
from ds2fast.embedding import DEFAULT_MODEL, embed, encoder_info
from ds2fast.embedding.cache import CacheDir, resolve_cache_dir
from ds2fast.errors import InputError, InputTypeError
from ds2fast.graph import KnnGraph
from ds2fast.io.read import read
from ds2fast.io.scores import map_scores
from ds2fast.io.source import check_file
from ds2fast.knn import as_embedding_rows, knn_graph
from ds2fast.outcome import Diagnosis, Selection, WeakEvidenceWarning
from ds2fast.pool import Pool
from ds2fast.progress import Progress, Reporter
from ds2fast.results import Curation, FloatArray, IntArray, TransitionEstimate
from ds2fast.selection import dual_sort
from ds2fast.threads import resolve_threads
from ds2fast.transition import DEFAULT_SOLVER, estimate_transition_matrix

DEFAULT_SCORES = "score"
PAPER_K = 10
DEFAULT_MIN_CONFIDENCE = 0.5
SAMPLED_SHARE = 0.9
LEAST_LIFT = 0.02
ENOUGH_VOTERS = 0.7
MAX_GRAPH_WIDTH = 64


@dataclass(frozen=True)
class _Settings:
    """Arguments that do not depend on the data, checked before any of it is read."""

    k: int
    solver: str
    min_confidence: float
    num_levels: int | None
    seed: int
    threads: int
    model: str | os.PathLike[str]
    cache_dir: CacheDir


@dataclass(frozen=True)
class _Input:
    """What the stages start from: levels, and texts, vectors or a graph of the same rows."""

    scores: IntArray
    num_levels: int
    pool: Pool | None
    embeddings: FloatArray | None
    graph: KnnGraph | None
    encoder: dict[str, Any] | None
    scores_given: bool  # beside the pool, not in it

    @property
    def num_rated(self) -> int:
        return int((self.scores >= 0).sum())


@dataclass
class _Clock:
    """Seconds by stage."""

    timings: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.timings[name] = self.timings.get(name, 0.0) + time.perf_counter() - start


def select(
    data: Any = None,
    *,
    n: int | None = None,
    fraction: float | None = None,
    text: str | None = None,
    scores: Any = DEFAULT_SCORES,
    embeddings: npt.ArrayLike | None = None,
    graph: KnnGraph | None = None,
    transition: TransitionEstimate | None = None,
    curation: Curation | None = None,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    k: int = PAPER_K,
    num_levels: int | None = None,
    preset: str | None = None,
    min_confidence: float | None = None,
    seed: int = 0,
    threads: int | None = None,
    cache_dir: CacheDir = None,
    progress: Progress = None,
) -> Selection:
    """Select the best n rows of a rated pool: by curated score, the rarest first among equals.

    Parameters
    ----------
    data : path, list, table or Pool, optional
        Rows as `read` takes them, or what it returned. None where arrays are given.
    n, fraction : int or float
        Rows to select, or the share of the rated rows in (0, 1], rounded down; just one of the two.
    text : str, optional
        The field or format string that gives a row's text, as in `read`; detected by default.
    scores : str or (N,) array-like
        The field that holds the scores, or the scores; see `read` for how they become levels.
    embeddings : (N, d) array-like, optional
        Vectors of the rows; with them no encoder runs.
    graph, transition, curation : optional
        Results of stages that need not run again.
    model : str
        Sentence encoder: a Hugging Face id or a local directory.
    k : int
        Neighbours of the long-tail score; also the sample and its k − 1 neighbours that vote on it.
    num_levels : int, optional
        K, where the scores are levels 0..K−1 as they stand.
    preset : "paper", optional
        The published method as it stands: the moment solver, k = 10, confidence 0.5.
    min_confidence : float, optional
        Confidence from which a suggestion replaces the given score; None is 0.5.
    seed, threads, cache_dir, progress
        As in the stages.

    Returns
    -------
    Selection
        `.indices` best first, `.selected` rows, and every stage's result.

    Raises
    ------
    InputError, InputTypeError, InputFileError, ModelNotFoundError
        Before any long work; the message names the argument, what was expected and what came.

    Notes
    -----
    Unrated rows take part in the graph, and in nothing else: they neither vote nor are selected.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> centres = np.repeat(rng.normal(size=(20, 8)), 10, axis=0)
    >>> rows = centres + 0.1 * rng.normal(size=(200, 8))
    >>> ratings = np.repeat(np.arange(20) % 5, 10)
    >>> selection = select(scores=ratings, embeddings=rows, n=40, num_levels=5)
    >>> set(selection.curated_scores[selection.indices].tolist())
    {4}
    """
    settings = _check_settings(
        k, preset, min_confidence, num_levels, seed, threads, model, cache_dir
    )
    _check_amount(n, fraction)
    clock = _Clock()
    with Reporter(progress) as reporter:
        given = _read_input(data, text, scores, embeddings, graph, settings, clock)
        count = _resolve_amount(n, fraction, given.num_rated)
        _check_given_stages(transition, curation, given)
        graph = _build_graph(given, settings, clock, reporter)
        if curation is None:
            with clock.stage("transition"):
                transition = transition or _estimate(given, graph, settings, reporter)
            with clock.stage("curation"):
                curation = _curate(given, graph, transition, settings, reporter)
        with clock.stage("long tail"):
            long_tail = long_tail_scores(graph, k=settings.k, threads=settings.threads)
        with clock.stage("dual sort"):
            indices = dual_sort(curation.scores, long_tail, count)
    return Selection(
        indices=indices,
        given_scores=given.scores,
        long_tail=long_tail,
        graph=graph,
        transition=transition,
        curation=curation,
        pool=given.pool,
        encoder=given.encoder,
        timings=MappingProxyType(clock.timings),
        settings=_settings_record(settings, given, preset, n=count, rounds=curation.rounds),
        warnings=_warn(_doubts(given, graph, transition, settings)),
    )


def diagnose(
    data: Any = None,
    *,
    text: str | None = None,
    scores: Any = DEFAULT_SCORES,
    embeddings: npt.ArrayLike | None = None,
    graph: KnnGraph | None = None,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    k: int = PAPER_K,
    num_levels: int | None = None,
    preset: str | None = None,
    threads: int | None = None,
    cache_dir: CacheDir = None,
    progress: Progress = None,
) -> Diagnosis:
    """Is the judge any good? Estimate T without selecting anything.

    Parameters and errors are those of `select`.

    Returns
    -------
    Diagnosis
        `.transition` holds T, the prior, the observed scores, and how often neighbours agree
        against chance: the method rests on their agreeing.

    Examples
    --------
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).normal(size=(100, 10))
    >>> rows = np.repeat(np.eye(10), 10, axis=0) + 0.01 * noise
    >>> diagnosis = diagnose(scores=np.repeat(np.arange(10) % 2, 10), embeddings=rows)
    >>> diagnosis.transition.transition_matrix.round(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    settings = _check_settings(k, preset, None, num_levels, 0, threads, model, cache_dir)
    clock = _Clock()
    with Reporter(progress) as reporter:
        given = _read_input(data, text, scores, embeddings, graph, settings, clock)
        graph = _build_graph(given, settings, clock, reporter)
        with clock.stage("transition"):
            transition = _estimate(given, graph, settings, reporter)
    return Diagnosis(
        given.scores,
        graph,
        transition,
        pool=given.pool,
        encoder=given.encoder,
        timings=MappingProxyType(clock.timings),
        settings=_settings_record(settings, given, preset),
        warnings=_warn(_doubts(given, graph, transition, settings)),
    )


def check_arguments(
    *,
    n: int | None = None,
    fraction: float | None = None,
    k: int = PAPER_K,
    preset: str | None = None,
    min_confidence: float | None = None,
    num_levels: int | None = None,
    seed: int = 0,
    threads: int | None = None,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    cache_dir: CacheDir = None,
    selects: bool = True,
) -> None:
    """Raise what `select` (or `diagnose`: `selects=False`) would raise before it reads any data."""
    _check_settings(k, preset, min_confidence, num_levels, seed, threads, model, cache_dir)
    if selects:
        _check_amount(n, fraction)


def graph_width(k: int, num_rows: int, rated_share: float) -> int:
    """Neighbours that the stages need: k for the long tail, more for the votes.

    A round holds 0.9 of the rated rows, so of w neighbours about 0.9·share·w take part, and k − 1
    should: three standard deviations are added. Kept to `MAX_GRAPH_WIDTH` (or 2k, if larger), so
    that pools with few rated rows stay affordable: there a row may count fewer neighbours.
    """
    inside = max(SAMPLED_SHARE * rated_share, 1e-9)
    votes = k - 1
    needed = math.ceil((votes + 3.0 * math.sqrt(votes * (1.0 - inside))) / inside)
    return min(max(k, 2, min(needed, max(MAX_GRAPH_WIDTH, 2 * k))), num_rows - 1)


def _check_settings(
    k: int,
    preset: str | None,
    min_confidence: float | None,
    num_levels: int | None,
    seed: int,
    threads: int | None,
    model: str | os.PathLike[str],
    cache_dir: CacheDir,
) -> _Settings:
    if preset not in {None, "paper"}:
        raise InputError(f"preset: expected None or 'paper', got {preset!r}")
    if not isinstance(model, str) and not hasattr(model, "__fspath__"):
        raise InputTypeError(f"model: expected an id or a directory, got {type(model).__name__}")
    width = as_count(k, "k", minimum=2)
    if preset == "paper" and width != PAPER_K:
        raise InputError(f"k: expected {PAPER_K} with preset='paper', got {width}")
    confidence = DEFAULT_MIN_CONFIDENCE
    if min_confidence is not None:
        confidence = as_number(min_confidence, "min_confidence")
        if not 0.0 <= confidence <= 1.0:
            raise InputError(f"min_confidence: expected 0 to 1, got {min_confidence!r}")
    if num_levels is not None and not 2 <= as_count(num_levels, "num_levels") <= MAX_LEVELS:
        raise InputError(f"num_levels: expected 2 to {MAX_LEVELS}, got {num_levels}")
    if as_count(seed, "seed", minimum=0) > MAX_SEED:
        raise InputError(f"seed: expected at most {MAX_SEED}, got {seed}")
    resolve_cache_dir(cache_dir)
    _core.simd_level()  # refuses a DS2FAST_SIMD that names no level of this machine
    return _Settings(
        k=width,
        solver="moments" if preset == "paper" else DEFAULT_SOLVER,
        min_confidence=confidence,
        num_levels=num_levels,
        seed=seed,
        threads=resolve_threads(threads),
        model=model,
        cache_dir=cache_dir,
    )


def _check_amount(n: int | None, fraction: float | None) -> None:
    if (n is None) == (fraction is None):
        got = "neither" if n is None else "both"
        raise InputError(f"n, fraction: expected just one of the two, got {got}")
    if n is not None:
        as_count(n, "n")
    elif fraction is not None:
        as_share(fraction, "fraction")


def _resolve_amount(n: int | None, fraction: float | None, num_rated: int) -> int:
    count = int(n) if n is not None else math.floor(float(fraction or 0) * num_rated)
    if count > num_rated:
        raise InputError(f"n: expected at most the number of rated rows ({num_rated}), got {count}")
    if count < 1:
        raise InputError(
            f"fraction: expected a share that holds at least one of the {num_rated} rated rows, "
            f"got {fraction}"
        )
    return count


def _read_input(
    data: Any,
    text: str | None,
    scores: Any,
    embeddings: npt.ArrayLike | None,
    graph: KnnGraph | None,
    settings: _Settings,
    clock: _Clock,
) -> _Input:
    if embeddings is not None and graph is not None:
        raise InputError("embeddings, graph: expected at most one of the two, got both")
    if isinstance(data, str | os.PathLike):
        check_file(data)  # before the encoder, which may have to be downloaded
    if text is not None and (data is None or isinstance(data, Pool)):
        raise InputError(
            "text: expected rows or a file beside it, got none (read() takes text= too)"
        )
    # The encoder comes before the rows: that it is missing must not be found after a long read.
    encoder = None
    if data is not None and embeddings is None and graph is None:
        encoder = asdict(encoder_info(settings.model))
    with clock.stage("read"):
        pool = _as_pool(data, text, scores, settings)
        levels, num_levels = _levels_of(pool, scores, settings)
        rows = None if embeddings is None else as_embedding_rows(embeddings)
    if isinstance(data, Pool):
        clock.timings["read"] += data.read_seconds
    if pool is None and rows is None and graph is None:
        raise InputError("data: expected data, or embeddings= or graph= beside scores=, got none")
    if graph is not None:
        _check_given_graph(graph, len(levels), settings.k)
    if rows is not None and len(rows) != len(levels):
        raise InputError(f"embeddings: expected one row a score ({len(levels)}), got {len(rows)}")
    if len(levels) <= settings.k:
        raise InputError(
            f"k: expected fewer than the number of rows ({len(levels)}), got {settings.k}; pass a "
            "smaller k= (-k)"
        )
    scores_given = (
        pool is None
        or not isinstance(scores, str)
        or (isinstance(data, Pool) and scores != DEFAULT_SCORES)
    )
    return _Input(levels, num_levels, pool, rows, graph, encoder, scores_given)


def _check_given_graph(graph: KnnGraph, num_rows: int, k: int) -> None:
    check_graph(graph)
    if graph.num_rows != num_rows:
        raise InputError(f"graph: expected one row a score ({num_rows}), got {graph.num_rows}")
    if graph.k < k:
        raise InputError(f"k: expected at most the given graph's {graph.k} neighbours, got {k}")


def _check_given_stages(
    transition: TransitionEstimate | None, curation: Curation | None, given: _Input
) -> None:
    if transition is not None:
        _check_transition(transition, given.scores)
    if curation is not None:
        _check_curation(curation, given.scores)


def _check_transition(transition: TransitionEstimate, levels: IntArray) -> None:
    if not isinstance(transition, TransitionEstimate):
        raise InputTypeError(
            f"transition: expected a TransitionEstimate, got {type(transition).__name__}"
        )
    check_estimate(transition, levels)
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


def _as_pool(data: Any, text: str | None, scores: Any, settings: _Settings) -> Pool | None:
    if data is None or isinstance(data, Pool):
        return data
    return read(data, text=text, scores=scores, num_levels=settings.num_levels)


def _levels_of(pool: Pool | None, scores: Any, settings: _Settings) -> tuple[IntArray, int]:
    """Levels of the rows and K; a row without text is unrated: nothing can be learnt from it."""
    if pool is None:
        return _map_given(scores, settings)
    levels, num_levels = _levels_of_pool(pool, scores, settings)
    if pool.empty.count == 0:
        return levels, num_levels
    has_text = np.fromiter((bool(text) for text in pool.texts), bool, len(pool))
    return np.where(has_text, levels, UNRATED), num_levels


def _levels_of_pool(pool: Pool, scores: Any, settings: _Settings) -> tuple[IntArray, int]:
    if not isinstance(scores, str):
        levels, num_levels = _map_given(scores, settings)
        if len(levels) != len(pool):
            raise InputError(f"scores: expected one score a row ({len(pool)}), got {len(levels)}")
        return levels, num_levels
    if scores != DEFAULT_SCORES:
        return _map_given(pool.column(scores), settings)
    if pool.scores is None or pool.num_levels is None:
        raise InputError("data: expected a pool with scores, got one that was read without")
    if settings.num_levels not in {None, pool.num_levels}:
        raise InputError(
            f"num_levels: expected that of the pool ({pool.num_levels}, read() takes it too), "
            f"got {settings.num_levels}"
        )
    return pool.scores, pool.num_levels


def _map_given(scores: Any, settings: _Settings) -> tuple[IntArray, int]:
    if scores is None or isinstance(scores, str):
        raise InputError(
            "data: expected rows, a path or a Pool, or both scores= and embeddings= (or graph=), "
            f"got none; scores is {scores!r}"
        )
    given = map_scores(scores, num_levels=settings.num_levels)
    return given.levels, given.num_levels


def _build_graph(given: _Input, settings: _Settings, clock: _Clock, reporter: Reporter) -> KnnGraph:
    if given.graph is not None:
        return given.graph
    vectors = given.embeddings
    if vectors is None and given.pool is not None:
        with clock.stage("embedding"):
            vectors = _embed(given.pool, given.encoder, settings, reporter)
    if vectors is None:
        raise InputError("embeddings: expected them, or data or a graph, got none")
    width = graph_width(settings.k, len(vectors), given.num_rated / len(vectors))
    with clock.stage("k-NN graph"):
        return knn_graph(vectors, width, threads=settings.threads, progress=reporter)


def _embed(
    pool: Pool, encoder: dict[str, Any] | None, settings: _Settings, reporter: Reporter
) -> FloatArray:
    embedded = embed(
        pool.texts,
        model=settings.model,
        threads=settings.threads,
        cache_dir=settings.cache_dir,
        progress=reporter,
    )
    if encoder is not None:
        encoder.update(precision=embedded.precision, truncated=embedded.truncated)
    return embedded.vectors


def _estimate(
    given: _Input, graph: KnnGraph, settings: _Settings, reporter: Reporter
) -> TransitionEstimate:
    return estimate_transition_matrix(
        given.scores,
        graph,
        num_levels=given.num_levels,
        solver=settings.solver,
        threads=settings.threads,
        progress=reporter,
    )


def _curate(
    given: _Input,
    graph: KnnGraph,
    transition: TransitionEstimate,
    settings: _Settings,
    reporter: Reporter,
) -> Curation:
    return curate_scores(
        given.scores,
        graph,
        transition,
        min_confidence=settings.min_confidence,
        k=settings.k,
        seed=settings.seed,
        threads=settings.threads,
        progress=reporter,
    )


def _doubts(
    given: _Input, graph: KnnGraph, transition: TransitionEstimate | None, settings: _Settings
) -> tuple[str, ...]:
    """What speaks against trusting the result, in words."""
    doubts = []
    if transition is not None and _agrees_by_chance(transition):
        doubts.append(
            f"neighbours have the same score in {transition.agreement:.1%} of "
            f"{transition.num_counted} rows, not clearly more than by chance "
            f"({transition.chance_agreement:.1%}): T and all that is corrected by it rest on "
            "almost nothing; min_confidence=1.0 (--min-confidence 1) keeps the scores as given"
        )
    if transition is not None and not transition.converged:
        doubts.append(
            f"the fit of T had not settled after {transition.steps} steps: the counts hold too "
            "little to tell the levels apart"
        )
    voters = _mean_voters(given.scores, graph, settings.k)
    if voters < ENOUGH_VOTERS * (settings.k - 1):
        doubts.append(
            f"only {voters:.1f} rated neighbours vote on a row on average, not {settings.k - 1}: "
            "few rows are rated, or the graph is narrow"
        )
    return tuple(doubts)


def _agrees_by_chance(transition: TransitionEstimate) -> bool:
    """Whether agreement is within three standard errors (at least 0.02) of chance."""
    chance = transition.chance_agreement
    error = math.sqrt(chance * (1.0 - chance) / max(transition.num_counted, 1))
    return transition.agreement - chance < max(LEAST_LIFT, 3.0 * error)


def _mean_voters(scores: IntArray, graph: KnnGraph, k: int) -> float:
    """Neighbours that a rated row can count in a round, on average."""
    rated = scores >= 0
    in_list = rated[graph.indices[rated]].sum(axis=1)
    return float(np.minimum(SAMPLED_SHARE * in_list, k - 1).mean())


def _warn(doubts: tuple[str, ...]) -> tuple[str, ...]:
    for doubt in doubts:
        warnings.warn(doubt, WeakEvidenceWarning, stacklevel=3)
    return doubts


def _settings_record(
    settings: _Settings, given: _Input, preset: str | None, **more: Any
) -> Mapping[str, Any]:
    return MappingProxyType(
        {
            **more,
            "preset": preset,
            "num_levels": given.num_levels,
            "k": settings.k,
            "solver": settings.solver,
            "min_confidence": settings.min_confidence,
            "seed": settings.seed,
            "threads": settings.threads,
            "scores_given": given.scores_given,
            "embeddings_given": given.embeddings is not None,
            "graph_given": given.graph is not None,
        }
    )
