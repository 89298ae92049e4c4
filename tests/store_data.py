"""Vectors that stand in for an encoder's, and the jobs that the tests of the store run."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

import numpy as np

from ds2fast.embedding.hashes import HashArray, hash_texts
from ds2fast.embedding.store import VectorStore
from ds2fast.results import BoolArray, FloatArray, IntArray

KEY: dict[str, str | int] = {"model": "0123abcd", "precision": "int8", "most tokens": 256}

Batch = tuple[HashArray, FloatArray, IntArray, BoolArray]
Kept = dict[bytes, tuple[bytes, int, bool]]


def make_batch(names: list[str], width: int = 3) -> Batch:
    """Hashes, vectors, tokens and cuts of some texts: the vectors depend on the whole batch."""
    hashes = hash_texts(names)
    mates = blake2b(hashes.tobytes()).digest()
    rows = [_row(text.tobytes() + mates, width) for text in hashes]
    tokens = np.array([1 + len(name) for name in names], np.int64)
    return hashes, np.array(rows, np.float32).reshape(-1, width), tokens, tokens % 2 == 0


def _row(seed: bytes, width: int) -> FloatArray:
    digest = blake2b(seed, digest_size=8).digest()
    random = np.random.default_rng(int.from_bytes(digest, "little"))
    return random.standard_normal(width, dtype=np.float32)


def as_kept(batch: Batch) -> Kept:
    """What a store that holds a batch must give out, by hash."""
    hashes, vectors, tokens, cut = batch
    columns = zip(hashes, vectors, tokens, cut, strict=True)
    return {
        text.tobytes(): (row.tobytes(), int(count), bool(was_cut))
        for text, row, count, was_cut in columns
    }


def contents(store: VectorStore, hashes: HashArray) -> Kept:
    """What a store gives out for texts, by hash."""
    slots = store.find(hashes)
    there = slots >= 0
    return as_kept((hashes[there], *store.read(slots[there])))


def make_store(folder: Path, batches: list[Batch]) -> Path:
    """Write a store in one go; its file."""
    with VectorStore(folder, KEY) as store:
        for batch in batches:
            store.append(*batch)
        return store.folder / "vectors.bin"


def job_names() -> list[str]:
    """The texts of the job that is killed."""
    return [f"text {number}" for number in range(6400)]


def job_batches(places: IntArray) -> list[IntArray]:
    """Batches of 1 to 15 texts, for every set of texts others."""
    random = np.random.default_rng(len(places))
    bounds = np.cumsum(random.integers(1, 16, len(places)))
    return np.split(places, bounds[bounds < len(places)])
