"""Commands and options: results go to files or stdout, messages to stderr."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ds2fast_cli.exits import EXIT_CODES, reported_errors

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"  # `ds2fast.DEFAULT_MODEL`


class Program(click.Group):
    """A group whose commands end with the program's exit codes."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        with reported_errors():
            return super().invoke(ctx)


_MODEL = click.option(
    "--model",
    default=DEFAULT_MODEL,
    show_default=True,
    help="Sentence encoder: a Hugging Face id or a directory.",
)
_THREADS = click.option(
    "--threads", type=int, help="Threads; all that this process may use by default."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
_POOL_OPTIONS = (
    click.argument("data", type=click.Path(path_type=Path)),
    click.option("--scores", default="score", show_default=True, help="Field with the scores."),
    click.option("--text", help="Field or format string with the text; detected by default."),
    click.option("--num-levels", type=int, help="Take scores as levels 0..K-1, K given here."),
    _MODEL,
    click.option("-k", "k", type=int, default=10, show_default=True, help="Neighbours."),
    click.option("--preset", type=click.Choice(["paper"]), help="The method as published."),
    _THREADS,
    click.option("--cache-dir", type=click.Path(path_type=Path), help="Where encoders are kept."),
    click.option("-q", "--quiet", is_flag=True, help="No messages but warnings and errors."),
    _JSON,
)


def _pool_options(command: Callable[..., None]) -> Callable[..., None]:
    """What is read, and how it is embedded and judged."""
    for option in reversed(_POOL_OPTIONS):
        command = option(command)
    return command


@click.group(
    cls=Program, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES
)
@click.version_option(package_name="ds2fast", prog_name="ds2fast")
def program() -> None:
    """Select the best rows of LLM-rated instruction data, the rarest first among equals."""


@program.command(short_help="Select the best rows of a pool into a directory.")
@click.option("-n", "n", type=int, help="Rows to select.")
@click.option("--fraction", type=float, help="Share of the rated rows to select, instead of -n.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="Directory for the results.",
)
@click.option("--overwrite", is_flag=True, help="Replace earlier results in that directory.")
@click.option(
    "--min-confidence", type=float, help="Confidence from which a score is corrected.  [0.5]"
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of the curation's rounds."
)
@_pool_options
def select(
    *,
    n: int | None,
    fraction: float | None,
    output: Path,
    overwrite: bool,
    min_confidence: float | None,
    seed: int,
    **options: Any,
) -> None:
    """Select the best rows of DATA (.jsonl, .json, .parquet; .gz) into a directory.

    Writes selected.jsonl (rows as they came, best first), scores.parquet (every row) and
    manifest.json, which --json also prints.
    """
    from ds2fast_cli.jobs import PoolOptions, SelectOptions, run_select

    chosen = SelectOptions(n, fraction, min_confidence, seed)
    run_select(PoolOptions(**options), chosen, output, overwrite=overwrite)


@program.command(short_help="Is the judge any good? T, and how often neighbours agree.")
@_pool_options
def diagnose(**options: Any) -> None:
    """Is the judge of DATA any good? Print T and how often neighbours agree; select nothing."""
    from ds2fast_cli.jobs import PoolOptions, run_diagnose

    run_diagnose(PoolOptions(**options))


@program.command(short_help="What this machine runs, and whether the encoder is on it.")
@_MODEL
@_JSON
def doctor(model: str, as_json: bool) -> None:
    """What this machine runs: SIMD level, threads, memory, and whether the encoder is here."""
    from ds2fast_cli.jobs import run_doctor

    run_doctor(model, as_json=as_json)


@program.command(short_help="Time native stages against plain NumPy, results compared.")
@click.option(
    "-n", "num_rows", type=click.IntRange(min=100), default=3000, show_default=True,
    help="Rows of the test pool.",
)  # fmt: skip
@click.option(
    "-d", "dimensions", type=click.IntRange(min=2), default=384, show_default=True,
    help="Width of a row.",
)  # fmt: skip
@_THREADS
@_JSON
def bench(num_rows: int, dimensions: int, threads: int | None, as_json: bool) -> None:
    """Time each native stage against plain NumPy on random rows of our own making.

    Results are compared first: where they differ no time is printed. In pools of more than 5000
    rows NumPy searches the neighbours of 500, and the table says so.
    """
    from ds2fast_cli.jobs import run_bench

    run_bench(num_rows, dimensions, threads=threads, as_json=as_json)
