"""From curated scores to a selection: keys, rarity, rules, what speaks against it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from ds2fast.choice import Choice, Rules, choose
from ds2fast.cut_scores import SPAN, with_values
from ds2fast.diversity import long_tail_scores
from ds2fast.errors import InputError
from ds2fast.evidence import doubts_of_pool, doubts_of_voters, warn_of
from ds2fast.exclusion import Exclusion
from ds2fast.given import Given
from ds2fast.graph import KnnGraph
from ds2fast.groups import GroupRule, group_rule
from ds2fast.intake import Intake
from ds2fast.limits import Limits
from ds2fast.outcome import Selection
from ds2fast.results import (
    Curation,
    DoubleArray,
    FloatArray,
    IntArray,
    RowArray,
    TransitionEstimate,
)
from ds2fast.selection import dual_sort
from ds2fast.stages import Stages
from ds2fast.verdict import combine, verdict_of


def rank(
    stages: Stages,
    graph: KnnGraph,
    vectors: RowArray | None,
    transition: TransitionEstimate | None,
    curation: Curation,
    *,
    count: int,
    limits: Limits,
    exclusion: Exclusion | None,
    positions: FloatArray | None,
    record: Mapping[str, Any],
) -> Selection:
    """The best `count` rows within the limits, with all that led to them."""
    intake, settings, clock = stages.intake, stages.settings, stages.clock
    given = intake.given
    verdict = verdict_of(transition, doubts_of_voters(given.scores, graph, settings.k))
    trust = verdict.trust if settings.trust is None else settings.trust
    with clock.stage("long tail"):
        long_tail = long_tail_scores(graph, k=settings.k, threads=settings.threads)
    with clock.stage("dual sort"):
        keys, given_keys = _keys(given, curation, trust)
        order = dual_sort(keys, long_tail)
        group = _group_of(limits, given, intake.groups, count, order)
        rules = _rules(limits, group, exclusion)
        kept = vectors if limits.max_similarity is not None else None
        choice = choose(
            keys, long_tail, count, rules, graph=graph, vectors=kept, threads=settings.threads
        )
    with clock.stage("checks"):
        checked = doubts_of_pool(
            intake.pool, given.scores, graph, given.num_levels, keys, long_tail, choice.indices
        )
    verdict = combine(verdict, checked)
    return Selection(
        indices=choice.indices,
        given_scores=given.scores,
        keys=keys,
        long_tail=long_tail,
        graph=graph,
        transition=transition,
        curation=curation,
        verdict=verdict,
        trust=trust,
        pool=intake.pool,
        encoder=intake.encoder,
        timings=MappingProxyType(clock.timings),
        settings=record,
        warnings=warn_of(verdict, trust, asked=settings.trust is not None, callers=2),
        given_keys=given_keys,
        given=given,
        limits=limits,
        groups=intake.groups,
        choice=choice,
        rules=rules,
        positions=positions,
        vectors=kept,
    )


def _keys(given: Given, curation: Curation, trust: float) -> tuple[DoubleArray, DoubleArray | None]:
    """What rows rank by, and what they would rank by as given where that is no level."""
    keys = curation.keys_shrunk_to(given.scores, trust)
    if given.values is None:
        return keys, None
    as_given = given.scores.astype(np.float64)
    return (
        with_values(keys, given.scores, given.values),
        with_values(as_given, given.scores, given.values),
    )


def refuse_impossible(limits: Limits, intake: Intake, count: int) -> None:
    """Raise what no ranking of these rows can give, before vectors and neighbours are made.

    Raises
    ------
    InputError
        A share or cap of a group that there is not; no room at all; a score that no row can reach;
        repeats that could only be told by vectors, and there will be none.
    """
    given = intake.given
    _group_of(limits, given, intake.groups, count)
    highest = given.num_levels - 1 + (0.0 if given.values is None else SPAN / 2.0)
    if limits.min_score is not None and limits.min_score > highest:
        raise InputError(
            f"min_score: expected at most the highest level, {given.num_levels - 1} (levels count "
            f"from 0), got {limits.min_score:g}"
        )
    embeds = intake.embeddings is None and intake.graph is None
    if intake.excluding is not None and limits.exclude_ngram is None and not embeds:
        raise InputError(
            "exclude_ngram: expected a number of words, since rows that are not embedded here "
            "cannot be compared by exclude_similarity, got None"
        )


def _group_of(
    limits: Limits,
    given: Given,
    groups: tuple[str, ...] | None,
    count: int,
    order: IntArray | None = None,
) -> GroupRule | None:
    """How many rows of each group, as it was asked for; None without groups."""
    if groups is None:
        return None
    shares, caps = limits.group_shares, limits.group_caps
    return group_rule(groups, given.scores >= 0, count, shares=shares, caps=caps, order=order)


def _rules(limits: Limits, group: GroupRule | None, exclusion: Exclusion | None) -> Rules:
    return Rules(group, limits.max_similarity, limits.min_score, limits.max_rarity, exclusion)


def rank_again(
    selection: Selection, keys: DoubleArray, count: int, *, may_be_none: bool = False
) -> tuple[Rules, Choice]:
    """The rules and the rows of the same run by other keys, or with another number of rows."""
    given, group = selection.given, None
    if given is not None and selection.groups is not None:
        order = dual_sort(keys, selection.long_tail)
        group = _group_of(selection.limits, given, selection.groups, count, order)
    rules = _rules(selection.limits, group, selection.rules.excluded)
    return rules, choose(
        keys,
        selection.long_tail,
        count,
        rules,
        graph=selection.graph,
        vectors=selection.vectors,
        threads=selection.settings.get("threads"),
        may_be_none=may_be_none,
    )
