"""Of a long text its beginning is tokenised: the tokens are those of the whole, cut."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as HubTokenizer
from tokenizers import models, pre_tokenizers

from ds2fast.embedding import resolve_encoder
from ds2fast.embedding.checkpoint import EncoderFiles
from ds2fast.embedding.tokenise import Tokeniser, load_tokenizer
from encoder_fixtures import WORDS, make_tiny_encoder

SPACES = [" ", " ", "  ", "\n", "\t", "\u00a0"]
MARKS = ["\u0301", "e\u0301", "É", "蛙", "##s", "-", "\x00", "[SEP]", "[UNK] ", "..."]
PIECES = st.sampled_from([*SPACES, *MARKS, *WORDS[:6], "Frog's", "x" * 120])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> EncoderFiles:
    return resolve_encoder(make_tiny_encoder(tmp_path_factory.mktemp("tiny") / "model").directory)


def whole_tokens(files: EncoderFiles, texts: list[str]) -> list[list[int]]:
    """Tokens of whole texts, cut by the tokeniser itself."""
    tokenizer = load_tokenizer(files)
    tokenizer.no_padding()
    tokenizer.enable_truncation(files.max_tokens)
    return [encoding.ids for encoding in tokenizer.encode_batch(texts)]


@given(drawn=st.lists(st.lists(PIECES, max_size=400), min_size=1, max_size=3))
@settings(max_examples=60)
def test_tokens_are_those_of_the_whole_text(files: EncoderFiles, drawn: list[list[str]]) -> None:
    texts = ["".join(pieces) for pieces in drawn]
    table = Tokeniser(files).encode(texts, lambda _: None)
    expected = whole_tokens(files, texts)
    assert table.ids.tolist() == [token for tokens in expected for token in tokens]
    assert table.lengths.tolist() == list(map(len, expected))


def test_long_texts_of_few_tokens_and_without_spaces(files: EncoderFiles) -> None:
    texts = [
        " " * 5000 + "frog",
        "frog" + " " * 5000 + "mat",
        "x" * 9000,
        "蛙" * 5000,
        "frog " * 999,
    ]
    table = Tokeniser(files).encode(texts, lambda _: None)
    expected = whole_tokens(files, texts)
    assert table.ids.tolist() == [token for tokens in expected for token in tokens]
    assert table.truncated.tolist() == [False, False, False, True, True]


def test_a_tokeniser_of_other_rules_reads_the_whole_text(
    files: EncoderFiles, tmp_path: Path
) -> None:
    """One token for all of a text: its beginning would be another."""
    words = HubTokenizer(models.WordLevel({"[UNK]": 0, "frog": 1}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Split("mat", "isolated")
    make_tiny_encoder(tmp_path / "model")
    for name in ("vocab.txt", "tokenizer.json"):
        (tmp_path / "model" / name).unlink(missing_ok=True)
    words.save(str(tmp_path / "model" / "tokenizer.json"))
    assert json.loads((tmp_path / "model" / "tokenizer.json").read_text())["normalizer"] is None
    other = resolve_encoder(tmp_path / "model")
    texts = ["frog" + " " * 5000 + "sat", "a b " * 5000]
    table = Tokeniser(other).encode(texts, lambda _: None)
    assert np.array_equal(table.lengths, [1, 1])
    assert table.ids.tolist() == [0, 0]


@pytest.mark.encoder
def test_real_tokeniser(encoder_dir: Path) -> None:
    files = resolve_encoder(encoder_dir)
    rng = np.random.default_rng(0)
    words = [
        "naïve",
        "Ünïcode",
        "antidisestablishmentarianism",
        "蛙が鳴く",
        "x.y(z)",
        "the",
        "[MASK]",
    ]
    texts = [" ".join(rng.choice(words, size)) for size in (3, 300, 900, 3000)]
    table = Tokeniser(files).encode(texts, lambda _: None)
    expected = whole_tokens(files, texts)
    assert table.ids.tolist() == [token for tokens in expected for token in tokens]
    assert table.truncated.tolist() == [False, True, True, True]
