"""What `audit` does; importing this brings the whole package."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

import ds2fast
from ds2fast.audit import (
    AuditResult,
    Labels,
    assess,
    auditable_scores,
    check_sheet_output,
    draw_sample,
    read_sheet,
    write_gold,
    write_sheet,
)
from ds2fast.audit.gold import GOLD_EXTENSIONS
from ds2fast.audit.scale import LabelScale
from ds2fast.io.source import check_file
from ds2fast.pool import Pool
from ds2fast_cli.interrupt import interruptible
from ds2fast_cli.printing import print_json, print_warnings

OTHER_SCORES = (
    "the sheet was drawn by other scores than the data have now: its labels hold, but the sample "
    "is not stratified by these scores, so that the intervals are approximate"
)


@dataclass(frozen=True)
class AuditOptions:
    """What is read, how many rows are drawn, and what is written and printed."""

    data: Path
    n: int
    gold_out: Path | None
    scores: str
    text: str | None
    num_levels: int | None
    edges: list[float] | None
    seed: int
    overwrite: bool
    quiet: bool
    as_json: bool

    def repeated(self) -> list[str]:
        """The data and how they are read, as words of the next command."""
        words = [str(self.data)]
        if self.scores != "score":
            words += ["--scores", self.scores]
        if self.text is not None:
            words += ["--text", self.text]
        if self.num_levels is not None:
            words += ["--num-levels", str(self.num_levels)]
        if self.edges is not None:
            words += ["--edges", ",".join(f"{edge:g}" for edge in self.edges)]
        return words


@interruptible()
def run_draw(options: AuditOptions, output: Path) -> None:
    """Draw rows into a sheet; all that can be checked without the data is checked before."""
    check_sheet_output(output, overwrite=options.overwrite, source=check_file(options.data))
    pool = _read(options)
    rows = draw_sample(auditable_scores(pool), options.n, seed=options.seed)
    write_sheet(output, pool, rows, overwrite=options.overwrite)
    if options.quiet:
        return
    click.echo(
        f"{options.n} rows written to {output}: fill in its column label with the score that each "
        f"row should have, {LabelScale.of(pool).words} as in the data; blank ones are skipped",
        err=True,
    )
    _print_next("audit", options, "--labels", str(output), "--gold-out", "gold.jsonl")


@interruptible()
def run_assess(options: AuditOptions, sheet: Path) -> None:
    """Print what the labels tell of the scores, and write them as gold where that is asked for."""
    if options.gold_out is not None:
        _check_gold_output(options, options.gold_out, sheet)
    pool = _read(options)
    labels = read_sheet(sheet, pool)
    found = assess(labels.gold, auditable_scores(pool), num_levels=pool.num_levels)
    if options.gold_out is not None:
        write_gold(options.gold_out, labels, pool, overwrite=options.overwrite)
    if not labels.same_scores:
        print_warnings([OTHER_SCORES])
    if options.as_json:
        print_json(audit_record(found, labels, pool))
    else:
        click.echo(str(found))
    if not options.quiet:
        if labels.num_skipped:
            click.echo(f"rows of the sheet without a label: {labels.num_skipped}", err=True)
        gold = str(options.gold_out or sheet)
        _print_next("select", options, "--gold", gold, "--fraction", "0.1", "-o", "out")


def audit_record(found: AuditResult, labels: Labels, pool: Pool) -> dict[str, Any]:
    """An audit as plain values."""
    return {
        "pool": {"path": pool.path, "sha256": pool.sha256, "scores": pool.score_mapping},
        "labelled": found.num_labelled,
        "skipped": labels.num_skipped,
        "same_scores": labels.same_scores,
        "audit": vars(found),
        "unseen_levels": found.unseen_levels,
    }


def _check_gold_output(options: AuditOptions, place: Path, sheet: Path) -> None:
    for source in (*check_file(options.data), sheet):
        check_sheet_output(
            place, overwrite=options.overwrite, source=source, extensions=GOLD_EXTENSIONS
        )


def _read(options: AuditOptions) -> Pool:
    """The pool, its texts not printed: who labels is to see them in the sheet's order."""
    check_file(options.data)
    pool = ds2fast.read(
        options.data,
        text=options.text,
        scores=options.scores,
        num_levels=options.num_levels,
        edges=options.edges,
    )
    if not options.quiet:
        click.echo(f"{len(pool)} rows; text from {pool.schema}\n{pool.score_mapping}\n", err=True)
    return pool


def _print_next(command: str, options: AuditOptions, *words: str) -> None:
    line = shlex.join(["ds2fast", command, *options.repeated(), *words])
    click.echo(f"next: {line}", err=True)
