"""What `ds2fast doctor` found, in lines that fit a page."""

from __future__ import annotations

import textwrap
from typing import Any

from ds2fast.advice.budget import as_duration
from ds2fast.sizes import as_size

_INDENT = " " * 13
_WIDTH = 100


def describe_machine(findings: dict[str, Any]) -> list[str]:
    """Version, processor and memory."""
    memory = findings["memory_gib"]
    return [
        f"ds2fast {findings['version']} ({findings['compiler']}), Python {findings['python']}",
        f"machine      {findings['platform']}, {findings['threads']} threads usable, "
        + ("memory unknown" if memory is None else f"{memory:.1f} GiB of memory"),
        f"SIMD level   {findings['simd_level']} (of {', '.join(findings['simd_levels'])}; "
        "DS2FAST_SIMD chooses)",
    ]


def describe_model(encoder: dict[str, Any]) -> list[str]:
    """The model that was asked for."""
    if not encoder["found"]:
        return [f"encoder      {encoder['name']}: not usable", _fill(encoder["problem"])]
    most = encoder["max_tokens"]
    length = "nothing is cut" if most is None else f"cut at {most} tokens"
    return [
        f"encoder      {encoder['name']}: found",
        f"{_INDENT}{encoder['pooling']} pooling, {length}, "
        f"weights {encoder['weights_sha256'][:12]}",
        _fill(f"runs in: {encoder['backend']}; {_describe_precisions(encoder)}"),
    ]


def _describe_precisions(encoder: dict[str, Any]) -> str:
    *faster, exact = encoder["precisions"]
    if encoder["backend"] == "static":
        return "a static model has one precision"
    if not faster:
        return f"precision auto is {exact}: this processor has no products that are faster"
    return (
        f"precision auto tries {', then '.join(faster)} on a sample of the texts, and takes "
        f"{exact} where neighbours would be lost or texts are few"
    )


def describe_cached(models: list[dict[str, Any]], default: dict[str, Any]) -> list[str]:
    """The model by default and all others on this machine."""
    lines = [f"{default['name']} (the default): {'here' if default['found'] else 'not here'}"]
    lines += [
        f"{one['name']}: {'here' if one['complete'] else _brief(one['problem'])}"
        for one in models
        if one["name"] != default["name"]
    ]
    return [f"models       {lines[0]}", *(_fill(line) for line in lines[1:])]


def _brief(problem: str) -> str:
    return f"not usable, {textwrap.shorten(problem, 200)}"


def describe_cache(cache: dict[str, Any]) -> list[str]:
    """Where vectors are kept."""
    return [f"cache        {cache['folder']}: {as_size(cache['bytes'])}"]


def describe_measured(measured: dict[str, Any]) -> list[str]:
    """Speeds, a line each, and the fastest."""
    head = f"speed        tokens/s on texts of {measured['text_tokens']} tokens, by threads"
    ways: dict[str, list[str]] = {}
    for one in measured["speeds"]:
        reached = f"{one['threads']}: {one['tokens_per_second']:,.0f}"
        ways.setdefault(one["precision"], []).append(reached)
    best = measured["fastest"]
    threads = "thread" if best["threads"] == 1 else "threads"
    return [
        head,
        *(f"{_INDENT}{way:<7} {'   '.join(reached)}" for way, reached in ways.items()),
        f"{_INDENT}fastest: {best['precision']} with {best['threads']} {threads}",
    ]


def describe_estimate(estimate: dict[str, Any]) -> list[str]:
    """Times of the rows, a line each, and what is advised."""
    lines = [f"time         for {estimate['rows']:,} rows of {estimate['tokens']} tokens"]
    for one in estimate["times"]:
        made = one["preparation_seconds"]
        extra = f" (and {as_duration(made)} to make it)" if made else ""
        lines.append(f"{_INDENT}{one['precision']:<7} {as_duration(one['seconds'])}{extra}")
    budget = estimate["budget_seconds"]
    within = "" if budget is None else f" (within {as_duration(budget)})"
    return [*lines, f"advice{within}:", _fill(estimate["advice"])]


def _fill(text: str) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
