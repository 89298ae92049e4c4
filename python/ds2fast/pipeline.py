"""`select` and `diagnose`: the stages of DS2 (arXiv 2410.10877) joined; only here are all known."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ds2fast.clock import Clock
from ds2fast.curation import curate_scores
from ds2fast.cut_scores import with_values
from ds2fast.diversity import long_tail_scores
from ds2fast.embedding import DEFAULT_MODEL, PrecisionGate, embed
from ds2fast.embedding.cache import CacheDir
from ds2fast.embedding.engine import LongText, Precision
from ds2fast.encoder_record import run_record
from ds2fast.errors import InputError
from ds2fast.evidence import doubts_of_pool, doubts_of_voters, warn_of
from ds2fast.graph import KnnGraph
from ds2fast.intake import Intake, check_given_stages, read_intake
from ds2fast.knn import knn_graph
from ds2fast.outcome import Diagnosis, Selection
from ds2fast.pool import Pool
from ds2fast.progress import Progress, Reporter
from ds2fast.ratings import DEFAULT_SCORES
from ds2fast.results import (
    Curation,
    FloatArray,
    IntArray,
    RowArray,
    TransitionEstimate,
)
from ds2fast.selection import dual_sort
from ds2fast.settings import (
    DEFAULT_GATE,
    DEFAULT_MAX_UNRATED,
    PAPER_K,
    Settings,
    check_amount,
    check_settings,
    check_unrated,
    resolve_amount,
)
from ds2fast.sharing import VOTERS
from ds2fast.simifeat import SAMPLED_SHARE
from ds2fast.transition import estimate_transition_matrix, refuse_useless
from ds2fast.verdict import combine, verdict_of

MAX_GRAPH_WIDTH = 64


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
    precision: Precision | Literal["auto"] = "auto",
    long_text: LongText = "truncate",
    gate: PrecisionGate = DEFAULT_GATE,
    k: int = PAPER_K,
    num_levels: int | None = None,
    edges: npt.ArrayLike | None = None,
    repeats: Any = None,
    gold: Any = None,
    preset: str | None = None,
    solver: str | None = None,
    method: str | None = None,
    min_confidence: float | None = None,
    trust: float | None = None,
    max_unrated: float = DEFAULT_MAX_UNRATED,
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
    scores : str, list of str, (N,) or (N, R) array-like
        The field that holds the scores, or the scores; several fields or columns are several
        raters. See `read` for how they become levels.
    embeddings : (N, d) array-like, optional
        Vectors of the rows; with them no encoder runs.
    graph, transition, curation : optional
        Results of stages that need not run again.
    model : str
        Sentence encoder, or static model: a Hugging Face id or a local directory.
    precision : {"auto", "fp32", "bf16", "int8"}
        Arithmetic of the encoder; "auto" is the fastest that passes a comparison with fp32 on the
        pool's own texts, see `embed`. `.encoder["reason"]` says how it came out.
    long_text : {"truncate", "chunk-mean"}
        A text beyond the encoder's length is cut there, or its pieces' vectors are averaged.
    gate : PrecisionGate
        What "auto" asks of a precision, within a sample of the pool's own texts.
    k : int
        Neighbours of the long-tail score; also the sample and its k − 1 neighbours that vote on it.
    num_levels : int, optional
        K, where the scores are levels 0..K−1 as they stand.
    edges : (K−1,) floats, optional
        Cut points that make levels of real-valued scores; see `read`. Within a level the higher
        value ranks higher, in steps of a quarter of the level.
    repeats : str, list of str or (N, M) array-like, optional
        Further ratings of some rows by the same rater: fields, or an array; null or −1 elsewhere.
        They tell noise of the rater from rows with a quality of their own, and so how far
        neighbours may be trusted.
    gold : str or (N,) array-like, optional
        True scores of some rows, on the scale of the scores; null or −1 elsewhere. Used alike.
    preset : "paper", optional
        The published method as it stands: the moment solver, votes of the neighbours (SimiFeat),
        k = 10, confidence 0.5, corrections taken whatever the verdict.
    solver, method : str, optional
        As in `estimate_transition_matrix` and `curate_scores`.
    min_confidence : float, optional
        Confidence from which a correction counts; below it a row ranks by its given score. None is
        that of the method.
    trust : float, optional
        Share, 0 to 1, of the way from the given scores to the curated ones that the ranking goes.
        None follows the verdict: 1 where `verified` or `plausible`, ½ where `weak`, 0 where
        `unreliable`; 0 ranks by the scores as given.
    max_unrated : float
        Share of the rows, 0 to 1, that may be unrated (rows without text are); with more the pool
        is refused. 1 takes any.
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
    settings = check_settings(
        k=k,
        preset=preset,
        solver=solver,
        method=method,
        min_confidence=min_confidence,
        trust=trust,
        max_unrated=max_unrated,
        num_levels=num_levels,
        edges=edges,
        seed=seed,
        threads=threads,
        model=model,
        precision=precision,
        long_text=long_text,
        gate=gate,
        cache_dir=cache_dir,
    )
    check_amount(n, fraction)
    clock = Clock()
    with Reporter(progress) as reporter:
        given = read_intake(
            data, text, scores, embeddings, graph, settings, clock, repeats=repeats, gold=gold
        )
        check_unrated(settings.max_unrated, given.num_rated, len(given.scores))
        count = resolve_amount(n, fraction, given.num_rated)
        check_given_stages(transition, curation, given)
        if transition is None and curation is None:
            _refuse_useless(given, settings)
        graph = _build_graph(given, settings, clock, reporter)
        if curation is None:
            with clock.stage("transition"):
                transition = transition or _estimate(given, graph, settings, reporter)
            with clock.stage("curation"):
                curation = _curate(given, graph, transition, settings, reporter)
        verdict = verdict_of(transition, doubts_of_voters(given.scores, graph, settings.k))
        trust = verdict.trust if settings.trust is None else settings.trust
        with clock.stage("long tail"):
            long_tail = long_tail_scores(graph, k=settings.k, threads=settings.threads)
        with clock.stage("dual sort"):
            keys, given_keys = curation.keys_shrunk_to(given.scores, trust), None
            if given.values is not None:
                keys = with_values(keys, given.scores, given.values)
                as_given = given.scores.astype(np.float64)
                given_keys = with_values(as_given, given.scores, given.values)
            indices = dual_sort(keys, long_tail, count)
        with clock.stage("checks"):
            checked = doubts_of_pool(
                given.pool, given.scores, graph, given.num_levels, keys, long_tail, indices
            )
    verdict = combine(verdict, checked)
    return Selection(
        indices=indices,
        given_scores=given.scores,
        keys=keys,
        long_tail=long_tail,
        graph=graph,
        transition=transition,
        curation=curation,
        verdict=verdict,
        trust=trust,
        pool=given.pool,
        encoder=given.encoder,
        timings=MappingProxyType(clock.timings),
        settings=_settings_record(
            settings,
            given,
            preset,
            n=count,
            method=curation.method,
            rounds=curation.rounds,
            max_unrated=settings.max_unrated,
        ),
        warnings=warn_of(verdict, trust, asked=settings.trust is not None),
        given_keys=given_keys,
    )


def diagnose(
    data: Any = None,
    *,
    text: str | None = None,
    scores: Any = DEFAULT_SCORES,
    embeddings: npt.ArrayLike | None = None,
    graph: KnnGraph | None = None,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    precision: Precision | Literal["auto"] = "auto",
    long_text: LongText = "truncate",
    gate: PrecisionGate = DEFAULT_GATE,
    k: int = PAPER_K,
    num_levels: int | None = None,
    edges: npt.ArrayLike | None = None,
    repeats: Any = None,
    gold: Any = None,
    preset: str | None = None,
    solver: str | None = None,
    bootstrap: int = 0,
    seed: int = 0,
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
    >>> rows = np.repeat(np.eye(10), 10, axis=0) + 0.1 * noise
    >>> diagnosis = diagnose(scores=np.repeat(np.arange(10) % 2, 10), embeddings=rows)
    >>> diagnosis.transition.transition_matrix.round(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    settings = check_settings(
        k=k,
        preset=preset,
        solver=solver,
        bootstrap=bootstrap,
        num_levels=num_levels,
        edges=edges,
        seed=seed,
        threads=threads,
        model=model,
        precision=precision,
        long_text=long_text,
        gate=gate,
        cache_dir=cache_dir,
    )
    clock = Clock()
    with Reporter(progress) as reporter:
        given = read_intake(
            data, text, scores, embeddings, graph, settings, clock, repeats=repeats, gold=gold
        )
        _refuse_useless(given, settings)
        graph = _build_graph(given, settings, clock, reporter)
        with clock.stage("transition"):
            transition = _estimate(given, graph, settings, reporter)
        with clock.stage("checks"):
            long_tail = long_tail_scores(graph, k=settings.k, threads=settings.threads)
            keys = given.scores.astype(np.float64)
            checked = doubts_of_pool(
                given.pool, given.scores, graph, given.num_levels, keys, long_tail
            )
    doubts = (*doubts_of_voters(given.scores, graph, settings.k), *checked)
    verdict = verdict_of(transition, doubts)
    return Diagnosis(
        given.scores,
        graph,
        transition,
        verdict=verdict,
        pool=given.pool,
        encoder=given.encoder,
        timings=MappingProxyType(clock.timings),
        settings=_settings_record(settings, given, preset),
        warnings=warn_of(verdict),
    )


def graph_width(k: int, num_rows: int, rated_share: float) -> int:
    """Neighbours that the stages need: k for the long tail, more for the votes.

    A round of SimiFeat holds 0.9 of the rated rows, so of w neighbours about 0.9·share·w take part,
    and k − 1 should: three standard deviations are added. The posterior hears 20 rated ones. Kept
    to `MAX_GRAPH_WIDTH` (or 2k, if larger), so that pools with few rated rows stay affordable:
    there a row may count fewer neighbours.
    """
    inside = max(SAMPLED_SHARE * rated_share, 1e-9)
    votes = k - 1
    needed = math.ceil((votes + 3.0 * math.sqrt(votes * (1.0 - inside))) / inside)
    heard = math.ceil(VOTERS / max(rated_share, 1e-9))
    return min(max(k, 2, min(max(needed, heard), max(MAX_GRAPH_WIDTH, 2 * k))), num_rows - 1)


def _build_graph(given: Intake, settings: Settings, clock: Clock, reporter: Reporter) -> KnnGraph:
    if given.graph is not None:
        return given.graph
    vectors: RowArray | None = given.embeddings
    if vectors is None and given.pool is not None:
        with clock.stage("embedding"):
            vectors = _embed(given.pool, given.encoder, settings, reporter)
    if vectors is None:
        raise InputError("embeddings: expected them, or data or a graph, got none")
    width = graph_width(settings.k, len(vectors), given.num_rated / len(vectors))
    with clock.stage("k-NN graph"):
        return knn_graph(vectors, width, threads=settings.threads, progress=reporter)


def _embed(
    pool: Pool, encoder: dict[str, Any] | None, settings: Settings, reporter: Reporter
) -> FloatArray:
    embedded = embed(
        pool.texts,
        model=settings.model,
        precision=settings.precision,
        long_text=settings.long_text,
        gate=settings.gate,
        threads=settings.threads,
        cache_dir=settings.cache_dir,
        progress=reporter,
    )
    if encoder is not None:
        gate = settings.gate if settings.precision == "auto" else None
        encoder.update(run_record(embedded, settings.long_text, gate))
    return embedded.vectors


def _refuse_useless(given: Intake, settings: Settings) -> None:
    """What the estimate would refuse, before vectors and neighbours are made."""
    refuse_useless(
        given.ratings,
        settings.solver,
        repeats=given.repeats is not None,
        gold=given.gold is not None,
        bootstrap=settings.bootstrap,
    )


def _estimate(
    given: Intake, graph: KnnGraph, settings: Settings, reporter: Reporter
) -> TransitionEstimate:
    return estimate_transition_matrix(
        given.ratings,
        graph,
        num_levels=given.num_levels,
        solver=settings.solver,
        repeats=given.repeats,
        gold=given.gold,
        bootstrap=settings.bootstrap,
        seed=settings.seed,
        threads=settings.threads,
        progress=reporter,
    )


def _curate(
    given: Intake,
    graph: KnnGraph,
    transition: TransitionEstimate,
    settings: Settings,
    reporter: Reporter,
) -> Curation:
    voting = settings.method == "simifeat"
    return curate_scores(
        given.ratings,
        graph,
        transition,
        method=settings.method,
        min_confidence=settings.min_confidence,
        k=settings.k if voting else None,
        repeats=None if voting else given.repeats,
        gold=None if voting else given.gold,
        seed=settings.seed,
        threads=settings.threads,
        progress=reporter,
    )


def _settings_record(
    settings: Settings, given: Intake, preset: str | None, **more: Any
) -> Mapping[str, Any]:
    return MappingProxyType(
        {
            **more,
            "preset": preset,
            "num_levels": given.num_levels,
            "edges": settings.edges,
            "k": settings.k,
            "solver": settings.solver,
            "bootstrap": settings.bootstrap,
            "raters": given.ratings.shape[1],
            "repeated_rows": _rows_with(given.repeats),
            "gold_rows": _rows_with(given.gold),
            "min_confidence": settings.min_confidence,
            "seed": settings.seed,
            "threads": settings.threads,
            "scores_given": given.scores_given,
            "embeddings_given": given.embeddings is not None,
            "graph_given": given.graph is not None,
        }
    )


def _rows_with(table: IntArray | None) -> int:
    """Rows of repeats or gold that hold any."""
    return 0 if table is None else int((table.reshape(len(table), -1) >= 0).any(axis=1).sum())
