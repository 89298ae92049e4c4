"""long_text="chunk-mean": pieces of the model's length, averaged by their tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer as HubTokenizer

from ds2fast.embedding import embed, resolve_encoder
from ds2fast.embedding.cache import GraphCache
from ds2fast.embedding.onnx import OnnxEncoder
from ds2fast.embedding.tokenise import Tokeniser
from encoder_fixtures import (
    CONFIG,
    WORDS,
    Doubles,
    TinyEncoder,
    cosines,
    forward,
    make_tiny_encoder,
    pool,
    word_ids,
)

PIECE = 14  # words of a piece: 16 tokens with the two special ones
SHORT = ["the frog sat on the mat", "", "stone", "the old sun is warm at night the frog sings"]
LONG = [" ".join((WORDS[begin:] + WORDS) * 3) for begin in range(4)]

every_backend = pytest.mark.parametrize("backend", ["native", "onnxruntime"])


@pytest.fixture
def tiny(tmp_path: Path) -> TinyEncoder:
    return make_tiny_encoder(tmp_path / "tiny")


def run(texts: list[str], encoder: TinyEncoder, **settings: Any) -> Any:
    settings = {"cache_dir": False, "long_text": "chunk-mean", **settings}
    return embed(texts, model=encoder.directory, **settings)


def pieces_of(words: list[int], size: int, frame: tuple[int, int]) -> list[list[int]]:
    first, last = frame
    return [[first, *words[at : at + size], last] for at in range(0, max(1, len(words)), size)]


def average(vectors: Doubles, tokens: list[int]) -> Doubles:
    total = np.array(tokens, np.float64) @ vectors
    return np.asarray(total / np.linalg.norm(total))


def expect(encoder: TinyEncoder, text: str) -> Doubles:
    """From the definition, in float64, each piece on its own."""
    pieces = pieces_of(word_ids(text)[1:-1], PIECE, (2, 3))
    vectors = [pool(forward(encoder.weights, CONFIG, ids), encoder.pooling) for ids in pieces]
    return average(np.stack(vectors), [len(ids) for ids in pieces])


@every_backend
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_vectors_are_the_averages_of_their_pieces(
    tmp_path: Path, pooling: str, backend: str
) -> None:
    encoder = make_tiny_encoder(tmp_path / "tiny", pooling=pooling)
    texts = [LONG[0], *SHORT, *LONG[1:], " ".join(WORDS[:PIECE]), " ".join(WORDS[: PIECE + 1])]
    result = run(texts, encoder, backend=backend)
    expected = np.stack([expect(encoder, text) for text in texts])
    np.testing.assert_allclose(result.vectors, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(result.vectors, axis=1), 1, atol=1e-6)
    assert result.truncated == 0
    assert run(texts, encoder, long_text="truncate").truncated == 5


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_short_texts_have_the_same_bytes_whatever_is_beside_them(
    tiny: TinyEncoder, precision: str
) -> None:
    cut = run(SHORT, tiny, long_text="truncate", precision=precision).vectors
    beside = run([LONG[0], *SHORT, *LONG[1:]], tiny, precision=precision).vectors
    assert beside[1:5].tobytes() == cut.tobytes()
    alone = [run([text], tiny, precision=precision).vectors[0] for text in LONG]
    assert beside[[0, 5, 6, 7]].tobytes() == np.stack(alone).tobytes()


def test_the_store_keeps_averages(tiny: TinyEncoder, tmp_path: Path) -> None:
    texts = [*LONG, *SHORT]
    first = run(texts, tiny, cache_dir=tmp_path)
    again = run(texts[::-1], tiny, cache_dir=tmp_path)
    assert (first.num_run, again.num_run) == (8, 0)
    assert again.vectors[::-1].tobytes() == first.vectors.tobytes()
    assert run(texts, tiny, cache_dir=tmp_path, long_text="truncate").truncated == 4


def test_fifty_thousand_words(tiny: TinyEncoder) -> None:
    """3 571 pieces of the same 14 words, and one of 6."""
    words = WORDS[:PIECE]
    text = " ".join((words * 3572)[:50_000])
    whole, last = (
        pool(forward(tiny.weights, CONFIG, word_ids(" ".join(part))), "mean")
        for part in (words, words[:6])
    )
    expected = average(np.stack([whole, last]), [3571 * 16, 8])
    result = run(["stone", text, "frog"], tiny)
    np.testing.assert_allclose(result.vectors[1], expected, atol=1e-5)
    assert result.truncated == 0


def test_progress_counts_the_tokens_of_all_pieces(tiny: TinyEncoder) -> None:
    calls: list[tuple[str, int, int]] = []
    run(["stone", LONG[0]], tiny, progress=lambda *call: calls.append(call))
    words = len(LONG[0].split())
    tokens = 3 + words + 2 * -(-words // PIECE)
    assert calls[-1] == ("embedding", tokens, tokens)


def test_pieces_of_a_table(tiny: TinyEncoder) -> None:
    texts = ["stone", LONG[0], "", " ".join(WORDS[:PIECE])]
    table = Tokeniser(resolve_encoder(tiny.directory), cuts=False).encode(texts, lambda _: None)
    pieces = [pieces_of(word_ids(text)[1:-1], PIECE, (2, 3)) for text in texts]
    flat = [piece for text in pieces for piece in text]
    assert table.ids.tolist() == [token for piece in flat for token in piece]
    assert np.diff(table.offsets).tolist() == [len(piece) for piece in flat]
    assert np.diff(table.firsts).tolist() == [len(text) for text in pieces]
    assert not table.truncated.any()


@pytest.mark.encoder
def test_real_encoder(encoder_dir: Path) -> None:
    """Pieces made with the tokenizers library, each run on its own by ONNX Runtime."""
    texts = [
        "Registers are allocated by colouring a graph of live ranges. " * 60,
        "How do I bake bread without yeast? " + "Übrigens: 3,14 × 10⁻⁹ m² of flour! " * 50,
        "a short one",
    ]
    tokenizer = HubTokenizer.from_file(str(encoder_dir / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    first, last = tokenizer.encode("").ids
    expected = []
    files = resolve_encoder(encoder_dir)
    with OnnxEncoder.open(files, cache=GraphCache(False), precision="fp32", threads=2) as encoder:
        for text in texts:
            words = tokenizer.encode(text, add_special_tokens=False).ids
            pieces = pieces_of(words, 254, (first, last))
            vectors = [
                encoder.encode(np.array(piece, np.int32), np.array([0, len(piece)]))[0]
                for piece in pieces
            ]
            expected.append(average(np.stack(vectors), [len(piece) for piece in pieces]))
    result = embed(texts, model=encoder_dir, long_text="chunk-mean", cache_dir=False)
    assert cosines(result.vectors, np.stack(expected)).min() > 1 - 1e-6
    assert result.truncated == 0
