"""The encoder of our own: BERT-like models in float32, bfloat16 or int8 on any processor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ds2fast import _core
from ds2fast.embedding.architecture import Architecture
from ds2fast.embedding.checkpoint import Pooling
from ds2fast.embedding.engine import Precision
from ds2fast.embedding.weights import EncoderWeights, Layer, Linear, Norm
from ds2fast.results import FloatArray, IdArray, IntArray


class NativeEncoder:
    """A transformer of linear layers in one precision; all else in float32.

    bfloat16 and int8 round the weights beforehand and the activations of each token on its own: a
    text's vector depends on that text alone, not on the texts beside it, and not on `threads`.

    Parameters
    ----------
    weights : EncoderWeights
        Its tables of words and positions are read in place.
    architecture : Architecture
        The sizes and settings.
    pooling : {"mean", "cls"}
        How token vectors become the text's vector.
    precision : {"fp32", "bf16", "int8"}
        Arithmetic of the linear layers.
    threads : int
        Threads that share the texts.
    """

    def __init__(
        self,
        weights: EncoderWeights,
        architecture: Architecture,
        *,
        pooling: Pooling,
        precision: Precision,
        threads: int,
    ) -> None:
        self._threads = threads
        none = np.empty(0, np.float32)
        self._encoder = _core.Encoder(
            weights.words,
            weights.positions,
            none if weights.token_type is None else weights.token_type,
            _norm(weights.embedding_norm),
            _distance_biases(weights, architecture),
            num_heads=architecture.num_heads,
            inner=architecture.intermediate_size,
            epsilon=architecture.layer_norm_eps,
            activation=architecture.activation,
            pooling=pooling,
            precision=precision,
        )
        for layer in weights.layers:
            self._encoder.add_layer(_linears(layer), _norms(layer))

    @property
    def is_native(self) -> bool:
        """Whether the processor has products of this precision; else they run in float32."""
        return self._encoder.is_native

    def encode(
        self, ids: IdArray, offsets: IntArray, report: Callable[[int, int], None] | None = None
    ) -> FloatArray:
        """Encode texts.

        Parameters
        ----------
        ids : (total,) int32
            The tokens of text i are `ids[offsets[i]:offsets[i + 1]]`.
        offsets : (N + 1,) int64
            From 0 to `total`; every text has 1 to `num_positions` tokens.
        report : callable, optional
            Told (done, total) while it runs, in batches of texts.

        Returns
        -------
        (N, hidden) float32
            Rows of norm 1.
        """
        return self._encoder.encode(ids, offsets, self._threads, report)


def _norm(norm: Norm) -> tuple[FloatArray, FloatArray]:
    return norm.scale, norm.bias


def _norms(layer: Layer) -> list[tuple[FloatArray, FloatArray]]:
    return [_norm(layer.attention_norm), _norm(layer.output_norm)]


def _linears(layer: Layer) -> list[tuple[FloatArray, FloatArray]]:
    linears: list[Linear] = [
        layer.query,
        layer.key,
        layer.value,
        layer.attention_output,
        layer.inner,
        layer.outer,
    ]
    return [(linear.weight, linear.bias) for linear in linears]


def _distance_biases(weights: EncoderWeights, architecture: Architecture) -> FloatArray:
    """(heads, 2 P - 1): the bias of a key at each distance behind its query, 1 - P to P - 1."""
    if weights.relative_bias is None:
        return np.empty((0, 0), np.float32)
    reach = architecture.num_positions - 1
    buckets = architecture.relative_bucket(np.arange(-reach, reach + 1))
    return np.ascontiguousarray(weights.relative_bias[buckets].T, np.float32)
