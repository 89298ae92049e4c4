"""The forward pass of an encoder in float64, text by text, written to be read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ds2fast.embedding.architecture import Architecture
from ds2fast.embedding.weights import EncoderWeights, Layer, Linear, Norm

Doubles = npt.NDArray[np.float64]


def reference_encode(
    weights: EncoderWeights,
    architecture: Architecture,
    token_ids: Sequence[Sequence[int]],
    pooling: str,
) -> Doubles:
    """Unit vectors of the texts, (n, hidden) float64; no text sees another, so none is padded."""
    rows = []
    for ids in token_ids:
        tokens = token_vectors(weights, architecture, ids)
        vector = tokens.mean(axis=0) if pooling == "mean" else tokens[0]
        rows.append(vector / np.linalg.norm(vector))
    return np.stack(rows)


def token_vectors(
    weights: EncoderWeights, architecture: Architecture, ids: Sequence[int]
) -> Doubles:
    """Vectors of the last layer, (tokens, hidden), of one text."""
    x = doubles(weights.words)[list(ids)] + doubles(weights.positions)[: len(ids)]
    if weights.token_type is not None:
        x = x + doubles(weights.token_type)
    x = normalise(x, weights.embedding_norm, architecture)
    bias = relative_bias(weights, architecture, len(ids))
    for layer in weights.layers:
        attended = apply(layer.attention_output, attention(x, layer, architecture, bias))
        x = normalise(x + attended, layer.attention_norm, architecture)
        outer = apply(layer.outer, activate(apply(layer.inner, x), architecture.activation))
        x = normalise(x + outer, layer.output_norm, architecture)
    return x


def attention(x: Doubles, layer: Layer, architecture: Architecture, bias: Doubles) -> Doubles:
    """All heads side by side, (tokens, hidden)."""
    size = architecture.hidden_size // architecture.num_heads
    query, key, value = apply(layer.query, x), apply(layer.key, x), apply(layer.value, x)
    heads = []
    for head in range(architecture.num_heads):
        columns = slice(size * head, size * (head + 1))
        scores = query[:, columns] @ key[:, columns].T / math.sqrt(size) + bias[head]
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        heads.append(shares / shares.sum(axis=1, keepdims=True) @ value[:, columns])
    return np.concatenate(heads, axis=1)


def relative_bias(weights: EncoderWeights, architecture: Architecture, length: int) -> Doubles:
    """What is added to the scores, (heads, query, key); zero where distances do not matter."""
    bias = np.zeros((architecture.num_heads, length, length))
    if weights.relative_bias is not None:
        for query in range(length):
            for key in range(length):
                distance = bucket(
                    key - query, architecture.relative_buckets, architecture.relative_max_distance
                )
                bias[:, query, key] = weights.relative_bias[distance]
    return bias


def bucket(distance: int, buckets: int, max_distance: int) -> int:
    """T5's bucket of a distance, key less query, by comparing whole numbers alone.

    A quarter of the buckets is for near distances each way, one each. Of the others the i-th
    begins at exact·(max/exact)^(i/exact): a distance d has reached it when d^exact times
    exact^i is at least exact^exact times max^i.
    """
    half, exact = buckets // 2, buckets // 4
    first, size = (half if distance > 0 else 0), abs(distance)
    if size < exact:
        return first + size
    reached = [
        i for i in range(half - exact) if size**exact * exact**i >= exact**exact * max_distance**i
    ]
    return first + exact + reached[-1]


def apply(linear: Linear, x: Doubles) -> Doubles:
    """x·Wᵀ + b."""
    return np.asarray(x @ doubles(linear.weight).T + doubles(linear.bias))


def normalise(x: Doubles, norm: Norm, architecture: Architecture) -> Doubles:
    """Mean 0 and variance 1 over the hidden axis, then scaled and shifted."""
    centred = x - x.mean(axis=1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=1, keepdims=True) + architecture.layer_norm_eps)
    return np.asarray(doubles(norm.scale) * centred / deviation + doubles(norm.bias))


def activate(x: Doubles, activation: str) -> Doubles:
    """relu, or gelu by the error function or by its approximation with tanh."""
    if activation == "relu":
        return np.maximum(x, 0)
    if activation == "gelu_tanh":
        return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))
    erf = np.array([math.erf(value / math.sqrt(2)) for value in x.ravel()]).reshape(x.shape)
    return np.asarray(0.5 * x * (1 + erf))


def doubles(array: npt.NDArray[Any]) -> Doubles:
    """The same numbers in float64."""
    return array.astype(np.float64)
