"""What this machine runs, which models are on it, and how fast they are: `ds2fast doctor`."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

from ds2fast.advice import words
from ds2fast.advice.budget import advise, choose, estimate_times, fastest
from ds2fast.advice.cores import thread_counts
from ds2fast.advice.models import cache_size, cached_models, examine_model
from ds2fast.advice.speed import STATIC, Speed, distilling_tokens, measure_speeds
from ds2fast.build import build_info
from ds2fast.cache_dir import CacheDir, resolve_cache_dir
from ds2fast.embedding import DEFAULT_MODEL

SECONDS_EACH = 2.0
"""How long each way of running is measured."""


def examine(model: str, *, cache_dir: CacheDir = None) -> dict[str, Any]:
    """Look at the machine and for models; runs nothing, changes nothing and asks no network."""
    encoder = examine_model(model)
    folder = resolve_cache_dir(cache_dir)
    return {
        **build_info(),
        "memory_gib": _memory_gib(),
        "encoder": encoder,
        "default_model": encoder if model == DEFAULT_MODEL else examine_model(DEFAULT_MODEL),
        "cached_models": cached_models(),
        "cache": {"folder": folder, "bytes": cache_size(folder)},
    }


def measuring_seconds(findings: dict[str, Any]) -> float:
    """About how long `measure_encoder` takes, reading the weights apart."""
    encoder = findings["encoder"]
    ways = len(encoder["precisions"]) + int(encoder["backend"] != STATIC)
    return float(SECONDS_EACH * ways * len(thread_counts()))


def measure_encoder(
    findings: dict[str, Any],
    *,
    tokens: int,
    cache_dir: CacheDir = None,
) -> dict[str, Any]:
    """Run the model that `examine` found, on made-up texts of so many tokens."""
    encoder = findings["encoder"]
    cut = _cut(tokens, encoder)
    speeds = measure_speeds(
        encoder["name"],
        encoder["precisions"],
        thread_counts(),
        tokens=cut,
        seconds=SECONDS_EACH,
        cache_dir=cache_dir,
    )
    of_model = [one for one in speeds if one.precision != STATIC]
    return {
        "text_tokens": cut,
        "seconds_each": SECONDS_EACH,
        "speeds": [asdict(one) for one in speeds],
        "fastest": asdict(fastest(of_model)),
        "distilling_tokens": distilling_tokens(encoder["name"], cut),
    }


def estimate(
    findings: dict[str, Any], rows: int, *, tokens: int, budget: float | None = None
) -> dict[str, Any]:
    """Time that rows would take at the measured speeds, and what to run within a budget."""
    encoder, measured = findings["encoder"], findings["measured"]
    cut = _cut(tokens, encoder)
    times = estimate_times(
        [Speed(**one) for one in measured["speeds"]],
        rows,
        cut,
        distilling_tokens=measured["distilling_tokens"],
    )
    chosen = choose(times, budget)
    return {
        "rows": rows,
        "tokens": cut,
        "budget_seconds": budget,
        "times": [
            {
                "precision": one.precision,
                "threads": one.threads,
                "seconds": one.seconds,
                "preparation_seconds": one.preparation,
            }
            for one in times
        ],
        "recommended": None if chosen is None else chosen.precision,
        "advice": advise(encoder["name"], times, budget, rows=rows),
    }


def describe_examination(findings: dict[str, Any]) -> str:
    """The findings in words."""
    lines = [
        *words.describe_machine(findings),
        *words.describe_model(findings["encoder"]),
        *words.describe_cached(findings["cached_models"], findings["default_model"]),
        *words.describe_cache(findings["cache"]),
    ]
    if "measured" in findings:
        lines += words.describe_measured(findings["measured"])
    if "estimate" in findings:
        lines += words.describe_estimate(findings["estimate"])
    return "\n".join(lines)


def _cut(tokens: int, encoder: dict[str, Any]) -> int:
    """Tokens of so long a text that the model reads."""
    most = encoder["max_tokens"]
    return tokens if most is None else min(tokens, most)


def _memory_gib() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError, AttributeError):
        return None
