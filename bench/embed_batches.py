"""What a rival that takes token ids leaves to its caller: tokens, batches, workers, pooling.

Texts are sorted by token count, cut into batches of at most a budget of tokens with what pads
them, and handed to as many workers as there are threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
Tokens = list[list[int]]
Hidden = Callable[[Tokens], npt.NDArray[np.floating]]
"""From the ids of a batch to its token vectors, (texts, longest, width)."""

MAX_TOKENS = 256


class TokenReader:
    """The checkpoint's tokeniser, which cuts at `MAX_TOKENS` and pads nothing."""

    def __init__(self, encoder: str) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(Path(encoder, "tokenizer.json")))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)

    def __call__(self, texts: list[str]) -> Tokens:
        """The ids of each text, special tokens included."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts)]


def run_sorted(tokens: Tokens, hidden: Hidden, budget: int, workers: int) -> Floats:
    """Unit vectors of all texts, in their own order."""

    def encode(rows: list[int]) -> tuple[list[int], Floats]:
        batch = [tokens[row] for row in rows]
        return rows, mean_unit(hidden(batch), batch)

    with ThreadPoolExecutor(workers) as pool:
        done = list(pool.map(encode, sorted_batches(tokens, budget)))
    return in_order(done, len(tokens))


def in_order(done: list[tuple[list[int], Floats]], rows: int) -> Floats:
    """The batches' vectors, each at its own row."""
    vectors = np.empty((rows, done[0][1].shape[1]), np.float32)
    for own, batch in done:
        vectors[own] = batch
    return vectors


def sorted_batches(tokens: Tokens, budget: int) -> Iterator[list[int]]:
    """Rows of each batch, the longest texts first; a text longer than the budget is alone."""
    order = sorted(range(len(tokens)), key=lambda row: len(tokens[row]), reverse=True)
    begin = 0
    while begin < len(order):
        size = max(1, budget // len(tokens[order[begin]]))
        yield order[begin : begin + size]
        begin += size


def padded(batch: Tokens) -> dict[str, Ids]:
    """The inputs of a BERT graph, padded to the batch's longest text."""
    lengths = np.array([len(ids) for ids in batch])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.zeros(mask.shape, np.int64)
    ids[mask] = np.concatenate(batch)
    return {
        "input_ids": ids,
        "attention_mask": mask.astype(np.int64),
        "token_type_ids": np.zeros_like(ids),
    }


def mean_unit(hidden: npt.NDArray[np.floating], batch: Tokens) -> Floats:
    """Mean of each text's token vectors, scaled to norm 1."""
    lengths = np.array([len(ids) for ids in batch])
    mask = (np.arange(hidden.shape[1]) < lengths[:, None]).astype(np.float32)
    return unit(np.matmul(mask[:, None], hidden)[:, 0])


def unit(vectors: npt.NDArray[np.floating]) -> Floats:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / norms, np.float32)
