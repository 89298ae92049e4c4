"""The command `select`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ds2fast_cli import options as given
from ds2fast_cli import rate as rating
from ds2fast_cli.rules import rule_options, take_rules

TRAINERS = ("llama-factory", "axolotl", "trl")
_OF_RATING = ("base_url", "api_key_file", "concurrency", "max_cost", "price", "keep_going")
_OF_SAVING = ("output", "overwrite", "rows", "controls", "trainers", "report")
_OF_SELECTING = ("n", "fraction", "method", "min_confidence", "trust", "max_unrated", "seed")


@click.command(short_help="Select the best rows of a pool into a directory.")
@click.argument("data", type=given.FILE, nargs=-1)
@click.option("-n", "n", type=int, help="Rows to select.")
@click.option("--fraction", type=float, help="Share of the rated rows to select, instead of -n.")
@click.option("-o", "--output", required=True, type=given.FILE, help="Directory for the results.")
@click.option("--overwrite", is_flag=True, help="Replace earlier results in that directory.")
@click.option(
    "--from", "finished", type=given.FILE, metavar="OUT",
    help="Select again from a finished run, in seconds; its settings and rules hold but for those "
    "given now, what to write is said anew. DATA then names where its files lie now, if elsewhere.",
)  # fmt: skip
@click.option(
    "--fresh-rules", is_flag=True, help="With --from: none of the rules of that run hold."
)
@rule_options
@click.option(
    "--format", "rows", type=click.Choice(["jsonl", "parquet"]), default="jsonl",
    show_default=True, help="Format of the rows' files.",
)  # fmt: skip
@click.option(
    "--controls/--no-controls", default=True, show_default=True,
    help="Write three sets of the same size to train the comparison with: random, longest, best "
    "by the scores as given.",
)  # fmt: skip
@click.option(
    "--trainer", "trainers", multiple=True, type=click.Choice(TRAINERS),
    help="Write this trainer's data-set entry and a config beside the rows; may be given again.",
)  # fmt: skip
@click.option(
    "--report/--no-report", default=None,
    help="Write report.html.  [where the extra `report` is installed]",
)  # fmt: skip
@click.option(
    "--method",
    type=click.Choice(["posterior", "simifeat"]),
    help="How scores are curated.  [posterior]",
)
@click.option(
    "--min-confidence",
    type=float,
    help="Confidence from which a correction counts.  [0; 0.5 with simifeat]",
)
@click.option(
    "--trust",
    type=float,
    help="Share of the way from given to curated scores that the ranking goes, 0 to 1.  [by the "
    "verdict: 1, 0.5 where weak, 0 where unreliable]",
)
@click.option(
    "--max-unrated", type=float, default=0.2, show_default=True,
    help="Share of the rows that may be without a score, 0 to 1; with more nothing is selected.",
)  # fmt: skip
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of what is drawn at random."
)
@click.option(
    "--rate-with", "models", multiple=True, metavar="MODEL",
    help="Have MODEL rate DATA first, and write rated.jsonl too; `ds2fast rate` has more options.",
)  # fmt: skip
@rating.BASE_URL
@rating.API_KEY_FILE
@rating.CONCURRENCY
@rating.MAX_COST
@rating.PRICE
@rating.KEEP_GOING
@given.pool_options
def select(
    *, finished: Path | None, fresh_rules: bool, models: tuple[str, ...], **options: Any
) -> None:
    """Select the best rows of DATA into a directory.

    DATA are files (.jsonl, .json, .csv, .parquet; .gz, .zst), globs, or - for JSON lines on stdin;
    beside --from they are where that run's rows lie now, if not where they were.

    Writes selected.jsonl (rows as they came, best first), scores.parquet (every row, with the
    reason), control_*.jsonl, run.npz (what --from and explain read), manifest.json, which --json
    also prints, and report.html.
    """
    context = click.get_current_context()
    given.check_together(context)
    _check_source(options["data"], finished, fresh_rules=fresh_rules, rated=bool(models))
    from ds2fast_cli.jobs import PoolOptions, SaveOptions, SelectOptions, run_select

    rules = take_rules(options)
    asked = {name: options.pop(name) for name in _OF_RATING}
    save = SaveOptions(**{name: options.pop(name) for name in _OF_SAVING})
    chosen = SelectOptions(**{name: options.pop(name) for name in _OF_SELECTING}, rules=rules)
    pool = PoolOptions(**options)
    if finished is not None:
        from ds2fast_cli.reselect_jobs import run_reselect

        run_reselect(finished, pool, chosen, save, given.given_names(context), fresh=fresh_rules)
    elif models:
        from ds2fast_cli.rate_jobs import RateOptions, run_rate_and_select

        rate = RateOptions(pool.source, models, text=pool.text, quiet=pool.quiet, **asked)
        run_rate_and_select(rate, pool, chosen, save)
    else:
        run_select(pool, chosen, save)


def _check_source(
    data: tuple[Path, ...], finished: Path | None, *, fresh_rules: bool, rated: bool
) -> None:
    """Refuse no source at all, and what has no effect beside one."""
    if finished is None and not data:
        raise click.UsageError("Missing argument 'DATA': files to select from, or --from OUT")
    if finished is not None and rated:
        raise click.UsageError("--rate-with has no effect beside --from: the run has scores")
    if fresh_rules and finished is None:
        raise click.UsageError("--fresh-rules has no effect without --from")
