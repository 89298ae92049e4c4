"""Commands and options: results go to files or stdout, messages to stderr."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ds2fast_cli import options as given
from ds2fast_cli import rate as rating
from ds2fast_cli.audit import audit
from ds2fast_cli.difference import diff
from ds2fast_cli.exits import EXIT_CODES, reported_errors
from ds2fast_cli.explain import explain
from ds2fast_cli.report import report
from ds2fast_cli.select import select


class Program(click.Group):
    """A group whose commands end with the program's exit codes."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        with reported_errors():
            return super().invoke(ctx)


@click.group(
    cls=Program, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES
)
@click.version_option(package_name="ds2fast", prog_name="ds2fast")
def program() -> None:
    """Select the best rows of LLM-rated instruction data, the rarest first among equals."""


@program.command(short_help="Is the judge any good? T, and how often neighbours agree.")
@click.option(
    "--bootstrap", type=int, default=0, show_default=True, help="Resamples for 95 % bands of T."
)
@given.SOURCES
@given.pool_options
def diagnose(*, bootstrap: int, **options: Any) -> None:
    """Is the judge of DATA any good? Print T and how often neighbours agree; select nothing."""
    given.check_together(click.get_current_context())
    from ds2fast_cli.jobs import PoolOptions, run_diagnose

    run_diagnose(PoolOptions(**options), bootstrap)


@program.command(short_help="Turn the texts of a pool into vectors in a .npy file.")
@given.DATA
@click.option("-o", "--output", required=True, type=given.FILE, help="File for the vectors (.npy).")
@click.option("--overwrite", is_flag=True, help="Replace a .npy file that is there.")
@given.TEXT
@given.MODEL
@given.PRECISION
@given.GATE_COSINE
@given.GATE_OVERLAP
@click.option(
    "--backend", type=click.Choice(given.BACKENDS), default="auto", show_default=True,
    help="What the encoder runs in.",
)  # fmt: skip
@given.LONG_TEXT
@given.THREADS
@given.CACHE_DIR
@given.NO_CACHE
@given.QUIET
@given.JSON
def embed(*, output: Path, overwrite: bool, **options: Any) -> None:
    """Turn the texts of DATA into unit vectors: float32 (N, d), in the order of the rows.

    DATA needs no scores. Vectors are kept as they come: a run that was stopped goes on where it
    was, and no text is embedded twice. `select --embeddings` takes the file, and finds in the
    .json beside it whether its vectors are of the texts that it reads, in their order.
    """
    given.check_together(click.get_current_context())
    from ds2fast_cli.embed_jobs import EmbedOptions, run_embed

    run_embed(EmbedOptions(**options), output, overwrite=overwrite)


@program.command(short_help="Make a static model, a hundred times as fast, from an encoder.")
@click.argument("model")
@click.option("-o", "--output", required=True, type=given.FILE, help="Directory to make.")
@click.option(
    "--texts", "data", type=given.FILE,
    help="A pool like those to be embedded, to fit the model to. Advised: on real data the model "
    "then kept 0.53 of the ten nearest neighbours, without 0.38.",
)  # fmt: skip
@given.TEXT
@click.option(
    "--sample", type=click.IntRange(1, 10_000), default=4000, show_default=True,
    help="Distinct texts of it to fit to, chosen by their hashes.",
)  # fmt: skip
@click.option(
    "--dims", type=click.IntRange(min=1), default=256, show_default=True,
    help="Width of the vectors.",
)  # fmt: skip
@given.THREADS
@given.CACHE_DIR
@given.NO_CACHE
@given.QUIET
@given.JSON
def distill(*, output: Path, **options: Any) -> None:
    """Make a static model from the encoder MODEL (a Hugging Face id or a directory).

    It embeds by averaging a vector for each token, and loads wherever --model is asked for.
    """
    given.check_together(click.get_current_context())
    from ds2fast_cli.embed_jobs import DistillOptions, run_distill

    run_distill(DistillOptions(**options), output)


@program.command(short_help="What this machine runs: models, precisions, speed, time it takes.")
@given.MODEL
@click.option(
    "--measure", is_flag=True,
    help="Run the model on made-up text in each precision and number of threads: 2 seconds each.",
)  # fmt: skip
@click.option(
    "--rows", type=click.IntRange(min=1), help="With --measure: estimate the time for so many rows."
)
@click.option(
    "--budget", metavar="TIME", callback=given.parse_duration,
    help="With --rows: recommend what ends within this time (90s, 20m, 1.5h).",
)  # fmt: skip
@click.option(
    "--tokens", type=click.IntRange(min=3), default=140, show_default=True,
    help="Tokens of a row, as measured and estimated.",
)  # fmt: skip
@given.CACHE_DIR
@given.JSON
def doctor(
    *,
    model: str,
    measure: bool,
    rows: int | None,
    budget: float | None,
    tokens: int,
    cache_dir: Path | None,
    as_json: bool,
) -> None:
    """What this machine runs: SIMD level, threads, memory, models found, and how fast they are.

    Asks no network, and runs nothing without --measure.
    """
    if rows is not None and not measure:
        raise click.UsageError("--rows needs --measure: times follow from the speed measured here")
    if budget is not None and rows is None:
        raise click.UsageError("--budget needs --rows: what fits depends on how many there are")
    from ds2fast_cli.jobs import run_doctor

    run_doctor(
        model,
        tokens=tokens if measure else None,
        rows=rows,
        budget=budget,
        cache_dir=cache_dir,
        as_json=as_json,
    )


@program.command(short_help="Time native stages against plain NumPy, results compared.")
@click.option(
    "-n", "num_rows", type=click.IntRange(min=100), default=3000, show_default=True,
    help="Rows of the test pool.",
)  # fmt: skip
@click.option(
    "-d", "dimensions", type=click.IntRange(min=2), default=384, show_default=True,
    help="Width of a row.",
)  # fmt: skip
@given.THREADS
@given.JSON
def bench(num_rows: int, dimensions: int, threads: int | None, as_json: bool) -> None:
    """Time each native stage against plain NumPy on random rows of our own making.

    Results are compared first: where they differ no time is printed. In pools of more than 5000
    rows NumPy searches the neighbours of 500, and the table says so.
    """
    from ds2fast_cli.jobs import run_bench

    run_bench(num_rows, dimensions, threads=threads, as_json=as_json)


program.add_command(select)
program.add_command(explain)
program.add_command(diff)
program.add_command(report)
program.add_command(audit)
program.add_command(rating.rate)
