"""Arguments of a rating, checked before anything is read or sent."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ds2fast.arguments import as_count, as_number, in_range
from ds2fast.checks import MAX_SEED
from ds2fast.errors import InputError, InputTypeError
from ds2fast.rating.prices import Price

DEFAULT_CONCURRENCY = 64
DEFAULT_TIMEOUT = 120.0
DEFAULT_TRIES = 6
DEFAULT_SAMPLE_TOKENS = 4096
DEFAULT_REPLY_TOKENS = 256
MAX_TEMPERATURE = 2.0
REPEATING_TEMPERATURE = 1.0
"""With repeats: a model that draws nothing gives the same reply again, whatever it is worth."""


@dataclass(frozen=True)
class RatingSettings:
    """How samples are rated; see `ds2fast.rate` for what each means."""

    models: tuple[str, ...]
    field: str
    temperature: float
    repeat: int
    sample: int
    logprobs: bool
    max_sample_tokens: int
    max_reply_tokens: int
    concurrency: int
    timeout: float
    max_tries: int
    limit: int | None
    max_cost: float | None
    price: Price | None
    retry_failed: bool
    store: Path | None
    seed: int


def check_rating(
    *,
    model: str | Sequence[str],
    field: str = "score",
    temperature: float | None = None,
    repeat: int = 1,
    sample: int | None = None,
    logprobs: bool = False,
    max_sample_tokens: int = DEFAULT_SAMPLE_TOKENS,
    max_reply_tokens: int = DEFAULT_REPLY_TOKENS,
    concurrency: int = DEFAULT_CONCURRENCY,
    timeout: float = DEFAULT_TIMEOUT,
    max_tries: int = DEFAULT_TRIES,
    limit: int | None = None,
    max_cost: float | None = None,
    price: Sequence[float] | None = None,
    retry_failed: bool = False,
    store: str | os.PathLike[str] | None = None,
    seed: int = 0,
) -> RatingSettings:
    """The arguments as the stages take them; each is named where it cannot be used."""
    for name, flag in (("logprobs", logprobs), ("retry_failed", retry_failed)):
        if not isinstance(flag, bool):
            raise InputTypeError(f"{name}: expected True or False, got {flag!r}")
    turns, rows = _check_repeats(repeat, sample)
    return RatingSettings(
        models=_check_models(model),
        field=_check_field(field),
        temperature=_check_temperature(temperature, turns),
        repeat=turns,
        sample=rows,
        logprobs=logprobs,
        max_sample_tokens=as_count(max_sample_tokens, "max_sample_tokens", minimum=64),
        max_reply_tokens=as_count(max_reply_tokens, "max_reply_tokens", minimum=16),
        concurrency=in_range(concurrency, "concurrency", 1, 1000),
        timeout=_positive(timeout, "timeout"),
        max_tries=in_range(max_tries, "max_tries", 1, 100),
        limit=None if limit is None else as_count(limit, "limit"),
        max_cost=None if max_cost is None else _positive(max_cost, "max_cost"),
        price=_check_price(price),
        retry_failed=retry_failed,
        store=_check_store(store),
        seed=in_range(seed, "seed", 0, MAX_SEED),
    )


def _check_models(model: str | Sequence[str]) -> tuple[str, ...]:
    if not isinstance(model, str | Sequence):
        raise InputTypeError(f"model: expected a name or several, got {type(model).__name__}")
    models = (model,) if isinstance(model, str) else tuple(model)
    if not models or not all(isinstance(name, str) and name.strip() for name in models):
        raise InputError(f"model: expected the name of a model, or several, got {model!r}")
    if len(set(models)) < len(models):
        raise InputError(
            f"model: expected each model once, got {model!r}; repeat= (--repeat) asks one again"
        )
    return models


def _check_field(field: Any) -> str:
    if not isinstance(field, str):
        raise InputTypeError(f"field: expected the name of a column, got {field!r}")
    if not field.strip() or "." in field or "{" in field:
        raise InputError(f"field: expected a name without dots and braces, got {field!r}")
    return field


def _check_repeats(repeat: int, sample: int | None) -> tuple[int, int]:
    turns = in_range(repeat, "repeat", 1, 100)
    if (turns == 1) != (sample is None):
        if sample is None:
            raise InputError(
                f"sample: expected beside repeat= (--repeat), how many samples are rated {turns} "
                "times in all (--sample), got none"
            )
        raise InputError(
            f"repeat: expected beside sample= (--sample), how many times these {sample} are rated "
            "in all (--repeat), got none"
        )
    return turns, 0 if sample is None else as_count(sample, "sample")


def _check_temperature(temperature: float | None, repeat: int) -> float:
    if temperature is None:
        return 0.0 if repeat == 1 else REPEATING_TEMPERATURE
    number = as_number(temperature, "temperature")
    if not 0.0 <= number <= MAX_TEMPERATURE:
        raise InputError(f"temperature: expected 0 to {MAX_TEMPERATURE:g}, got {temperature!r}")
    if repeat > 1 and number == 0.0:
        raise InputError(
            "temperature: expected above 0 with repeat=, got 0: a model that draws nothing repeats "
            "itself, and that would be taken for certainty"
        )
    return number


def _positive(value: float, name: str) -> float:
    number = as_number(value, name)
    if not 0.0 < number < float("inf"):
        raise InputError(f"{name}: expected a number above 0, got {value!r}")
    return number


def _check_price(price: Sequence[float] | None) -> Price | None:
    if price is None:
        return None
    if isinstance(price, str) or not isinstance(price, Sequence) or len(price) != 2:
        raise InputTypeError(
            f"price: expected two numbers, for a million prompt and completion tokens, got "
            f"{price!r}"
        )
    prompt, completion = (as_number(value, "price") for value in price)
    if not (0.0 <= prompt < float("inf") and 0.0 <= completion < float("inf")):
        raise InputError(f"price: expected two numbers of at least 0, got {price!r}")
    return Price(prompt, completion)


def _check_store(store: str | os.PathLike[str] | None) -> Path | None:
    if store is None:
        return None
    if not isinstance(store, str | os.PathLike):
        raise InputTypeError(f"store: expected a file or None, got {type(store).__name__}")
    return Path(store).expanduser()
