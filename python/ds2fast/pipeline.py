"""`select` and `diagnose`: the stages of DS2 (arXiv 2410.10877) joined; only here are all known."""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ds2fast.cache_dir import CacheDir
from ds2fast.clock import Clock
from ds2fast.diversity import long_tail_scores
from ds2fast.embedding import DEFAULT_MODEL, PrecisionGate
from ds2fast.embedding.engine import LongText, Precision
from ds2fast.engines import open_engine
from ds2fast.evidence import doubts_of_pool, doubts_of_voters, warn_of
from ds2fast.exclusion import DEFAULT_NGRAM, DEFAULT_SIMILARITY
from ds2fast.graph import KnnGraph
from ds2fast.graph_search import DEFAULT_RECALL, GraphMethod
from ds2fast.intake import check_given_stages, read_intake
from ds2fast.limits import GroupCaps, GroupShares, check_limits
from ds2fast.outcome import Diagnosis, Selection
from ds2fast.progress import Progress, Reporter
from ds2fast.ranking import rank, refuse_impossible
from ds2fast.ratings import DEFAULT_SCORES
from ds2fast.results import Curation, TransitionEstimate
from ds2fast.settings import (
    DEFAULT_GATE,
    DEFAULT_MAX_UNRATED,
    PAPER_K,
    check_amount,
    check_settings,
    check_unrated,
    resolve_amount,
)
from ds2fast.stages import Stages
from ds2fast.verdict import verdict_of


def select(
    data: Any = None,
    *,
    n: int | None = None,
    fraction: float | None = None,
    text: str | None = None,
    scores: Any = DEFAULT_SCORES,
    embeddings: npt.ArrayLike | os.PathLike[str] | None = None,
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
    groups: Any = None,
    group_shares: GroupShares = None,
    group_caps: GroupCaps = None,
    max_similarity: float | None = None,
    min_score: float | None = None,
    max_rarity: float | None = None,
    exclude: Any = None,
    exclude_ngram: int | None = DEFAULT_NGRAM,
    exclude_similarity: float | None = DEFAULT_SIMILARITY,
    seed: int = 0,
    threads: int | None = None,
    graph_method: GraphMethod = "auto",
    recall: float = DEFAULT_RECALL,
    max_memory: int | str | None = None,
    engine: str = "local",
    address: str | None = None,
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
    embeddings : (N, d) array-like, or path, optional
        Vectors of the rows; with them no encoder runs. A memory-mapped array of float32 or float16
        is read in place, and so is the .npy file that a path names; where `ds2fast embed` wrote it,
        it is checked to be of these texts.
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
    groups : str or (N,) labels, optional
        The field that names each row's group (`"source"`, say), or the labels. Each group gets its
        share of the rated rows, unless shares or caps say otherwise.
    group_shares : mapping of str to float, optional
        Share of the selection for each group that is named, 1 at most in all; what is left goes to
        the others by their size. Rows that a group lacks go to the others by rank.
    group_caps : int, float or mapping, optional
        Most rows (an integer), or greatest share of the selection (a float), of any group, or of
        each that is named. Without shares nothing else about groups counts.
    max_similarity : float, optional
        Leave out a row whose cosine to a better selected one is as high, in (0, 1]; near copies
        have 0.95 and more.
    min_score : float, optional
        Leave out rows that rank below it, on the scale of the levels, which count from 0. There may
        be fewer rows then.
    max_rarity : float, optional
        Leave out rows rarer than this share of the rated ones, in (0, 1]: 0.99 leaves out the
        rarest hundredth, where junk gathers.
    exclude : path, list, table or Pool, optional
        Rows of an evaluation, say, that no selected row may repeat; read as `data` is, with `text`
        where they have its fields, without scores.
    exclude_ngram : int, optional
        A row repeats one of `exclude` that has so many words in a row in common with it.
    exclude_similarity : float, optional
        A row repeats one of `exclude` with a cosine of this or more; needs the rows to be embedded
        here.
    graph_method : {"auto", "exact", "approximate"}
        How neighbours are found, see `knn_graph`.
    recall : float
        Share of the true neighbours that an approximate search has to find, in (0, 1].
    max_memory : int or str, optional
        Most memory that this process may hold, in bytes or as "4GiB" or "500 MB": what does not
        fit goes to files in the cache folder, and the results are the same bytes. Pages of mapped
        files do not count: the system takes them back when it needs them. None is what the machine
        has left, its container's limit included.
    engine, address : str
        "local", or "ray" with the address of a cluster, see `engines.open_engine`.
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
        graph_method=graph_method,
        recall=recall,
        max_memory=max_memory,
        engine=engine,
        address=address,
        cache_dir=cache_dir,
    )
    limits = check_limits(
        has_groups=groups is not None,
        has_exclude=exclude is not None,
        group_shares=group_shares,
        group_caps=group_caps,
        max_similarity=max_similarity,
        min_score=min_score,
        max_rarity=max_rarity,
        exclude_ngram=exclude_ngram,
        exclude_similarity=exclude_similarity,
    )
    check_amount(n, fraction)
    clock = Clock()
    with (
        Reporter(progress) as reporter,
        open_engine(settings.engine, settings.address) as runner,
    ):
        intake = read_intake(
            data,
            text,
            scores,
            embeddings,
            graph,
            settings,
            clock,
            repeats=repeats,
            gold=gold,
            groups=groups,
            exclude=exclude,
        )
        given = intake.given
        textless = 0 if intake.pool is None else intake.pool.empty.count
        check_unrated(settings.max_unrated, given.num_rated, len(given), num_textless=textless)
        count = resolve_amount(n, fraction, given.num_rated)
        refuse_impossible(limits, intake, count)
        check_given_stages(transition, curation, given)
        stages = Stages(intake, settings, clock, reporter, runner)
        transition_given, curation_given = transition is not None, curation is not None
        if transition is None and curation is None:
            stages.refuse_useless()
        stages.plan()
        vectors = stages.vectors()
        graph = stages.graph(vectors)
        exclusion, positions = stages.exclusion(limits, vectors), stages.positions(vectors)
        if limits.max_similarity is None:
            vectors = None  # the largest array of all: no later stage reads it
        if curation is None:
            transition = transition or stages.estimate(graph)
            curation = stages.curate(graph, transition)
        return rank(
            stages,
            graph,
            vectors,
            transition,
            curation,
            count=count,
            limits=limits,
            exclusion=exclusion,
            positions=positions,
            record=stages.record(
                preset,
                n=count,
                curation=curation,
                groups=groups,
                limits=limits,
                fields={"scores": scores, "repeats": repeats, "gold": gold},
                transition_given=transition_given,
                curation_given=curation_given,
            ),
        )


def diagnose(
    data: Any = None,
    *,
    text: str | None = None,
    scores: Any = DEFAULT_SCORES,
    embeddings: npt.ArrayLike | os.PathLike[str] | None = None,
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
    graph_method: GraphMethod = "auto",
    recall: float = DEFAULT_RECALL,
    max_memory: int | str | None = None,
    engine: str = "local",
    address: str | None = None,
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
        graph_method=graph_method,
        recall=recall,
        max_memory=max_memory,
        engine=engine,
        address=address,
        cache_dir=cache_dir,
    )
    clock = Clock()
    with (
        Reporter(progress) as reporter,
        open_engine(settings.engine, settings.address) as runner,
    ):
        intake = read_intake(
            data, text, scores, embeddings, graph, settings, clock, repeats=repeats, gold=gold
        )
        stages, given = Stages(intake, settings, clock, reporter, runner), intake.given
        stages.refuse_useless()
        stages.plan(selects=False)
        graph = stages.graph(stages.vectors())
        transition = stages.estimate(graph)
        with clock.stage("checks"):
            long_tail = long_tail_scores(graph, k=settings.k, threads=settings.threads)
            keys = given.scores.astype(np.float64)
            checked = doubts_of_pool(
                intake.pool, given.scores, graph, given.num_levels, keys, long_tail
            )
    verdict = verdict_of(transition, (*doubts_of_voters(given.scores, graph, settings.k), *checked))
    return Diagnosis(
        given.scores,
        graph,
        transition,
        verdict=verdict,
        pool=intake.pool,
        encoder=intake.encoder,
        timings=MappingProxyType(clock.timings),
        settings=stages.start_record(preset),
        warnings=warn_of(verdict),
    )
