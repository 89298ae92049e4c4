"""Texts without repeats: against dicts, and without reading a large pool's texts once more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest

from ds2fast.embedding.distinct import distinct_texts
from ds2fast.embedding.hashes import distinct_hashes, hash_texts
from ds2fast.io.read import read
from ds2fast.io.texts import LazyTexts


def test_firsts_and_inverse_are_those_of_a_dict() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 3, (2000, 16)).astype(np.uint8)  # few repeats
    hashes[rng.integers(0, 2000, 1500)] = hashes[rng.integers(0, 2000, 1500)]  # many
    hashes[5, 8:], hashes[6, :8] = hashes[4, 8:], hashes[4, :8]  # equal by one half alone
    places: dict[bytes, int] = {}
    inverse = [places.setdefault(row.tobytes(), len(places)) for row in hashes]
    firsts = [inverse.index(place) for place in range(len(places))]
    found = distinct_hashes(hashes)
    assert (found[0].tolist(), found[1].tolist()) == (firsts, inverse)


def test_no_hashes_have_no_firsts() -> None:
    firsts, inverse = distinct_hashes(np.empty((0, 16), np.uint8))
    assert len(firsts) == len(inverse) == 0


def rows_file(folder: Path) -> tuple[Path, list[str]]:
    texts = [f"frog {number % 7}" for number in range(50)] + ["FROG 1", "frög", ""]
    path = folder / "pool.jsonl"
    path.write_bytes(b"".join(orjson.dumps({"text": text}) + b"\n" for text in texts))
    return path, texts


@pytest.mark.parametrize("lowercase", [False, True])
def test_texts_of_a_large_pool_are_distinct_as_those_of_a_small_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lowercase: bool
) -> None:
    path, texts = rows_file(tmp_path)
    monkeypatch.setattr("ds2fast.io.texts.KEPT_TEXT", 1000)  # some twenty texts
    pool = read(path, scores=None)
    assert isinstance(pool.texts, LazyTexts)
    large, small = (distinct_texts(of, lowercase=lowercase) for of in (pool.texts, texts))
    assert list(large[0].texts) == list(small[0].texts)
    assert len(large[0]) == (9 if lowercase else 10)
    np.testing.assert_array_equal(large[0].hashes, small[0].hashes)
    np.testing.assert_array_equal(large[1], small[1])


def test_hashes_of_a_large_pool_are_known_since_it_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, texts = rows_file(tmp_path)
    monkeypatch.setattr("ds2fast.io.texts.KEPT_TEXT", 1000)
    pool = read(path, scores=None)
    path.unlink()  # so its texts cannot be read again
    _, inverse = distinct_texts(pool.texts, lowercase=False)
    first = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    assert inverse.tolist() == [first[text] for text in texts]
    assert isinstance(pool.texts, LazyTexts)
    np.testing.assert_array_equal(pool.texts.hashes, hash_texts(texts))
