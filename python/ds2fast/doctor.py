"""What this machine runs, and whether the encoder is found: the findings of `ds2fast doctor`."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

from ds2fast.build import build_info
from ds2fast.embedding import encoder_info
from ds2fast.errors import Ds2fastError


def examine(model: str) -> dict[str, Any]:
    """Look at the machine and for the encoder; changes nothing, downloads nothing."""
    return {
        **build_info(),
        "memory_gib": _memory_gib(),
        "encoder": _examine_encoder(model),
    }


def describe_findings(findings: dict[str, Any]) -> str:
    """The findings in words."""
    encoder = findings["encoder"]
    memory = findings["memory_gib"]
    lines = [
        f"ds2fast {findings['version']} ({findings['compiler']}), Python {findings['python']}",
        f"machine      {findings['platform']}, {findings['threads']} threads usable, "
        + ("memory unknown" if memory is None else f"{memory:.1f} GiB of memory"),
        f"SIMD level   {findings['simd_level']} (of {', '.join(findings['simd_levels'])}; "
        "DS2FAST_SIMD chooses)",
    ]
    if encoder["found"]:
        lines += [
            f"encoder      {encoder['name']}: found",
            f"             {encoder['pooling']} pooling, cut at {encoder['max_tokens']} tokens, "
            f"weights {encoder['weights_sha256'][:12]}",
        ]
    else:
        lines += [
            f"encoder      {encoder['name']}: not usable",
            f"             {encoder['problem']}",
        ]
    return "\n".join(lines)


def _examine_encoder(model: str) -> dict[str, Any]:
    try:
        return {"found": True, **asdict(encoder_info(model))}
    except Ds2fastError as error:
        return {"found": False, "name": model, "problem": str(error)}


def _memory_gib() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError, AttributeError):
        return None
