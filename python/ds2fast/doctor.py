"""What this machine runs, and whether the encoder is on it: the findings of `ds2fast doctor`."""

from __future__ import annotations

import os
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ds2fast.build import build_info
from ds2fast.embedding import encoder_info, hub
from ds2fast.embedding.checkpoint import read_checkpoint
from ds2fast.errors import Ds2fastError, ModelNotFoundError

_INDENT = " " * 13
_WIDTH = 100


def examine(model: str) -> dict[str, Any]:
    """Look at the machine and for the encoder; changes nothing and asks no network."""
    return {
        **build_info(),
        "memory_gib": _memory_gib(),
        "encoder": _examine_encoder(model),
    }


def describe_examination(findings: dict[str, Any]) -> str:
    """The findings in words."""
    memory = findings["memory_gib"]
    return "\n".join(
        (
            f"ds2fast {findings['version']} ({findings['compiler']}), Python {findings['python']}",
            f"machine      {findings['platform']}, {findings['threads']} threads usable, "
            + ("memory unknown" if memory is None else f"{memory:.1f} GiB of memory"),
            f"SIMD level   {findings['simd_level']} (of {', '.join(findings['simd_levels'])}; "
            "DS2FAST_SIMD chooses)",
            *_describe_encoder(findings["encoder"]),
        )
    )


def _describe_encoder(encoder: dict[str, Any]) -> list[str]:
    if not encoder["found"]:
        problem = textwrap.fill(
            encoder["problem"],
            _WIDTH,
            initial_indent=_INDENT,
            subsequent_indent=_INDENT,
            break_long_words=False,
            break_on_hyphens=False,
        )
        return [f"encoder      {encoder['name']}: not usable", problem]
    return [
        f"encoder      {encoder['name']}: found",
        f"{_INDENT}{encoder['pooling']} pooling, cut at {encoder['max_tokens']} tokens, "
        f"weights {encoder['weights_sha256'][:12]}",
    ]


def _examine_encoder(model: str) -> dict[str, Any]:
    try:
        if not _is_directory(model):
            _require_cached(model)
        return {"found": True, **asdict(encoder_info(model))}  # all is here: nothing is downloaded
    except Ds2fastError as error:
        return {"found": False, "name": model, "problem": str(error)}


def _is_directory(model: str) -> bool:
    """Whether `resolve_encoder` takes the name for a directory, not an id of the hub."""
    return model.startswith((".", "/", "~")) or Path(model).exists()


def _require_cached(name: str) -> None:
    """Raise where the hub's cache lacks the encoder, or a part of it."""
    cached = hub.find_cached(name)
    if cached is None:
        raise ModelNotFoundError(f"not on this machine; {_what_select_would_do()}")
    try:
        read_checkpoint(cached, name=name, revision=cached.name)
    except ModelNotFoundError:
        raise ModelNotFoundError(
            f"only a part of it is on this machine, in {cached}; {_what_select_would_do()}"
        ) from None


def _what_select_would_do() -> str:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE forbids `select` to download it"
    return "`select` would download it"


def _memory_gib() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError, AttributeError):
        return None
