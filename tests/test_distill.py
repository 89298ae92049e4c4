"""`distill` against a plain recomputation, and on the real encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from ds2fast.embedding.distill import MAX_TEXTS, distill
from ds2fast.embedding.overlap import neighbour_overlap
from ds2fast.embedding.static import StaticEncoder
from ds2fast.errors import InputError, InputFileError, InputTypeError, OutputError
from ds2fast.io.turns import render_turns
from ds2fast.results import FloatArray
from encoder_fixtures import (
    CONFIG,
    VOCABULARY,
    WORDS,
    Doubles,
    TinyEncoder,
    forward,
    make_tiny_encoder,
    pool,
    word_ids,
)
from static_fixtures import make_table, write_static


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> TinyEncoder:
    return make_tiny_encoder(tmp_path_factory.mktemp("teacher") / "encoder")


def random_texts(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(2, 9))) for _ in range(count)]


def token_vectors(teacher: TinyEncoder) -> Doubles:
    """The encoder's unit vector of each token between [CLS] and [SEP]."""
    rows = [forward(teacher.weights, CONFIG, [2, token, 3]) for token in range(len(VOCABULARY))]
    return np.stack([pool(row, "mean") for row in rows])


def zipf_weights(count: int) -> Doubles:
    harmonic = sum(1 / rank for rank in range(1, count + 1))
    return np.array([1e-4 / (1e-4 + 1 / rank / harmonic) for rank in range(1, count + 1)])


def read_table(directory: Path) -> FloatArray:
    return load_file(directory / "model.safetensors")["embeddings"]


def encode(directory: Path, texts: list[str]) -> FloatArray:
    encoder = StaticEncoder.open(directory, threads=1)
    tokens = encoder.tokeniser.encode(texts, lambda _: None)
    return encoder.encode(tokens.ids, tokens.offsets)


@pytest.mark.parametrize("dims", [5, 32])
def test_the_vocabulary_alone_is_pca_and_weights(
    teacher: TinyEncoder, tmp_path: Path, dims: int
) -> None:
    output = distill(
        teacher.directory, tmp_path / "out", dims=dims, cache_dir=False, progress=False
    )
    vectors = token_vectors(teacher)
    centred = vectors - vectors.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    scores = left[:, :dims] * values[:dims] * zipf_weights(len(vectors))[:, None]
    table = read_table(output).astype(np.float64)
    assert table.shape == (len(VOCABULARY), min(dims, 32))
    # Axes have no sign, so products are compared; the encoder is right to some 1e-6 of unit
    # vectors, and these weights are near 1e-3.
    scale = np.abs(scores @ scores.T).max()
    np.testing.assert_allclose(table @ table.T, scores @ scores.T, rtol=0, atol=1e-4 * scale)


def expect_fit(vectors: Doubles, texts: list[str], targets: npt.NDArray[np.float32]) -> Doubles:
    """The fit as ridge regression on features: tokens, their vectors, and 1."""
    weights = zipf_weights(len(vectors))
    base = (vectors - vectors.mean(axis=0)) * weights[:, None]
    shares = np.zeros((len(texts), len(vectors)))
    for row, text in enumerate(texts):
        ids = word_ids(text)[1:-1]
        for token in ids:
            shares[row, token] += 1 / len(ids)
    own = ((shares**2) @ weights).mean()
    shared = ((shares @ base) ** 2).sum(axis=1).mean() / 3
    of_tokens = np.concatenate(
        [
            np.diag(np.sqrt(weights / own)),
            base / np.sqrt(shared),
            np.full((len(vectors), 1), np.sqrt(10)),
        ],
        axis=1,
    )
    features = shares @ of_tokens
    normal = features.T @ features + 0.1 * np.eye(features.shape[1])
    return np.asarray(of_tokens @ np.linalg.solve(normal, features.T @ targets))


def test_a_fit_is_the_ridge_regression_on_texts(teacher: TinyEncoder, tmp_path: Path) -> None:
    texts = random_texts(40)
    targets = teacher.expect(texts).astype(np.float32)
    output = distill(
        teacher.directory,
        tmp_path / "out",
        dims=32,
        texts=texts,
        embeddings=3 * targets,
        cache_dir=False,
        progress=False,
    )
    expected = expect_fit(token_vectors(teacher), texts, targets)
    table = read_table(output).astype(np.float64)
    scale = np.abs(expected @ expected.T).max()
    # Kernels are summed in float32 and solved with a ridge of 0.1: a condition of some 1e4.
    np.testing.assert_allclose(table @ table.T, expected @ expected.T, rtol=0, atol=1e-3 * scale)
    assert "overlap_at_10" not in json.loads((output / "config.json").read_text())["ds2fast"]


def test_a_fit_keeps_more_neighbours_and_tells_how_many(
    teacher: TinyEncoder, tmp_path: Path
) -> None:
    sample, fresh = random_texts(600), random_texts(150, seed=1)
    plain = distill(teacher.directory, tmp_path / "plain", dims=32, cache_dir=False)
    fitted = distill(teacher.directory, tmp_path / "fitted", dims=32, texts=sample, cache_dir=False)
    truth = teacher.expect(fresh)
    kept = {out.name: neighbour_overlap(encode(out, fresh), truth) for out in (plain, fitted)}
    assert kept["fitted"] > kept["plain"]
    facts = json.loads((fitted / "config.json").read_text())["ds2fast"]
    distinct = len(set(sample))
    assert 550 < distinct < 600  # two-word texts repeat
    assert facts["fitted_texts"] == distinct
    assert facts["overlap_rows"] == distinct // 5
    # Of 120 other texts and of 150 fresh ones of the same kind: the same figure but for chance.
    assert facts["overlap_at_10"] == pytest.approx(kept["fitted"], abs=0.1)


def test_the_same_input_gives_the_same_bytes(teacher: TinyEncoder, tmp_path: Path) -> None:
    texts = random_texts(50)
    first, second = (
        distill(teacher.directory, tmp_path / name, dims=8, texts=texts, threads=1, cache_dir=False)
        for name in ("first", "second")
    )
    names = {path.name for path in first.iterdir()}
    assert names == {"model.safetensors", "tokenizer.json", "config.json"}
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_the_directory_says_what_it_was_made_from(teacher: TinyEncoder, tmp_path: Path) -> None:
    (tmp_path / "deeper" / "out").mkdir(parents=True)  # an empty directory may be there
    output = distill(teacher.directory, tmp_path / "deeper" / "out", dims=4, cache_dir=False)
    config = json.loads((output / "config.json").read_text())
    assert config["normalize"] is True
    assert config["max_length"] == 14  # the encoder's 16 less [CLS] and [SEP]
    assert config["ds2fast"]["teacher"] == str(teacher.directory)
    assert len(config["ds2fast"]["weights_sha256"]) == 64
    tokenizer = json.loads((output / "tokenizer.json").read_text())
    assert [tokenizer[key] for key in ("post_processor", "truncation", "padding")] == [None] * 3
    assert [path.name for path in output.parent.iterdir()] == ["out"]


def test_an_encoder_that_lowercases_gives_a_model_that_does(tmp_path: Path) -> None:
    teacher = make_tiny_encoder(tmp_path / "encoder")
    settings = json.loads((teacher.directory / "tokenizer.json").read_text())
    settings["normalizer"]["lowercase"] = False
    (teacher.directory / "tokenizer.json").write_text(json.dumps(settings))
    for lowercase in (True, False):
        teacher.rewrite("sentence_bert_config.json", do_lower_case=lowercase)
        output = distill(teacher.directory, tmp_path / str(lowercase), dims=4, cache_dir=False)
        tokens = StaticEncoder.open(output).tokeniser.encode(["THE FROG"], lambda _: None)
        assert tokens.lengths.tolist() == [2 if lowercase else 0]


def test_what_cannot_be_used_is_named(teacher: TinyEncoder, tmp_path: Path) -> None:
    model, out = teacher.directory, tmp_path / "out"
    with pytest.raises(InputError, match=r"dims: expected at most the encoder's width \(32\)"):
        distill(model, out, dims=33, cache_dir=False)
    with pytest.raises(InputError, match="texts: expected at least one text, got none"):
        distill(model, out, texts=[])
    with pytest.raises(InputError, match="got 10,001"):
        distill(model, out, texts=["a"] * (MAX_TEXTS + 1))
    with pytest.raises(InputError, match="embeddings: expected a row for each of the 2 texts"):
        distill(model, out, texts=["a", "the"], embeddings=np.ones((3, 32)))
    with pytest.raises(InputError, match="embeddings: expected the texts"):
        distill(model, out, embeddings=np.ones((3, 32)))
    with pytest.raises(InputError, match=r"embeddings: expected the encoder's width \(32\)"):
        distill(model, out, dims=4, texts=["a"], embeddings=np.ones((1, 31)), cache_dir=False)
    with pytest.raises(InputError, match="first offending row: 1"):
        distill(model, out, dims=4, texts=["a", "the"],
                embeddings=np.eye(2, 32) * [[1], [0]], cache_dir=False)  # fmt: skip
    with pytest.raises(InputError, match="texts of tokens that the encoder knows"):
        distill(model, out, dims=4, texts=["zebra"], embeddings=np.ones((1, 32)), cache_dir=False)
    assert list(tmp_path.iterdir()) == []


def test_copies_count_once(teacher: TinyEncoder, tmp_path: Path) -> None:
    """Held out by text: were copies fitted to, their own texts would measure the fit."""
    texts = random_texts(700)
    once = list(dict.fromkeys(texts))
    embeddings = dict(zip(once, teacher.expect(once).astype(np.float32), strict=True))
    outputs = [
        distill(teacher.directory, tmp_path / name, dims=8, texts=sample, threads=1,
                embeddings=[embeddings[text] for text in sample], cache_dir=False)
        for name, sample in (("once", once), ("often", [*once, *once[::-1], *texts]))
    ]  # fmt: skip
    for name in ("model.safetensors", "config.json"):
        assert (outputs[0] / name).read_bytes() == (outputs[1] / name).read_bytes()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dims": 33}, r"dims: expected at most the encoder's width \(32\), got 33"),
        ({"texts": ["a", 3]}, r"texts\[1\]: expected str, got int"),
        ({"texts": "a frog"}, "texts: expected a sequence of str, got str"),
        ({"texts": ["a\ud800"]}, r"texts\[0\]: expected valid Unicode"),
        ({"texts": ["a"], "embeddings": np.ones((1, 31))}, r"embeddings: .*width \(32\)"),
        ({"texts": ["a"], "embeddings": np.full((1, 32), np.nan)}, "first offending row: 0"),
        ({"texts": ["a"], "embeddings": [["x"] * 32]}, "embeddings: expected an array of real"),
    ],
)
def test_what_is_wrong_is_told_before_the_vocabulary_runs(
    teacher: TinyEncoder, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    stages: list[str] = []
    with pytest.raises((InputError, InputTypeError), match=message):
        distill(
            teacher.directory, tmp_path / "out", cache_dir=False,
            progress=lambda stage, *_: stages.append(stage), **{"dims": 4} | settings,
        )  # fmt: skip
    assert stages == []


def test_a_tokenizer_of_another_model_is_told_before_the_vocabulary_runs(tmp_path: Path) -> None:
    """An added token that no text has does no harm to `embed`, but has no vector to be read."""
    teacher = make_tiny_encoder(tmp_path / "encoder")
    tokenizer = Tokenizer.from_file(str(teacher.directory / "tokenizer.json"))
    tokenizer.add_tokens(["zebra"])
    tokenizer.save(str(teacher.directory / "tokenizer.json"))
    stages: list[str] = []
    size = len(VOCABULARY)
    with pytest.raises(
        InputFileError, match=rf"tokenizer\.json: .*vocab_size {size} .*got {size};"
    ):
        distill(teacher.directory, tmp_path / "out", dims=4, cache_dir=False,
                progress=lambda stage, *_: stages.append(stage))  # fmt: skip
    assert stages == []


def test_a_static_model_is_no_encoder_to_learn_from(tmp_path: Path) -> None:
    write_static(
        tmp_path / "static", {"embeddings": make_table()}, config={"model_type": "model2vec"}
    )
    with pytest.raises(InputError, match="expected a sentence encoder, got a static one"):
        distill(tmp_path / "static", tmp_path / "out", cache_dir=False)


def test_a_place_that_is_taken_stays_as_it_is(teacher: TinyEncoder, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    for taken in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(OutputError, match="output: expected a place where nothing is yet"):
            distill(teacher.directory, taken, cache_dir=False)
    assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.encoder
@pytest.mark.shared
def test_neighbours_of_real_texts(encoder_dir: Path, shared_data: Path, tmp_path: Path) -> None:
    """Two unrelated sets share 0.005; token vectors alone keep some 0.35, a fit more."""
    import gzip

    with gzip.open(shared_data / "instructions.jsonl.gz") as file:
        lines = [next(file) for _ in range(3000)]
    texts = [
        render_turns([(turn["role"], turn["content"]) for turn in orjson.loads(line)["messages"]])
        for line in lines
    ]
    vectors = np.load(shared_data / "instructions.minilm.f16.npy")[:3000].astype(np.float32)
    output = distill(
        encoder_dir, tmp_path / "out", texts=texts[:1000], embeddings=vectors[:1000],
        cache_dir=False, progress=False,
    )  # fmt: skip
    assert neighbour_overlap(encode(output, texts[1000:]), vectors[1000:]) >= 0.45
