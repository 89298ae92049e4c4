"""The command `rate`, and what `select` takes to rate first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ds2fast_cli import options as given

BASE_URL = click.option(
    "--base-url", metavar="URL",
    help="Endpoint that speaks OpenAI's protocol.  [OPENAI_BASE_URL, or OpenAI's own]",
)  # fmt: skip
API_KEY_FILE = click.option(
    "--api-key-file", type=given.FILE, help="File that holds the key.  [OPENAI_API_KEY]"
)
CONCURRENCY = click.option(
    "--concurrency", type=int, default=64, show_default=True,
    help="The most requests in flight; fewer are where the server objects or slows down.",
)  # fmt: skip
MAX_COST = click.option(
    "--max-cost", type=float, metavar="DOLLARS",
    help="Stop before this run could cost more, for each model.",
)  # fmt: skip
PRICE = click.option(
    "--price", type=(float, float), metavar="IN OUT",
    help="US dollars for a million prompt and completion tokens.  [a table for OpenAI's models]",
)  # fmt: skip
KEEP_GOING = click.option(
    "--keep-going", is_flag=True,
    help="Go on, and write, where more than 5 % of the replies fail, 60 % of the scores are one "
    "level, or all are the same.",
)  # fmt: skip


@click.command(short_help="Have an LLM rate a pool: resumable, every failure with its reason.")
@given.DATA
@click.option(
    "--model", "models", multiple=True, required=True,
    help="Model that rates; given again, several raters with a column each.",
)  # fmt: skip
@click.option("-o", "--output", type=given.FILE, help="File for the rated rows (.jsonl).")
@click.option("--overwrite", is_flag=True, help="Replace a finished file that is there.")
@click.option(
    "--estimate", is_flag=True,
    help="Print requests, tokens, cost and time; send nothing, write nothing, whatever -o says.",
)  # fmt: skip
@BASE_URL
@API_KEY_FILE
@given.TEXT
@click.option(
    "--prompt", type=given.FILE,
    help="File with a prompt of your own; it must ask for JSON with overall, 1 to 10.",
)  # fmt: skip
@click.option(
    "--field", default="score", show_default=True,
    help="Name of the column of scores; the names of others begin with it.",
)  # fmt: skip
@click.option(
    "--repeat", type=int, default=1, metavar="K",
    help="With --sample: rate that many samples K times in all, for `select --repeats`.",
)  # fmt: skip
@click.option("--sample", type=int, metavar="M", help="With --repeat: how many samples.")
@click.option("--temperature", type=float, help="How freely the model draws.  [0; 1 with --repeat]")
@click.option(
    "--logprobs", is_flag=True,
    help="Write the expected level by the probabilities of the reply's tokens, too.",
)  # fmt: skip
@click.option("--limit", type=int, help="Samples to ask for in this run, drawn at random.")
@MAX_COST
@PRICE
@click.option("--retry-failed", is_flag=True, help="Ask again for what failed in earlier runs.")
@KEEP_GOING
@CONCURRENCY
@click.option(
    "--timeout", type=float, default=120.0, show_default=True, help="Seconds for a request."
)
@click.option("--max-tries", type=int, default=6, show_default=True, help="Requests for one reply.")
@click.option(
    "--max-sample-tokens", type=int, default=4096, show_default=True,
    help="Longer samples are sent without their middle.",
)  # fmt: skip
@click.option(
    "--max-reply-tokens", type=int, default=256, show_default=True,
    help="Tokens that a reply may have; models that think aloud need thousands.",
)  # fmt: skip
@click.option(
    "--store", type=given.FILE,
    help="File that keeps the replies.  [one for each rater in the user's folder for data]",
)  # fmt: skip
@click.option(
    "--tokenizer", help="What counts tokens: tokenizer.json, a directory, a Hugging Face id."
)
@click.option(
    "--seed", type=int, default=0, show_default=True,
    help="Seed of the order, and of which samples --repeat and --limit take.",
)  # fmt: skip
@given.QUIET
@given.JSON
def rate(*, output: Path | None, overwrite: bool, estimate: bool, **options: Any) -> None:
    """Have an LLM rate DATA, 1 to 10 by four criteria; write its rows with a score of 0 to 5.

    Every reply is kept at once: a run that was stopped goes on where it was, and nothing is paid
    twice. A reply that cannot be read without doubt leaves its row unrated, with the reason, never
    with a number. `select` takes the file. The key comes from OPENAI_API_KEY or --api-key-file.
    """
    if not estimate and output is None:
        raise click.UsageError("-o names the file for the rated rows; --estimate needs none")
    from ds2fast_cli.rate_jobs import RateOptions, run_estimate, run_rate

    asked = RateOptions(**options)
    if output is None or estimate:
        run_estimate(asked)
    else:
        run_rate(asked, output, overwrite=overwrite)
