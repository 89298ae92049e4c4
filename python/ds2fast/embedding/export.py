"""A checkpoint in safetensors turned into an ONNX graph, without torch.

The graph takes `input_ids` and `attention_mask`, both (batch, sequence) int64, and gives
`sentence_embedding`, (batch, hidden) float32 rows of norm 1: pooling and normalisation are part of
it. Padding stands at the end of a row. The operators stand in the order in which ONNX Runtime
looks for attention, GELU and skip connections, so that it can fuse them; the graph itself is plain
ONNX and runs anywhere.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ds2fast.embedding.architecture import Architecture, parse
from ds2fast.embedding.checkpoint import EncoderFiles, Pooling
from ds2fast.embedding.weights import (
    EncoderWeights,
    Layer,
    Linear,
    Norm,
    parameter_bytes,
    read_weights,
)
from ds2fast.errors import InputError
from ds2fast.results import FloatArray

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

EXPORT_VERSION = 2
"""Counts up whenever the graph that is written changes, so that kept graphs are made anew."""

OUTPUT = "sentence_embedding"
_OPSET = 17  # the first with LayerNormalization
_IR_VERSION = 8  # what opset 17 came with: older runtimes refuse newer files
# Added to the attention scores of padding: exp of it is exactly 0 in float32, also beside large
# scores, and it is the value that ONNX Runtime's fusion of attention looks for.
_MASKED = -10000.0
_PROTOBUF_LIMIT = 2**31 - 2**20  # a protobuf message ends at 2 GiB; 1 MiB is for the nodes


def export_encoder(files: EncoderFiles) -> bytes:
    """Turn a checkpoint of any of the supported families into a serialised ONNX model.

    Parameters
    ----------
    files : EncoderFiles
        A checkpoint whose weights are `model.safetensors`.

    Returns
    -------
    bytes
        The model; the same bytes for the same files.

    Raises
    ------
    InputError
        For an architecture that is not supported, or weights over 2 GiB.
    InputFileError
        Where config.json or the weights are broken or do not fit each other.

    Examples
    --------
    With the files of all-MiniLM-L6-v2 in the directory `encoder_dir`:

    >>> from ds2fast.embedding import resolve_encoder
    >>> from ds2fast.embedding.export import export_encoder
    >>> graph = export_encoder(resolve_encoder(encoder_dir))
    >>> len(graph) > 2**20
    True
    """
    architecture = parse(files.config, files.config_path)
    size = parameter_bytes(architecture)
    if size > _PROTOBUF_LIMIT:
        raise InputError(
            f"{files.weights}: expected weights below 2 GiB in float32, the limit of one ONNX file,"
            f" got {size / 2**30:.1f} GiB; use an encoder that comes with onnx/model.onnx"
        )
    model = build_graph(architecture, read_weights(files.weights, architecture), files.pooling)
    serialised: bytes = model.SerializeToString(deterministic=True)
    return serialised


def graph_key(files: EncoderFiles) -> str:
    """Name of a kept graph: its weights' hash, and a short one of all else that it depends on."""
    architecture = parse(files.config, files.config_path)
    rest = json.dumps([EXPORT_VERSION, files.pooling, asdict(architecture)], sort_keys=True)
    return f"{files.weights_sha256()}-{hashlib.sha256(rest.encode()).hexdigest()[:12]}"


def build_graph(
    architecture: Architecture, weights: EncoderWeights, pooling: Pooling
) -> ModelProto:
    """Write the graph of an encoder with pooling and L2 normalisation."""
    from onnx import TensorProto, helper

    graph = _Graph()
    hidden = _embeddings(graph, architecture, weights)
    bias = _attention_bias(graph, architecture, weights)
    for number, layer in enumerate(weights.layers):
        hidden = _encoder_layer(graph, architecture, f"layer.{number}", layer, hidden, bias)
    pooled = _pool_mean(graph, hidden) if pooling == "mean" else _pool_cls(graph, hidden)
    _normalise(graph, pooled)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info(
        OUTPUT, TensorProto.FLOAT, ["batch", architecture.hidden_size]
    )
    return helper.make_model(
        helper.make_graph(graph.nodes, architecture.family, inputs, [output], graph.initializers),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="ds2fast",
    )


class _Graph:
    """The nodes and constants of a graph that is being written."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self._written: set[str] = set()

    def constant(self, name: str, value: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """Write a constant once; return its name."""
        from onnx import numpy_helper

        if name not in self._written:
            array = np.ascontiguousarray(value, dtype=dtype).reshape(np.shape(value))
            self.initializers.append(numpy_helper.from_array(array, name))
            self._written.add(name)
        return name

    def apply(
        self, operator: str, inputs: Sequence[str], *, output: str | None = None, **attributes: Any
    ) -> str:
        """Write a node; return the name of its output."""
        from onnx import helper

        name = f"{operator}_{len(self.nodes)}"
        output = output or f"{name}_out"
        node = helper.make_node(operator, list(inputs), [output], name=name, **attributes)
        self.nodes.append(node)
        return output

    def linear(self, name: str, linear: Linear, hidden: str) -> str:
        """x·Wᵀ + b."""
        weight = self.constant(f"{name}.weight", linear.weight.T, np.float32)
        product = self.apply("MatMul", [hidden, weight])
        return self.apply("Add", [product, self.constant(f"{name}.bias", linear.bias, np.float32)])

    def layer_norm(self, name: str, norm: Norm, hidden: str, eps: float) -> str:
        """Layer normalisation over the hidden axis."""
        scale = self.constant(f"{name}.scale", norm.scale, np.float32)
        bias = self.constant(f"{name}.bias", norm.bias, np.float32)
        return self.apply("LayerNormalization", [hidden, scale, bias], axis=-1, epsilon=eps)


def _embeddings(graph: _Graph, architecture: Architecture, weights: EncoderWeights) -> str:
    """Word, position and token type vectors added up and normalised."""
    table = weights.positions
    if weights.token_type is not None:  # all tokens are of type 0: its vector is added beforehand
        table = table + weights.token_type
    words = graph.apply("Gather", [graph.constant("words", weights.words, np.float32), "input_ids"])
    positions = graph.apply(
        "Slice",
        [
            graph.constant("positions", table, np.float32),
            graph.constant("zeros_1", [0], np.int64),
            graph.apply("Shape", ["input_ids"], start=1, end=2),
            graph.constant("axis_0", [0], np.int64),
        ],
    )
    total = graph.apply("Add", [words, positions])
    return graph.layer_norm(
        "embedding_norm", weights.embedding_norm, total, architecture.layer_norm_eps
    )


def _attention_bias(graph: _Graph, architecture: Architecture, weights: EncoderWeights) -> str:
    """What is added to the attention scores, to be broadcast to (batch, heads, query, key)."""
    rows = graph.apply("Unsqueeze", ["attention_mask", graph.constant("axis_1", [1], np.int64)])
    rows = graph.apply("Unsqueeze", [rows, graph.constant("axis_2", [2], np.int64)])
    present = graph.apply("Cast", [rows], to=1)
    absent = graph.apply("Sub", [graph.constant("one", 1.0, np.float32), present])
    mask = graph.apply("Mul", [absent, graph.constant("masked", _MASKED, np.float32)])
    if weights.relative_bias is None:
        return mask
    return graph.apply("Add", [_relative_bias(graph, architecture, weights.relative_bias), mask])


def _relative_bias(graph: _Graph, architecture: Architecture, bias: FloatArray) -> str:
    """(1, heads, query, key): by the bucket of each distance from query to key."""
    last = architecture.num_positions - 1
    by_distance = bias[architecture.relative_bucket(np.arange(-last, last + 1))]
    length = graph.apply("Shape", ["input_ids"], start=1, end=2)
    scalar = graph.apply("Squeeze", [length])
    zero, one = graph.constant("zero", 0, np.int64), graph.constant("step", 1, np.int64)
    keys = graph.apply("Range", [zero, scalar, one])
    queries = graph.apply("Unsqueeze", [keys, graph.constant("axis_1", [1], np.int64)])
    distances = graph.apply("Sub", [keys, queries])
    rows = graph.apply("Add", [distances, graph.constant("distance_0", last, np.int64)])
    table = graph.constant("relative_bias", by_distance, np.float32)
    biases = graph.apply("Transpose", [graph.apply("Gather", [table, rows])], perm=[2, 0, 1])
    return graph.apply("Unsqueeze", [biases, graph.constant("axis_0", [0], np.int64)])


def _encoder_layer(
    graph: _Graph, architecture: Architecture, name: str, layer: Layer, hidden: str, bias: str
) -> str:
    """Self-attention and a two-layer perceptron, each with a skip connection and a layer norm."""
    eps = architecture.layer_norm_eps
    context = _attention(graph, architecture, name, layer, hidden, bias)
    attended = graph.linear(f"{name}.attention_output", layer.attention_output, context)
    skipped = graph.apply("Add", [attended, hidden])
    hidden = graph.layer_norm(f"{name}.attention_norm", layer.attention_norm, skipped, eps)
    inner = graph.linear(f"{name}.inner", layer.inner, hidden)
    inner = _ACTIVATIONS[architecture.activation](graph, inner)
    outer = graph.linear(f"{name}.outer", layer.outer, inner)
    skipped = graph.apply("Add", [outer, hidden])
    return graph.layer_norm(f"{name}.output_norm", layer.output_norm, skipped, eps)


def _attention(
    graph: _Graph, architecture: Architecture, name: str, layer: Layer, hidden: str, bias: str
) -> str:
    """Scaled dot-product attention over all heads; (batch, sequence, hidden)."""
    shape = [0, 0, architecture.num_heads, architecture.head_size]
    split = graph.constant("split_heads", shape, np.int64)
    join = graph.constant("join_heads", [0, 0, architecture.hidden_size], np.int64)

    def heads(part: str, linear: Linear, perm: list[int]) -> str:
        rows = graph.apply("Reshape", [graph.linear(f"{name}.{part}", linear, hidden), split])
        return graph.apply("Transpose", [rows], perm=perm)

    query = heads("query", layer.query, [0, 2, 1, 3])
    key = heads("key", layer.key, [0, 2, 3, 1])
    value = heads("value", layer.value, [0, 2, 1, 3])
    scale = graph.constant("sqrt_head_size", math.sqrt(architecture.head_size), np.float32)
    scores = graph.apply("Div", [graph.apply("MatMul", [query, key]), scale])
    shares = graph.apply("Softmax", [graph.apply("Add", [scores, bias])], axis=-1)
    context = graph.apply("MatMul", [shares, value])
    rows = graph.apply("Transpose", [context], perm=[0, 2, 1, 3])
    return graph.apply("Reshape", [rows, join])


def _gelu(graph: _Graph, hidden: str) -> str:
    """x·(1 + erf(x/√2))/2."""
    scaled = graph.apply("Div", [hidden, graph.constant("sqrt_2", math.sqrt(2.0), np.float32)])
    shifted = graph.apply(
        "Add", [graph.apply("Erf", [scaled]), graph.constant("one", 1.0, np.float32)]
    )
    product = graph.apply("Mul", [hidden, shifted])
    return graph.apply("Mul", [product, graph.constant("half", 0.5, np.float32)])


def _gelu_tanh(graph: _Graph, hidden: str) -> str:
    """x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2."""
    cube = graph.apply("Pow", [hidden, graph.constant("three", 3.0, np.float32)])
    term = graph.apply("Mul", [cube, graph.constant("cubic", 0.044715, np.float32)])
    inner = graph.apply("Add", [hidden, term])
    scale = graph.constant("sqrt_2_pi", math.sqrt(2 / math.pi), np.float32)
    bent = graph.apply("Tanh", [graph.apply("Mul", [inner, scale])])
    shifted = graph.apply("Add", [bent, graph.constant("one", 1.0, np.float32)])
    product = graph.apply("Mul", [hidden, shifted])
    return graph.apply("Mul", [product, graph.constant("half", 0.5, np.float32)])


def _relu(graph: _Graph, hidden: str) -> str:
    return graph.apply("Relu", [hidden])


_ACTIVATIONS = {"gelu": _gelu, "gelu_tanh": _gelu_tanh, "relu": _relu}


def _pool_mean(graph: _Graph, hidden: str) -> str:
    """Mean over the tokens that are no padding."""
    axis = graph.constant("axis_2", [2], np.int64)
    mask = graph.apply("Cast", ["attention_mask"], to=1)
    kept = graph.apply("Mul", [hidden, graph.apply("Unsqueeze", [mask, axis])])
    axes = graph.constant("axis_1", [1], np.int64)
    total = graph.apply("ReduceSum", [kept, axes], keepdims=0)
    count = graph.apply("ReduceSum", [mask, axes], keepdims=1)
    return graph.apply("Div", [total, count])


def _pool_cls(graph: _Graph, hidden: str) -> str:
    """The vector of the first token."""
    return graph.apply("Gather", [hidden, graph.constant("first", 0, np.int64)], axis=1)


def _normalise(graph: _Graph, pooled: str) -> None:
    norm = graph.apply("ReduceL2", [pooled], axes=[-1], keepdims=1)
    graph.apply("Div", [pooled, norm], output=OUTPUT)
