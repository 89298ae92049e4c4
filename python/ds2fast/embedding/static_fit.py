"""Token vectors of a static model: from the vocabulary alone, or fitted to an encoder's texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ds2fast.embedding.tokenise import TokenTable
from ds2fast.results import FloatArray, IntArray

Doubles = npt.NDArray[np.float64]

SIF_COEFFICIENT = 1e-4
"""a of the weight a / (a + p): a token of probability a counts half."""

SHARED_SCALE = 3.0
"""How far the fit may move all tokens by one linear map, over how far each on its own."""
NOISE = 0.1
"""Variance of what no token vectors can explain, over that of a token's own movement."""
OFFSET_SCALE = 10.0
"""The same for what all texts share: large, so that it is fitted freely."""

_BLOCK = 2048  # tokens whose counts are spread out at once


def sif_weights(num_tokens: int) -> FloatArray:
    """Weight of each token by its rank, (V,): smooth inverse frequency under Zipf's law.

    A tokeniser's vocabulary runs from frequent to rare, so that the token of rank r has about the
    probability p ∝ 1 / r.
    """
    inverse = 1.0 / np.arange(1, num_tokens + 1)
    probability = inverse / inverse.sum()
    return np.asarray(SIF_COEFFICIENT / (SIF_COEFFICIENT + probability), np.float32)


def principal_axes(rows: npt.NDArray[Any], dims: int) -> Doubles:
    """The `dims` directions of largest second moment, as columns (d, dims), largest first.

    An axis has no sign of its own: its largest component is made positive.
    """
    wide = rows.astype(np.float64)
    _, axes = np.linalg.eigh(wide.T @ wide)
    leading = axes[:, ::-1][:, :dims]
    largest = np.abs(leading).argmax(axis=0)
    return np.asarray(leading * np.sign(leading[largest, np.arange(leading.shape[1])]))


def weighted_tokens(vectors: FloatArray) -> FloatArray:
    """Centred token vectors times their weights, (V, d): the table before the axes are turned."""
    return np.asarray((vectors - vectors.mean(axis=0)) * sif_weights(len(vectors))[:, None])


def reduce_tokens(vectors: FloatArray, dims: int) -> FloatArray:
    """The table (V, dims) of token vectors alone: principal axes, then weights."""
    axes = principal_axes(vectors - vectors.mean(axis=0), dims)
    return np.asarray(weighted_tokens(vectors) @ axes, np.float32)


@dataclass(frozen=True, eq=False)
class _Counts:
    """Shares of the tokens in texts: X, (n, V), whose rows sum to 1; only columns in use stand."""

    used: IntArray
    columns: IntArray
    rows: IntArray
    shares: FloatArray
    num_texts: int

    @classmethod
    def of(cls, tokens: TokenTable) -> _Counts:
        used, columns = np.unique(tokens.ids, return_inverse=True)
        lengths = tokens.lengths
        rows = np.repeat(np.arange(len(lengths)), lengths)
        order = np.argsort(columns, kind="stable")
        shares = (1.0 / lengths)[rows[order]].astype(np.float32)
        return cls(
            used.astype(np.int64),
            columns[order].astype(np.int64),
            rows[order],
            shares,
            len(lengths),
        )

    def blocks(self) -> Any:
        """Columns of X, some at a time: their tokens' ids, and (n, tokens) float32."""
        for begin in range(0, len(self.used), _BLOCK):
            ids = self.used[begin : begin + _BLOCK]
            first, last = np.searchsorted(self.columns, [begin, begin + len(ids)])
            part = slice(first, last)
            block = np.zeros((self.num_texts, len(ids)), np.float32)
            np.add.at(block, (self.rows[part], self.columns[part] - begin), self.shares[part])
            yield ids, block


def fit_tokens(vectors: FloatArray, tokens: TokenTable, targets: FloatArray) -> FloatArray:
    """Token vectors whose means over texts are as near as can be to an encoder's own vectors.

    Ridge regression of the targets Y on the shares X of tokens in texts, with the prior of a
    Gaussian process: each token's vector is a common offset, plus a linear image of its (centred,
    weighted) vector T, plus a movement of its own of variance D, the token's weight. Solved in the
    dual, one n × n system for any vocabulary:

        K = X D Xᵀ / k₁ + 3 · X T Tᵀ Xᵀ / k₂ + 10,   A = (K + 0.1 I)⁻¹ Y,
        table = D Xᵀ A / k₁ + 3 · T Tᵀ Xᵀ A / k₂ + 10 · 1ᵀ A,

    where k₁ and k₂ scale the two kernels to a mean diagonal of 1. Tokens that no text holds get
    the offset and the linear image.

    Parameters
    ----------
    vectors : (V, d) float32
        The encoder's vectors of single tokens.
    tokens : TokenTable
        n texts of at least one token each.
    targets : (n, d) float32
        The encoder's vectors of the texts.

    Returns
    -------
    (V, d) float32
        The table; weights are part of it.
    """
    base = weighted_tokens(vectors)
    weights = sif_weights(len(vectors))
    counts = _Counts.of(tokens)
    own = np.zeros((counts.num_texts, counts.num_texts), np.float32)
    means = np.zeros((counts.num_texts, base.shape[1]), np.float32)
    for ids, block in counts.blocks():
        own += (block * weights[ids]) @ block.T
        means += block @ base[ids]
    own_scale = 1.0 / float(np.diagonal(own).mean())
    # Vectors that do not vary have no linear image.
    shared_scale = SHARED_SCALE / max(float((means**2).sum(axis=1).mean()), 1e-30)
    kernel = own_scale * own + shared_scale * (means @ means.T) + np.float32(OFFSET_SCALE)
    kernel[np.diag_indices_from(kernel)] += NOISE
    duals = np.linalg.solve(kernel.astype(np.float64), targets.astype(np.float64))
    table = shared_scale * (base @ (means.T @ duals)) + OFFSET_SCALE * duals.sum(axis=0)
    for ids, block in counts.blocks():
        table[ids] += own_scale * weights[ids, None] * (block.T @ duals)
    return np.asarray(table, np.float32)
