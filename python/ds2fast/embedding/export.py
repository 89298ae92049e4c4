"""A BERT-family checkpoint in safetensors turned into an ONNX graph, without torch.

The graph takes `input_ids`, `attention_mask` and `token_type_ids`, all (batch, sequence) int64, and
gives `sentence_embedding`, (batch, hidden) float32 rows of norm 1: pooling and normalisation are
part of it. The operators stand in the order in which ONNX Runtime looks for attention, GELU and
skip connections, so that it can fuse them; the graph itself is plain ONNX and runs anywhere.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ds2fast.embedding.bert import BertConfig, read_weights
from ds2fast.embedding.checkpoint import EncoderFiles, Pooling
from ds2fast.errors import InputError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

EXPORT_VERSION = 1
"""Counts up whenever the graph that is written changes, so that kept graphs are made anew."""

OUTPUT = "sentence_embedding"
_OPSET = 17  # the first with LayerNormalization
_IR_VERSION = 8  # what opset 17 came with: older runtimes refuse newer files
# Added to the attention scores of padding: exp of it is exactly 0 in float32, also beside large
# scores, and it is the value that ONNX Runtime's fusion of attention looks for.
_MASKED = -10000.0
_PROTOBUF_LIMIT = 2**31 - 2**20  # a protobuf message ends at 2 GiB; 1 MiB is for the nodes


def export_encoder(files: EncoderFiles) -> bytes:
    """Turn a checkpoint of the BERT family into a serialised ONNX model.

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
    config = BertConfig.parse(files.config, files.config_path)
    size = sum(4 * math.prod(shape) for _, shape in config.tensor_shapes())
    if size > _PROTOBUF_LIMIT:
        raise InputError(
            f"{files.weights}: expected weights below 2 GiB in float32, the limit of one ONNX file,"
            f" got {size / 2**30:.1f} GiB; use an encoder that comes with onnx/model.onnx"
        )
    model = build_bert(config, read_weights(files.weights, config), files.pooling)
    serialised: bytes = model.SerializeToString(deterministic=True)
    return serialised


def graph_key(files: EncoderFiles) -> str:
    """Name of a kept graph: its weights' hash, and a short one of all else that it depends on."""
    config = BertConfig.parse(files.config, files.config_path)
    rest = json.dumps([EXPORT_VERSION, files.pooling, asdict(config)], sort_keys=True)
    return f"{files.weights_sha256()}-{hashlib.sha256(rest.encode()).hexdigest()[:12]}"


def build_bert(
    config: BertConfig, weights: Mapping[str, npt.NDArray[np.float32]], pooling: Pooling
) -> ModelProto:
    """Write the graph of a BERT encoder with pooling and L2 normalisation."""
    from onnx import TensorProto, helper

    graph = _Graph(weights)
    hidden = _embeddings(graph, config)
    bias = _attention_bias(graph)
    for layer in range(config.num_layers):
        hidden = _encoder_layer(graph, config, f"encoder.layer.{layer}", hidden, bias)
    pooled = _pool_mean(graph, hidden) if pooling == "mean" else _pool_cls(graph, hidden)
    _normalise(graph, pooled)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
        for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    output = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", config.hidden_size])
    return helper.make_model(
        helper.make_graph(graph.nodes, "bert", inputs, [output], graph.initializers),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="ds2fast",
    )


class _Graph:
    """The nodes and constants of a graph that is being written."""

    def __init__(self, weights: Mapping[str, npt.NDArray[np.float32]]) -> None:
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self._weights = weights
        self._written: dict[str, str] = {}

    def constant(self, name: str, value: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """Write a constant once; return its name."""
        from onnx import numpy_helper

        if name not in self._written:
            array = np.ascontiguousarray(value, dtype=dtype).reshape(np.shape(value))
            self.initializers.append(numpy_helper.from_array(array, name))
            self._written[name] = name
        return name

    def weight(self, name: str, *, transposed: bool = False) -> str:
        """Write a weight of the checkpoint; a linear layer's is kept as (out, in)."""
        weight = self._weights[name]
        return self.constant(name, weight.T if transposed else weight, np.float32)

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

    def linear(self, name: str, hidden: str) -> str:
        """x·Wᵀ + b."""
        product = self.apply("MatMul", [hidden, self.weight(f"{name}.weight", transposed=True)])
        return self.apply("Add", [product, self.weight(f"{name}.bias")])

    def layer_norm(self, name: str, hidden: str, eps: float) -> str:
        """Layer normalisation over the hidden axis."""
        scale, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.apply("LayerNormalization", [hidden, scale, bias], axis=-1, epsilon=eps)


def _embeddings(graph: _Graph, config: BertConfig) -> str:
    """Word, token type and position vectors added up and normalised."""
    words = graph.apply("Gather", [graph.weight("embeddings.word_embeddings.weight"), "input_ids"])
    types = graph.apply(
        "Gather", [graph.weight("embeddings.token_type_embeddings.weight"), "token_type_ids"]
    )
    length = graph.apply("Shape", ["input_ids"], start=1, end=2)
    positions = graph.apply(
        "Slice",
        [
            graph.weight("embeddings.position_embeddings.weight"),
            graph.constant("zeros_1", [0], np.int64),
            length,
            graph.constant("axis_0", [0], np.int64),
        ],
    )
    total = graph.apply("Add", [graph.apply("Add", [words, types]), positions])
    return graph.layer_norm("embeddings.LayerNorm", total, config.layer_norm_eps)


def _attention_bias(graph: _Graph) -> str:
    """(batch, 1, 1, sequence): 0 where a token stands, a large negative number on padding."""
    rows = graph.apply("Unsqueeze", ["attention_mask", graph.constant("axis_1", [1], np.int64)])
    rows = graph.apply("Unsqueeze", [rows, graph.constant("axis_2", [2], np.int64)])
    present = graph.apply("Cast", [rows], to=1)
    absent = graph.apply("Sub", [graph.constant("one", 1.0, np.float32), present])
    return graph.apply("Mul", [absent, graph.constant("masked", _MASKED, np.float32)])


def _encoder_layer(graph: _Graph, config: BertConfig, name: str, hidden: str, bias: str) -> str:
    """Self-attention and a two-layer perceptron, each with a skip connection and a layer norm."""
    eps = config.layer_norm_eps
    context = _attention(graph, config, f"{name}.attention.self", hidden, bias)
    attended = graph.linear(f"{name}.attention.output.dense", context)
    skipped = graph.apply("Add", [attended, hidden])
    hidden = graph.layer_norm(f"{name}.attention.output.LayerNorm", skipped, eps)
    inner = _gelu(graph, graph.linear(f"{name}.intermediate.dense", hidden))
    outer = graph.linear(f"{name}.output.dense", inner)
    skipped = graph.apply("Add", [outer, hidden])
    return graph.layer_norm(f"{name}.output.LayerNorm", skipped, eps)


def _attention(graph: _Graph, config: BertConfig, name: str, hidden: str, bias: str) -> str:
    """Scaled dot-product attention over all heads; (batch, sequence, hidden)."""
    split = graph.constant("split_heads", [0, 0, config.num_heads, config.head_size], np.int64)
    join = graph.constant("join_heads", [0, 0, config.hidden_size], np.int64)

    def heads(part: str, perm: list[int]) -> str:
        rows = graph.apply("Reshape", [graph.linear(f"{name}.{part}", hidden), split])
        return graph.apply("Transpose", [rows], perm=perm)

    query, key = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1])
    value = heads("value", [0, 2, 1, 3])
    scale = graph.constant("sqrt_head_size", math.sqrt(config.head_size), np.float32)
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
