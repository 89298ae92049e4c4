"""Real-valued scores: cut into levels, and still ranking within a level."""

from __future__ import annotations

import numpy as np
import pytest

import ds2fast
from ds2fast.cut_scores import with_values
from test_select import make_pool


def test_a_measure_never_moves_a_row_past_one_of_the_next_level() -> None:
    rng = np.random.default_rng(0)
    levels = rng.integers(-1, 5, 500)
    values = np.where(levels < 0, np.nan, levels + rng.random(500))
    keys = with_values(levels.astype(float), levels, values)
    for level in range(4):
        assert keys[levels == level].max() < keys[levels == level + 1].min()
    assert (keys[levels < 0] == -1).all()
    assert (keys[levels >= 0] >= 0).all()


def test_equal_values_stay_equal_and_higher_ones_never_rank_lower() -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(0, 7, 200) / 7.0
    keys = with_values(np.full(200, 3.0), np.full(200, 3), values)
    order = np.argsort(values, kind="stable")
    assert (np.diff(keys[order]) >= 0).all()
    for value in np.unique(values):
        assert len(np.unique(keys[values == value])) == 1


def test_select_takes_edges_and_prefers_higher_values_of_a_level() -> None:
    rows, scores = make_pool()
    rng = np.random.default_rng(2)
    values = np.where(scores < 0, np.nan, scores / 10.0 + 0.04 + 0.02 * rng.random(len(scores)))
    edges = [0.1, 0.2, 0.3, 0.4, 0.5]
    found = ds2fast.select(scores=values, embeddings=rows, edges=edges, n=60, trust=0.0)
    assert found.given_scores.tolist() == scores.tolist()
    top = scores == 5
    assert top.sum() > 60
    share = np.array([(values[top] < value).mean() for value in values[found.indices]])
    assert share.min() >= 1 - 60 / top.sum() - 0.25  # the cut falls within a quarter of the level


def test_edges_beside_a_pool_that_was_read_before_are_refused() -> None:
    pool = ds2fast.read([{"text": f"row {n}", "score": n / 40} for n in range(40)], edges=[0.5])
    assert pool.num_levels == 2
    with pytest.raises(ds2fast.InputError, match=r"edges: expected beside data that is read now"):
        ds2fast.select(pool, embeddings=np.eye(40, 50), n=3, k=3, edges=[0.2])
