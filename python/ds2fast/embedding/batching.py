"""Which texts run through the encoder together, and the padded arrays of such a batch."""

from __future__ import annotations

import numpy as np

from ds2fast.embedding.tokenise import TokenTable
from ds2fast.results import IntArray

TOKEN_BUDGET = 2048
"""Tokens of a batch, padding included: what a layer reads and writes then stays near the cores.
On two cores 1 024 and 2 048 are alike, 4 096 is some 7 % slower and 8 192 some 30 %."""


def plan_batches(lengths: IntArray, budget: int = TOKEN_BUDGET) -> list[IntArray]:
    """Group texts of like length.

    Parameters
    ----------
    lengths : (N,) int64
        Tokens of each text, at least 1.
    budget : int
        Most tokens of a batch after padding; a longer text is a batch of its own.

    Returns
    -------
    list of (rows,) int64
        Indices of the texts of each batch, longest texts first: memory peaks at once, and the
        time left is never told too short. The plan depends on the lengths alone.
    """
    order = np.argsort(-lengths, kind="stable")
    batches, begin = [], 0
    while begin < len(order):
        rows = max(1, budget // int(lengths[order[begin]]))
        batches.append(order[begin : begin + rows])
        begin += rows
    return batches


def pad_batch(tokens: TokenTable, rows: IntArray, pad_id: int) -> tuple[IntArray, IntArray]:
    """Token ids and attention mask of some texts, each (rows, longest) int64."""
    lengths = tokens.lengths[rows]
    present = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(present.shape, pad_id, np.int64)
    begins = tokens.offsets[rows]
    ids[present] = np.concatenate(
        [tokens.ids[begin : begin + length] for begin, length in zip(begins, lengths, strict=True)]
    )
    return ids, present.astype(np.int64)
