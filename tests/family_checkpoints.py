"""Small checkpoints of every family, the same from the same seed on every machine.

They need NumPy, safetensors and tokenizers alone, so that scripts/make_family_fixture.py can make
them beside torch, and the tests without it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

Floats = npt.NDArray[np.float32]
Weights = dict[str, Floats]

HIDDEN, INNER, LAYERS, HEADS, TOKENS = 32, 64, 2, 4, 150
WORDS = "the a frog toad sat on mat river sings at night stone is old blue cold warm sun of and"
TEXTS = [
    "the frog sat on the mat",
    "a toad sings at night",
    "stone",
    "",
    "the blue river is cold and the old stone is warm",
    "an unknown frog sat on an unknown mat",
    "sun and stone and river and night " * 10,
    # Longer than the maximum, so that it is cut; with distances beyond the last relative bucket.
    "the old toad of the river sings at night and the sun is cold on the stone " * 12,
]


@dataclass(frozen=True)
class Case:
    """A checkpoint to make."""

    family: str
    pooling: str
    settings: dict[str, Any] = field(default_factory=dict)
    label: str = ""

    @property
    def name(self) -> str:
        return "-".join(part for part in (self.family, self.label, self.pooling) if part)


FAMILIES = ("bert", "camembert", "distilbert", "mpnet", "roberta", "xlm-roberta")
CASES = [Case(family, pooling) for family in FAMILIES for pooling in ("mean", "cls")]
CASES += [
    Case("bert", "mean", {"hidden_act": "gelu_new", "layer_norm_eps": 0.01}, "tanh"),
    Case("roberta", "mean", {"hidden_act": "relu", "layer_norm_eps": 0.01}, "relu"),
]
_BERT_LIKE = ("bert", "distilbert")


def make_family_checkpoint(directory: Path, case: Case) -> None:
    """Write a sentence-transformers checkpoint."""
    (directory / "1_Pooling").mkdir(parents=True)
    vocabulary = write_tokenizer(directory, case.family)
    config = make_config(case, vocabulary)
    save_file(make_weights(case, vocabulary), directory / "model.safetensors", {"format": "pt"})
    pooling = {
        "word_embedding_dimension": HIDDEN,
        "pooling_mode_cls_token": case.pooling == "cls",
        "pooling_mode_mean_tokens": case.pooling == "mean",
    }
    modules = {"": "Transformer", "1_Pooling": "Pooling"}
    contents: dict[str, Any] = {
        "config.json": config,
        "sentence_bert_config.json": {"max_seq_length": TOKENS, "do_lower_case": False},
        "1_Pooling/config.json": pooling,
        "modules.json": [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (path, kind) in enumerate(modules.items())
        ],
    }
    for name, content in contents.items():
        (directory / name).write_text(json.dumps(content))


def make_config(case: Case, vocabulary: int) -> dict[str, Any]:
    """Content of config.json, by the names of the family."""
    common = {"model_type": case.family, "vocab_size": vocabulary}
    if case.family == "distilbert":
        sizes = {"dim": HIDDEN, "hidden_dim": INNER, "n_layers": LAYERS, "n_heads": HEADS}
        own = {"activation": "gelu", "max_position_embeddings": TOKENS, "pad_token_id": 0}
        return common | sizes | own | case.settings
    sizes = {
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
    }
    is_bert = case.family == "bert"
    own = {
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12 if is_bert else 1e-5,
        "max_position_embeddings": TOKENS if is_bert else TOKENS + 2,
        "pad_token_id": 0 if is_bert else 1,
    }
    if case.family == "mpnet":
        own |= {"relative_attention_num_buckets": 32}
    else:
        own |= {"type_vocab_size": 2 if is_bert else 1}
    return common | sizes | own | case.settings


def write_tokenizer(directory: Path, family: str) -> int:
    """One token for each word, framed as the family does; returns the number of tokens."""
    if family in _BERT_LIKE:
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
        pad, unknown, first, last = special
    else:
        special = ["<s>", "<pad>", "</s>", "<unk>"]
        first, pad, last, unknown = special
    ids = {token: number for number, token in enumerate([*special, *WORDS.split()])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=[(first, ids[first]), (last, ids[last])]
    )
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(directory / "tokenizer.json"))
    named = {"pad_token": pad, "unk_token": unknown, "cls_token": first, "sep_token": last}
    kind = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": TOKENS}
    (directory / "tokenizer_config.json").write_text(json.dumps(named | kind))
    return len(ids)


def make_weights(case: Case, vocabulary: int) -> Weights:
    """Every tensor of the family, by its names; attention is far from even, no norm is idle."""
    rng = np.random.default_rng([ord(letter) for letter in case.name])

    def uniform(low: float, high: float, *shape: int) -> Floats:
        # random() alone: the way from its 53 bits to other distributions may change in NumPy.
        return (low + (high - low) * rng.random(shape)).astype(np.float32)

    def matrix(name: str, out: int, width: int, spread: float = 1.0) -> Weights:
        limit = spread * (3 / width) ** 0.5  # entries of variance spread²/width
        return {
            f"{name}.weight": uniform(-limit, limit, out, width),
            f"{name}.bias": uniform(-0.2, 0.2, out),
        }

    def norm(name: str) -> Weights:
        return {
            f"{name}.weight": uniform(0.5, 1.5, HIDDEN),
            f"{name}.bias": uniform(-0.3, 0.3, HIDDEN),
        }

    weights = {
        name: uniform(-1.5, 1.5, rows, columns)
        for name, rows, columns in tables(case.family, vocabulary)
    }
    weights |= norm("embeddings.LayerNorm")
    for number in range(LAYERS):
        home, query, key, value, out, first, inner, outer, second = layer_names(case.family)
        for name in (query, key):
            weights |= matrix(f"{home}.{number}.{name}", HIDDEN, HIDDEN, 1.5)
        for name in (value, out):
            weights |= matrix(f"{home}.{number}.{name}", HIDDEN, HIDDEN)
        weights |= norm(f"{home}.{number}.{first}")
        weights |= matrix(f"{home}.{number}.{inner}", INNER, HIDDEN)
        weights |= matrix(f"{home}.{number}.{outer}", HIDDEN, INNER)
        weights |= norm(f"{home}.{number}.{second}")
    return weights


def tables(family: str, vocabulary: int) -> Iterator[tuple[str, int, int]]:
    """Name, rows and columns of each lookup table."""
    positions = TOKENS if family in _BERT_LIKE else TOKENS + 2
    yield "embeddings.word_embeddings.weight", vocabulary, HIDDEN
    yield "embeddings.position_embeddings.weight", positions, HIDDEN
    if family not in ("distilbert", "mpnet"):
        types = 2 if family == "bert" else 1
        yield "embeddings.token_type_embeddings.weight", types, HIDDEN
    if family == "mpnet":
        yield "encoder.relative_attention_bias.weight", 32, HEADS


def layer_names(family: str) -> tuple[str, ...]:
    """Home of the layers, and in each: query, key, value, output, norm, inner, outer, norm."""
    if family == "distilbert":
        attention = [f"attention.{part}_lin" for part in ("q", "k", "v", "out")]
        rest = ["sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm"]
        return ("transformer.layer", *attention, *rest)
    if family == "mpnet":
        attention = [f"attention.attn.{part}" for part in "qkvo"] + ["attention.LayerNorm"]
    else:
        attention = [f"attention.self.{part}" for part in ("query", "key", "value")]
        attention += ["attention.output.dense", "attention.output.LayerNorm"]
    return ("encoder.layer", *attention, "intermediate.dense", "output.dense", "output.LayerNorm")
