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
GRAPH_METHODS = ("auto", "exact", "approximate")
ENGINES = ("local", "ray")
FILE = click.Path(path_type=Path)

Command = Callable[..., None]

DATA = click.argument("data", type=FILE)
SOURCES = click.argument("data", type=FILE, nargs=-1, required=True)
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
    help="Arithmetic of the encoder; auto: the fastest that has, within a sample of 1 000 of these "
    "texts, at least 85 % of the ten nearest in common with fp32, and a mean cosine of 0.99.",
)
GATE_COSINE = click.option(
    "--gate-cosine",
    type=click.FloatRange(0, 1),
    help="Mean cosine to fp32 that --precision auto asks for.  [0.99]",
)
GATE_OVERLAP = click.option(
    "--gate-overlap",
    type=click.FloatRange(0, 1),
    help="Share of the ten nearest in common with fp32 that --precision auto asks for.  [0.85]",
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
NO_CACHE = click.option(
    "--no-cache",
    is_flag=True,
    help="Keep no vectors and encoders; a run that is stopped then begins anew.",
)
QUIET = click.option("-q", "--quiet", is_flag=True, help="No messages but warnings and errors.")
ROWS_NOW = click.option(
    "--data",
    multiple=True,
    type=FILE,
    metavar="FILE",
    help="Where the rows lie now, if not where they were; of several files each in its order.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")


def _parse_edges(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> list[float] | None:
    """Numbers between commas."""
    if value is None:
        return None
    try:
        return [float(word) for word in value.split(",")]
    except ValueError:
        raise click.BadParameter(f"expected numbers between commas, got {value!r}") from None


EDGES = click.option(
    "--edges",
    callback=_parse_edges,
    metavar="A,B,...",
    help="Cut points that make levels of real-valued scores.  [quantiles]",
)

_POOL_OPTIONS = (
    click.option(
        "--scores",
        multiple=True,
        default=("score",),
        show_default="score",
        help="Field with the scores; given several times, several raters.",
    ),
    TEXT,
    click.option("--num-levels", type=int, help="Take scores as levels 0..K-1, K given here."),
    EDGES,
    click.option(
        "--embeddings",
        type=FILE,
        help="Vectors of the rows (.npy), as `embed` writes them; by the .json beside them those "
        "of other texts, or in another order, are refused.",
    ),
    MODEL,
    PRECISION,
    GATE_COSINE,
    GATE_OVERLAP,
    LONG_TEXT,
    click.option("-k", "k", type=int, default=10, show_default=True, help="Neighbours."),
    click.option(
        "--repeats",
        multiple=True,
        help="Field with further scores of some rows by the same rater; may be given again.",
    ),
    click.option(
        "--gold",
        help="True scores of some rows: a field, or a file as `ds2fast audit` writes it.",
    ),
    click.option(
        "--solver",
        type=click.Choice(["sharing", "em", "moments"]),
        help="How T is fitted.  [sharing]",
    ),
    click.option("--preset", type=click.Choice(["paper"]), help="The method as published."),
    click.option(
        "--graph-method",
        type=click.Choice(GRAPH_METHODS),
        default="auto",
        show_default=True,
        help="How neighbours are found; auto: exactly up to N²·d = 3.5e13, which is some 300 000 "
        "rows of 384 numbers or 370 000 of 256, and approximately beyond.",
    ),
    click.option(
        "--recall",
        type=float,
        default=0.98,
        show_default=True,
        help="Share of the true neighbours that an approximate search has to find.",
    ),
    click.option(
        "--max-memory",
        metavar="SIZE",
        help="Most memory to hold, such as 4GiB or 500MB (4G is 4GiB); the rest goes to files in "
        "the cache folder, whose pages do not count.  [what the machine has left]",
    ),
    click.option(
        "--engine",
        type=click.Choice(ENGINES),
        default="local",
        show_default=True,
        help="Where the long stages run: in this process, or on a Ray cluster.",
    ),
    click.option(
        "--address",
        metavar="HOST:PORT",
        help="With --engine ray the cluster that this machine is a node of, or auto.  [one on this "
        "machine, for this run]",
    ),
    THREADS,
    CACHE_DIR,
    NO_CACHE,
    QUIET,
    JSON,
)

_OF_THE_ENCODER = (
    "model", "precision", "gate_cosine", "gate_overlap", "long_text", "cache_dir", "no_cache",
)  # fmt: skip

_OF_GIVEN_SCORES = ("scores", "num_levels", "edges", "repeats")
_OF_RATING = ("base_url", "api_key_file", "concurrency", "max_cost", "price", "keep_going")


def pool_options(command: Command) -> Command:
    """What is read, and how it is embedded and judged."""
    for option in reversed(_POOL_OPTIONS):
        command = option(command)
    return command


def check_together(context: click.Context) -> None:
    """Refuse options that would have no effect beside others."""
    given = [name for name in context.params if _is_given(context, name)]
    if context.params.get("exclude", "") is None:
        _refuse(given, ("exclude_ngram", "exclude_similarity"), "nothing to --exclude")
    if "embeddings" in given:
        _refuse(given, _OF_THE_ENCODER, "--embeddings: no encoder runs")
    if "address" in given and context.params["engine"] != "ray":
        raise click.UsageError("--address names a Ray cluster: expected --engine ray beside it")
    if "cache_dir" in given:
        _refuse(given, ("no_cache",), "--cache-dir: it names where to keep what is not kept")
    if "models" in context.params and "data" in context.params:  # of `select`
        rated = bool(context.params["models"])
        useless = _OF_GIVEN_SCORES if rated else _OF_RATING
        _refuse(given, useless, "--rate-with" if rated else "scores that are given: no --rate-with")
    if context.params.get("precision", "auto") != "auto":
        _refuse(given, ("gate_cosine", "gate_overlap"), "a --precision that is not auto")


def given_names(context: click.Context) -> set[str]:
    """Options that stand on the command line."""
    return {name for name in context.params if _is_given(context, name)}


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _refuse(given: list[str], useless: tuple[str, ...], beside: str) -> None:
    for name in useless:
        if name in given:
            option = name.replace("_", "-")
            raise click.UsageError(f"--{option} has no effect beside {beside}")


def parse_duration(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Seconds of a time such as 90s, 20m or 1.5h."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", value)
    if found is None or float(found[1]) == 0:
        raise click.BadParameter(f"expected a time such as 90s, 20m or 1.5h, got {value!r}")
    return float(found[1]) * {"s": 1.0, "m": 60.0, "h": 3600.0}[found[2]]
