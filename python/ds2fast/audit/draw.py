"""Which rows a person is to label: some of each given level, in an order that tells nothing."""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

from ds2fast.arguments import as_count
from ds2fast.checks import check_scores
from ds2fast.errors import InputError
from ds2fast.results import IntArray

FEW = 5
"""Rows that each level gets before the others are shared out, where it has them and n allows."""


def draw_sample(scores: npt.ArrayLike, n: int, *, seed: int = 0) -> IntArray:
    """Draw rated rows to label by hand, stratified by their given level.

    Each level that is present first gets min(5, n // (2 · levels)) rows, at least one and at most
    those that it has, so that rare levels are seen too; at most half of n goes that way. The others
    go one by one to the level that is furthest below its share: the smallest (drawn + 1/2) / rows
    of the level, the lower level where two are equal. Within a level rows are drawn at random, and
    all are shuffled, so that the order says nothing of the scores.

    Parameters
    ----------
    scores : (N,) integers
        Given levels, −1 where a row is unrated: such rows are not drawn.
    n : int
        Rows to draw: at least one for each level present, at most the rated rows.
    seed : int
        At least 0. The same seed draws the same rows.

    Returns
    -------
    (n,) int64
        Distinct row numbers.

    Raises
    ------
    InputError
        Scores that are no levels, `n` too small or too large, a negative `seed`.
    InputTypeError
        Arguments of other types.

    Examples
    --------
    >>> rows = draw_sample([0] * 50 + [1] * 4 + [-1] * 20, 10)
    >>> len(rows), int((rows >= 50).sum()), int(rows.max()) < 54
    (10, 2, True)
    """
    levels = check_scores(scores, np.size(scores))
    count, start = as_count(n, "n"), as_count(seed, "seed", minimum=0)
    present, sizes = np.unique(levels[levels >= 0], return_counts=True)
    if count > sizes.sum():
        raise InputError(f"n: expected at most the {sizes.sum()} rated rows, got {count}")
    if count < len(present):
        raise InputError(
            f"n: expected at least {len(present)}, one row for each level present, got {count}"
        )
    random = np.random.default_rng(start)
    drawn = [
        random.choice(np.flatnonzero(levels == level), share, replace=False)
        for level, share in zip(present, allot(sizes, count), strict=True)
    ]
    return random.permutation(np.concatenate(drawn)).astype(np.int64)


def allot(sizes: IntArray, n: int) -> IntArray:
    """How many of `n` rows are drawn from each of H levels, by the rule of `draw_sample`.

    Parameters
    ----------
    sizes : (H,) int64
        Rows of each level, at least 1.
    n : int
        In [H, sum of sizes].

    Returns
    -------
    (H,) int64
        Sums to n, each in [1, size].

    Examples
    --------
    >>> allot(np.array([1000, 100, 3]), 60).tolist()
    [52, 5, 3]
    """
    few = max(1, min(FEW, n // (2 * len(sizes))))
    shares = np.minimum(sizes, few)
    waiting = [
        ((shares[level] + 0.5) / sizes[level], level)
        for level in range(len(sizes))
        if shares[level] < sizes[level]
    ]
    heapq.heapify(waiting)
    for _ in range(n - int(shares.sum())):
        _, level = heapq.heappop(waiting)
        shares[level] += 1
        if shares[level] < sizes[level]:
            heapq.heappush(waiting, ((shares[level] + 0.5) / sizes[level], level))
    return shares
