"""export.py against a float64 forward pass that is written from the architecture alone."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from safetensors.numpy import save
from tokenizers import Tokenizer

from ds2fast.embedding import embed, resolve_encoder
from ds2fast.embedding.cache import GraphCache
from ds2fast.embedding.export import export_encoder, graph_key
from ds2fast.embedding.onnx import OnnxEncoder
from ds2fast.embedding.optimise import prepare_graph
from ds2fast.embedding.tokenise import Tokeniser
from ds2fast.errors import InputError, InputFileError
from encoder_fixtures import (
    CONFIG,
    TinyEncoder,
    cosines,
    forward,
    load_weights,
    make_tiny_encoder,
    pool,
    word_ids,
)

TEXTS = ["the frog sat on the mat", "a toad sings at night", "stone", "the blue river is cold"]


@pytest.fixture
def tiny(tmp_path: Path) -> TinyEncoder:
    return make_tiny_encoder(tmp_path / "tiny")


def export(encoder: TinyEncoder) -> bytes:
    return export_encoder(resolve_encoder(encoder.directory))


def run_elsewhere(
    model: onnx.ModelProto, feeds: dict[str, npt.NDArray[np.int64]]
) -> npt.NDArray[np.float32]:
    """Run a graph in onnx's own evaluator, which shares no code with ONNX Runtime."""
    found: Any = ReferenceEvaluator(model).run(["sentence_embedding"], feeds)
    return np.asarray(found[0])


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_vectors_are_those_of_the_architecture(tmp_path: Path, pooling: str) -> None:
    encoder = make_tiny_encoder(tmp_path / "tiny", pooling=pooling)
    vectors = embed(TEXTS, model=encoder.directory, cache_dir=False).vectors
    assert cosines(vectors, encoder.expect(TEXTS)).min() >= 0.999999


def test_mean_and_cls_differ(tmp_path: Path) -> None:
    """Otherwise the test above could not tell them apart."""
    mean = make_tiny_encoder(tmp_path / "mean", pooling="mean").expect(TEXTS)
    cls = make_tiny_encoder(tmp_path / "cls", pooling="cls").expect(TEXTS)
    assert cosines(mean, cls).max() < 0.99


def test_graph_is_valid_onnx_and_right_in_another_runtime(tiny: TinyEncoder) -> None:
    model = onnx.load_from_string(export(tiny))
    onnx.checker.check_model(model, full_check=True)
    ids = np.array([word_ids(TEXTS[0]), [*word_ids("stone"), *[0] * 5]], np.int64)
    mask = np.array([[1] * 8, [1, 1, 1, 0, 0, 0, 0, 0]], np.int64)
    feeds = {"input_ids": ids, "attention_mask": mask}
    found = run_elsewhere(model, feeds)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, tiny.expect([TEXTS[0], "stone"]), atol=1e-5)


def test_token_type_0_is_added(tiny: TinyEncoder) -> None:
    """The other type, which no single text has, makes no difference."""
    name = "embeddings.token_type_embeddings.weight"
    before = export(tiny)
    other = tiny.weights[name].copy()
    other[1] = 7
    tiny.save_weights(tiny.weights | {name: other})
    assert export(tiny) == before
    other[0] = 7
    other[0, ::2] = -7  # the same number everywhere would be lost in the layer norm
    tiny.save_weights(tiny.weights | {name: other})
    ids = np.array([word_ids(TEXTS[0])], np.int64)
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    found = run_elsewhere(onnx.load_from_string(export(tiny)), feeds)
    expected = pool(forward(tiny.weights | {name: other}, CONFIG, ids[0].tolist()), "mean")
    np.testing.assert_allclose(found[0], expected, atol=1e-5)
    assert cosines(found, tiny.expect(TEXTS[:1])).max() < 0.99


def renamed_norms(name: str) -> str:
    old = name.replace("LayerNorm.weight", "LayerNorm.gamma")
    return old.replace("LayerNorm.bias", "LayerNorm.beta")


@pytest.mark.parametrize(
    "rename", [lambda name: f"bert.{name}", renamed_norms], ids=["bert. prefix", "gamma and beta"]
)
def test_other_names_of_the_same_weights(tiny: TinyEncoder, rename: Any) -> None:
    expected = export(tiny)
    tiny.save_weights({rename(name): value for name, value in tiny.weights.items()})
    assert export(tiny) == expected


def test_half_precision_weights_are_read(tiny: TinyEncoder) -> None:
    halves = {name: value.astype(np.float16) for name, value in tiny.weights.items()}
    tiny.save_weights(halves)
    tiny.weights = halves
    vectors = embed(TEXTS, model=tiny.directory, cache_dir=False).vectors
    assert cosines(vectors, tiny.expect(TEXTS)).min() >= 0.999999


def test_weights_that_the_encoder_does_not_need_are_ignored(tiny: TinyEncoder) -> None:
    expected = export(tiny)
    extra = {"pooler.dense.weight": np.ones((32, 32), np.float32)}
    tiny.save_weights(tiny.weights | extra | {"embeddings.position_ids": np.arange(24)[None]})
    assert export(tiny) == expected


def test_key_depends_on_all_that_the_graph_depends_on(tmp_path: Path) -> None:
    files = resolve_encoder(make_tiny_encoder(tmp_path / "a").directory)
    other = resolve_encoder(make_tiny_encoder(tmp_path / "b", seed=1).directory)
    keys = {
        graph_key(files),
        graph_key(other),
        graph_key(dataclasses.replace(files, pooling="cls")),
        graph_key(dataclasses.replace(files, config={**CONFIG, "num_attention_heads": 8})),
        graph_key(dataclasses.replace(files, config={**CONFIG, "layer_norm_eps": 1e-5})),
    }
    assert len(keys) == 5
    assert graph_key(dataclasses.replace(files, name="elsewhere")) == graph_key(files)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "t5"}, ["model_type 't5'", "bert", "onnx/model.onnx"]),
        ({"model_type": None}, ["model_type None", "bert"]),
        ({"hidden_act": "silu"}, ["hidden_act 'silu'", "gelu"]),
        ({"position_embedding_type": "relative_key"}, ["'relative_key'", "absolute"]),
        ({"is_decoder": True}, ["is_decoder"]),
        ({"vocab_size": 2**31}, ["2 GiB", "onnx/model.onnx"]),
    ],
)
def test_unsupported_architectures(
    tiny: TinyEncoder, change: dict[str, Any], words: list[str]
) -> None:
    tiny.rewrite("config.json", **change)
    with pytest.raises(InputError) as caught:
        export(tiny)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_hidden_layers": None}, ["config.json", "num_hidden_layers"]),
        ({"hidden_size": "wide"}, ["config.json", "wide"]),
        ({"num_attention_heads": 5}, ["num_attention_heads", "32 and 5"]),
        ({"num_hidden_layers": 3}, ["model.safetensors", "encoder.layer.2", "16 missing"]),
        ({"intermediate_size": 65}, ["encoder.layer.0.intermediate.dense.weight", "(65, 32)"]),
    ],
)
def test_settings_that_do_not_fit(
    tiny: TinyEncoder, change: dict[str, Any], words: list[str]
) -> None:
    tiny.rewrite("config.json", **change)
    with pytest.raises(InputFileError) as caught:
        export(tiny)
    assert all(word in str(caught.value) for word in words)


def test_corrupt_weights(tiny: TinyEncoder) -> None:
    path = tiny.directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputFileError, match=r"model\.safetensors.*could not read"):
        export(tiny)


def test_number_format_that_is_no_weight(tiny: TinyEncoder) -> None:
    """Integers, made by relabelling a float16 tensor in the file's own JSON header."""
    name = "embeddings.LayerNorm.bias"
    content = save(tiny.weights | {name: tiny.weights[name].astype(np.float16)})
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header[name]["dtype"] = "I16"
    relabelled = json.dumps(header).encode()
    (tiny.directory / "model.safetensors").write_bytes(
        len(relabelled).to_bytes(8, "little") + relabelled + content[8 + size :]
    )
    with pytest.raises(InputFileError, match=rf"{name}.*got I16"):
        export(tiny)


@pytest.mark.encoder
def test_real_encoder_is_the_architecture(encoder_dir: Path) -> None:
    texts = [
        "Name three rivers that flow through Vienna.",
        "###user: Write a haiku about snow.\n###assistant: White on the branches, a crow.\n",
        "Überraschung! 它很便宜 — naïve café №5.",
    ]
    tokenizer = Tokenizer.from_file(str(encoder_dir / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    config = json.loads((encoder_dir / "config.json").read_text())
    weights = load_weights(encoder_dir)
    expected = [
        pool(forward(weights, config, tokenizer.encode(text).ids), "mean") for text in texts
    ]
    vectors = embed(texts, model=encoder_dir, cache_dir=False).vectors
    assert cosines(vectors, np.stack(expected)).min() >= 0.999999


@pytest.mark.encoder
def test_real_encoder_is_the_same_when_optimised(encoder_dir: Path) -> None:
    """All of its attention is fused; int8 keeps the direction as measured on real texts."""
    files = resolve_encoder(encoder_dir)
    texts = [f"{text} and {other}" for text in TEXTS for other in TEXTS]
    table = Tokeniser(files).encode(texts, lambda _: None)
    found = {}
    for name, graph in {
        "plain": export_encoder(files),
        "fp32": prepare_graph(files, GraphCache(False), "fp32"),
        "int8": prepare_graph(files, GraphCache(False), "int8"),
    }.items():
        with OnnxEncoder(graph, source=files.weights, pooling="mean", threads=2) as encoder:
            found[name] = encoder.encode(table.ids, table.offsets)
        assert isinstance(graph, bytes)
        kinds = [node.op_type for node in onnx.load_from_string(graph).graph.node]
        expected = {"plain": "Softmax", "fp32": "Attention", "int8": "QAttention"}[name]
        assert kinds.count(expected) == 6
    np.testing.assert_allclose(found["fp32"], found["plain"], atol=2e-6)
    assert cosines(found["int8"], found["plain"].astype(np.float64)).mean() >= 0.98
