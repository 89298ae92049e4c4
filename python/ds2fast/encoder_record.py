"""The encoder's part in a result: what identifies it, how it ran, and that in words."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ds2fast.embedding import PrecisionGate
from ds2fast.results import Embeddings

_OF_ONE_RUN = ("num_run", "num_kept", "notes")
_WIDTH = 100


def run_record(embedded: Embeddings, long_text: str, gate: PrecisionGate | None) -> dict[str, Any]:
    """What is to be kept of an embedding beside its vectors, as plain values.

    `gate` is None where the precision was asked for, so that nothing was compared.
    `num_run`, `num_kept` and `notes` tell of this run alone: they depend on what was kept from
    before. All else is the same whenever the same texts are embedded on the same machine.
    """
    return {
        "precision": embedded.precision,
        "backend": embedded.backend,
        "reason": embedded.reason,
        "gate": None if gate is None else asdict(gate),
        "long_text": long_text,
        "truncated": embedded.truncated,
        "num_run": embedded.num_run,
        "num_kept": embedded.num_kept,
        "notes": list(embedded.notes),
    }


def lasting_part(encoder: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What is the same in each run on the same texts: it determines the vectors."""
    if encoder is None:
        return None
    return {name: value for name, value in encoder.items() if name not in _OF_ONE_RUN}


def run_part(encoder: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What tells of one run alone, as timings do."""
    if encoder is None:
        return None
    return {name: encoder[name] for name in _OF_ONE_RUN if name in encoder}


def describe_encoder(encoder: Mapping[str, Any]) -> str:
    """How the texts were embedded, for people."""
    precision = "" if encoder["backend"] == "static" else f" in {encoder['precision']}"
    texts = [
        f"embedded by {encoder['name']}{precision} ({encoder['backend']}): {encoder['reason']}",
        f"{_describe_long_texts(encoder)}; {encoder['num_run']} distinct texts were embedded now, "
        f"the vectors of {encoder['num_kept']} were kept from before",
        *(f"note: {note}" for note in encoder["notes"]),
    ]
    return "\n".join(
        textwrap.fill(
            text, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
        for text in texts
    )


def _describe_long_texts(encoder: Mapping[str, Any]) -> str:
    length = encoder["max_tokens"]
    if length is None:
        return "no text is cut"
    if encoder["long_text"] == "chunk-mean":
        return f"texts beyond {length} tokens are the mean of their pieces"
    cut = encoder["truncated"]
    return f"{cut} text{' was' if cut == 1 else 's were'} cut at {length} tokens"
