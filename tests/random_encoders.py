"""Encoders of random weights, of any family and size."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ds2fast.embedding.architecture import Architecture
from ds2fast.embedding.weights import EncoderWeights, Layer, Linear, Norm

Floats = npt.NDArray[np.float32]


def make_architecture(family: str, **changes: Any) -> Architecture:
    """Sizes of a small encoder that needs no padding; `changes` are attributes by name."""
    settings: dict[str, Any] = {
        "family": family,
        "vocab_size": 40,
        "hidden_size": 64,
        "num_layers": 2,
        "num_heads": 4,
        "intermediate_size": 128,
        "num_positions": 60,
        "position_offset": 0,
        "has_token_types": family not in ("distilbert", "mpnet"),
        "layer_norm_eps": 1e-12,
        "activation": "gelu",
        "relative_buckets": 32 if family == "mpnet" else 0,
        "relative_max_distance": 128 if family == "mpnet" else 0,
    }
    return Architecture(**(settings | changes))


def make_weights(size: Architecture, seed: int = 0) -> EncoderWeights:
    """Weights of which none is idle: attention is far from even, no norm is the identity."""
    rng = np.random.default_rng(seed)
    hidden, inner = size.hidden_size, size.intermediate_size

    def array(*shape: int, spread: float = 1.0) -> Floats:
        return rng.normal(0, spread, shape).astype(np.float32)

    def linear(out: int, width: int, spread: float = 1.0) -> Linear:
        return Linear(array(out, width, spread=spread * width**-0.5), array(out, spread=0.2))

    def norm() -> Norm:
        return Norm(array(hidden, spread=0.3) + np.float32(1), array(hidden, spread=0.3))

    def layer() -> Layer:
        query, key = linear(hidden, hidden, 1.5), linear(hidden, hidden, 1.5)
        value, output = linear(hidden, hidden), linear(hidden, hidden)
        inside, outside = linear(inner, hidden), linear(hidden, inner)
        return Layer(query, key, value, output, norm(), inside, outside, norm())

    return EncoderWeights(
        words=array(size.vocab_size, hidden),
        positions=array(size.num_positions, hidden),
        token_type=array(hidden) if size.has_token_types else None,
        embedding_norm=norm(),
        layers=tuple(layer() for _ in range(size.num_layers)),
        relative_bias=array(32, size.num_heads) if size.relative_buckets else None,
    )


def random_texts(size: Architecture, lengths: list[int], seed: int = 0) -> list[list[int]]:
    """Token ids of texts of these lengths."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, size.vocab_size, length).tolist() for length in lengths]


def ragged(token_ids: list[list[int]]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """The ids one behind the other, and where each text begins."""
    offsets = np.cumsum([0, *map(len, token_ids)], dtype=np.int64)
    return np.array([token for ids in token_ids for token in ids], np.int32), offsets
