"""A model that is asked in a certain way: what its replies are kept by, and its columns' name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

from ds2fast.rating.endpoint import Endpoint
from ds2fast.rating.prompt import Prompt


@dataclass(frozen=True)
class Rater:
    """A model, where it answers, and how it is asked.

    Attributes
    ----------
    model : str
        Its name at the endpoint.
    endpoint : Endpoint
        Where it answers.
    prompt : Prompt
        What it is asked.
    temperature : float
        How freely it draws.
    logprobs : bool
        Whether log probabilities are asked for.
    """

    model: str
    endpoint: Endpoint
    prompt: Prompt
    temperature: float
    logprobs: bool

    def identity(self) -> dict[str, Any]:
        """What replies are kept by; whoever differs in any of it is another rater. No secrets."""
        return {
            "model": self.model,
            "endpoint": self.endpoint.name,
            "prompt_sha256": self.prompt.sha256,
            "prompt": self.prompt.system,
            "criteria": list(self.prompt.criteria),
            "temperature": self.temperature,
            "logprobs": self.logprobs,
        }


def output_columns(
    models: Sequence[str], field: str, criteria: Sequence[str], *, repeat: int, logprobs: bool
) -> list[str]:
    """Names of all columns that a rating is going to write, but extra ones of own prompts.

    Examples
    --------
    >>> output_columns(["judge"], "score", ["overall"], repeat=2, logprobs=True)
    ['score', 'score_unrated', 'score_expected', 'score_repeat_1', 'score_overall']
    """
    ends = ["", "_unrated"] + ["_expected"] * logprobs
    ends += [f"_repeat_{turn}" for turn in range(1, repeat)]
    ends += [f"_{name}" for name in criteria]
    return [name + end for name in column_names(models, field) for end in ends]


def column_names(models: Sequence[str], field: str) -> list[str]:
    """Names of the raters' score columns: `field` for one, with the model's name for several.

    Dots would mean nested data to whoever reads the columns, so they become hyphens.

    Examples
    --------
    >>> column_names(["gpt-4.1-mini"], "score")
    ['score']
    >>> column_names(["gpt-4.1-mini", "org/llama-3.1"], "score")
    ['score_gpt-4-1-mini', 'score_llama-3-1']
    """
    if len(models) == 1:
        return [field]
    names: list[str] = []
    for model in models:
        slug = re.sub(r"[^A-Za-z0-9_-]+", "-", model.rpartition("/")[2]).strip("-") or "model"
        wished = f"{field}_{slug}"
        others = (f"{wished}_{number}" for number in count(2))
        names.append(next(name for name in chain([wished], others) if name not in names))
    return names
