"""What `rate` and `select --rate-with` do; importing this brings the whole package."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

import ds2fast
from ds2fast.embedding.encode import check_model
from ds2fast.errors import InputError
from ds2fast.exclusion import read_excluding, refuse_same_rows
from ds2fast.groups import group_rule
from ds2fast.intake import read_groups
from ds2fast.io.source import check_file
from ds2fast.pool import Pool
from ds2fast.rating.endpoint import resolve_endpoint
from ds2fast.rating.extra import check_extra
from ds2fast.rating.prompt import DEFAULT_PROMPT, read_prompt
from ds2fast.rating.rater import output_columns
from ds2fast.rating.settings import (
    DEFAULT_CONCURRENCY,
    DEFAULT_REPLY_TOKENS,
    DEFAULT_SAMPLE_TOKENS,
    DEFAULT_TIMEOUT,
    DEFAULT_TRIES,
    check_rating,
)
from ds2fast.rating.words import dollars
from ds2fast.rating.write import check_ratings_output, manifest_beside, taken_fields
from ds2fast.results import RowArray
from ds2fast.settings import check_unrated, resolve_amount
from ds2fast_cli.interrupt import interruptible
from ds2fast_cli.jobs import (
    PoolOptions,
    SaveOptions,
    SelectOptions,
    check_saving,
    check_select,
    load_embeddings,
    select_pool,
)
from ds2fast_cli.printing import print_json, print_warnings

_NOT_SETTINGS = {"data", "models", "base_url", "api_key_file", "text", "prompt", "keep_going"} | {
    "tokenizer",
    "quiet",
    "as_json",
}


@dataclass(frozen=True)
class RateOptions:
    """What is read, who rates it and how, and what is printed."""

    data: Path | list[Path]
    models: tuple[str, ...]
    base_url: str | None = None
    api_key_file: Path | None = None
    text: str | None = None
    prompt: Path | None = None
    field: str = "score"
    repeat: int = 1
    sample: int | None = None
    temperature: float | None = None
    logprobs: bool = False
    limit: int | None = None
    max_cost: float | None = None
    price: tuple[float, float] | None = None
    retry_failed: bool = False
    keep_going: bool = False
    concurrency: int = DEFAULT_CONCURRENCY
    timeout: float = DEFAULT_TIMEOUT
    max_tries: int = DEFAULT_TRIES
    max_sample_tokens: int = DEFAULT_SAMPLE_TOKENS
    max_reply_tokens: int = DEFAULT_REPLY_TOKENS
    store: Path | None = None
    tokenizer: str | None = None
    seed: int = 0
    quiet: bool = False
    as_json: bool = False

    def settings(self) -> dict[str, Any]:
        """Arguments of `check_rating`."""
        kept = {name: value for name, value in vars(self).items() if name not in _NOT_SETTINGS}
        return {"model": self.models, **kept}

    def asking(self) -> dict[str, Any]:
        """Where is asked, and what."""
        return {"base_url": self.base_url, "prompt": self.prompt, "tokenizer": self.tokenizer}

    @property
    def progress(self) -> bool | None:
        """Bars unless everything is to be quiet."""
        return False if self.quiet else None


@interruptible()
def run_estimate(options: RateOptions) -> None:
    """Print what rating will take."""
    settings = options.settings()
    check_rating(**settings)
    pool = _read(options)
    found = ds2fast.estimate_rating(pool, **settings, **options.asking(), progress=options.progress)
    if options.as_json:
        totals = ("requests", "prompt_tokens", "completion_tokens", "cost")
        print_json({name: getattr(found, name) for name in totals} | asdict(found))
    else:
        click.echo(str(found))


@interruptible()
def run_rate(options: RateOptions, output: Path, *, overwrite: bool) -> None:
    """Rate into `output`; all that can be checked is checked before anything is sent."""
    pool = read_to_rate(options, output, overwrite=overwrite)
    ratings = rate_pool(options, pool)
    ratings.save(output, overwrite=overwrite)
    if options.as_json:
        click.echo(manifest_beside(output).read_bytes(), nl=False)
    if not options.quiet:
        click.echo(f"{ratings.describe()}\n\nwritten to {output}", err=True)
    _tell_of_pending(options, ratings)
    if ratings.is_complete and not options.quiet:
        click.echo(f"next: {_next_command(ratings, output)}", err=True)


def read_to_rate(options: RateOptions, output: Path | None, *, overwrite: bool) -> Pool:
    """The pool, after a look at everything that could fail later; `output` where it is known."""
    check_rating(**options.settings())
    check_extra()
    resolve_endpoint(options.base_url, options.api_key_file)
    prompt = DEFAULT_PROMPT if options.prompt is None else read_prompt(options.prompt)
    pool = _read(options)
    if output is not None:
        check_ratings_output(output, pool, overwrite=overwrite)
    names = output_columns(
        options.models,
        options.field,
        prompt.criteria,
        repeat=options.repeat,
        logprobs=options.logprobs,
    )
    taken = taken_fields(pool, names)
    if taken is not None:
        raise InputError(
            f"field: expected a name that no row has yet, got {options.field!r}, and row "
            f"{taken[0]} has {taken[1]!r}; field= (--field) takes another name"
        )
    return pool


def rate_pool(options: RateOptions, pool: Pool) -> ds2fast.Ratings:
    """Rate a pool as the options say."""
    return ds2fast.rate(
        pool,
        **options.settings(),
        **options.asking(),
        api_key_file=options.api_key_file,
        keep_going=options.keep_going,
        progress=options.progress,
    )


@interruptible()
def run_rate_and_select(
    options: RateOptions,
    pool_options: PoolOptions,
    chosen: SelectOptions,
    save: SaveOptions,
) -> None:
    """Rate, select by the ratings into a directory, and write both."""
    check_select(pool_options, chosen, save)
    output, overwrite = save.output, save.overwrite
    if pool_options.embeddings is None:  # a model that is not there is told before money is spent
        check_model(
            pool_options.model,
            precision=pool_options.precision,
            long_text=pool_options.long_text,
        )
    embeddings, origin = load_embeddings(pool_options)
    rated = output / "rated.jsonl"
    # In a directory that is to be made nothing can be in the way.
    pool = read_to_rate(options, rated if output.is_dir() else None, overwrite=overwrite)
    if origin is not None:
        origin.check_texts(pool.texts)
    _check_amounts(pool, chosen, embeddings)
    _check_rules(pool, chosen)
    check_saving(pool, save)
    gold = _read_gold(pool_options, pool)
    ratings = rate_pool(options, pool)
    if not options.quiet:
        click.echo(f"{ratings.describe()}\n", err=True)
    _tell_of_pending(options, ratings)
    if len(ratings.raters) > 1:
        seen = gold | {"scores": ratings.scores}
    else:
        pool, seen = ratings.to_pool(), gold
    select_pool(pool_options, chosen, save, pool, embeddings, ratings=seen)
    ratings.save(rated, overwrite=overwrite)


def _tell_of_pending(options: RateOptions, ratings: ds2fast.Ratings) -> None:
    """What is left: as it was wished with a limit, and a warning otherwise."""
    if ratings.is_complete:
        return
    if options.limit is None:
        cost = f"; it may cost {dollars(options.max_cost)} more" if options.max_cost else ""
        print_warnings([f"not all rows were asked for: the same command again goes on{cost}"])
    elif not options.quiet:
        click.echo("without --limit the same command asks for the rest", err=True)


def _read_gold(options: PoolOptions, pool: Pool) -> dict[str, Any]:
    """True scores as `select` takes them; what cannot be read is told before money is spent."""
    if options.gold is None:
        return {}
    gold = options.ratings(pool)["gold"]
    if isinstance(gold, str):
        pool.column(gold)
    return {"gold": gold}


def _check_amounts(pool: Pool, chosen: SelectOptions, embeddings: RowArray | None) -> None:
    """Refuse what no rating of all rows that have a text would make possible."""
    if embeddings is not None and len(embeddings) != len(pool):
        raise InputError(
            f"embeddings: expected one row a text ({len(pool)}), got {len(embeddings)}"
        )
    rateable = len(pool) - pool.empty.count
    check_unrated(chosen.max_unrated, rateable, len(pool), num_textless=pool.empty.count)
    resolve_amount(chosen.n, chosen.fraction, rateable)


def _check_rules(pool: Pool, chosen: SelectOptions) -> None:
    """Refuse groups that the rows do not have, and data to exclude that cannot be read."""
    rules = chosen.rules
    if rules["exclude"] is not None:
        refuse_same_rows(pool, read_excluding(rules["exclude"], pool.text_option))
    if rules["groups"] is not None:
        has_text = pool.lengths > 0
        group_rule(
            read_groups(rules["groups"], pool, len(pool)),
            has_text,
            resolve_amount(chosen.n, chosen.fraction, int(has_text.sum())),
            shares=rules["group_shares"],
            caps=rules["group_caps"],
        )


def _read(options: RateOptions) -> Pool:
    for path in options.data if isinstance(options.data, list) else [options.data]:
        check_file(path)
    pool = ds2fast.read(options.data, text=options.text, scores=None)
    if not options.quiet:
        click.echo(f"{pool.describe()}\n", err=True)
    return pool


def _next_command(ratings: ds2fast.Ratings, output: Path) -> str:
    words = ["ds2fast", "select", str(output)]
    columns = [rater.field for rater in ratings.raters]
    if columns != ["score"]:
        words += [word for column in columns for word in ("--scores", column)]
    repeats = 0 if ratings.repeats is None else ratings.repeats.shape[1]
    for turn in range(repeats):
        words += ["--repeats", f"{columns[0]}_repeat_{turn + 1}"]
    return shlex.join([*words, "--fraction", "0.1", "-o", "out"])
