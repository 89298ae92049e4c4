"""Prices: exact names of one endpoint only, and sums that can be checked by hand."""

from __future__ import annotations

from typing import Any

import pytest

from ds2fast.errors import InputError, InputTypeError
from ds2fast.rating.prices import PRICES, Price, known_price

OPENAI = "https://api.openai.com/v1"


def test_a_cost_is_tokens_times_price_by_the_million() -> None:
    price = Price(2.5, 10.0)
    assert price.cost(prompt_tokens=400_000, completion_tokens=0) == pytest.approx(1.0)
    assert price.cost(prompt_tokens=0, completion_tokens=25_000) == pytest.approx(0.25)
    assert price.cost(prompt_tokens=400_000, completion_tokens=25_000) == pytest.approx(1.25)
    assert Price(0, 0).cost(prompt_tokens=10**9, completion_tokens=10**9) == 0


@pytest.mark.parametrize("model", sorted(PRICES))
def test_a_dated_name_costs_as_its_base_name(model: str) -> None:
    known = known_price(model, OPENAI)
    assert known == PRICES[model]
    if model != "gpt-4o-2024-05-13":
        assert known_price(f"{model}-2025-04-14", OPENAI) == known


def test_the_first_gpt_4o_kept_its_own_price() -> None:
    assert known_price("gpt-4o-2024-05-13", OPENAI) == Price(5.0, 15.0)
    assert known_price("gpt-4o-2024-08-06", OPENAI) == Price(2.5, 10.0)


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4o-audio-preview",
        "gpt-4o-audio-preview-2024-12-17",
        "gpt-4o-mini-2024-07-18-mine",
        "gpt-4o-mini-2024-07",
        "gpt-4o-mini-2024-07-18-2024-07-18",
        "gpt-4",
        "gpt-5-pro",
        "o3-pro",
        "openai/gpt-4o",
        "ft:gpt-4o-mini-2024-07-18:me::id",
        "GPT-4o",
        "",
    ],
)
def test_no_price_is_guessed_for_a_like_name(model: str) -> None:
    assert known_price(model, OPENAI) is None


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://localhost:8000/v1",
        "https://eu.api.openai.com/v1",
        "https://api.openai.com.example.org/v1",
        "https://example.org/api.openai.com",
        "https://api.openai.com@example.org/v1",
        "https://mine.openai.azure.com",
        "api.openai.com",
        "https://[broken",
        "",
    ],
)
def test_other_endpoints_have_prices_of_their_own(endpoint: str) -> None:
    assert known_price("gpt-4o-mini", endpoint) is None


def test_the_endpoint_is_known_however_it_is_written() -> None:
    for endpoint in (OPENAI, "https://API.OpenAI.com/v1/", "https://api.openai.com:443/v1"):
        assert known_price("gpt-4o-mini", endpoint) == Price(0.15, 0.60)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_an_impossible_price_is_refused(value: float) -> None:
    with pytest.raises(InputError, match=r"price: expected .* prompt tokens, 0 or more"):
        Price(value, 1.0)
    with pytest.raises(InputError, match=r"price: expected .* completion tokens, 0 or more"):
        Price(1.0, value)


@pytest.mark.parametrize("value", ["1", None, True])
def test_a_price_is_a_number(value: Any) -> None:
    with pytest.raises(InputTypeError, match="price: expected US dollars"):
        Price(value, 1.0)
