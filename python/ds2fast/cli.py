"""The command line: results go to files or stdout, messages to stderr.

Exit codes: 0 done, 1 failed, 2 wrong use (an argument or the input), 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import click
import orjson

import ds2fast
from ds2fast.errors import Ds2fastError

P = ParamSpec("P")

FAILED, WRONG_USE, INTERRUPTED = 1, 2, 130


def _reports_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Turn our errors into one line on stderr and an exit code."""

    @wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            sys.exit(INTERRUPTED)
        except Ds2fastError as error:
            click.echo(f"error: {error}", err=True)
            wrong_use = isinstance(error, ValueError | TypeError | FileNotFoundError)
            sys.exit(WRONG_USE if wrong_use else FAILED)
        except OSError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(FAILED)

    return guarded


def _pool_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options that say what is read and how it is embedded."""
    for option in reversed(
        (
            click.option(
                "--scores", default="score", show_default=True, help="Field with the scores."
            ),
            click.option(
                "--text", help="Field or format string with the text; detected by default."
            ),
            click.option(
                "--num-levels", type=int, help="Take scores as levels 0..K-1, K given here."
            ),
            click.option(
                "--model",
                default=ds2fast.DEFAULT_MODEL,
                show_default=True,
                help="Sentence encoder: a Hugging Face id or a directory.",
            ),
            click.option("-k", "k", type=int, default=10, show_default=True, help="Neighbours."),
            click.option("--preset", type=click.Choice(["paper"]), help="The method as published."),
            click.option(
                "--threads", type=int, help="Threads; all that this process may use by default."
            ),
            click.option(
                "--cache-dir", type=click.Path(path_type=Path), help="Where encoders are kept."
            ),
            click.option("-q", "--quiet", is_flag=True, help="No progress bar, no summary."),
            click.option(
                "--json", "as_json", is_flag=True, help="Print the result as JSON on stdout."
            ),
        )
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(ds2fast.__version__, prog_name="ds2fast")
def main() -> None:
    """Select the small, high-quality, diverse subset of LLM-rated instruction data."""


@main.command()
@click.argument("data", type=click.Path(path_type=Path))
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
@_reports_errors
def select(
    data: Path,
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
    manifest.json.
    """
    from ds2fast.io.write import check_output_dir
    from ds2fast.save import manifest_of
    from ds2fast.summary import describe_findings

    check_output_dir(output, overwrite=overwrite)
    pool, arguments = _read_pool(data, options)
    selection = ds2fast.select(
        pool,
        n=n,
        fraction=fraction,
        min_confidence=min_confidence,
        seed=seed,
        **arguments,
    )
    selection.save(output, overwrite=overwrite)
    if options["as_json"]:
        _print_json(manifest_of(selection))
    if not options["quiet"]:
        click.echo(f"{describe_findings(selection)}\n\nwritten to {output}", err=True)


@main.command()
@click.argument("data", type=click.Path(path_type=Path))
@_pool_options
@_reports_errors
def diagnose(data: Path, **options: Any) -> None:
    """Is the judge any good? Print T and how often neighbours agree, without selecting."""
    from ds2fast.save import describe_transition

    pool, arguments = _read_pool(data, options)
    diagnosis = ds2fast.diagnose(pool, **arguments)
    if options["as_json"]:
        _print_json({"transition": describe_transition(diagnosis.transition)})
    else:
        click.echo(str(diagnosis))


@main.command()
@click.option(
    "--model", default=ds2fast.DEFAULT_MODEL, show_default=True, help="Encoder to look for."
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@_reports_errors
def doctor(model: str, as_json: bool) -> None:
    """What this machine runs: SIMD level, threads, memory, and whether the encoder is found."""
    from ds2fast.doctor import describe_findings, examine

    findings = examine(model)
    if as_json:
        _print_json(findings)
    else:
        click.echo(describe_findings(findings))


@main.command()
@click.option(
    "-n", "num_rows", type=int, default=3000, show_default=True, help="Rows of the test pool."
)
@click.option("-d", "dimensions", type=int, default=384, show_default=True, help="Width of a row.")
@click.option("-k", "k", type=int, default=10, show_default=True, help="Neighbours.")
@click.option("--threads", type=int, help="Threads; all that this process may use by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the measurements as JSON.")
@_reports_errors
def bench(num_rows: int, dimensions: int, k: int, threads: int | None, as_json: bool) -> None:
    """Native stages against plain NumPy on this machine; results are checked to be equal first."""
    from ds2fast.benchmark import describe_measurements, measure

    measurements = measure(num_rows, dimensions, k=k, threads=threads)
    if as_json:
        _print_json(measurements)
    else:
        click.echo(describe_measurements(measurements))


def _read_pool(data: Path, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The pool, said in words before long work starts, and the arguments of the stages after it."""
    from ds2fast.embedding import encoder_info

    encoder_info(options["model"])  # a model that is not there is told before the data is read
    pool = ds2fast.read(
        data, text=options["text"], scores=options["scores"], num_levels=options["num_levels"]
    )
    if not options["quiet"]:
        click.echo(f"{pool.describe()}\n", err=True)
    return pool, {
        "model": options["model"],
        "k": options["k"],
        "preset": options["preset"],
        "threads": options["threads"],
        "cache_dir": options["cache_dir"],
        "progress": False if options["quiet"] else None,
    }


def _print_json(value: Any) -> None:
    click.echo(orjson.dumps(value, default=str, option=orjson.OPT_SERIALIZE_NUMPY).decode())


if __name__ == "__main__":
    main()
