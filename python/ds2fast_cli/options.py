"""Options that several commands share; nothing here imports the package."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import click

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"  # `ds2fast.DEFAULT_MODEL`
PRECISIONS = ("auto", "fp32", "bf16", "int8")
BACKENDS = ("auto", "native", "onnxruntime")
LONG_TEXTS = ("truncate", "chunk-mean")
FILE = click.Path(path_type=Path)

Command = Callable[..., None]

DATA = click.argument("data", type=FILE)
TEXT = click.option("--text", help="Field or format string with the text; detected by default.")
MODEL = click.option(
    "--model",
    default=DEFAULT_MODEL,
    show_default=True,
    help="Sentence encoder, or static model: a Hugging Face id or a directory.",
)
PRECISION = click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="auto",
    show_default=True,
    help="Arithmetic of the encoder; auto: the fastest that keeps the neighbours of these texts.",
)
LONG_TEXT = click.option(
    "--long-text",
    type=click.Choice(LONG_TEXTS),
    default="truncate",
    show_default=True,
    help="Texts beyond the encoder's length: cut there, or the mean of their pieces.",
)
THREADS = click.option(
    "--threads", type=int, help="Threads; all that this process may use by default."
)
CACHE_DIR = click.option(
    "--cache-dir", type=FILE, help="Where vectors and encoders are kept.  [the user's cache folder]"
)
QUIET = click.option("-q", "--quiet", is_flag=True, help="No messages but warnings and errors.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")

_POOL_OPTIONS = (
    DATA,
    click.option("--scores", default="score", show_default=True, help="Field with the scores."),
    TEXT,
    click.option("--num-levels", type=int, help="Take scores as levels 0..K-1, K given here."),
    click.option(
        "--embeddings", type=FILE, help="Vectors of the rows (.npy), as `embed` writes them."
    ),
    MODEL,
    PRECISION,
    LONG_TEXT,
    click.option("-k", "k", type=int, default=10, show_default=True, help="Neighbours."),
    click.option("--preset", type=click.Choice(["paper"]), help="The method as published."),
    THREADS,
    CACHE_DIR,
    QUIET,
    JSON,
)


def pool_options(command: Command) -> Command:
    """What is read, and how it is embedded and judged."""
    for option in reversed(_POOL_OPTIONS):
        command = option(command)
    return command


def parse_duration(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Seconds of a time such as 90s, 20m or 1.5h."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", value)
    if found is None or float(found[1]) == 0:
        raise click.BadParameter(f"expected a time such as 90s, 20m or 1.5h, got {value!r}")
    return float(found[1]) * {"s": 1.0, "m": 60.0, "h": 3600.0}[found[2]]
