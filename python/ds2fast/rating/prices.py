"""What tokens cost: a price of the user's, or one of a small dated table."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from ds2fast.errors import InputError, InputTypeError

PRICES_AS_OF = "2026-06"
"""When the table was last looked over; prices change, so it is told beside every figure."""

_TOKENS = 1_000_000
_HOST = "api.openai.com"
_DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$")


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens.

    Attributes
    ----------
    prompt : float
        Of what is sent.
    completion : float
        Of what is answered.

    Raises
    ------
    InputTypeError, InputError
        Where one is no number, negative or not finite.

    Examples
    --------
    >>> Price(0.15, 0.60).cost(prompt_tokens=2_000_000, completion_tokens=100_000)
    0.36
    """

    prompt: float
    completion: float

    def __post_init__(self) -> None:
        for name in ("prompt", "completion"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise InputTypeError(
                    f"price: expected US dollars per million {name} tokens, "
                    f"got {type(value).__name__}"
                )
            if not math.isfinite(value) or value < 0:
                raise InputError(
                    f"price: expected US dollars per million {name} tokens, 0 or more, got {value}"
                )

    def cost(self, *, prompt_tokens: float, completion_tokens: float) -> float:
        """US dollars for so many tokens."""
        total = self.prompt * prompt_tokens + self.completion * completion_tokens
        return total / _TOKENS


PRICES = MappingProxyType(
    {
        "gpt-4o": Price(2.50, 10.00),
        "gpt-4o-2024-05-13": Price(5.00, 15.00),  # the first of its name kept its price
        "gpt-4o-mini": Price(0.15, 0.60),
        "gpt-4.1": Price(2.00, 8.00),
        "gpt-4.1-mini": Price(0.40, 1.60),
        "gpt-4.1-nano": Price(0.10, 0.40),
        "gpt-5": Price(1.25, 10.00),
        "gpt-5-mini": Price(0.25, 2.00),
        "gpt-5-nano": Price(0.05, 0.40),
        "o3": Price(2.00, 8.00),
        "o4-mini": Price(1.10, 4.40),
    }
)
"""Price of each known model of api.openai.com, by its name without a date."""


def known_price(model: str, endpoint: str) -> Price | None:
    """Price of a model in the table; None where it is not known.

    Other endpoints have prices of their own, so only `api.openai.com` is known.

    Parameters
    ----------
    model : str
        As it is sent. A name with a date at its end has its base name's price.
    endpoint : str
        The base URL that requests go to.

    Returns
    -------
    Price or None

    Examples
    --------
    >>> known_price("gpt-4o-mini-2024-07-18", "https://api.openai.com/v1")
    Price(prompt=0.15, completion=0.6)
    >>> known_price("gpt-4o-mini", "http://localhost:8000/v1") is None
    True
    """
    try:
        host = urlsplit(endpoint).hostname
    except ValueError:  # a broken address has no known price; the client will tell of it
        return None
    if host != _HOST:
        return None
    return PRICES.get(model) or PRICES.get(_DATE.sub("", model))
