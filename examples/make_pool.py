"""Write the demo's pool: instruction rows whose true scores are known, and what a noisy rater gave.

    python examples/make_pool.py DIR

writes `DIR/pool.jsonl` (one row a line: `id`, `messages`, `score`) and `DIR/pool_truth.json` (the
rater's matrix and the true score of each id, which no stage of ds2fast may read).

The pool is made as real ones come about: from sources. A source has a topic, a form of task and a
level 0..5 that its requests and answers show. One source in ten is mixed, and in the others some
rows fall a level below or above it. A few rows are about something that nothing else is about, and
a few are there twice. The rater then gives each row a score through `TRANSITION_MATRIX`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from pool_sources import Source, load_rare_rows, load_sources
from pool_subject import pick
from pool_text import answer, request

DEFAULT_ROWS = 3000
MAX_ROWS = 20_000

SOURCE_PRIOR = np.array([0.065, 0.13, 0.235, 0.305, 0.175, 0.09])
"""Share of the rows that come from sources of each level 0..5. Rows that fall a level short of
their source turn this into about 0.08, 0.15, 0.26, 0.28, 0.16, 0.07 of true scores."""

TRANSITION_MATRIX = np.array(
    [
        [0.74, 0.15, 0.06, 0.03, 0.01, 0.01],
        [0.13, 0.69, 0.12, 0.04, 0.01, 0.01],
        [0.04, 0.12, 0.67, 0.13, 0.03, 0.01],
        [0.01, 0.04, 0.12, 0.68, 0.12, 0.03],
        [0.01, 0.02, 0.04, 0.13, 0.69, 0.11],
        [0.01, 0.01, 0.03, 0.06, 0.17, 0.72],
    ]
)
"""T[i, j] = P(given score j | true score i): mostly right, else mostly one level off."""

ROWS_PER_SOURCE = 14
MIXED_SHARE = 0.12
"""Share of the sources whose rows are spread over three levels."""
OWN_LEVEL_SHARE = 0.14
"""Share of the rows of the other sources that lie one level beside their source."""
RARE_SHARE = 0.013
TWIN_SHARE = 0.008


class Message(TypedDict):
    """One turn of a conversation."""

    role: str
    content: str


class Row(TypedDict):
    """One line of `pool.jsonl`; `score` is what the noisy rater gave, 0..5."""

    id: str
    messages: list[Message]
    score: int


@dataclass(frozen=True)
class _Text:
    ask: str
    answer: str
    level: int


def make_pool(n: int = DEFAULT_ROWS, seed: int = 0) -> list[Row]:
    """`n` rows with noisy scores; the same rows for the same `n` and `seed`.

    Parameters
    ----------
    n : int
        Number of rows, 1..20 000. Above some 5 000 texts repeat more often.
    seed : int
        Not negative; decides texts, levels, order and noise.

    Returns
    -------
    list of dict
        `{"id": str, "messages": [user, assistant], "score": int}`.

    Raises
    ------
    ValueError
        `n` or `seed` outside the limits.

    Examples
    --------
    >>> pool = make_pool(100)
    >>> len(pool), [message["role"] for message in pool[0]["messages"]]
    (100, ['user', 'assistant'])
    """
    return _rows_and_truth(n, seed)[0]


def true_scores(n: int = DEFAULT_ROWS, seed: int = 0) -> npt.NDArray[np.int64]:
    """(n,) int64 true scores of the rows of `make_pool(n, seed)`, in their order.

    Raises
    ------
    ValueError
        As `make_pool`.

    Examples
    --------
    >>> true_scores(100).shape
    (100,)
    """
    return _rows_and_truth(n, seed)[1]


def write_pool(directory: Path, n: int = DEFAULT_ROWS, seed: int = 0) -> tuple[Path, Path]:
    """Write `pool.jsonl` and `pool_truth.json` into `directory`, which is made where missing.

    Returns
    -------
    tuple of Path
        The two files. Each was complete before it got its name.

    Raises
    ------
    ValueError
        As `make_pool`; nothing is written.

    Examples
    --------
    >>> import tempfile
    >>> pool, truth = write_pool(Path(tempfile.mkdtemp()), n=50)
    >>> pool.name, truth.name
    ('pool.jsonl', 'pool_truth.json')
    """
    rows, levels = _rows_and_truth(n, seed)
    truth = {
        "seed": seed,
        "transition_matrix": TRANSITION_MATRIX.tolist(),
        "true_scores": {row["id"]: int(level) for row, level in zip(rows, levels, strict=True)},
    }
    directory.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    pool_file, truth_file = directory / "pool.jsonl", directory / "pool_truth.json"
    _write_whole(pool_file, lines)
    _write_whole(truth_file, json.dumps(truth, indent=1) + "\n")
    return pool_file, truth_file


def _rows_and_truth(n: int, seed: int) -> tuple[list[Row], npt.NDArray[np.int64]]:
    if not 1 <= n <= MAX_ROWS:
        raise ValueError(f"n: expected 1 to {MAX_ROWS} rows, got {n}")
    if seed < 0:
        raise ValueError(f"seed: expected 0 or more, got {seed}")
    rng = np.random.default_rng(seed)
    num_rare, num_twins = round(RARE_SHARE * n), round(TWIN_SHARE * n)
    rare = load_rare_rows()
    num_rare = min(num_rare, len(rare))
    texts = _source_texts(n - num_rare - num_twins, rng)
    texts += [
        _Text(rare[i].ask, rare[i].answer, rare[i].level)
        for i in rng.choice(len(rare), size=num_rare, replace=False)
    ]
    texts += [_twin(pick(rng, texts), rng) for _ in range(num_twins)]
    texts = [texts[i] for i in rng.permutation(len(texts))]
    levels = np.array([text.level for text in texts], dtype=np.int64)
    return [_row(i, text, _rated(text.level, rng)) for i, text in enumerate(texts)], levels


def _source_texts(n: int, rng: np.random.Generator) -> list[_Text]:
    """`n` texts, each level's share of them spread over sources of that level."""
    sources = load_sources()
    shares = np.bincount(
        rng.choice(len(SOURCE_PRIOR), size=n, p=SOURCE_PRIOR), minlength=len(SOURCE_PRIOR)
    )
    texts: list[_Text] = []
    seen: set[tuple[str, str]] = set()
    for level, count in enumerate(shares.tolist()):
        of_level = [source for source in sources if source.level == level]
        used = min(len(of_level), max(1, round(count / ROWS_PER_SOURCE)))
        chosen = [of_level[i] for i in rng.permutation(len(of_level))[:used]]
        for source, size in zip(chosen, _sizes(count, used, rng), strict=True):
            texts += _texts_of(source, size, rng, seen)
    return texts


def _sizes(total: int, parts: int, rng: np.random.Generator) -> list[int]:
    """`total` cut into `parts` sizes, the largest about twice the smallest."""
    weights = rng.uniform(1.0, 2.0, size=parts)
    ends = np.round(np.cumsum(weights) / weights.sum() * total).astype(int)
    return [int(size) for size in np.diff(ends, prepend=0)]


def _texts_of(
    source: Source, size: int, rng: np.random.Generator, seen: set[tuple[str, str]]
) -> list[_Text]:
    layout = pick(rng, ("prose", "prose", "bullets", "numbered"))
    spread: Sequence[int] = (0,)
    if source.level >= 2 and rng.random() < MIXED_SHARE:
        spread = (0, 0, -1, -2)
    texts = []
    for _ in range(size):
        level = _level_of_row(source, spread, rng)
        texts.append(_fresh_text(source, level, layout, rng, seen))
    return texts


def _level_of_row(source: Source, spread: Sequence[int], rng: np.random.Generator) -> int:
    level = source.level + pick(rng, spread)
    if len(spread) == 1 and rng.random() < OWN_LEVEL_SHARE:
        # A source knows no more than its level needs: only some can do better than that.
        can_exceed = source.level < 2 or (source.level == 4 and source.maker is not None)
        level += 1 if can_exceed and rng.random() < 0.5 else -1
    return max(level, 0)


def _fresh_text(
    source: Source,
    level: int,
    layout: str,
    rng: np.random.Generator,
    seen: set[tuple[str, str]],
    attempts: int = 30,
) -> _Text:
    """A text that is not in the pool yet, as far as `attempts` draws find one."""
    for _ in range(attempts):
        subject = source.subject(rng)
        ask = request(subject, source.form, source.level, rng)
        reply = answer(subject, source.form, level, layout, rng)
        if (ask, reply) not in seen:
            break
    seen.add((ask, reply))
    return _Text(ask, reply, level)


def _twin(text: _Text, rng: np.random.Generator) -> _Text:
    """The same text once more: exactly, or as it is when somebody copied it carelessly."""
    ask = pick(rng, (text.ask, text.ask.rstrip("?."), text.ask + " ", "Again: " + text.ask))
    return _Text(ask, text.answer, text.level)


def _rated(level: int, rng: np.random.Generator) -> int:
    return int(rng.choice(len(SOURCE_PRIOR), p=TRANSITION_MATRIX[level]))


def _row(number: int, text: _Text, score: int) -> Row:
    messages: list[Message] = [
        {"role": "user", "content": text.ask},
        {"role": "assistant", "content": text.answer},
    ]
    return {"id": f"p{number:05d}", "messages": messages, "score": score}


def _write_whole(path: Path, text: str) -> None:
    """Under a temporary name first, so that nobody meets half a file."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns 0; argparse exits with 2 on wrong use."""
    parser = argparse.ArgumentParser(description="Write the demo's pool and its truth.")
    parser.add_argument("directory", type=Path, help="where pool.jsonl and pool_truth.json go")
    parser.add_argument("-n", type=int, default=DEFAULT_ROWS, help="rows (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="default %(default)s")
    options = parser.parse_args(arguments)
    try:
        files = write_pool(options.directory, options.n, options.seed)
    except ValueError as error:
        parser.error(str(error))
    for file in files:
        print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
