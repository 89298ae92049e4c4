"""What rating a pool will take, before anything is sent: requests, tokens, money, time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any, TypedDict, Unpack

from ds2fast.progress import Progress, Reporter
from ds2fast.rating.job import RatingJob, prepare_rating
from ds2fast.rating.prices import PRICES_AS_OF, Price
from ds2fast.rating.rater import Rater
from ds2fast.rating.settings import (
    DEFAULT_CONCURRENCY,
    DEFAULT_REPLY_TOKENS,
    DEFAULT_SAMPLE_TOKENS,
    check_rating,
)
from ds2fast.rating.store import ReplyStore
from ds2fast.rating.tasks import Replies, plan_tasks
from ds2fast.rating.tokens import FEWEST_REPLIES, TokenCounter
from ds2fast.rating.words import dollars, short_count
from ds2fast.results import ShortRepr

REPLY_SECONDS = 2.0
"""What a request takes where no reply was had yet to tell."""

_CHECKED = ("field", "timeout", "max_tries", "max_cost")

EXAMPLE_REPLY = '{"rarity": 5, "complexity": 5, "informativeness": 5, "overall": 5}'


@dataclass(frozen=True)
class RaterEstimate:
    """What one rater will take.

    Attributes
    ----------
    model, endpoint : str
        Who rates.
    replies : int
        Replies that are to be asked for: with one request each, if all goes well.
    kept : int
        Replies that were had before.
    prompt_tokens, completion_tokens : int
        Of these requests.
    price : Price or None
        What tokens cost.
    cost : float or None
        US dollars; None where no price is known.
    is_known_price : bool
        Whether the price is of the table here, and not of the user.
    seconds : float
        Time, with as many requests in flight as are allowed.
    reply_seconds : float
        What a request is taken to need.
    is_measured : bool
        Whether replies that were had tell that; else it is a guess.
    counted : str
        How tokens were counted.
    """

    model: str
    endpoint: str
    replies: int
    kept: int
    prompt_tokens: int
    completion_tokens: int
    price: Price | None
    cost: float | None
    is_known_price: bool
    seconds: float
    reply_seconds: float
    is_measured: bool
    counted: str


@dataclass(frozen=True, repr=False)
class RatingEstimate(ShortRepr):
    """What rating a pool will take; `ds2fast.estimate_rating` makes it, `print` shows it.

    Attributes
    ----------
    rows, samples, empty, cut : int
        Rows, their distinct samples, rows without text, samples that are sent in part.
    concurrency : int
        Requests in flight that the time is reckoned with.
    raters : tuple of RaterEstimate
        What each model will take.
    """

    rows: int
    samples: int
    empty: int
    cut: int
    concurrency: int
    raters: tuple[RaterEstimate, ...]

    @property
    def requests(self) -> int:
        """Requests of all raters, if all goes well."""
        return sum(rater.replies for rater in self.raters)

    @property
    def prompt_tokens(self) -> int:
        """Prompt tokens of all raters."""
        return sum(rater.prompt_tokens for rater in self.raters)

    @property
    def completion_tokens(self) -> int:
        """Completion tokens of all raters."""
        return sum(rater.completion_tokens for rater in self.raters)

    @property
    def cost(self) -> float | None:
        """US dollars of all raters; None where the price of one is not known."""
        costs = [rater.cost for rater in self.raters]
        return None if None in costs else sum(cost or 0.0 for cost in costs)

    def __str__(self) -> str:
        """The estimate in a few lines."""
        lines = [f"{self.rows} rows, {self.samples} distinct samples"]
        if self.empty:
            lines[0] += f", {self.empty} rows without text"
        if self.cut:
            lines[0] += f", {self.cut} too long and sent without the middle"
        for rater in self.raters:
            lines += _describe(rater, self.concurrency)
        if len(self.raters) > 1 and self.cost is not None:
            lines.append(f"in all {self.requests} requests, {dollars(self.cost)}")
        return "\n".join(lines)


def _describe(rater: RaterEstimate, concurrency: int) -> list[str]:
    if not rater.replies:
        kept = f"all {rater.kept} replies are kept from before"
        return [f"{rater.model} at {rater.endpoint}: nothing is left to be asked, {kept}"]
    kept = f", {rater.kept} replies are kept from before" if rater.kept else ""
    how = "as replies so far took" if rater.is_measured else "a guess"
    return [
        f"{rater.model} at {rater.endpoint}:",
        f"  {rater.replies} requests{kept}",
        f"  {short_count(rater.prompt_tokens)} prompt tokens, {rater.counted}; "
        f"{short_count(rater.completion_tokens)} completion tokens",
        f"  {_describe_cost(rater)}",
        f"  some {_duration(rater.seconds)} with {concurrency} in flight and "
        f"{rater.reply_seconds:.1f} s a reply ({how})",
    ]


def _describe_cost(rater: RaterEstimate) -> str:
    if rater.price is None or rater.cost is None:
        return "cost: not known here; price= (--price) tells what a million tokens cost"
    source = f", prices of {PRICES_AS_OF}" if rater.is_known_price else ""
    return (
        f"{dollars(rater.cost)} at ${rater.price.prompt:g} and ${rater.price.completion:g} for a "
        f"million prompt and completion tokens{source}; what is asked twice comes on top"
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class OnlyOfRating(TypedDict, total=False):
    """Arguments of `rate` that an estimate does not depend on."""

    field: str
    api_key_file: str | os.PathLike[str] | None
    timeout: float
    max_tries: int
    max_cost: float | None
    keep_going: bool


def estimate_rating(
    data: Any,
    *,
    model: str | Sequence[str],
    base_url: str | None = None,
    text: str | None = None,
    prompt: str | os.PathLike[str] | None = None,
    temperature: float | None = None,
    repeat: int = 1,
    sample: int | None = None,
    logprobs: bool = False,
    max_sample_tokens: int = DEFAULT_SAMPLE_TOKENS,
    max_reply_tokens: int = DEFAULT_REPLY_TOKENS,
    concurrency: int = DEFAULT_CONCURRENCY,
    limit: int | None = None,
    price: Sequence[float] | None = None,
    retry_failed: bool = False,
    store: str | os.PathLike[str] | None = None,
    tokenizer: str | os.PathLike[str] | None = None,
    seed: int = 0,
    progress: Progress = None,
    **others: Unpack[OnlyOfRating],
) -> RatingEstimate:
    """What `rate` with the same arguments will take; nothing is sent, no key is needed.

    Replies that are kept from an earlier run cost nothing, and tell how many tokens and how long
    the others will take: `limit=100` first makes the estimate of the rest a measured one.

    Parameters
    ----------
    data, model, base_url, text, prompt, temperature, repeat, sample, logprobs, max_sample_tokens, \
max_reply_tokens, concurrency, limit, price, retry_failed, store, tokenizer, seed, progress
        As `ds2fast.rate` takes them.
    **others
        `field`, `api_key_file`, `timeout`, `max_tries`, `max_cost`, `keep_going`: checked as
        `ds2fast.rate` does, so that one set of arguments serves both, and without effect.

    Returns
    -------
    RatingEstimate
        `.requests`, `.prompt_tokens`, `.completion_tokens`, `.cost`, `.raters`; `print` shows it.

    Raises
    ------
    InputError, InputTypeError, InputFileError, ModelNotFoundError
        An argument that cannot be used; the message names it.

    Examples
    --------
    >>> import ds2fast
    >>> estimate = ds2fast.estimate_rating(["a frog", "a toad"], model="gpt-4o-mini")
    >>> estimate.requests, estimate.cost < 0.01
    (2, True)
    """
    given: dict[str, Any] = dict(others)
    checked = {name: given[name] for name in _CHECKED if name in given}
    settings = check_rating(
        model=model,
        temperature=temperature,
        repeat=repeat,
        sample=sample,
        logprobs=logprobs,
        max_sample_tokens=max_sample_tokens,
        max_reply_tokens=max_reply_tokens,
        concurrency=concurrency,
        limit=limit,
        price=price,
        retry_failed=retry_failed,
        store=store,
        seed=seed,
        **checked,
    )
    job = prepare_rating(
        data,
        settings,
        base_url=base_url,
        api_key_file=None,
        text=text,
        prompt=prompt,
        tokenizer=tokenizer,
        needs_key=False,
    )
    with Reporter.of(progress) as reporter:
        raters = tuple(_estimate(job, rater, reporter) for rater in job.raters)
    return RatingEstimate(
        rows=len(job.pool),
        samples=len(job.samples),
        empty=job.pool.empty.count,
        cut=job.samples.num_cut,
        concurrency=settings.concurrency,
        raters=raters,
    )


def _estimate(job: RatingJob, rater: Rater, reporter: Reporter) -> RaterEstimate:
    settings = job.settings
    with ReplyStore(job.store_of(rater), readonly=True) as store:
        replies = store.replies(store.rater_id(rater.identity()))
    plan = plan_tasks(job.samples, replies, settings)
    counter = job.counter_of(rater, replies)
    total, prompt_tokens = len(plan.missing), 0
    with reporter.stage("counting tokens", unit="text") as report:
        for done, task in enumerate(plan.tasks(rater.prompt, counter), 1):
            prompt_tokens += task.prompt_tokens
            if report is not None:
                report(done, total)
    each, seconds, is_measured = _of_replies(replies, counter)
    price, completion_tokens = job.price_of(rater), round(total * each)
    cost = None
    if price is not None:
        cost = price.cost(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
    return RaterEstimate(
        model=rater.model,
        endpoint=rater.endpoint.name,
        replies=total,
        kept=plan.num_kept,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        price=price,
        cost=cost,
        is_known_price=settings.price is None and price is not None,
        seconds=total * seconds / min(settings.concurrency, max(total, 1)),
        reply_seconds=seconds,
        is_measured=is_measured,
        counted=counter.describe(),
    )


def _of_replies(replies: Replies, counter: TokenCounter) -> tuple[float, float, bool]:
    """Completion tokens and seconds of a request, and whether replies that were had tell them."""
    had = [reply for reply in replies.values() if reply.is_rated and reply.requests == 1]
    if len(had) < FEWEST_REPLIES:
        return counter.count(EXAMPLE_REPLY), REPLY_SECONDS, False
    tokens = fmean(reply.completion_tokens for reply in had)
    return tokens, median(reply.seconds for reply in had), True
