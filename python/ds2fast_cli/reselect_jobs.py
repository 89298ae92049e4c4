"""What `select --from` does; importing this brings the whole package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import ds2fast
from ds2fast.io.names import check_file
from ds2fast_cli.interrupt import interruptible
from ds2fast_cli.jobs import (
    PoolOptions,
    SaveOptions,
    SelectOptions,
    progress_of,
    save_and_tell,
    weak_evidence_told_once,
)
from ds2fast_cli.rules import RULE_NAMES

_SETTINGS = ("n", "fraction", "method", "min_confidence", "trust", "seed", "k", "threads")
_ELSEWHERE = {"finished", "fresh_rules", "data", "as_json", "quiet"}
_SAVING = {"output", "overwrite", "rows", "controls", "trainers", "report"}


@interruptible()
def run_reselect(
    finished: Path,
    options: PoolOptions,
    chosen: SelectOptions,
    save: SaveOptions,
    names: set[str],
    *,
    fresh: bool,
) -> None:
    """Select again from a finished run; `names` are the options that were given.

    Data beside it are where its rows lie now.
    """
    useless = sorted(names - _ELSEWHERE - _SAVING - set(RULE_NAMES) - set(_SETTINGS))
    if useless:
        option = useless[0].replace("_", "-")
        raise click.UsageError(f"--{option} has no effect beside --from: it is as in the run")
    save.check([path for named in options.data for path in check_file(named)])
    found: dict[str, Any] = {**chosen.settings(), **chosen.rules, "k": options.k}
    found["threads"] = options.threads
    with weak_evidence_told_once():
        selection = ds2fast.reselect(
            finished,
            data=options.data or None,
            keep_rules=not fresh,
            progress=progress_of(options),
            **{name: found[name] for name in names & {*RULE_NAMES, *_SETTINGS}},
        )
    save_and_tell(selection, options, save)
