"""Tokens a second on this machine, measured on made-up text."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ds2fast.cache_dir import CacheDir
from ds2fast.embedding.checkpoint import EncoderFiles
from ds2fast.embedding.distill import DEFAULT_DIMS
from ds2fast.embedding.encode import open_model
from ds2fast.embedding.engine import Engine, Precision, TextTokeniser
from ds2fast.embedding.models import resolve_model
from ds2fast.embedding.static import StaticEncoder
from ds2fast.embedding.tokenise import load_tokenizer

STATIC = "static"
"""In place of a precision: a table of token vectors, distilled from the encoder."""

_WORDS = (
    "the of and to in is that it was for on are with as at be this from have or by one had not "
    "but what all were when we there can an your which their said if do will each about how up "
    "out them then she many some so these would other into has more her two like him see time"
)
_FRAME = 2  # tokens that most tokenisers put around a text
_NUM_TEXTS = 256
SAMPLE = 4000  # texts of a fit, as `ds2fast distill --texts` takes by default
_LEAST_SECONDS = 0.1  # of one call, so that its beginning does not count


@dataclass(frozen=True)
class Speed:
    """What one way of running reached.

    Attributes
    ----------
    precision : {"fp32", "bf16", "int8", "static"}
        The arithmetic, or the static tier.
    threads : int
        Threads of the encoder; the tokeniser's are not counted.
    tokens_per_second : float
        Tokenising included.
    """

    precision: str
    threads: int
    tokens_per_second: float


def made_up_texts(tokens: int, count: int, seed: int = 0) -> list[str]:
    """Texts of common words, each a single token in most vocabularies."""
    rng = np.random.default_rng(seed)
    words = rng.choice(_WORDS.split(), (count, max(1, tokens - _FRAME)))
    return [" ".join(row) for row in words.tolist()]


def measure_speeds(
    model: str,
    precisions: list[str],
    threads: list[int],
    *,
    tokens: int,
    seconds: float,
    cache_dir: CacheDir = None,
) -> list[Speed]:
    """Speeds of a model in each precision and number of threads.

    A transformer's static tier is measured too: its vectors are made up, the time is the same.

    Parameters
    ----------
    model : str
        A model that is on this machine.
    precisions : list of str
        Those to measure.
    threads : list of int
        Numbers of threads.
    tokens : int
        Tokens of a text, its frame included.
    seconds : float
        Time that each measurement takes.
    cache_dir : path, False or None
        As for `embed`: where graphs are kept.
    """
    files = resolve_model(model, offline=True)
    speeds: list[Speed] = []
    for precision in precisions:
        for count in threads:
            opened = open_model(files, cache_dir, count)
            with opened.open(_as_precision(precision), opened.backend("auto")) as engine:
                tokeniser = opened.tokeniser("truncate")
                reached = _reached(tokeniser, engine, tokens, count, seconds)
            speeds.append(Speed(precision, count, reached))
    if isinstance(files, EncoderFiles):
        speeds += [_static_speed(files, count, tokens, seconds) for count in threads]
    return speeds


def distilling_tokens(model: str, tokens: int) -> int:
    """Tokens that `distill` runs: each of the vocabulary in its frame, and a sample of texts."""
    files = resolve_model(model, offline=True)
    if not isinstance(files, EncoderFiles):
        return 0
    vocabulary = int(load_tokenizer(files).get_vocab_size())
    return vocabulary * (1 + _FRAME) + SAMPLE * tokens


def _as_precision(name: str) -> Precision:
    known: dict[str, Precision] = {"fp32": "fp32", "bf16": "bf16", "int8": "int8"}
    return known[name]


def _static_speed(files: EncoderFiles, threads: int, tokens: int, seconds: float) -> Speed:
    tokenizer = load_tokenizer(files)
    size = max(tokenizer.get_vocab().values()) + 1
    table = np.random.default_rng(0).normal(size=(size, DEFAULT_DIMS)).astype(np.float32)
    encoder = StaticEncoder(
        table, tokenizer, source=files.tokenizer, max_tokens=files.max_tokens, threads=threads
    )
    engine = Engine(encode=encoder.encode, plan=lambda lengths: [np.arange(len(lengths))],
                    identity={})  # fmt: skip
    reached = _reached(encoder.tokeniser, engine, tokens, threads, seconds)
    return Speed(STATIC, threads, reached)


def _reached(
    tokeniser: TextTokeniser, engine: Engine, tokens: int, threads: int, seconds: float
) -> float:
    """Tokens a second of an engine."""
    texts = made_up_texts(tokens, _NUM_TEXTS)

    def run(count: int) -> int:
        chosen = [texts[place % _NUM_TEXTS] for place in range(count)]
        table = tokeniser.encode(chosen, lambda _: None)
        for batch in engine.plan(table.lengths):
            part = table.rows(batch)
            engine.encode(part.ids, part.offsets, None)
        return len(table.ids)

    run(threads)  # reads the weights
    return tokens_per_second(run, first=4 * threads, seconds=seconds)


def tokens_per_second(
    run: Callable[[int], int],
    *,
    first: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Rate of `run(count)`, which returns how many tokens its texts had.

    It is called over and over for so many seconds, from `first` texts on with twice as many after
    each call that was too short to count.
    """
    count, done, spent = first, 0, 0.0
    while spent < seconds:
        start = clock()
        tokens = run(count)
        took = clock() - start
        done, spent = done + tokens, spent + took
        if took < _LEAST_SECONDS:
            count *= 2
    return done / spent
