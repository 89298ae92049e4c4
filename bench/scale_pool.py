"""A pool of any size for the scale bench: real rows, cut up and mixed with others like them.

    python bench/scale_pool.py 1000000 pool.jsonl

Rows have the lengths, words and sources of the measuring data; their topics are those of its
embeddings. No two rows are equal, some nearly are. Scores 1..10 follow the topic, with noise.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from ds2fast.io.atomic import atomic_file
from ds2fast.results import IntArray
from quality_pool import load_embeddings

TOPICS = 500
NEAR_COPIES = 0.03
"""Share of the rows that differ from a real row by one word."""

NOISY = 0.3
"""Share of the rows whose rater errs, by one or two points of 1..10."""

_RUN_WORDS = 6
_SEED = 0
_BLOCK = 1000  # lines that are written together


def write_pool(num_rows: int, out: Path, shared: Path) -> None:
    """Write `num_rows` lines of JSON."""
    rows = read_rows(shared / "data" / "instructions.jsonl.gz")
    topics = topics_of(shared / "data" / "instructions.minilm.f16.npy")
    lines = map(orjson.dumps, itertools.islice(mixed_rows(rows, topics), num_rows))
    with atomic_file(out) as file:
        while block := list(itertools.islice(lines, _BLOCK)):
            file.write(b"\n".join(block) + b"\n")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The real rows, one of each text."""
    with gzip.open(path) as file:
        return [orjson.loads(line) for line in file]


def topics_of(path: Path) -> IntArray:
    """(N,) the topic of each real row: the nearest of some real rows."""
    vectors = load_embeddings(path)
    leaders = vectors[np.random.default_rng(_SEED).choice(len(vectors), TOPICS, replace=False)]
    blocks = np.array_split(vectors, 40)
    return np.concatenate([(block @ leaders.T).argmax(axis=1) for block in blocks])


def mixed_rows(rows: list[dict[str, Any]], topics: IntArray) -> Iterator[dict[str, Any]]:
    """Endless rows without repeats: the real ones first, then mixtures of two of one topic."""
    rng = np.random.default_rng(_SEED)
    order = np.argsort(topics, kind="stable")
    begins = np.searchsorted(topics[order], np.arange(TOPICS + 1))
    quality = rng.uniform(1.0, 10.0, TOPICS)
    seen: set[int] = set()
    number = itertools.count()
    for turn in itertools.count():
        bases = rng.permutation(len(rows))
        places = rng.integers(begins[topics[bases]], begins[topics[bases] + 1])
        scores = _scores(rng, quality[topics[bases]])
        draws = rng.random((len(rows), 3))
        columns = zip(bases, order[places], scores.tolist(), draws, strict=True)
        for base, other, score, draw in columns:
            mixed = _mixed(rows[base], rows[other], draw) if turn else rows[base]
            messages = mixed["messages"]
            mark = hash(tuple(message["content"] for message in messages))
            if mark not in seen:
                seen.add(mark)
                row = {"id": next(number), "source": mixed["source"], "messages": messages}
                yield {**row, "score": score}


def _scores(rng: np.random.Generator, quality: np.ndarray[Any, Any]) -> IntArray:
    """Scores 1..10 that follow the quality of the topic, of which a share is wrong."""
    right = np.rint(quality + rng.normal(0.0, 0.7, len(quality)))
    wrong = rng.random(len(quality)) < NOISY
    by = rng.choice([-2, -1, 1, 2], len(quality))
    scores: IntArray = np.clip(right + wrong * by, 1, 10).astype(np.int64)
    return scores


def _mixed(
    base: dict[str, Any], other: dict[str, Any], draw: np.ndarray[Any, Any]
) -> dict[str, Any]:
    """The base with some runs of its words replaced by those of the other, message by message."""
    near, share, place = draw.tolist()
    said = [message["content"] for message in other["messages"]]
    messages = []
    for number, message in enumerate(base["messages"]):
        words = message["content"].split(" ")
        if near < NEAR_COPIES:
            words[int(place * len(words))] = f"no. {int(share * 1e6)}"
        else:
            _replace_runs(words, said[number % len(said)].split(" "), share, place)
        messages.append({"role": message["role"], "content": " ".join(words)})
    return {"source": base["source"], "messages": messages}


def _replace_runs(words: list[str], others: list[str], share: float, place: float) -> None:
    """Replace about a share of the words, in runs, by what the other says from some place on."""
    begin = int(place * len(others))
    step = max(_RUN_WORDS + 1, int(_RUN_WORDS / (0.1 + 0.8 * share)))
    for at in range(int(place * step), len(words), step):
        taken = others[begin : begin + min(_RUN_WORDS, len(words) - at)]
        words[at : at + len(taken)] = taken
        begin = (begin + _RUN_WORDS) % len(others)


def main() -> None:
    """Write the pool."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("rows", type=int, help="how many")
    parser.add_argument("out", type=Path, help="a .jsonl file, replaced where it is there")
    shared = os.environ.get("DS2FAST_SHARED") or Path(__file__).parents[2] / "shared"
    parser.add_argument("--shared", type=Path, default=shared, help="the measuring data's home")
    arguments = parser.parse_args()
    write_pool(arguments.rows, arguments.out, arguments.shared)


if __name__ == "__main__":
    main()
