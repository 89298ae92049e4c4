"""`reselect`: select again from a finished run, without its vectors and its search."""

from __future__ import annotations

import os
from enum import Enum
from typing import Any, Final

from ds2fast.clock import Clock
from ds2fast.errors import InputError
from ds2fast.exclusion import check_excluding, read_excluding, refuse_same_rows
from ds2fast.intake import Intake, check_given_graph, read_groups
from ds2fast.limits import GroupCaps, GroupShares, check_limits
from ds2fast.outcome import Selection
from ds2fast.progress import Progress, Reporter
from ds2fast.ranking import rank, refuse_impossible
from ds2fast.run.finished import FinishedRun
from ds2fast.run.rows import Files
from ds2fast.settings import Settings, check_amount, check_settings, resolve_amount
from ds2fast.stages import Stages


class Keep(Enum):
    """An argument that is to be as it was in the run."""

    AS_IT_WAS = "as it was"


KEEP: Final = Keep.AS_IT_WAS

_OF_THE_FIRST_RUN = ("fields", "embeddings_given", "graph_given", "edges", "max_unrated")
"""Settings that nothing asked for here can change."""
_OF_THE_GRAPH = ("graph_method", "recall", "max_memory", "memory_plan", "engine")
"""How the run's graph was made; runs of earlier versions do not say it."""


def reselect(
    directory: str | os.PathLike[str],
    *,
    n: int | None = None,
    fraction: float | None = None,
    keep_rules: bool = True,
    k: int | None = None,
    method: str | None = None,
    min_confidence: float | None = None,
    trust: float | Keep | None = KEEP,
    groups: Any = KEEP,
    group_shares: GroupShares | Keep = KEEP,
    group_caps: GroupCaps | Keep = KEEP,
    max_similarity: float | Keep | None = KEEP,
    min_score: float | Keep | None = KEEP,
    max_rarity: float | Keep | None = KEEP,
    exclude: Any = KEEP,
    exclude_ngram: int | Keep | None = KEEP,
    exclude_similarity: float | Keep | None = KEEP,
    seed: int | None = None,
    threads: int | None = None,
    progress: Progress = None,
    data: Files | None = None,
) -> Selection:
    """Select again from a finished run: its graph is read, nothing is embedded or searched.

    Whatever is not given is as it was in the run, its rules too; None takes a rule away.

    Parameters
    ----------
    directory : path-like
        What `Selection.save` wrote. The files that its rows came from must be as they were.
    n, fraction : int or float, optional
        Rows to select, or the share of the rated rows, one of the two at most; by default as many
        rows as before.
    keep_rules : bool
        False: none of the run's rules hold, only those given now.
    k : int, optional
        Neighbours, at most those of the run's graph.
    method, min_confidence, trust, seed, threads, progress
        As in `select`.
    groups, group_shares, group_caps, max_similarity, min_score, max_rarity
        As in `select`. Shares and caps by name go where other groups are given. Rows are compared
        by the graph alone, since there are no vectors: what that leaves open is said in
        `.choice.notes`.
    exclude, exclude_ngram, exclude_similarity
        As in `select`; what is excluded now is told by its words alone.
    data : path-like or list of them, optional
        Where the files that the rows came from lie now, in their order; by default where they were.

    Returns
    -------
    Selection
        As `select` returns it.

    Raises
    ------
    InputFileError
        The folder holds no finished run, or a file of it or of its rows is missing or has changed.
    InputError
        Arguments that do not go together; a run that was given T or a curation; rows that came
        from memory.

    Examples
    --------
    >>> reselect("nowhere", n=10)
    Traceback (most recent call last):
        ...
    ds2fast.errors.InputFileError: run: expected the folder of a selection, nowhere is missing
    """
    if n is not None or fraction is not None:
        check_amount(n, fraction)
    run = FinishedRun.open(directory)
    settings = _settings(
        run,
        {"k": k, "method": method, "min_confidence": min_confidence, "seed": seed},
        trust,
        threads,
    )
    limits_given = {
        "group_shares": group_shares,
        "group_caps": group_caps,
        "max_similarity": max_similarity,
        "min_score": min_score,
        "max_rarity": max_rarity,
        "exclude_ngram": exclude_ngram,
        "exclude_similarity": exclude_similarity,
    }
    before = _limits_before(run, groups) if keep_rules else {}
    kept_groups = run.groups if keep_rules and groups is KEEP else None
    kept_exclusion = run.excluded if keep_rules and exclude is KEEP else None
    groups, exclude = (None if rule is KEEP else rule for rule in (groups, exclude))
    _check_exclude(exclude, limits_given)
    limits = check_limits(
        has_groups=kept_groups is not None or groups is not None,
        has_exclude=exclude is not None,
        **before | {name: limit for name, limit in limits_given.items() if limit is not KEEP},
    )
    clock = Clock()
    with Reporter(progress) as reporter:
        with clock.stage("read"):
            run.pool(data)
        intake = _intake(run, settings, clock, kept_groups if groups is None else groups, exclude)
        asked = run.settings["n"] if n is None and fraction is None else n
        count = resolve_amount(asked, fraction, intake.given.num_rated)
        refuse_impossible(limits, intake, count)
        stages = Stages(intake, settings, clock, reporter)
        transition = stages.estimate(run.graph)
        curation = stages.curate(run.graph, transition)
        return rank(
            stages,
            run.graph,
            None,
            transition,
            curation,
            count=count,
            limits=limits,
            exclusion=kept_exclusion or stages.exclusion(limits, None),
            positions=run.positions,
            record={
                **run.settings,
                **stages.record(
                    run.settings["preset"],
                    n=count,
                    curation=curation,
                    groups=run.settings["groups"] if kept_groups else groups,
                    limits=limits,
                ),
                **{name: run.settings[name] for name in _OF_THE_FIRST_RUN},
                **{name: run.settings.get(name) for name in _OF_THE_GRAPH},
                "from": os.fspath(run.directory.absolute()),
            },
        )


def _limits_before(run: FinishedRun, groups: Any) -> dict[str, Any]:
    """The run's limits, without those that name groups which other groups take the place of."""
    before = dict(run.settings["limits"])
    if groups is KEEP:
        return before
    return {
        name: limit
        for name, limit in before.items()
        if not (name.startswith("group_") and (groups is None or isinstance(limit, dict)))
    }


def _check_exclude(exclude: Any, limits: dict[str, Any]) -> None:
    """What tells repeats has no effect on those that the run found."""
    if exclude is not None:
        check_excluding(exclude)
        return
    for name in ("exclude_ngram", "exclude_similarity"):
        if limits[name] is not KEEP:
            raise InputError(f"{name}: expected beside exclude=, got none of these")


def _settings(
    run: FinishedRun, asked: dict[str, Any], trust: float | Keep | None, threads: int | None
) -> Settings:
    """The run's settings with those changed that were given."""
    kept = dict(run.settings)
    for name in ("transition", "curation"):
        if kept[f"{name}_given"]:
            raise InputError(
                f"run: expected one that found its own {name}, but that of {run.directory} was "
                "given to select(), and is not kept; call select() again"
            )
    if asked["method"] not in {None, kept["method"]}:
        kept["min_confidence"] = None  # that of the other method
    return check_settings(
        preset=kept["preset"],
        solver=kept["solver"],
        bootstrap=kept["bootstrap"],
        trust=kept["trust"] if isinstance(trust, Keep) else trust,
        threads=threads,
        **{name: kept[name] if value is None else value for name, value in asked.items()},
    )


def _intake(
    run: FinishedRun, settings: Settings, clock: Clock, groups: Any, exclude: Any
) -> Intake:
    """What the run started from."""
    check_given_graph(run.graph, len(run.given), settings.k)
    with clock.stage("read"):
        pool = run.pool()
        excluding = None
        if exclude is not None:
            excluding = read_excluding(exclude, pool.text_option)
            refuse_same_rows(pool, excluding)
        return Intake(
            run.given,
            pool,
            None,
            run.graph,
            run.encoder,
            run.settings["scores_given"],
            None if groups is None else read_groups(groups, pool, len(pool)),
            excluding,
        )
