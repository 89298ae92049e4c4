"""What rating begins with: everything that can be known before anything is sent."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ds2fast.errors import InputError
from ds2fast.io.read import read
from ds2fast.pool import Pool
from ds2fast.rating.endpoint import Endpoint, resolve_endpoint
from ds2fast.rating.prices import Price, known_price
from ds2fast.rating.prompt import DEFAULT_PROMPT, Prompt, read_prompt
from ds2fast.rating.rater import Rater, column_names, output_columns
from ds2fast.rating.samples import Samples, distinct_samples
from ds2fast.rating.settings import RatingSettings
from ds2fast.rating.store import default_store
from ds2fast.rating.tasks import Replies
from ds2fast.rating.tokens import CHAT_OVERHEAD, TokenCounter, calibrated, counter

CALIBRATED_ON = 1000  # kept replies that a counter is scaled by, at most


@dataclass(frozen=True, eq=False)
class RatingJob:
    """A pool, its samples, and who is to rate them.

    Attributes
    ----------
    pool : Pool
        The rows.
    samples : Samples
        Its distinct samples.
    raters : tuple of Rater
        Who rates.
    fields : tuple of str
        Names of their columns.
    settings : RatingSettings
        How they are asked.
    counters : mapping of str to TokenCounter
        What counts each model's tokens.
    """

    pool: Pool
    samples: Samples
    raters: tuple[Rater, ...]
    fields: tuple[str, ...]
    settings: RatingSettings
    counters: Mapping[str, TokenCounter]

    @cached_property
    def repeated(self) -> list[int]:
        """Places of the samples that are rated several times."""
        count = self.settings.sample
        return self.samples.order(self.settings.seed)[:count] if count else []

    def store_of(self, rater: Rater) -> Path:
        """Where a rater's replies are kept."""
        return self.settings.store or default_store(rater.identity())

    def price_of(self, rater: Rater) -> Price | None:
        """What its tokens cost, as given or as known."""
        return self.settings.price or known_price(rater.model, rater.endpoint.name)

    def counter_of(self, rater: Rater, replies: Replies) -> TokenCounter:
        """What counts its tokens, scaled by replies that were had."""
        counting = self.counters[rater.model]
        texts = dict(zip(self.samples.keys, self.samples.texts, strict=True))
        pairs = []
        for (key, _), reply in replies.items():
            if reply.requests == 1 and reply.prompt_tokens and key in texts:
                messages = rater.prompt.messages(texts[key])
                counted = sum(counting.tokens_of(message["content"]) for message in messages)
                pairs.append((counted + CHAT_OVERHEAD, reply.prompt_tokens))
            if len(pairs) >= CALIBRATED_ON:
                break
        return calibrated(counting, pairs)


def prepare_rating(
    data: Any,
    settings: RatingSettings,
    *,
    base_url: str | None,
    api_key_file: str | os.PathLike[str] | None,
    text: str | None,
    prompt: str | os.PathLike[str] | None,
    tokenizer: str | os.PathLike[str] | None,
    needs_key: bool = True,
) -> RatingJob:
    """Read what is rated, and settle by whom and how; what is wrong is told here."""
    if isinstance(data, Pool) and text is not None:
        raise InputError("text: expected beside data that is read now; read() takes text= too")
    endpoint = resolve_endpoint(base_url, api_key_file, needs_key=needs_key)
    asked = DEFAULT_PROMPT if prompt is None else read_prompt(prompt)
    raters = tuple(_rater(model, endpoint, asked, settings) for model in settings.models)
    # Before the data: a tokenizer that is not there is told at once.
    counters = {model: counter(model, tokenizer) for model in settings.models}
    for rater in raters:
        if settings.max_cost is not None and settings.price is None:
            _check_price(rater)
    pool = data if isinstance(data, Pool) else read(data, text=text, scores=None)
    samples = distinct_samples(pool.texts, settings.max_sample_tokens)
    if settings.sample > len(samples):
        raise InputError(
            f"sample: expected at most the number of distinct samples ({len(samples)}), got "
            f"{settings.sample}"
        )
    fields = tuple(column_names(settings.models, settings.field))
    _check_columns(asked, settings)
    return RatingJob(pool, samples, raters, fields, settings, counters)


def _rater(model: str, endpoint: Endpoint, prompt: Prompt, settings: RatingSettings) -> Rater:
    return Rater(model, endpoint, prompt, settings.temperature, settings.logprobs)


def _check_columns(prompt: Prompt, settings: RatingSettings) -> None:
    """Two models whose names differ by a criterion's would have a column in common."""
    names = output_columns(
        settings.models,
        settings.field,
        prompt.criteria,
        repeat=settings.repeat,
        logprobs=settings.logprobs,
    )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(
            f"model: expected models whose columns differ, got {', '.join(settings.models)}: "
            f"{twice!r} would be a column of two; rate with one at a time"
        )


def _check_price(rater: Rater) -> None:
    if known_price(rater.model, rater.endpoint.name) is None:
        raise InputError(
            f"max_cost: expected price= (--price) beside it for {rater.model} at "
            f"{rater.endpoint.name}, whose price is not known here, got none"
        )
