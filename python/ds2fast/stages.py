"""The stages over one intake, each timed; `pipeline` says in which order they run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ds2fast.clock import Clock
from ds2fast.curation import curate_scores
from ds2fast.encoder_record import run_record
from ds2fast.engines import Engine
from ds2fast.engines.local import LocalEngine
from ds2fast.errors import InputError
from ds2fast.exclusion import Exclusion, exclude_repeats
from ds2fast.graph import KnnGraph
from ds2fast.intake import Intake
from ds2fast.limits import Limits
from ds2fast.memory.machine import available_memory, held_memory
from ds2fast.memory.plan import MemoryPlan, plan_run
from ds2fast.memory.room import check_room, load_of
from ds2fast.positions import principal_plane
from ds2fast.progress import Reporter
from ds2fast.ratings import is_names
from ds2fast.results import Curation, Embeddings, FloatArray, IntArray, RowArray, TransitionEstimate
from ds2fast.scratch_place import scratch_folder
from ds2fast.settings import Settings
from ds2fast.sharing import VOTERS
from ds2fast.simifeat import SAMPLED_SHARE
from ds2fast.transition import estimate_transition_matrix, refuse_useless

MAX_GRAPH_WIDTH = 64


class Stages:
    """Runs the stages that `select`, `reselect` and `diagnose` share.

    Parameters
    ----------
    intake : Intake
        What is started from.
    settings : Settings
        Arguments in force.
    clock : Clock
        Counts the seconds of each stage.
    reporter : Reporter
        Hears how far a stage is.
    engine : Engine, optional
        What embeds, and finds neighbours; this process by default.
    """

    def __init__(
        self,
        intake: Intake,
        settings: Settings,
        clock: Clock,
        reporter: Reporter,
        engine: Engine | None = None,
    ) -> None:
        self.intake = intake
        self.settings = settings
        self.clock = clock
        self._reporter = reporter
        self._engine = LocalEngine() if engine is None else engine
        self._plan: MemoryPlan | None = None

    def plan(self, *, selects: bool = True) -> None:
        """Plan the run and tell it, where it is worth telling; refuse it where it cannot fit.

        Raises
        ------
        InputError
            `max_memory` is too small for these rows.
        OutputError
            The disk has no room for what is to go there.
        """
        load = load_of(self.intake, self.settings, self._num_neighbours(), selects=selects)
        plan = plan_run(
            load,
            max_memory=self.settings.max_memory,
            held=held_memory(),
            available=available_memory(),
        )
        note = check_room(plan, scratch_folder(self.settings.cache_dir))
        if plan.is_worth_telling:
            self._reporter.say(plan.describe() + note)
        self._plan = plan

    def refuse_useless(self) -> None:
        """Raise what the estimate would refuse, before vectors and neighbours are made."""
        given = self.intake.given
        refuse_useless(
            given.ratings,
            self.settings.solver,
            repeats=given.repeats is not None,
            gold=given.gold is not None,
            bootstrap=self.settings.bootstrap,
        )

    def vectors(self) -> RowArray | None:
        """The rows' vectors: given, or embedded; None where only a graph was given."""
        intake = self.intake
        if intake.embeddings is not None or intake.graph is not None or intake.pool is None:
            return intake.embeddings
        with self.clock.stage("embedding"):
            on_disk = self._plan is not None and self._plan.layout.vectors_on_disk
            scratch = scratch_folder(self.settings.cache_dir) if on_disk else None
            embedded = self._embed(intake.pool.texts, scratch=scratch)
        if intake.encoder is not None:
            gate = self.settings.gate if self.settings.precision == "auto" else None
            intake.encoder.update(run_record(embedded, self.settings.long_text, gate))
        return embedded.vectors

    def graph(self, vectors: RowArray | None) -> KnnGraph:
        """The neighbours of every row: given, or found."""
        if self.intake.graph is not None:
            return self.intake.graph
        if vectors is None:
            raise InputError("embeddings: expected them, or data or a graph, got none")
        settings, plan = self.settings, self._plan
        on_disk = plan is not None and plan.layout.graph_on_disk
        with self.clock.stage("k-NN graph"):
            return self._engine.graph(
                vectors,
                self._num_neighbours(),
                method=settings.graph_method,
                recall=settings.recall,
                seed=settings.seed,
                threads=settings.threads,
                max_memory=None if plan is None else plan.graph_memory,
                cache_dir=settings.cache_dir if on_disk else False,
                progress=self._reporter,
            )

    def positions(self, vectors: RowArray | None) -> FloatArray | None:
        """(N, 2) places of the rows on a map, where there are vectors."""
        if vectors is None:
            return None
        with self.clock.stage("map"):
            return principal_plane(vectors)

    def exclusion(self, limits: Limits, vectors: RowArray | None) -> Exclusion | None:
        """Rows that repeat the data that they must not repeat."""
        intake = self.intake
        if intake.excluding is None or intake.pool is None:
            return None
        can_embed = vectors is not None and intake.embeddings is None
        with self.clock.stage("exclusion"):
            return exclude_repeats(
                intake.pool.texts,
                intake.excluding,
                ngram=limits.exclude_ngram,
                similarity=limits.exclude_similarity,
                vectors=vectors if can_embed else None,
                embed=self._embed_alike if can_embed else None,
            )

    def estimate(self, graph: KnnGraph) -> TransitionEstimate:
        """T of the raters."""
        given, settings = self.intake.given, self.settings
        with self.clock.stage("transition"):
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
                progress=self._reporter,
            )

    def curate(self, graph: KnnGraph, transition: TransitionEstimate) -> Curation:
        """Scores as neighbours and T have them."""
        given, settings = self.intake.given, self.settings
        voting = settings.method == "simifeat"
        with self.clock.stage("curation"):
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
                progress=self._reporter,
            )

    def record(
        self,
        preset: str | None,
        *,
        n: int,
        curation: Curation,
        groups: Any,
        limits: Limits,
        fields: Mapping[str, Any] = MappingProxyType({}),
        transition_given: bool = False,
        curation_given: bool = False,
    ) -> Mapping[str, Any]:
        """Arguments of a selection in force, for the manifest.

        Of `fields` (scores, repeats, gold as they were given) the names are kept, arrays are not.
        """
        return MappingProxyType(
            {
                "n": n,
                "method": curation.method,
                "rounds": curation.rounds,
                "max_unrated": self.settings.max_unrated,
                "trust": self.settings.trust,
                "fields": {name: _names_of(given) for name, given in fields.items()},
                "groups": groups if isinstance(groups, str) else None,
                "limits": limits.record(),
                **self.start_record(preset),
                "transition_given": transition_given,
                "curation_given": curation_given,
            }
        )

    def start_record(self, preset: str | None) -> Mapping[str, Any]:
        """Arguments in force up to T, for the manifest."""
        settings, intake = self.settings, self.intake
        return MappingProxyType(
            {
                "preset": preset,
                "num_levels": intake.given.num_levels,
                "edges": settings.edges,
                "k": settings.k,
                "solver": settings.solver,
                "bootstrap": settings.bootstrap,
                "raters": intake.given.ratings.shape[1],
                "repeated_rows": _rows_with(intake.given.repeats),
                "gold_rows": _rows_with(intake.given.gold),
                "min_confidence": settings.min_confidence,
                "graph_method": settings.graph_method,
                "recall": settings.recall,
                "max_memory": settings.max_memory,
                "memory_plan": None if self._plan is None else self._plan.record(),
                "engine": settings.engine,
                "seed": settings.seed,
                "threads": settings.threads,
                "scores_given": intake.scores_given,
                "embeddings_given": intake.embeddings is not None,
                "graph_given": intake.graph is not None,
            }
        )

    def _num_neighbours(self) -> int:
        """Neighbours that the stages need; as many as the graph has that was given."""
        if self.intake.graph is not None:
            return self.intake.graph.k
        given = self.intake.given
        return graph_width(self.settings.k, len(given), given.num_rated / len(given))

    def _embed(self, texts: Any, **changed: Any) -> Embeddings:
        settings = self.settings
        arguments: dict[str, Any] = {
            "model": settings.model,
            "precision": settings.precision,
            "long_text": settings.long_text,
            "gate": settings.gate,
            "threads": settings.threads,
            "cache_dir": settings.cache_dir,
            "progress": self._reporter,
        }
        return self._engine.embed(texts, **arguments | changed)

    def _embed_alike(self, texts: Any) -> FloatArray:
        """Vectors of other texts, in the precision that the pool's were made in."""
        precision = (self.intake.encoder or {}).get("precision", self.settings.precision)
        return self._embed(texts, precision=precision).vectors


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


def _names_of(given: Any) -> str | list[str] | None:
    """A field's name or several; None where there are arrays, or nothing."""
    if isinstance(given, str):
        return given
    return list(given) if is_names(given) else None


def _rows_with(table: IntArray | None) -> int:
    """Rows of repeats or gold that hold any."""
    return 0 if table is None else int((table.reshape(len(table), -1) >= 0).any(axis=1).sum())
