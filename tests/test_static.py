"""Static encoders: the kernel against NumPy, each version of the format, and tokenising."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from ds2fast import _core
from ds2fast.embedding import embed, encoder_info
from ds2fast.embedding.overlap import neighbour_overlap
from ds2fast.embedding.static import StaticEncoder, find_static
from ds2fast.embedding.static_tokenise import StaticTokeniser
from ds2fast.embedding.tokenise import TokenTable
from ds2fast.errors import InputError, InputFileError, ModelNotFoundError
from ds2fast.results import Embeddings, FloatArray
from encoder_fixtures import VOCABULARY, make_tiny_encoder
from static_fixtures import expect_vector, make_table, make_tokenizer, write_static

NO_ROWS = np.empty(0, np.int32)
NO_WEIGHTS = np.empty(0, np.float32)


def plain_mean(
    table: FloatArray,
    ids: npt.NDArray[np.int32],
    offsets: npt.NDArray[np.int64],
    fallback: FloatArray,
    weights: FloatArray | None = None,
) -> npt.NDArray[np.float64]:
    rows = []
    for begin, end in pairwise(offsets):
        tokens = ids[begin:end]
        scale = np.ones(len(table)) if weights is None else weights.astype(np.float64)
        total = (table[tokens].astype(np.float64) * scale[tokens, None]).sum(axis=0)
        norm = np.linalg.norm(total)
        rows.append(total / norm if len(tokens) and norm > 0 else fallback.astype(np.float64))
    return np.array(rows)


def rounding(
    table: FloatArray,
    ids: npt.NDArray[np.int32],
    offsets: npt.NDArray[np.int64],
    weights: FloatArray | None,
) -> npt.NDArray[np.float64]:
    """How far float32 may be off, a text: (N, 1).

    A column's sum of n products is off by at most (n + 1) 2^-24 of the sum of their sizes; so is
    the norm of the row; the quotient is rounded once more.
    """
    scaled = table if weights is None else table * weights[:, None]
    bounds = []
    for begin, end in pairwise(offsets):
        rows = scaled[ids[begin:end]].astype(np.float64)
        slack = (len(rows) + 1) * np.linalg.norm(np.abs(rows).sum(axis=0))
        norm = max(float(np.linalg.norm(rows.sum(axis=0))), 1e-9)
        bounds.append(2.0**-24 * (2 * slack / norm + 1))
    return np.array(bounds)[:, None]


def random_texts(
    num_texts: int, num_tokens: int, seed: int = 0
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 40, num_texts)
    lengths[:3] = [0, 1, 0]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return rng.integers(0, num_tokens, offsets[-1]).astype(np.int32), offsets


@pytest.mark.parametrize("width", [1, 7, 64, 257])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_kernel_is_the_mean_in_numpy(width: int, weighted: bool) -> None:
    rng = np.random.default_rng(width)
    table = rng.normal(0.5, 1, (90, width)).astype(np.float32)
    weights = rng.uniform(0.5, 2, 90).astype(np.float32) if weighted else None
    ids, offsets = random_texts(300, 90)
    fallback = np.eye(1, width, dtype=np.float32)[0]
    expected = plain_mean(table, ids, offsets, fallback, weights)
    given = NO_WEIGHTS if weights is None else weights
    for threads in (1, 2, 7):
        found = _core.gather_mean(table, NO_ROWS, given, ids, offsets, fallback, threads)
        if threads == 1:
            bound = rounding(table, ids, offsets, weights)
            assert (np.abs(found - expected) <= bound).all()
            single = found
        np.testing.assert_array_equal(found, single)


def test_a_mapping_chooses_rows_by_token() -> None:
    table = np.eye(3, dtype=np.float32)
    rows = np.array([2, 2, 0], np.int32)
    ids, offsets = np.array([0, 2, 1], np.int32), np.array([0, 1, 2, 3], np.int64)
    found = _core.gather_mean(table, rows, NO_WEIGHTS, ids, offsets, table[1], 1)
    assert found.tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("ids", "offsets"),
    [([3], [0, 1]), ([-1], [0, 1]), ([0, 1], [0, 1]), ([0], [0, 2]), ([0], [1, 1]),
     ([0, 0], [0, 2, 1, 2])],
)  # fmt: skip
def test_what_would_read_outside_is_refused(ids: list[int], offsets: list[int]) -> None:
    table = np.eye(3, dtype=np.float32)
    arrays = np.array(ids, np.int32), np.array(offsets, np.int64)
    with pytest.raises(ValueError, match=r"ids|offsets"):
        _core.gather_mean(table, NO_ROWS, NO_WEIGHTS, *arrays, table[0], 1)
    encoder = StaticEncoder(table, word_tokenizer(), source=Path("here"))
    with pytest.raises(InputError, match=r"^(ids|offsets): expected"):
        encoder.encode(*arrays)


def word_tokenizer() -> Tokenizer:
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "frog": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return words


TEXTS = ["The frog sat, at night!", "a cold river", "sun"]
WORDS = [["the", "frog", "sat", "at", "night"], ["a", "cold", "river"], ["sun"]]


def encode(directory: Path, texts: list[str]) -> FloatArray:
    encoder = StaticEncoder.open(directory, threads=1)
    tokens = encoder.tokeniser.encode(texts, lambda _: None)
    return encoder.encode(tokens.ids, tokens.offsets)


@pytest.mark.parametrize(
    ("tensor", "folder", "settings"),
    [
        ("embeddings", "", "config.json"),
        ("embedding.weight", "", "config_sentence_transformers.json"),
        ("embedding.weight", "0_StaticEmbedding", "config_sentence_transformers.json"),
    ],
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_reads_each_layout(
    tmp_path: Path, tensor: str, folder: str, settings: str, dtype: npt.DTypeLike
) -> None:
    table = make_table().astype(dtype)
    write_static(tmp_path, {tensor: table}, folder=folder, settings=settings)
    expected = [expect_vector(table, words) for words in WORDS]
    # Rows are read as float32 exactly or rounded once (2^-24); five are added; norms are about 1.
    np.testing.assert_allclose(encode(tmp_path, TEXTS), expected, rtol=0, atol=1e-6)


def test_reads_tables_of_bytes(tmp_path: Path) -> None:
    table = np.clip(make_table() * 40, -127, 127).astype(np.int8)
    write_static(tmp_path, {"embeddings": table})
    expected = [expect_vector(table, words) for words in WORDS]
    np.testing.assert_allclose(encode(tmp_path, TEXTS), expected, rtol=0, atol=1e-6)


def test_reads_weights_and_a_mapping(tmp_path: Path) -> None:
    table = make_table()[:4]
    mapping = np.arange(len(VOCABULARY)) % 4
    weights = np.linspace(0.1, 3, len(VOCABULARY))
    write_static(tmp_path, {"embeddings": table, "weights": weights, "mapping": mapping})
    expected = [expect_vector(table[mapping], words, weights) for words in WORDS]
    np.testing.assert_allclose(encode(tmp_path, TEXTS), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("config", "kept"), [({}, 512), ({"max_length": None}, 5000),
                                              ({"max_length": 2}, 2)])  # fmt: skip
def test_cuts_at_the_length_of_the_config(
    tmp_path: Path, config: dict[str, Any], kept: int
) -> None:
    write_static(tmp_path, {"embeddings": make_table()}, config=config)
    tokens = StaticEncoder.open(tmp_path).tokeniser.encode(["a " * 5000, "a"], lambda _: None)
    # Long texts lose characters first: 512 times 4, the median length of a token, hold 1024 words.
    assert tokens.lengths.tolist() == [kept, 1]
    assert tokens.truncated.tolist() == [kept < 5000, False]


def test_lengths_tell_stores_apart(tmp_path: Path) -> None:
    """None is no length: what it kept is not what a model that cuts at 512 gives."""
    for name, config in (("none", {"max_length": None}), ("by default", {}),
                         ("512", {"max_length": 512})):  # fmt: skip
        write_static(tmp_path / name, {"embeddings": make_table()}, config=config)
    long = "a " * 600 + "frog " * 600

    def call(name: str) -> Embeddings:
        return embed([long, "a"], model=tmp_path / name, cache_dir=tmp_path / "cache")

    whole, cut = call("none"), call("512")
    assert (whole.num_run, whole.truncated) == (2, 0)
    assert (cut.num_run, cut.truncated) == (2, 1)
    np.testing.assert_allclose(
        whole.vectors[0], expect_vector(make_table(), ["a", "frog"]), rtol=0, atol=1e-5
    )
    np.testing.assert_allclose(
        cut.vectors[0], expect_vector(make_table(), ["a"]), rtol=0, atol=1e-5
    )
    assert call("by default").num_run == 0
    assert encoder_info(tmp_path / "none").max_tokens is None
    assert encoder_info(tmp_path / "by default").max_tokens == 512


def test_unknown_words_are_left_out_and_the_empty_get_the_fallback(tmp_path: Path) -> None:
    table = make_table()
    write_static(tmp_path, {"embeddings": table})
    found = encode(tmp_path, ["zebra the frog zebra", "zebra", ""])
    np.testing.assert_allclose(found[0], expect_vector(table, ["the", "frog"]), rtol=0, atol=1e-6)
    mean = table.astype(np.float64).mean(axis=0)
    for row in found[1:]:
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), rtol=0, atol=1e-6)


def test_the_fallback_of_vectors_that_cancel_is_the_first_axis() -> None:
    table = np.array([[1, 2], [-3, -1], [2, -1]], np.float32)
    encoder = StaticEncoder(table, word_tokenizer(), source=Path("here"))
    assert encoder.fallback.tolist() == [1, 0]


def test_no_texts_give_no_rows() -> None:
    encoder = StaticEncoder(np.eye(3, dtype=np.float32), word_tokenizer(), source=Path("here"))
    tokens = encoder.tokeniser.encode([], lambda _: None)
    assert encoder.encode(tokens.ids, tokens.offsets).shape == (0, 3)


PUZZLES = [
    "Frog, TOAD & river!", "", " \t\r\n", "Frög", "the\x00frog", "frog\x7f", "[SEP] frog [sep]",
    "a\x0bfrog", "[CLS]the frog", "sun's (cold) river--stone", "the　frog", "青い frog", "a^b`c",
    "THE\x1cFROG", "İstanbul frog", "frog " * 30,
]  # fmt: skip


def expect_tokens(
    tokenizer: Tokenizer, texts: list[str], most_tokens: int | None
) -> tuple[list[list[int]], list[bool]]:
    """The library's own tokens of each text, less the unknown ones, and which texts it cut."""
    tokenizer.no_padding()
    if most_tokens is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(most_tokens)
    unknown = tokenizer.token_to_id("[UNK]")
    found = tokenizer.encode_batch(texts, add_special_tokens=False)
    return (
        [[token for token in one.ids if token != unknown] for one in found],
        [bool(one.overflowing) for one in found],
    )


def rows_of(tokeniser: StaticTokeniser, texts: list[str]) -> tuple[list[list[int]], list[bool]]:
    table = tokeniser.encode(texts, lambda _: None)
    rows = [table.ids[begin:end].tolist() for begin, end in pairwise(table.offsets)]
    return rows, table.truncated.tolist()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("most_tokens", [1, 4, 20, None])
def test_words_asked_for_once_give_the_tokens_of_whole_texts(
    tmp_path: Path, most_tokens: int | None, threads: int
) -> None:
    tokenizer = make_tokenizer(tmp_path)
    tokeniser = StaticTokeniser(tokenizer, most_tokens, threads=threads)
    # Beyond this number of characters a text is cut before it is tokenised: not compared here.
    texts = [text for text in PUZZLES if most_tokens is None or len(text) <= 3 * most_tokens]
    expected = expect_tokens(tokenizer, texts * 70, most_tokens)
    for _ in range(2):  # with nothing known, then with all words known
        assert rows_of(tokeniser, texts * 70) == expected


def test_words_of_random_characters_have_the_tokens_of_whole_texts(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tokenizer = make_tokenizer(tmp_path)
    letters = [
        *map(chr, range(160)),
        *"éİß青　\u0301\u200b",
        *[" ", "frog", "[SEP]", "riverS"] * 20,
    ]
    texts = ["".join(rng.choice(letters, rng.integers(0, 40))) for _ in range(3000)]
    tokeniser = StaticTokeniser(tokenizer, None, threads=2)
    assert rows_of(tokeniser, texts) == expect_tokens(tokenizer, texts, None)


def test_words_that_were_forgotten_are_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ds2fast.embedding.static_tokenise._KNOWN_WORDS", 200)
    tokenizer = make_tokenizer(tmp_path)
    tokeniser = StaticTokeniser(tokenizer, None)
    texts = PUZZLES * 200  # four chunks, each of which begins with no word known
    assert rows_of(tokeniser, texts) == expect_tokens(tokenizer, texts, None)


def test_a_literal_with_a_blank_is_found_by_the_library(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(tmp_path)
    tokenizer.add_special_tokens(["the frog"])
    texts = ["over the frog", "the  frog"]
    rows, _ = rows_of(StaticTokeniser(tokenizer, 20), texts)
    assert (rows, [False] * 2) == expect_tokens(tokenizer, texts, 20)
    assert tokenizer.token_to_id("the frog") in rows[0]


def test_a_literal_with_a_control_character_is_found_by_the_library(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(tmp_path)
    tokenizer.add_tokens([AddedToken("a\x01-b", normalized=True)])  # "a-b" when it is looked for
    texts = ["xa-b", "a - b"]
    rows, _ = rows_of(StaticTokeniser(tokenizer, 20), texts)
    assert (rows, [False] * 2) == expect_tokens(tokenizer, texts, 20)
    assert tokenizer.token_to_id("a\x01-b") in rows[0]


def test_a_tokeniser_of_other_rules_is_asked_for_whole_texts() -> None:
    texts = ["a frog", "a a a", ""]
    tokeniser = StaticTokeniser(word_tokenizer(), 2)
    assert rows_of(tokeniser, texts) == ([[1, 2], [1, 1], []], [False, True, False])


def test_a_word_table_refuses_what_is_no_text() -> None:
    table = _core.WordTable()
    table.add([b"frog"], [[2, 5]])
    missing, *_ = table.look_up(["Frog toad", "青".encode()], 9, -1, [], 1)
    assert sorted(missing) == [b"toad", "青".encode()]
    with pytest.raises(TypeError):
        table.look_up([7], 9, -1, [], 1)  # type: ignore[list-item]
    with pytest.raises(ValueError, match="ids for each word"):
        table.add([b"toad"], [])


def test_a_checkpoint_is_no_static_model(tmp_path: Path) -> None:
    directory = make_tiny_encoder(tmp_path / "bert").directory
    assert find_static(directory) is None
    with pytest.raises(ModelNotFoundError, match="expected a directory in the model2vec format"):
        StaticEncoder.open(directory)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"embeddings": make_table()[:5]}, "a vector for each of the tokenizer's 23 tokens, got 5"),
        ({"embeddings": make_table()[0]}, "embeddings: expected a matrix"),
        ({"embeddings": make_table().astype(np.int32)}, "embeddings: expected a matrix of F16"),
        ({"embeddings": make_table() * np.inf}, "finite"),
        ({"embeddings": make_table(), "weights": np.ones(3)}, "weights: expected 23 finite"),
        ({"embeddings": make_table(), "mapping": np.full(23, 23)}, "mapping: expected rows in"),
        ({"embeddings": make_table(), "mapping": np.full(23, 2**32)}, "mapping: expected rows in"),
        ({"embeddings": make_table(), "mapping": np.full(23, -1)}, "mapping: expected rows in"),
    ],
)
def test_files_that_do_not_fit_are_named(
    tmp_path: Path, tensors: dict[str, npt.NDArray[Any]], message: str
) -> None:
    write_static(tmp_path, tensors)
    pattern = re.escape(str(tmp_path / "model.safetensors")) + ".*" + re.escape(message)
    with pytest.raises(InputFileError, match=pattern):
        StaticEncoder.open(tmp_path)


def test_broken_and_missing_files_are_named(tmp_path: Path) -> None:
    write_static(tmp_path, {"embeddings": make_table()}, config={"max_length": 0})
    with pytest.raises(InputFileError, match=r"config\.json: max_length: expected"):
        StaticEncoder.open(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({}))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputFileError, match=r"tokenizer\.json: expected a tokenizer"):
        StaticEncoder.open(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ModelNotFoundError, match=r"lacks tokenizer\.json"):
        StaticEncoder.open(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputFileError, match=r"model\.safetensors: expected weights"):
        StaticEncoder.open(tmp_path)


def test_overlap_counts_common_neighbours() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(60, 8)), rng.normal(size=(60, 5))

    def nearest(rows: npt.NDArray[np.float64]) -> list[set[int]]:
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        similar = unit @ unit.T
        np.fill_diagonal(similar, -2)
        return [set(order.tolist()) for order in np.argsort(-similar, axis=1)[:, :4]]

    both = zip(nearest(a), nearest(b), strict=True)
    expected = np.mean([len(x & y) / 4 for x, y in both])
    assert neighbour_overlap(a, b, 4) == pytest.approx(expected, abs=1e-12)
    assert neighbour_overlap(b, a, 4) == neighbour_overlap(a, b, 4)
    assert neighbour_overlap(a, 3 * a, 4) == 1.0
    with pytest.raises(InputError, match="a row for each text"):
        neighbour_overlap(a, b[:-1], 4)


class TestTextsInBatches:
    """A static model tokenises the texts of a batch when it runs them."""

    TEXTS = tuple(f"{'frog ' * (number % 5)}river {number}" for number in range(53))

    @pytest.fixture
    def model(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr("ds2fast.embedding.static_model._BATCH_TEXTS", 10)
        return write_static(tmp_path / "model", {"embeddings": make_table()})

    def test_vectors_are_those_of_each_text_alone(
        self, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tokenised: list[int] = []
        whole = StaticTokeniser.encode

        def noted(
            tokeniser: StaticTokeniser,
            texts: Sequence[str],
            report: Callable[[int], None],
            scratch: Path | None = None,
        ) -> TokenTable:
            tokenised.append(len(texts))
            return whole(tokeniser, texts, report, scratch)

        monkeypatch.setattr(StaticTokeniser, "encode", noted)
        vectors = embed(self.TEXTS, model=model, cache_dir=False).vectors
        assert tokenised == [10, 10, 10, 10, 10, 3]
        for text, vector in zip(self.TEXTS, vectors, strict=True):
            np.testing.assert_array_equal(encode(model, [text])[0], vector)

    def test_texts_that_are_in_the_store_do_not_run_again(
        self, model: Path, tmp_path: Path
    ) -> None:
        whole = embed(self.TEXTS, model=model, cache_dir=False)
        first = embed(self.TEXTS[5:30], model=model, cache_dir=tmp_path / "cache")
        rest = embed(self.TEXTS, model=model, cache_dir=tmp_path / "cache")
        assert (first.num_run, rest.num_run, rest.num_kept) == (25, 28, 25)
        np.testing.assert_array_equal(rest.vectors, whole.vectors)
        assert rest.truncated == whole.truncated

    def test_the_cut_texts_are_counted(self, tmp_path: Path) -> None:
        model = write_static(tmp_path, {"embeddings": make_table()}, config={"max_length": 3})
        long = ["frog " * 9, "frog", "a a a a"]
        assert embed(long, model=model, cache_dir=False).truncated == 2
