"""The command `audit` and its options; nothing here imports the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ds2fast_cli import options as given

_ONLY_TO_DRAW = ("n", "output", "seed")
_ONLY_WITH_LABELS = ("gold_out", "as_json")


@click.command(short_help="How often are the scores right? Label a sample by hand, blind.")
@given.DATA
@click.option(
    "-n", "n", type=click.IntRange(min=1), default=100, show_default=True, help="Rows to draw."
)
@click.option("-o", "--output", type=given.FILE, help="Sheet to label: .csv or .jsonl.")
@click.option("--labels", type=given.FILE, help="Sheet with labels, to be read back.")
@click.option(
    "--gold-out", type=given.FILE, help="With --labels: file for the labels as levels (.jsonl)."
)
@click.option("--scores", default="score", show_default=True, help="Field with the scores.")
@given.TEXT
@click.option("--num-levels", type=int, help="Take scores as levels 0..K-1, K given here.")
@given.EDGES
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the draw."
)
@click.option("--overwrite", is_flag=True, help="Replace a file that is there, labels and all.")
@given.QUIET
@given.JSON
def audit(*, output: Path | None, labels: Path | None, **options: Any) -> None:
    """Draw a sample of DATA to label by hand, or say by its labels how often scores are right.

    \b
        ds2fast audit data.jsonl -n 100 -o sheet.csv
        ds2fast audit data.jsonl --labels sheet.csv --gold-out gold.jsonl

    The sheet has some rows of each score, in random order and without it. Fill in its last
    column, named by the scale such as `label (0 to 5)`, in any editor; blank ones are skipped. Then
    100 labels give the share of scores that are right to within 10 points.
    """  # noqa: D301  (click wants the character, which keeps lines apart)
    _check_mode(click.get_current_context(), drawing=output is not None, reading=labels is not None)
    from ds2fast_cli.audit_jobs import AuditOptions, run_assess, run_draw

    chosen = AuditOptions(**options)
    if output is not None:
        run_draw(chosen, output)
    elif labels is not None:
        run_assess(chosen, labels)


def _check_mode(context: click.Context, *, drawing: bool, reading: bool) -> None:
    """One of the two steps, and no option of the other."""
    if drawing == reading:
        raise click.UsageError("expected -o to draw a sheet, or --labels to read one")
    useless, step = (_ONLY_TO_DRAW, "--labels") if reading else (_ONLY_WITH_LABELS, "-o")
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in useless and source is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{parameter.opts[-1]} has no effect beside {step}")
    if reading and context.params["overwrite"] and context.params["gold_out"] is None:
        raise click.UsageError("--overwrite has no effect without -o or --gold-out")
