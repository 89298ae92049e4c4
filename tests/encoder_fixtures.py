"""Tiny BERT encoders that tests write to disk, and a plain float64 forward pass to judge by."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file, save_file
from tokenizers import BertWordPieceTokenizer

Doubles = npt.NDArray[np.float64]
Weights = dict[str, npt.NDArray[Any]]

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["a", "the", "frog", "toad", "sat", "on", "mat", "river", "sings", "at", "night", "stone"]
WORDS += ["is", "old", "blue", "cold", "warm", "sun"]
VOCABULARY = SPECIAL + WORDS
CONFIG: dict[str, Any] = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": 32,
    "intermediate_size": 64,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 24,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "pad_token_id": 0,
    "type_vocab_size": 2,
    "vocab_size": len(VOCABULARY),
}


def random_weights(config: dict[str, Any], seed: int = 0) -> Weights:
    """Weights by the names of a BERT checkpoint; no layer norm is the identity, no bias is zero."""
    rng = np.random.default_rng(seed)
    hidden, inner = config["hidden_size"], config["intermediate_size"]

    def linear(name: str, out: int, width: int) -> Weights:
        return {
            f"{name}.weight": rng.normal(0, width**-0.5, (out, width)).astype(np.float32),
            f"{name}.bias": rng.normal(0, 0.1, out).astype(np.float32),
        }

    def norm(name: str) -> Weights:
        return {
            f"{name}.weight": rng.uniform(0.5, 1.5, hidden).astype(np.float32),
            f"{name}.bias": rng.normal(0, 0.2, hidden).astype(np.float32),
        }

    weights: Weights = {}
    for table, rows in {
        "word": config["vocab_size"],
        "position": config["max_position_embeddings"],
        "token_type": config["type_vocab_size"],
    }.items():
        name = f"embeddings.{table}_embeddings.weight"
        weights[name] = rng.normal(0, 1, (rows, hidden)).astype(np.float32)
    weights |= norm("embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        prefix = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            weights |= linear(f"{prefix}.attention.self.{part}", hidden, hidden)
        weights |= linear(f"{prefix}.attention.output.dense", hidden, hidden)
        weights |= norm(f"{prefix}.attention.output.LayerNorm")
        weights |= linear(f"{prefix}.intermediate.dense", inner, hidden)
        weights |= linear(f"{prefix}.output.dense", hidden, inner)
        weights |= norm(f"{prefix}.output.LayerNorm")
    return weights


@dataclass
class TinyEncoder:
    """A checkpoint on disk, and what it was made from."""

    directory: Path
    weights: Weights
    pooling: str

    def rewrite(self, name: str, **changes: Any) -> None:
        """Change settings of one of its JSON files; None removes one."""
        path = self.directory / name
        settings = json.loads(path.read_text()) if path.exists() else {}
        settings |= changes
        path.parent.mkdir(exist_ok=True)
        kept = {key: value for key, value in settings.items() if value is not None}
        path.write_text(json.dumps(kept))

    def save_weights(self, weights: Weights) -> None:
        save_file(weights, self.directory / "model.safetensors")

    def expect(self, texts: Sequence[str]) -> Doubles:
        """Unit vectors of the texts, one at a time, in float64."""
        rows = [forward(self.weights, CONFIG, word_ids(text)) for text in texts]
        return np.stack([pool(row, self.pooling) for row in rows])


def word_ids(text: str) -> list[int]:
    """Ids of a text of whole known words, as a BERT tokeniser frames it."""
    return [2, *(VOCABULARY.index(word) for word in text.split()), 3]


def make_tiny_encoder(directory: Path, *, pooling: str = "mean", seed: int = 0) -> TinyEncoder:
    """Write a sentence-transformers checkpoint: two layers, hidden size 32, max_seq_length 16."""
    directory.mkdir(parents=True)
    encoder = TinyEncoder(directory, random_weights(CONFIG, seed), pooling)
    encoder.save_weights(encoder.weights)
    encoder.rewrite("config.json", **CONFIG)
    encoder.rewrite("sentence_bert_config.json", max_seq_length=16, do_lower_case=False)
    encoder.rewrite("tokenizer_config.json", do_lower_case=True, model_max_length=20)
    encoder.rewrite(
        "1_Pooling/config.json",
        word_embedding_dimension=32,
        pooling_mode_cls_token=pooling == "cls",
        pooling_mode_mean_tokens=pooling == "mean",
        pooling_mode_max_tokens=False,
    )
    modules = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    (directory / "modules.json").write_text(
        json.dumps(
            [
                {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.{kind}"}
                for i, (path, kind) in enumerate(modules.items())
            ]
        )
    )
    (directory / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    tokenizer = BertWordPieceTokenizer.from_file(str(directory / "vocab.txt"))
    # Settings of training that must not be obeyed: texts cut at 4 tokens, padded to 12.
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=12)
    tokenizer.save(str(directory / "tokenizer.json"))
    return encoder


def save_onnx(
    path: Path,
    nodes: list[onnx.NodeProto],
    constants: dict[str, npt.NDArray[Any]],
    *,
    output: str = "last_hidden_state",
    inputs: Sequence[str] = ("input_ids", "attention_mask"),
    kind: int = TensorProto.INT64,
) -> None:
    """Write an ONNX model as somebody else's exporter might: it gives one vector for each token."""
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "foreign",
            [helper.make_tensor_value_info(name, kind, ["b", "t"]) for name in inputs],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())


def forward(weights: Weights, config: dict[str, Any], ids: Sequence[int]) -> Doubles:
    """BERT's token vectors (tokens, hidden) of one text without padding, from the architecture."""
    eps, heads = config["layer_norm_eps"], config["num_attention_heads"]

    def get(name: str) -> Doubles:
        return np.asarray(weights[name], np.float64)

    def linear(name: str, x: Doubles) -> Doubles:
        return np.asarray(x @ get(f"{name}.weight").T + get(f"{name}.bias"))

    def norm(name: str, x: Doubles) -> Doubles:
        centred = x - x.mean(axis=1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=1, keepdims=True) + eps)
        return np.asarray(get(f"{name}.weight") * centred / deviation + get(f"{name}.bias"))

    x = get("embeddings.word_embeddings.weight")[list(ids)]
    x = x + get("embeddings.position_embeddings.weight")[: len(ids)]
    x = x + get("embeddings.token_type_embeddings.weight")[0]
    x = norm("embeddings.LayerNorm", x)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"encoder.layer.{layer}"
        query, key, value = (
            linear(f"{prefix}.attention.self.{part}", x) for part in ("query", "key", "value")
        )
        size = query.shape[1] // heads
        context = np.concatenate(
            [
                attend(query[:, part], key[:, part], value[:, part])
                for part in (slice(size * head, size * (head + 1)) for head in range(heads))
            ],
            axis=1,
        )
        attended = linear(f"{prefix}.attention.output.dense", context)
        x = norm(f"{prefix}.attention.output.LayerNorm", attended + x)
        inner = gelu(linear(f"{prefix}.intermediate.dense", x))
        x = norm(f"{prefix}.output.LayerNorm", linear(f"{prefix}.output.dense", inner) + x)
    return x


def attend(query: Doubles, key: Doubles, value: Doubles) -> Doubles:
    """One head of scaled dot-product attention."""
    scores = query @ key.T / math.sqrt(query.shape[1])
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True) @ value)


def gelu(x: Doubles) -> Doubles:
    """The exact form, by the error function."""
    erf = np.array([math.erf(value / math.sqrt(2)) for value in x.ravel()]).reshape(x.shape)
    return np.asarray(0.5 * x * (1 + erf))


def pool(token_vectors: Doubles, pooling: str) -> Doubles:
    """The text's unit vector."""
    vector = token_vectors.mean(axis=0) if pooling == "mean" else token_vectors[0]
    return np.asarray(vector / np.linalg.norm(vector))


def cosines(found: npt.NDArray[Any], expected: Doubles) -> Doubles:
    """Row by row; both are scaled, so that only directions count."""
    found = found.astype(np.float64)
    products = (found * expected).sum(axis=1)
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return np.asarray(products / norms)


def load_weights(directory: Path) -> Weights:
    """Tensors of a checkpoint by name."""
    return dict(load_file(directory / "model.safetensors"))
