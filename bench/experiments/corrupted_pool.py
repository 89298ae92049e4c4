"""The pool of the downstream experiment: spoilt rows, their true levels and their vectors.

By `"row"` each row's way and level are drawn for itself: rows that read alike say little of each
other. By `"topic"` all rows of a cluster of the clean texts have one level (their ways still
differ), as where a supplier of data is good at some topics and bad at others; the best rows are
then of few topics. By `"small topic"` clusters are so small that each topic has some of any level.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from corruption import WAYS, corrupt
from experiment_data import Row

import ds2fast
from ds2fast.results import FloatArray, IntArray
from quality_noise import NUM_LEVELS
from quality_plant import PRIOR, k_means

LEAST_WORDS = 12
"""Of an answer: a shorter one cannot be spoilt by degrees."""

LEVEL_DRAWS = {"row": 0, "topic": 60, "small topic": 12}
"""How levels are drawn: rows of a cluster, on average; 0: every row by itself."""


@dataclass(frozen=True)
class CorruptedPool:
    """Rows as the selection sees them, and what only the experiment knows.

    Attributes
    ----------
    rows : list of Row
        Prompts as they were, answers spoilt.
    true : (N,) int64
        Level of each row.
    ways : list of str
        How each row was spoilt.
    vectors : (N, d) float32
        Of the spoilt texts.
    """

    rows: list[Row]
    true: IntArray
    ways: list[str]
    vectors: FloatArray


@dataclass(frozen=True)
class Split:
    """Numbers of the rows that are selected from, tested on, and that give the vocabulary."""

    pool: IntArray
    held_out: IntArray
    vocabulary: IntArray


def split(rows: Sequence[Row], num_pool: int, num_held_out: int) -> Split:
    """Random rows with answers long enough; no row is in two parts."""
    fit = np.array([n for n, row in enumerate(rows) if len(row.answer.split()) >= LEAST_WORDS])
    if len(fit) < num_pool + num_held_out + 1:
        raise SystemExit(f"--rows: expected at most {len(fit) - num_held_out - 1}, got {num_pool}")
    order = np.random.default_rng(0).permutation(fit)
    end = num_pool + num_held_out
    return Split(order[:num_pool], order[num_pool:end], order[end:])


def levels_of(draw: str, vectors: FloatArray, seed: int = 0) -> IntArray:
    """(N,) true levels, in the shares of `PRIOR`, row by row or topic by topic."""
    rng = np.random.default_rng([seed, 11])
    if draw not in LEVEL_DRAWS:
        raise ValueError(f"draw: expected one of {', '.join(LEVEL_DRAWS)}, got {draw!r}")
    if draw == "row":
        return rng.choice(NUM_LEVELS, len(vectors), p=PRIOR)
    topics, centres = k_means(vectors, max(2, len(vectors) // LEVEL_DRAWS[draw]), seed)
    return np.asarray(rng.choice(NUM_LEVELS, len(centres), p=PRIOR)[topics])


def spoil(rows: Sequence[Row], true: IntArray, seed: int = 0) -> tuple[list[Row], list[str]]:
    """The rows at their levels; a quarter of them, by a random draw, in each way."""
    rng = np.random.default_rng([seed, 12])
    names = list(WAYS)
    ways = [names[place] for place in rng.permutation(np.arange(len(rows)) % len(names))]
    others = rng.permutation(len(rows))
    others = np.where(others == np.arange(len(rows)), (others + 1) % len(rows), others)
    spoilt = [
        Row(row.source, row.prompt, corrupt(row.answer, rows[other].answer, way, level, rng))
        for row, other, way, level in zip(rows, others, ways, true.tolist(), strict=True)
    ]
    return spoilt, ways


def corrupted_pool(
    rows: Sequence[Row], clean: FloatArray, draw: str, encoder: Path, kept: Path, threads: int
) -> CorruptedPool:
    """Spoilt rows with the vectors of their texts, which are read from `kept` where they are.

    Parameters
    ----------
    clean : (N, d) float32
        Vectors of the clean texts, of which topics are made.
    """
    true = levels_of(draw, clean)
    spoilt, ways = spoil(rows, true)
    vectors = embedded([row.text for row in spoilt], encoder, kept, threads)
    return CorruptedPool(spoilt, true, ways, vectors)


def embedded(
    texts: list[str], encoder: Path, kept: Path, threads: int, precision: str = "auto"
) -> FloatArray:
    """(N, d) vectors of the texts; a file of the folder `kept` holds those of an earlier run."""
    named = hashlib.sha256("\0".join([precision, str(encoder), *texts]).encode())
    path = kept / f"{named.hexdigest()[:16]}.npy"
    if path.is_file():
        return np.asarray(np.load(path), dtype=np.float32)
    kept.mkdir(parents=True, exist_ok=True)
    found = ds2fast.embed(
        texts,
        model=encoder,
        precision=precision,  # type: ignore[arg-type]  # one of the command line's choices
        threads=threads,
        cache_dir=False,
        progress=False,
    )
    print(f"embedded {len(texts)} texts: {found.precision}, {found.reason}", flush=True)
    np.save(path, found.vectors)
    return found.vectors
