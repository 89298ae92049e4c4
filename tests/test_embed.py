"""embed: order, repeats, lengths, precisions, errors, interruption, and which graphs are kept."""

from __future__ import annotations

import doctest
import gzip
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from tokenizers import Tokenizer

from ds2fast.cache_dir import resolve_cache_dir
from ds2fast.embedding import embed, encoder_info, resolve_encoder
from ds2fast.embedding.batching import plan_batches, plan_runs
from ds2fast.embedding.cache import GraphCache
from ds2fast.embedding.encode import check_model
from ds2fast.embedding.export import export_encoder
from ds2fast.embedding.optimise import optimised_key
from ds2fast.embedding.tokenise import Tokeniser, TokenTable
from ds2fast.errors import InputError, InputFileError, InputTypeError, OutputError
from ds2fast.results import Embeddings
from encoder_fixtures import WORDS, TinyEncoder, cosines, make_tiny_encoder, save_onnx, word_ids

TEXTS = [
    "the frog sat on the mat",
    "stone",
    "a toad sings at night",
    "the blue river is cold",
    "stone",
    "",
    "the old sun is warm at night the frog sings",
]


@pytest.fixture
def tiny(tmp_path: Path) -> TinyEncoder:
    return make_tiny_encoder(tmp_path / "tiny")


every_backend = pytest.mark.parametrize("backend", ["native", "onnxruntime"])


def run(texts: Any, encoder: TinyEncoder, **settings: Any) -> Embeddings:
    settings.setdefault("cache_dir", False)
    return embed(texts, model=encoder.directory, **settings)


# Vectors


@every_backend
def test_vectors_are_right_and_in_order(tiny: TinyEncoder, backend: str) -> None:
    result = run(TEXTS, tiny, backend=backend)
    assert result.vectors.shape == (7, 32)
    assert result.vectors.dtype == np.float32
    np.testing.assert_allclose(result.vectors, tiny.expect(TEXTS), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(result.vectors, axis=1), 1, atol=1e-6)
    assert (result.model, result.precision) == (str(tiny.directory), "fp32")
    assert (result.backend, result.num_run, result.notes) == (backend, 6, ())
    assert len(result) == 7


@every_backend
def test_identical_texts_have_identical_vectors(tiny: TinyEncoder, backend: str) -> None:
    vectors = run(TEXTS, tiny, backend=backend).vectors
    assert (vectors[1] == vectors[4]).all()


@every_backend
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_other_texts_change_nothing(tmp_path: Path, pooling: str, backend: str) -> None:
    encoder = make_tiny_encoder(tmp_path / "tiny", pooling=pooling)
    alone = run(["stone"], encoder, backend=backend).vectors[0]
    longest = "the old sun is warm at night the frog sings a stone is"
    texts = [longest, "stone", longest + " cold"]
    beside = run(texts, encoder, backend=backend).vectors[1]
    assert np.abs(alone - beside).max() <= 1e-5


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_a_native_vector_depends_on_its_text_alone(tiny: TinyEncoder, precision: str) -> None:
    texts = sorted(set(TEXTS))
    for threads in (1, 3):
        together = run(texts, tiny, precision=precision, threads=threads).vectors
        alone = [run([text], tiny, precision=precision).vectors[0] for text in texts]
        assert together.tobytes() == np.stack(alone).tobytes()


@every_backend
def test_same_bytes_each_time(tiny: TinyEncoder, backend: str) -> None:
    texts = [f"{text} {word}" for text in TEXTS for word in ("", "a", "stone", "night frog")]
    for threads in (1, 2):
        settings: dict[str, Any] = {"threads": threads, "backend": backend}
        first, second = (run(texts, tiny, **settings).vectors for _ in range(2))
        assert first.tobytes() == second.tobytes()


def test_threads_do_not_change_the_meaning_of_a_graph(tiny: TinyEncoder) -> None:
    one, three = (
        run(TEXTS, tiny, threads=threads, backend="onnxruntime").vectors for threads in (1, 3)
    )
    np.testing.assert_allclose(one, three, atol=1e-5)


def test_texts_beyond_the_maximum_are_cut_and_counted(tiny: TinyEncoder) -> None:
    """16 tokens fit: 14 words and the two special tokens."""
    fits = " ".join(["stone"] * 14)
    long = " ".join(["stone"] * 15)
    other = " ".join(["stone"] * 14 + ["frog"] * 4)
    result = run([fits, long, other, long, "frog"], tiny)
    assert result.truncated == 3
    np.testing.assert_allclose(result.vectors[1:4], result.vectors[[0, 0, 0]], atol=1e-6)


def test_settings_of_training_in_the_tokenizer_are_overridden(tiny: TinyEncoder) -> None:
    """tokenizer.json says: cut at 4 tokens, pad to 12. Both would change these vectors."""
    long = "the old sun is warm at night"
    np.testing.assert_allclose(run([long], tiny).vectors, tiny.expect([long]), atol=1e-5)


def test_vocabulary_file_in_place_of_tokenizer_json(tiny: TinyEncoder) -> None:
    expected = run(TEXTS, tiny).vectors
    (tiny.directory / "tokenizer.json").unlink()
    assert (run(TEXTS, tiny).vectors == expected).all()


def test_lowercasing_that_the_checkpoint_asks_for(tiny: TinyEncoder) -> None:
    tiny.rewrite("tokenizer_config.json", do_lower_case=False)
    (tiny.directory / "tokenizer.json").unlink()
    known, unknown = run(["the frog", "The FROG"], tiny).vectors
    assert abs(known @ unknown) < 0.99  # this tokeniser tells upper case from lower
    tiny.rewrite("sentence_bert_config.json", do_lower_case=True)
    known, lowered = run(["the frog", "The FROG"], tiny).vectors
    assert (known == lowered).all()


def test_sequences_of_other_kinds(tiny: TinyEncoder) -> None:
    expected = run(TEXTS, tiny).vectors
    for texts in (tuple(TEXTS), np.array(TEXTS), np.array(TEXTS, dtype=object)):
        assert (run(texts, tiny).vectors == expected).all()


# Backends and precisions


REAL_TEXTS = [
    "How do I bake bread without yeast?",
    "###user: Name a frog.\n###assistant: The red-eyed tree frog, Agalychnis callidryas.",
    "def add(a, b):\n    return a + b  # \u00fcber \u4f60\u597d \U0001f438",
    "",
    "a",
    "Registers are allocated by colouring a graph of live ranges. " * 40,
    "Grüße aus Köln: 3,14 × 10⁻⁹ m² " * 7,
]


@pytest.mark.encoder
def test_native_and_graph_agree_on_the_real_encoder(encoder_dir: Path) -> None:
    """Both in float32: some 1e-6 of rounding in another order, through six layers."""
    ours, graph = (
        embed(REAL_TEXTS, model=encoder_dir, backend=backend, precision="fp32", cache_dir=False)
        for backend in ("native", "onnxruntime")
    )
    assert cosines(ours.vectors, graph.vectors.astype(np.float64)).min() > 1 - 1e-6
    np.testing.assert_allclose(ours.vectors, graph.vectors, atol=2e-5)
    assert (ours.backend, graph.backend) == ("native", "onnxruntime")
    assert ours.truncated == graph.truncated == 1


@pytest.mark.encoder
@pytest.mark.parametrize(
    ("backend", "precision", "least"),
    [("native", "bf16", 0.9995), ("native", "int8", 0.98), ("onnxruntime", "int8", 0.96)],
)
def test_lower_precisions_are_near_and_are_others(
    encoder_dir: Path, backend: Any, precision: Any, least: float
) -> None:
    """bfloat16 rounds to 1 in 256, int8 to 1 in 127 of each row's largest."""
    exact = embed(REAL_TEXTS, model=encoder_dir, precision="fp32", cache_dir=False)
    fast = embed(
        REAL_TEXTS, model=encoder_dir, precision=precision, backend=backend, cache_dir=False
    )
    found = cosines(fast.vectors, exact.vectors.astype(np.float64))
    assert least < found.min() < 1 - 1e-7
    np.testing.assert_allclose(np.linalg.norm(fast.vectors, axis=1), 1, atol=1e-6)
    assert (fast.precision, fast.reason, fast.backend) == (precision, "it was asked for", backend)


@pytest.mark.encoder
@pytest.mark.shared
def test_neighbours_are_those_of_the_measured_vectors(encoder_dir: Path, shared_data: Path) -> None:
    """The vectors there come from an int8 encoder of another make, over other renderings: near."""
    kept = np.load(shared_data / "instructions.minilm.f16.npy", mmap_mode="r")[:60]
    with gzip.open(shared_data / "instructions.jsonl.gz") as lines:
        rows = [json.loads(line) for line in islice(lines, 60)]
    texts = [
        "\n".join(f"###{turn['role']}: {turn['content']}" for turn in row["messages"])
        for row in rows
    ]
    vectors = embed(texts, model=encoder_dir, precision="fp32", cache_dir=False).vectors
    products = vectors @ kept.astype(np.float32).T
    assert (products.argmax(axis=1) == np.arange(60)).all()
    print("cosine to the measured vectors:", np.diag(products).mean(), np.diag(products).min())


def test_native_wants_tensors_of_a_known_family(tiny: TinyEncoder) -> None:
    save_lookup_encoder(tiny.directory / "model.onnx", tiny)
    (tiny.directory / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"backend: 'native' expects .* safetensors .*model\.onnx"):
        run(TEXTS, tiny, backend="native")
    assert run(TEXTS, tiny).backend == "onnxruntime"


def test_graphs_do_not_run_in_bfloat16(tiny: TinyEncoder) -> None:
    stages: list[str] = []
    with pytest.raises(
        InputError, match=r"precision: expected 'auto', 'fp32' or 'int8' .*onnxruntime.* got 'bf16'"
    ):
        run(
            TEXTS,
            tiny,
            backend="onnxruntime",
            precision="bf16",
            progress=lambda stage, *_: stages.append(stage),
        )
    assert stages == []


@pytest.mark.encoder
def test_real_encoder_understands(encoder_dir: Path, tmp_path: Path) -> None:
    texts = [
        "How do I bake bread without yeast?",
        "Give me a recipe for a loaf that needs no yeast.",
        "Explain how a compiler allocates registers.",
        "What does register allocation in a compiler do?",
        "",
    ]
    vectors = embed(texts, model=encoder_dir, cache_dir=tmp_path).vectors
    similar = vectors @ vectors.T
    unrelated = max(similar[0, 2], similar[0, 3], similar[1, 2], similar[1, 3])
    assert min(similar[0, 1], similar[2, 3]) > unrelated + 0.3
    assert np.isfinite(vectors).all()


@pytest.mark.encoder
@pytest.mark.parametrize("function", [embed, encoder_info, export_encoder, resolve_encoder])
def test_examples_run(
    function: Callable[..., object],
    encoder_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DS2FAST_CACHE_DIR", str(tmp_path))
    examples = doctest.DocTestFinder(recurse=False).find(
        function, globs={"encoder_dir": str(encoder_dir)}
    )
    results = [doctest.DocTestRunner().run(example) for example in examples]
    assert sum(result.attempted for result in results) > 0
    assert all(result.failed == 0 for result in results)


# Batches


@given(st.lists(st.integers(1, 300), min_size=1, max_size=80), st.integers(1, 2000))
def test_plan_covers_every_text_once_within_the_budget(lengths: list[int], budget: int) -> None:
    array = np.array(lengths, np.int64)
    batches = plan_batches(array, budget)
    assert sorted(int(row) for rows in batches for row in rows) == list(range(len(lengths)))
    for rows in batches:
        assert len(rows) == 1 or array[rows].max() * len(rows) <= budget
    order = np.concatenate([array[rows] for rows in batches])
    assert (np.diff(order) <= 0).all()


@given(st.lists(st.integers(0, 300), min_size=1, max_size=80), st.integers(1, 2000))
def test_plan_without_padding_covers_every_text_once(lengths: list[int], budget: int) -> None:
    """A batch ends before the text that would fill it, so that only its first may be too long."""
    array = np.array(lengths, np.int64)
    batches = plan_runs(array, budget)
    assert sorted(int(row) for rows in batches for row in rows) == list(range(len(lengths)))
    for rows in batches:
        assert array[rows[1:]].sum() < budget
    assert len(batches) <= array.sum() // budget + 1
    order = np.concatenate([array[rows] for rows in batches])
    assert (np.diff(order) <= 0).all()


def test_rows_of_a_table() -> None:
    ids, offsets = np.array([5, 6, 7, 8, 9, 10], np.int32), np.array([0, 2, 3, 6])
    table = TokenTable(ids, offsets, np.array([True, False, False]))
    assert table.lengths.tolist() == [2, 1, 3]
    some = table.rows(np.array([2, 0]))
    assert some.ids.tolist() == [8, 9, 10, 5, 6]
    assert some.offsets.tolist() == [0, 3, 5]
    assert some.firsts.tolist() == [0, 1, 2]
    assert some.truncated.tolist() == [False, True]


def test_rows_of_a_table_of_pieces() -> None:
    """Text 0 has the pieces [5, 6] and [7], text 1 has [8, 9, 10]."""
    ids, offsets = np.array([5, 6, 7, 8, 9, 10], np.int32), np.array([0, 2, 3, 6])
    table = TokenTable(ids, offsets, np.zeros(2, np.bool_), np.array([0, 2, 3]))
    assert table.lengths.tolist() == [3, 3]
    turned = table.rows(np.array([1, 0]))
    assert turned.ids.tolist() == [8, 9, 10, 5, 6, 7]
    assert turned.offsets.tolist() == [0, 3, 5, 6]
    assert turned.firsts.tolist() == [0, 1, 3]


def test_tokens_are_those_of_the_vocabulary(tiny: TinyEncoder) -> None:
    """Also where texts come in more than one chunk."""
    texts = [TEXTS[i % 4] for i in range(5000)]
    done: list[int] = []
    table = Tokeniser(resolve_encoder(tiny.directory)).encode(texts, done.append)
    assert table.ids.tolist() == [token for text in texts for token in word_ids(text)]
    assert table.lengths.tolist() == [len(word_ids(text)) for text in texts]
    assert len(done) > 1
    assert done[-1] == 5000


def test_one_very_long_text_is_a_chunk_of_its_own(tiny: TinyEncoder) -> None:
    texts = ["frog", "stone " * 400_000, "toad"]
    done: list[int] = []
    table = Tokeniser(resolve_encoder(tiny.directory)).encode(texts, done.append)
    assert done == [1, 2, 3]
    assert table.truncated.tolist() == [False, True, False]


def test_tokeniser_that_frames_nothing_gives_an_empty_text_one_token(tiny: TinyEncoder) -> None:
    path = tiny.directory / "tokenizer.json"
    tiny.rewrite("tokenizer.json", post_processor=None)
    assert '"post_processor"' not in path.read_text()
    table = Tokeniser(resolve_encoder(tiny.directory)).encode(["", "frog"], lambda _: None)
    assert table.lengths.tolist() == [1, 1]


# Progress and interruption


def test_progress_counts_texts_and_tokens_to_the_end(tiny: TinyEncoder) -> None:
    calls: list[tuple[str, int, int]] = []
    run(TEXTS, tiny, progress=lambda *call: calls.append(call))
    tokens = sum(len(word_ids(text)) for text in set(TEXTS))
    assert ("tokenising", 6, 6) in calls
    assert calls[-1] == ("embedding", tokens, tokens)
    embedding = [done for stage, done, _ in calls if stage == "embedding"]
    assert embedding == sorted(embedding)
    assert embedding[0] == 0
    assert embedding.count(tokens) == 1
    calls.clear()
    run(TEXTS, tiny, precision="bf16", progress=lambda *call: calls.append(call))
    assert calls[-1] == ("embedding", tokens, tokens)


def save_slow_encoder(directory: Path) -> None:
    """600 products of 1024² matrices with each token: seconds for a batch, nothing for a word."""
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["x", "axis"], ["column"]),
        helper.make_node("Mul", ["column", "ones"], ["p0"]),
    ]
    nodes += [helper.make_node("MatMul", [f"p{i}", "w"], [f"p{i + 1}"]) for i in range(600)]
    nodes.append(helper.make_node("Identity", ["p600"], ["last_hidden_state"]))
    constants: dict[str, npt.NDArray[Any]] = {
        "w": np.full((1024, 1024), 2.0**-10, np.float32),
        "ones": np.ones((1, 1, 1024), np.float32),
        "axis": np.array([2], np.int64),
    }
    save_onnx(directory / "model.onnx", nodes, constants, inputs=["input_ids"])


def test_ctrl_c_ends_a_running_graph(tiny: TinyEncoder) -> None:
    save_slow_encoder(tiny.directory)
    weights = (tiny.directory / "model.safetensors").read_bytes()
    (tiny.directory / "model.safetensors").unlink()
    sent: list[float] = []

    def interrupt() -> None:
        sent.append(time.process_time())
        os.kill(os.getpid(), signal.SIGINT)

    def start_clock(stage: str, done: int, total: int) -> None:
        if stage == "embedding":
            threading.Timer(0.2, interrupt).start()

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        run([f"{word} {'stone ' * 13}" for word in WORDS], tiny, threads=1, progress=start_clock)
    assert (
        time.process_time() - sent[0] < 20.0
    )  # of minutes of processor time, to which a busy machine adds
    assert threading.active_count() == before
    (tiny.directory / "model.onnx").unlink()
    (tiny.directory / "model.safetensors").write_bytes(weights)
    np.testing.assert_allclose(run(TEXTS, tiny).vectors, tiny.expect(TEXTS), atol=1e-5)


def test_an_error_in_the_callback_comes_through(tiny: TinyEncoder) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("mine")

    before = threading.active_count()
    with pytest.raises(ZeroDivisionError, match="mine"):
        run(TEXTS, tiny, progress=fail)
    assert threading.active_count() == before


# Bad arguments


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        ("one text", InputTypeError, "texts: expected a sequence of str, got str"),
        (b"bytes", InputTypeError, "got bytes"),
        (None, InputTypeError, "got NoneType"),
        ({"a": "b"}, InputTypeError, "got dict"),
        ({"a"}, InputTypeError, "got set"),
        ((word for word in "ab"), InputTypeError, "got generator"),
        ([], InputError, "texts: expected at least one text, got none"),
        (["a", 3], InputTypeError, r"texts\[1\]: expected str, got int"),
        (["a", "b", None], InputTypeError, r"texts\[2\]: expected str, got NoneType"),
        (["é", "b\ud83d"], InputError, r"texts\[1\]: expected valid Unicode.*at character 1"),
    ],
)
def test_texts_that_cannot_be(texts: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        embed(texts, model="./never-looked-for")


@pytest.mark.parametrize(
    ("settings", "error", "name"),
    [
        ({"threads": 0}, InputError, "threads"),
        ({"threads": 1.5}, InputTypeError, "threads"),
        ({"cache_dir": 3}, InputTypeError, "cache_dir"),
        ({"cache_dir": True}, InputTypeError, "cache_dir"),
        ({"progress": "bar"}, InputTypeError, "progress"),
        ({"precision": "fp16"}, InputError, "precision: expected 'auto', 'fp32', 'bf16' or 'int8'"),
        ({"backend": "torch"}, InputError, "backend: expected 'auto', 'native' or 'onnxruntime'"),
        ({"long_text": "split"}, InputError, "long_text: expected 'truncate' or 'chunk-mean'"),
        ({"gate": 0.99}, InputTypeError, "gate: expected a PrecisionGate, got float"),
    ],
)
def test_settings_that_cannot_be(
    settings: dict[str, Any], error: type[Exception], name: str
) -> None:
    with pytest.raises(error, match=name):
        embed(["a"], model="./never-looked-for", **settings)


# Models that are broken


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", b"\x00" * 100),
        ("tokenizer.json", b'{"version": "1.0"'),
        ("model.onnx", b"no protobuf at all"),
        ("model.onnx", b""),
    ],
)
def test_corrupt_files_are_named(tiny: TinyEncoder, name: str, content: bytes) -> None:
    (tiny.directory / name).write_bytes(content)
    if name == "model.onnx":
        (tiny.directory / "model.safetensors").unlink()
    with pytest.raises(InputFileError, match=f"{name}: expected"):
        run(TEXTS, tiny)


@every_backend
def test_broken_weights_are_told_before_texts_are_tokenised(
    tiny: TinyEncoder, backend: str
) -> None:
    stages: list[str] = []
    (tiny.directory / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(InputFileError, match=r"model\.safetensors: expected"):
        run(TEXTS, tiny, backend=backend, progress=lambda stage, *_: stages.append(stage))
    assert stages == []


def test_truncated_onnx(tiny: TinyEncoder) -> None:
    graph = export_encoder(resolve_encoder(tiny.directory))
    (tiny.directory / "model.onnx").write_bytes(graph[: len(graph) // 2])
    (tiny.directory / "model.safetensors").unlink()
    with pytest.raises(InputFileError, match=r"model\.onnx: expected an ONNX model"):
        run(TEXTS, tiny)


def test_corrupt_vocabulary(tiny: TinyEncoder) -> None:
    (tiny.directory / "tokenizer.json").unlink()
    (tiny.directory / "vocab.txt").write_text("only\nwords\n")
    with pytest.raises(InputFileError, match=r"vocab\.txt: expected a tokenizer"):
        run(TEXTS, tiny)


def test_tokenizer_of_another_model(tiny: TinyEncoder) -> None:
    short = {**tiny.weights}
    short["embeddings.word_embeddings.weight"] = tiny.weights["embeddings.word_embeddings.weight"][
        :8
    ].copy()
    tiny.save_weights(short)
    tiny.rewrite("config.json", vocab_size=8)
    with pytest.raises(InputFileError, match=r"tokenizer\.json: .*vocab_size 8 .*got 22"):
        check_model(tiny.directory)
    stages: list[str] = []
    with pytest.raises(InputFileError, match=r"tokenizer\.json: .*vocab_size 8 .*got 22"):
        run(["a frog"], tiny, progress=lambda stage, *_: stages.append(stage))
    assert stages == []


def test_tokens_added_beyond_the_vocabulary(tiny: TinyEncoder) -> None:
    """They do no harm until a text has one."""
    tokenizer = Tokenizer.from_file(str(tiny.directory / "tokenizer.json"))
    tokenizer.add_tokens(["zebra"])
    tokenizer.save(str(tiny.directory / "tokenizer.json"))
    np.testing.assert_allclose(run(TEXTS, tiny).vectors, tiny.expect(TEXTS), atol=1e-5)
    with pytest.raises(InputFileError, match=r"tokenizer\.json: .*vocab_size 23 .*got 23"):
        run(["a frog", "a zebra"], tiny)


@every_backend
def test_weights_that_are_not_numbers(tiny: TinyEncoder, backend: str) -> None:
    name = "embeddings.word_embeddings.weight"
    damaged = tiny.weights[name].copy()
    damaged[word_ids("toad")[1]] = np.nan
    tiny.save_weights({**tiny.weights, name: damaged})
    stages: list[str] = []
    with pytest.raises(InputFileError) as caught:
        run(TEXTS, tiny, backend=backend, progress=lambda stage, *_: stages.append(stage))
    path = tiny.directory / "model.safetensors"
    assert str(caught.value).startswith(f"{path}: {name}: expected finite numbers, got others")
    assert stages == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_single_damaged_weight_is_named(tiny: TinyEncoder, value: float) -> None:
    """Even one that no vector shows: of a unit that is always off, say."""
    name = "encoder.layer.1.intermediate.dense.weight"
    damaged = tiny.weights[name].copy()
    damaged[3, 5] = value
    tiny.save_weights({**tiny.weights, name: damaged})
    with pytest.raises(InputFileError, match=rf"model\.safetensors: {name}: expected finite"):
        run(TEXTS, tiny)


def test_a_weight_beyond_float32_is_named(tiny: TinyEncoder) -> None:
    name = "embeddings.LayerNorm.bias"
    tiny.save_weights({**tiny.weights, name: np.full(32, 1e300)})
    with pytest.raises(InputFileError, match=rf"{name}: expected finite numbers"):
        run(TEXTS, tiny)


def test_a_graph_of_weights_that_are_not_numbers(tiny: TinyEncoder) -> None:
    """Its tensors are not read by us: its vectors tell."""
    table = tiny.weights["embeddings.word_embeddings.weight"]
    table[word_ids("toad")[1]] = np.nan
    (tiny.directory / "model.safetensors").unlink()
    save_lookup_encoder(tiny.directory / "model.onnx", tiny)
    with pytest.raises(InputFileError, match=r"for 2 texts, the first is 'a toad sings at night'"):
        run([*TEXTS, "old toad"], tiny)


def test_a_graph_that_fails_while_it_runs(tiny: TinyEncoder) -> None:
    """A table shorter than the tokenizer's vocabulary, and no config.json to tell."""
    table = tiny.weights["embeddings.word_embeddings.weight"]
    tiny.weights["embeddings.word_embeddings.weight"] = table[:8]
    for name in ("model.safetensors", "config.json"):
        (tiny.directory / name).unlink()
    save_lookup_encoder(tiny.directory / "model.onnx", tiny)
    with pytest.raises(InputFileError, match=r"model\.onnx: expected a model that runs on these"):
        run(TEXTS, tiny)


# What is told of a model before there are texts


def test_a_model_that_runs_passes(tiny: TinyEncoder) -> None:
    check_model(tiny.directory)
    for backend in ("native", "onnxruntime"):
        check_model(tiny.directory, backend=backend, precision="int8", long_text="chunk-mean")


def without_layer_norm(tiny: TinyEncoder) -> None:
    tiny.save_weights({n: t for n, t in tiny.weights.items() if n != "embeddings.LayerNorm.bias"})


@every_backend
@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda tiny: tiny.rewrite("config.json", model_type="deberta-v2"),
         r"config\.json: model_type 'deberta-v2' is not supported; expected one of: bert,"),
        (lambda tiny: tiny.rewrite("config.json", hidden_act="silu"),
         r"config\.json: hidden_act 'silu' is not supported"),
        (lambda tiny: tiny.rewrite("config.json", num_hidden_layers=None),
         r"config\.json: expected a setting 'num_hidden_layers'"),
        (lambda tiny: tiny.rewrite("config.json", intermediate_size=63),
         r"intermediate\.dense\.weight: expected shape \(63, 32\)"),
        (without_layer_norm, r"got none for embeddings\.LayerNorm\.bias \(1 missing"),
        (lambda tiny: (tiny.directory / "model.safetensors").write_bytes(b"\0" * 100),
         r"model\.safetensors: expected weights in safetensors form"),
        (lambda tiny: (tiny.directory / "tokenizer.json").write_text("{"),
         r"tokenizer\.json: expected a tokenizer"),
    ],
)  # fmt: skip
def test_what_embed_would_say_of_a_model_is_said_before(
    tiny: TinyEncoder, harm: Callable[[TinyEncoder], Any], message: str, backend: Any
) -> None:
    harm(tiny)
    stages: list[str] = []
    with pytest.raises((InputError, InputFileError), match=message) as checked:
        check_model(tiny.directory, backend=backend)
    with pytest.raises((InputError, InputFileError), match=message) as embedded:
        run(TEXTS, tiny, backend=backend, progress=lambda stage, *_: stages.append(stage))
    assert str(checked.value) == str(embedded.value)
    assert stages == []


# Graphs of others


def test_filling_of_a_graph_without_settings(tiny: TinyEncoder) -> None:
    """No config.json: what stands for a text without tokens is what the tokenizer names."""
    (tiny.directory / "config.json").unlink()
    (tiny.directory / "model.safetensors").unlink()
    save_lookup_encoder(tiny.directory / "model.onnx", tiny)
    tokenizer = Tokenizer.from_file(str(tiny.directory / "tokenizer.json"))
    tokenizer.enable_padding(pad_id=7)
    tokenizer.save(str(tiny.directory / "tokenizer.json"))
    tiny.rewrite("tokenizer.json", post_processor=None)
    table = Tokeniser(resolve_encoder(tiny.directory)).encode(["", "frog"], lambda _: None)
    assert table.ids.tolist() == [7, word_ids("frog")[1]]
    assert run(TEXTS, tiny).vectors.shape == (7, 32)


def save_lookup_encoder(path: Path, tiny: TinyEncoder, kind: int = TensorProto.INT64) -> None:
    """Token vectors that are the word embeddings alone."""
    table = tiny.weights["embeddings.word_embeddings.weight"]
    node = helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])
    save_onnx(path, [node], {"table": table}, kind=kind, inputs=["input_ids"])


@pytest.mark.parametrize("place", ["model.onnx", "onnx/model.onnx"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.INT32])
def test_token_vectors_of_a_graph_are_pooled(
    tmp_path: Path, pooling: str, place: str, kind: int
) -> None:
    encoder = make_tiny_encoder(tmp_path / "tiny", pooling=pooling)
    save_lookup_encoder(encoder.directory / place, encoder, kind)
    (encoder.directory / "model.safetensors").unlink()
    table = encoder.weights["embeddings.word_embeddings.weight"].astype(np.float64)
    rows = [table[word_ids(text)] for text in TEXTS]
    expected = np.stack([row.mean(axis=0) if pooling == "mean" else row[0] for row in rows])
    assert cosines(run(TEXTS, encoder).vectors, expected).min() > 0.999999


def test_sentence_vectors_of_a_graph_are_taken_and_normalised(tiny: TinyEncoder) -> None:
    table = 3 * tiny.weights["embeddings.word_embeddings.weight"]
    nodes = [
        helper.make_node("Gather", ["input_ids", "one"], ["second"], axis=1),
        helper.make_node("Gather", ["table", "second"], ["sentence_embedding"]),
    ]
    constants = {"table": table, "one": np.array(1, np.int64)}
    path = tiny.directory / "model.onnx"
    save_onnx(path, nodes, constants, output="sentence_embedding", inputs=["input_ids"])
    (tiny.directory / "model.safetensors").unlink()
    vectors = run(["frog", "stone"], tiny).vectors
    words = table[[word_ids("frog")[1], word_ids("stone")[1]]].astype(np.float64)
    np.testing.assert_allclose(
        vectors, words / np.linalg.norm(words, axis=1, keepdims=True), atol=1e-6
    )


def test_graph_with_unknown_inputs(tiny: TinyEncoder) -> None:
    node = helper.make_node("Cast", ["pixels"], ["last_hidden_state"], to=TensorProto.FLOAT)
    save_onnx(tiny.directory / "model.onnx", [node], {}, inputs=["pixels"])
    (tiny.directory / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model\.onnx: expected integer inputs.*pixels"):
        run(TEXTS, tiny)


def test_graph_with_inputs_of_another_kind(tiny: TinyEncoder) -> None:
    node = helper.make_node("Identity", ["input_ids"], ["last_hidden_state"])
    path = tiny.directory / "model.onnx"
    save_onnx(path, [node], {}, inputs=["input_ids"], kind=TensorProto.FLOAT)
    (tiny.directory / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"expected integer inputs.*tensor\(float\)"):
        run(TEXTS, tiny)


def test_graph_with_unknown_outputs(tiny: TinyEncoder) -> None:
    node = helper.make_node("Cast", ["input_ids"], ["logits"], to=TensorProto.FLOAT)
    save_onnx(tiny.directory / "model.onnx", [node], {}, output="logits", inputs=["input_ids"])
    (tiny.directory / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model\.onnx: expected an output.*got logits"):
        run(TEXTS, tiny)


# The kept graph


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "encoders").iterdir()}


def run_graph(texts: list[str], encoder: TinyEncoder, cache: Path | str | None) -> Embeddings:
    """Its vectors are kept, too: they are removed, so that the graph is needed."""
    result = run(texts, encoder, cache_dir=cache, backend="onnxruntime")
    if cache is not None:
        shutil.rmtree(Path(cache) / "vectors")
    return result


def test_no_graph_is_made_where_none_runs(tiny: TinyEncoder, tmp_path: Path) -> None:
    run(TEXTS, tiny, cache_dir=tmp_path / "cache")
    assert not (tmp_path / "cache" / "encoders").exists()


def test_graph_is_kept_and_used(
    tiny: TinyEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    first = run_graph(TEXTS, tiny, cache).vectors
    key = optimised_key(resolve_encoder(tiny.directory), "fp32")
    assert set(kept(cache)) == {f"{key}.onnx", f"{key}.sha256"}
    monkeypatch.setattr("ds2fast.embedding.optimise.export_encoder", lambda _: pytest.fail("made"))
    again = run_graph(TEXTS, tiny, str(cache))
    assert again.num_run == 6
    assert (again.vectors == first).all()


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "harm",
    [
        flip_a_byte,
        lambda path: path.write_bytes(path.read_bytes()[:100]),
        Path.unlink,
        lambda path: path.write_bytes(b"\xff\xfe"),
    ],
    ids=["flipped", "cut", "gone", "overwritten"],
)
@pytest.mark.parametrize("suffix", [".onnx", ".sha256"])
def test_harmed_graph_is_made_anew(
    tiny: TinyEncoder, tmp_path: Path, harm: Callable[[Path], object], suffix: str
) -> None:
    first = run_graph(TEXTS, tiny, tmp_path).vectors
    whole = kept(tmp_path)
    (path,) = (tmp_path / "encoders").glob(f"*{suffix}")
    harm(path)
    assert (run_graph(TEXTS, tiny, tmp_path).vectors == first).all()
    assert kept(tmp_path) == whole


def test_killed_while_writing_leaves_no_half_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    cache = GraphCache(tmp_path)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(KeyboardInterrupt):
        cache.get_or_make("key", lambda: b"graph")
    monkeypatch.undo()
    assert kept(tmp_path) == {}
    assert cache.get_or_make("key", lambda: b"graph") == b"graph"


def test_false_keeps_nothing(
    tiny: TinyEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DS2FAST_CACHE_DIR", str(tmp_path / "cache"))
    for backend in ("native", "onnxruntime"):
        for _ in range(2):
            assert run(TEXTS, tiny, cache_dir=False, backend=backend).num_run == 6
    assert not (tmp_path / "cache").exists()


def test_default_cache_is_that_of_the_environment(
    tiny: TinyEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DS2FAST_CACHE_DIR", str(tmp_path / "cache"))
    run(TEXTS, tiny, cache_dir=None, backend="onnxruntime")
    assert len(kept(tmp_path / "cache")) == 2
    assert len(list((tmp_path / "cache" / "vectors").glob("*/vectors.bin"))) == 1


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", None, ".cache/ds2fast"),
        ("linux", "elsewhere", "elsewhere/ds2fast"),
        ("darwin", "elsewhere", "Library/Caches/ds2fast"),
    ],
)
def test_users_cache_folder(
    platform: str,
    variable: str | None,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DS2FAST_CACHE_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / variable) if variable else "")
    monkeypatch.setattr("sys.platform", platform)
    assert resolve_cache_dir(None) == tmp_path / expected


@every_backend
def test_cache_that_cannot_be_written(
    tiny: TinyEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    """A file stands where the folder should be: an error where it was asked for by name only."""
    blocked, stages = tmp_path / "blocked", []
    blocked.write_text("a file")
    with pytest.raises(OutputError, match=f"expected a folder that can be made, got {blocked}"):
        run(
            TEXTS,
            tiny,
            cache_dir=blocked,
            backend=backend,
            progress=lambda stage, *_: stages.append(stage),
        )
    assert stages == []
    monkeypatch.setenv("DS2FAST_CACHE_DIR", str(blocked))
    result = run(TEXTS, tiny, cache_dir=None, backend=backend)
    np.testing.assert_allclose(result.vectors, tiny.expect(TEXTS), atol=1e-5)
    (note,) = result.notes
    assert note.startswith("vectors are not kept: ")
    assert str(blocked) in note


def test_graph_cache_that_cannot_be_written(tiny: TinyEncoder, tmp_path: Path) -> None:
    (tmp_path / "encoders").write_text("a file")
    with pytest.raises(OutputError, match="cache_dir: expected a folder that can be written"):
        run(TEXTS, tiny, cache_dir=tmp_path, backend="onnxruntime")
