"""Every family of encoders against sentence-transformers and against a plain forward pass.

tests/data/families.npz holds what sentence-transformers gives on the checkpoints that
family_checkpoints.py makes; scripts/make_family_fixture.py wrote it.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from safetensors.numpy import load_file, save, save_file

from ds2fast.embedding import optimise, resolve_encoder
from ds2fast.embedding.architecture import FAMILIES, Architecture, parse, supports
from ds2fast.embedding.cache import GraphCache
from ds2fast.embedding.checkpoint import EncoderFiles
from ds2fast.embedding.export import build_graph, export_encoder
from ds2fast.embedding.onnx import OnnxEncoder
from ds2fast.embedding.optimise import OnnxPrecision, fuse, optimised_key, prepare_graph, quantise
from ds2fast.embedding.tokenise import Tokeniser
from ds2fast.embedding.weights import (
    parameter_bytes,
    read_weights,
)
from ds2fast.errors import InputError, InputFileError
from encoder_reference import bucket, reference_encode
from family_checkpoints import CASES, LAYERS, TEXTS, TOKENS, Case, make_family_checkpoint
from random_encoders import make_weights, ragged

FIXTURE = Path(__file__).resolve().parent / "data" / "families.npz"
NO_CACHE = GraphCache(False)
SOURCE = Path("config.json")
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
every_family = pytest.mark.parametrize("family", FAMILIES)


def checkpoint(folder: Path, case: Case) -> EncoderFiles:
    make_family_checkpoint(folder / "checkpoint", case)
    return resolve_encoder(folder / "checkpoint")


def tokenise(files: EncoderFiles) -> list[list[int]]:
    table = Tokeniser(files).encode(TEXTS, lambda _: None)
    spans = zip(table.offsets, table.lengths, strict=False)
    return [table.ids[begin : begin + length].tolist() for begin, length in spans]


def run(graph: bytes | Path, token_ids: list[list[int]]) -> npt.NDArray[np.float32]:
    with OnnxEncoder(graph, source=Path("graph"), pooling="mean", threads=1) as encoder:
        return encoder.encode(*ragged(token_ids))


def operators(graph: bytes | Path) -> collections.Counter[str]:
    assert isinstance(graph, bytes)
    return collections.Counter(node.op_type for node in onnx.load_from_string(graph).graph.node)


def assert_same(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> None:
    """Unit rows: float32 through two small layers loses some 1e-6."""
    assert np.abs(found - expected).max() <= 2e-5
    cosines = (found.astype(np.float64) * expected).sum(axis=1)
    assert cosines.min() >= 0.9999


# Against sentence-transformers


def published(case: Case) -> npt.NDArray[np.float32]:
    with np.load(FIXTURE) as arrays:
        return np.asarray(arrays[case.name], np.float32)


def test_the_fixture_tells_texts_and_cases_apart() -> None:
    """Otherwise the comparisons below could not fail."""
    vectors = np.concatenate([published(case) for case in CASES]).astype(np.float64)
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, -1)
    assert similarities.max() < 0.99


@every_case
def test_reference_is_that_of_sentence_transformers(tmp_path: Path, case: Case) -> None:
    files = checkpoint(tmp_path, case)
    assert files.architecture is not None
    weights = read_weights(files.weights, files.architecture)
    token_ids = tokenise(files)
    assert max(map(len, token_ids)) == TOKENS
    found = reference_encode(weights, files.architecture, token_ids, case.pooling)
    assert_same(found, published(case))


@every_case
def test_exported_graph_is_that_of_sentence_transformers(tmp_path: Path, case: Case) -> None:
    files = checkpoint(tmp_path, case)
    graph = export_encoder(files)
    onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)
    assert_same(run(graph, tokenise(files)), published(case))


@every_case
def test_optimised_graph_is_that_of_sentence_transformers(tmp_path: Path, case: Case) -> None:
    files = checkpoint(tmp_path, case)
    graph = prepare_graph(files, NO_CACHE, "fp32")
    # MPNet's bias by distance is no part of the pattern that becomes one operator.
    assert operators(graph)["Attention"] == (0 if case.family == "mpnet" else LAYERS)
    assert operators(graph)["Erf"] == 0
    assert_same(run(graph, tokenise(files)), published(case))


@every_case
def test_int8_is_near(tmp_path: Path, case: Case) -> None:
    """Weights of 8 bits err by 0.4 % of the largest; sums over 32 make that less, layers more."""
    files = checkpoint(tmp_path, case)
    graph = prepare_graph(files, NO_CACHE, "int8")
    found = operators(graph)
    assert found["MatMulInteger"] >= 3 * LAYERS
    assert isinstance(graph, bytes)
    kept = {tensor.name: tensor for tensor in onnx.load_from_string(graph).graph.initializer}
    assert kept["words"].data_type == onnx.TensorProto.FLOAT
    cosines = (run(graph, tokenise(files)) * published(case)).sum(axis=1)
    assert cosines.mean() >= 0.99


# Against the plain forward pass, on random architectures


def random_architecture(rng: np.random.Generator, family: str) -> Architecture:
    heads = int(rng.integers(1, 5))
    return Architecture(
        family=family,  # type: ignore[arg-type]  # parametrised with FAMILIES
        vocab_size=int(rng.integers(20, 60)),
        hidden_size=heads * 2 * int(rng.integers(2, 7)),
        num_layers=int(rng.integers(1, 4)),
        num_heads=heads,
        intermediate_size=int(rng.integers(8, 80)),
        num_positions=40,
        position_offset=0,
        has_token_types=family in ("bert", "roberta"),
        layer_norm_eps=10.0 ** -int(rng.integers(2, 13)),
        activation=rng.choice(["gelu", "gelu_tanh", "relu"]),
        relative_buckets=32 if family == "mpnet" else 0,
        relative_max_distance=128 if family == "mpnet" else 0,
    )


@every_family
@pytest.mark.parametrize("seed", range(3))
def test_random_architectures(family: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = random_architecture(rng, family)
    weights = make_weights(size, seed)
    lengths = [1, 40, *rng.integers(1, 41, 6)]
    token_ids = [rng.integers(0, size.vocab_size, length).tolist() for length in lengths]
    for pooling in ("mean", "cls"):
        graph = build_graph(size, weights, pooling).SerializeToString()
        expected = reference_encode(weights, size, token_ids, pooling)
        assert_same(run(graph, token_ids), expected)
        fused = fuse(graph, num_heads=size.num_heads, hidden_size=size.hidden_size)
        assert fused is not None
        assert_same(run(fused, token_ids), expected)


def test_distances_share_buckets_as_in_t5() -> None:
    """By hand: 8 exact each way, then 8·16^(i/8) = 8, 11.3, 16, 22.6, 32, 45.3, 64, 90.5."""
    size = random_architecture(np.random.default_rng(0), "mpnet")
    begins = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91]
    for number, begin in enumerate(begins):
        distances = np.array([-begin, begin, 1 - begin])
        after = 16 + number if begin else 0
        assert size.relative_bucket(distances)[:2].tolist() == [number, after]
        if begin > 1:
            assert size.relative_bucket(distances)[2] == number - 1
    everything = np.arange(-700, 701)
    expected = [bucket(int(distance), 32, 128) for distance in everything]
    assert size.relative_bucket(everything).tolist() == expected


# Reading config.json


def bert_config(**changes: Any) -> dict[str, Any]:
    config = {
        "model_type": "bert",
        "vocab_size": 30522,
        "hidden_size": 384,
        "num_hidden_layers": 6,
        "num_attention_heads": 12,
        "intermediate_size": 1536,
        "max_position_embeddings": 512,
    }
    return config | changes


def test_bert_has_its_defaults() -> None:
    assert parse(bert_config(), SOURCE) == Architecture(
        "bert", 30522, 384, 6, 12, 1536, 512, 0, True, 1e-12, "gelu", 0, 0
    )


def test_roberta_begins_behind_the_padding() -> None:
    config = bert_config(model_type="roberta", max_position_embeddings=514, layer_norm_eps=1e-5)
    parsed = parse(config | {"pad_token_id": 1, "type_vocab_size": 1}, SOURCE)
    assert (parsed.num_positions, parsed.position_offset) == (512, 2)
    assert (parsed.layer_norm_eps, parsed.has_token_types) == (1e-5, True)


def test_mpnet_looks_at_distances() -> None:
    parsed = parse(bert_config(model_type="mpnet", max_position_embeddings=514), SOURCE)
    assert (parsed.num_positions, parsed.position_offset) == (512, 2)
    assert (parsed.relative_buckets, parsed.relative_max_distance) == (32, 128)
    assert not parsed.has_token_types


def test_distilbert_has_names_of_its_own() -> None:
    sizes = {"vocab_size": 100, "dim": 64, "n_layers": 3, "n_heads": 8, "hidden_dim": 256}
    config = {"model_type": "distilbert", "max_position_embeddings": 512, "activation": "relu"}
    assert parse(config | sizes, SOURCE) == Architecture(
        "distilbert", 100, 64, 3, 8, 256, 512, 0, False, 1e-12, "relu", 0, 0
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "t5"}, ["model_type 't5'", *FAMILIES, "onnx/model.onnx"]),
        ({"model_type": ["bert"]}, ["model_type ['bert']"]),
        ({"model_type": None}, ["model_type None"]),
        ({"hidden_act": "silu"}, ["hidden_act 'silu'", "gelu_new", "relu"]),
        ({"hidden_act": {}}, ["hidden_act {}"]),
        ({"model_type": "distilbert", "activation": "silu"}, ["activation 'silu'"]),
        ({"position_embedding_type": "relative_key"}, ["'relative_key'", "absolute"]),
        ({"is_decoder": True}, ["is_decoder"]),
        ({"add_cross_attention": True}, ["add_cross_attention"]),
        ({"model_type": "mpnet", "relative_attention_num_buckets": 64}, ["num_buckets 64", "32"]),
    ],
)
def test_settings_that_are_not_supported(change: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        parse(bert_config(**change), SOURCE)
    assert all(word in str(caught.value) for word in ["config.json", *words])
    assert not supports(bert_config(**change))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_hidden_layers": 0}, ["num_hidden_layers", "got 0"]),
        ({"vocab_size": -5}, ["vocab_size", "got -5"]),
        ({"num_attention_heads": 5}, ["num_attention_heads", "384 and 5"]),
        ({"hidden_size": None}, ["numbers"]),
        ({"layer_norm_eps": "small"}, ["small"]),
        ({"layer_norm_eps": float("nan")}, ["layer_norm_eps", "nan"]),
        ({"model_type": "roberta", "max_position_embeddings": 2}, ["max_position_embeddings", "2"]),
        ({"model_type": "roberta", "pad_token_id": None}, ["numbers"]),
    ],
)
def test_sizes_that_cannot_be(change: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InputFileError) as caught:
        parse(bert_config(**change), SOURCE)
    assert all(word in str(caught.value) for word in words)
    assert not supports(bert_config(**change))


# Reading model.safetensors


@every_family
def test_weights_under_the_name_of_a_model_with_a_head(tmp_path: Path, family: str) -> None:
    files = checkpoint(tmp_path, Case(family, "mean"))
    expected = export_encoder(files)
    prefix = {"bert": "bert.", "distilbert": "distilbert.", "mpnet": "mpnet."}.get(family)
    renamed = {f"{prefix or 'roberta.'}{n}": w for n, w in load_file(files.weights).items()}
    save_file(renamed | {"lm_head.bias": np.ones(3, np.float32)}, files.weights)
    assert export_encoder(files) == expected


@every_family
def test_all_weights_are_asked_for(tmp_path: Path, family: str) -> None:
    files = checkpoint(tmp_path, Case(family, "mean"))
    assert files.architecture is not None
    tensors = load_file(files.weights)
    for name, tensor in tensors.items():
        save_file({other: tensors[other] for other in tensors if other != name}, files.weights)
        with pytest.raises(InputFileError, match=rf"{family} encoder, got none for {name} \(1 mis"):
            read_weights(files.weights, files.architecture)
        save_file(tensors | {name: tensor[..., :-1].copy()}, files.weights)
        with pytest.raises(InputFileError, match=rf"{name}: expected shape .*config\.json"):
            read_weights(files.weights, files.architecture)


@every_family
def test_size_is_that_of_the_arrays(tmp_path: Path, family: str) -> None:
    files = checkpoint(tmp_path, Case(family, "mean"))
    assert files.architecture is not None
    content = dataclasses.asdict(read_weights(files.weights, files.architecture))

    def size(part: Any) -> int:
        if isinstance(part, dict | tuple | list):
            return sum(map(size, part.values() if isinstance(part, dict) else part))
        return 0 if part is None else int(part.nbytes)

    assert parameter_bytes(files.architecture) == size(content)


@pytest.mark.parametrize("kind", ["F16", "BF16", "F64"])
def test_other_number_formats(tmp_path: Path, kind: str) -> None:
    """A bfloat16 is what is left of a float32 whose lower half is cut off."""
    files = checkpoint(tmp_path, Case("bert", "mean"))
    assert files.architecture is not None
    tensors = load_file(files.weights)
    if kind == "BF16":
        upper = {name: tensor.view(np.uint32) >> 16 for name, tensor in tensors.items()}
        content = relabel(save({n: half.astype(np.uint16) for n, half in upper.items()}), kind)
        cut = {name: (half << 16).view(np.float32) for name, half in upper.items()}
    else:
        stored = {
            n: t.astype(np.float16 if kind == "F16" else np.float64) for n, t in tensors.items()
        }
        content = save(stored)
        cut = {name: tensor.astype(np.float32) for name, tensor in stored.items()}
    files.weights.write_bytes(content)
    found = read_weights(files.weights, files.architecture)
    assert found.words.dtype == np.float32
    np.testing.assert_array_equal(found.words, cut["embeddings.word_embeddings.weight"])
    last = cut["encoder.layer.1.output.dense.weight"]
    np.testing.assert_array_equal(found.layers[1].outer.weight, last)


def relabel(content: bytes, kind: str) -> bytes:
    """Give all tensors another type of the same width, in the file's own JSON header."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    for entry in header.values():
        entry["dtype"] = kind
    relabelled = json.dumps(header).encode()
    return len(relabelled).to_bytes(8, "little") + relabelled + content[8 + size :]


# The optimised graphs


def test_optimising_leaves_no_traces(tmp_path: Path) -> None:
    files = checkpoint(tmp_path, Case("bert", "mean"))
    path, handlers = list(sys.path), list(logging.getLogger().handlers)
    prepare_graph(files, NO_CACHE, "int8")
    assert sys.path == path
    assert logging.getLogger().handlers == handlers
    assert logging.getLogger().isEnabledFor(logging.WARNING)


def test_kept_graphs_are_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = checkpoint(tmp_path, Case("roberta", "cls"))
    cache = GraphCache(tmp_path / "cache")
    kinds: tuple[OnnxPrecision, ...] = ("fp32", "int8")
    made = {kind: prepare_graph(files, cache, kind) for kind in kinds}
    assert made["fp32"] != made["int8"]
    monkeypatch.setattr(optimise, "_make", lambda *_: pytest.fail("made again"))
    for kind, graph in made.items():
        assert prepare_graph(files, cache, kind) == graph


def test_key_depends_on_all_that_the_graph_depends_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = checkpoint(tmp_path, Case("bert", "mean"))
    keys = {
        optimised_key(files, "fp32"),
        optimised_key(files, "int8"),
        optimised_key(dataclasses.replace(files, pooling="cls"), "fp32"),
    }
    monkeypatch.setattr(optimise, "_has_int8_dot_product", lambda: False)
    keys.add(optimised_key(files, "int8"))
    monkeypatch.setattr("onnxruntime.__version__", "0.0.1")
    keys.add(optimised_key(files, "fp32"))
    assert len(keys) == 5
    assert all(files.weights_sha256() in key for key in keys)


def break_the_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ImportError("no such package")

    monkeypatch.setattr("onnxruntime.transformers.optimizer.optimize_model", refuse)


def test_a_tool_that_fails_costs_speed_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = checkpoint(tmp_path, Case("bert", "mean"))
    graph = export_encoder(files)
    break_the_tool(monkeypatch)
    assert fuse(graph) is None
    assert prepare_graph(files, NO_CACHE, "fp32") == graph
    assert operators(prepare_graph(files, NO_CACHE, "int8"))["MatMulInteger"] == 6 * LAYERS


def test_a_graph_of_its_own_is_run_from_its_file_where_it_cannot_be_fused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tensors may lie beside it; and there is nothing worth keeping."""
    files = checkpoint(tmp_path, Case("bert", "mean"))
    path = files.weights.with_suffix(".onnx")
    path.write_bytes(export_encoder(files))
    files.weights.unlink()
    foreign = resolve_encoder(path.parent)
    break_the_tool(monkeypatch)
    assert prepare_graph(foreign, GraphCache(tmp_path / "cache"), "fp32") == path
    assert not (tmp_path / "cache").exists()


def test_a_graph_that_gives_other_numbers_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = export_encoder(checkpoint(tmp_path / "one", Case("bert", "mean")))
    other = export_encoder(checkpoint(tmp_path / "two", Case("bert", "cls")))

    class Wrong:
        model = onnx.load_from_string(other)

    monkeypatch.setattr(
        "onnxruntime.transformers.optimizer.optimize_model", lambda *_, **__: Wrong()
    )
    assert fuse(graph) is None
    assert fuse(other) is not None


def test_a_graph_that_cannot_be_quantised() -> None:
    with pytest.raises(InputError, match=r"model\.onnx: expected a graph .*precision='fp32'"):
        quantise(b"nothing", source=Path("model.onnx"))


def test_without_dot_products_weights_have_seven_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = checkpoint(tmp_path, Case("bert", "mean"))

    def largest() -> int:
        graph = prepare_graph(files, NO_CACHE, "int8")
        assert isinstance(graph, bytes)
        tensors = onnx.load_from_string(graph).graph.initializer
        kept = [onnx.numpy_helper.to_array(t) for t in tensors if t.name.endswith("_quantized")]
        return max(int(np.abs(array.astype(np.int64)).max()) for array in kept)

    monkeypatch.setattr(optimise, "_has_int8_dot_product", lambda: True)
    assert largest() == 127
    monkeypatch.setattr(optimise, "_has_int8_dot_product", lambda: False)
    assert largest() <= 64


# Running


def test_texts_do_not_see_each_other(tmp_path: Path) -> None:
    files = checkpoint(tmp_path, Case("mpnet", "mean"))
    token_ids = tokenise(files)
    with OnnxEncoder.open(files, cache=NO_CACHE, precision="fp32", threads=2) as encoder:
        together = encoder.encode(*ragged(token_ids))
        alone = [encoder.encode(*ragged([ids]))[0] for ids in token_ids]
        backwards = encoder.encode(*ragged(token_ids[::-1]))
    assert encoder.precision == "fp32"
    assert_same(together, np.stack(alone))
    assert_same(backwards[::-1], together)


def test_many_texts_run_in_batches_of_like_length(tmp_path: Path) -> None:
    """More tokens than one batch takes."""
    files = checkpoint(tmp_path, Case("roberta", "mean"))
    token_ids = tokenise(files) * 8
    with OnnxEncoder.open(files, cache=NO_CACHE, precision="fp32", threads=1) as encoder:
        assert_same(encoder.encode(*ragged(token_ids)), np.tile(published(CASES[8]), (8, 1)))
    assert CASES[8] == Case("roberta", "mean")


def test_inputs_may_be_a_view(tmp_path: Path) -> None:
    """Offsets need not begin at 0: a part of a larger table is encoded in place."""
    files = checkpoint(tmp_path, Case("bert", "mean"))
    ids, offsets = ragged(tokenise(files))
    with OnnxEncoder.open(files, cache=NO_CACHE, precision="fp32", threads=1) as encoder:
        assert_same(encoder.encode(ids, offsets[2:6]), published(CASES[0])[2:5])
