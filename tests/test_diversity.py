"""`long_tail_scores` against values by hand and the reference."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from ds2fast import _core, reference
from ds2fast.diversity import long_tail_scores
from ds2fast.errors import Ds2fastError, InputError, InputTypeError
from ds2fast.graph import KnnGraph


def graph_of(similarities: Any) -> KnnGraph:
    """A graph of these similarities: which rows the neighbours are is nothing to a long tail."""
    values = np.asarray(similarities, dtype=np.float32)
    return KnnGraph(np.zeros(values.shape, dtype=np.int32), values)


def random_graph(num_rows: int, k: int, low: float = -1.0) -> KnnGraph:
    values = np.random.default_rng(0).uniform(low, 1.0, (num_rows, k))
    return graph_of(-np.sort(-values, axis=1))


def test_by_hand() -> None:
    graph = graph_of([[1, 1], [0, 0], [-1, -1], [1, 0], [0.5, 0.25]])
    # 2 / (1 + e^-d) - 1 of the mean distances 0, 1, 2, 0.5 and 0.625
    expected = [0.0, 0.46211715726, 0.76159415596, 0.24491866240, 0.30270972672]
    found = long_tail_scores(graph)
    assert found.dtype == np.float32
    assert found[0] == 0.0
    np.testing.assert_allclose(found, expected, rtol=2.0**-24, atol=1e-11)


@pytest.mark.parametrize("k", [1, 2, 9, 10])
def test_equals_the_reference(k: int) -> None:
    graph = random_graph(3000, 10)
    # One rounding to float32; the reference's subtraction from 1 loses up to 4 x 2^-53 besides,
    # and summing k terms of at most 2 in another order 2 k 2^-53.
    np.testing.assert_allclose(
        long_tail_scores(graph, k=k),
        reference.long_tail_scores(graph.similarities, k),
        rtol=2.0**-24,
        atol=(2 * k + 4) * 2.0**-53,
    )


def test_all_neighbours_count_unless_asked_otherwise() -> None:
    graph = random_graph(100, 10)
    np.testing.assert_array_equal(long_tail_scores(graph), long_tail_scores(graph, k=10))
    assert (long_tail_scores(graph) > long_tail_scores(graph, k=3)).all()


def test_near_duplicates_keep_their_digits() -> None:
    # The last float32 below 1 is 2^-24 away: the score is tanh(2^-25) = 2^-25 to all digits.
    graph = graph_of([[np.nextafter(np.float32(1), np.float32(0))]])
    assert long_tail_scores(graph)[0] == np.float32(2.0**-25)


def test_farther_neighbours_give_a_higher_score() -> None:
    graph = random_graph(500, 6)
    order = np.argsort(-graph.similarities.astype(np.float64).sum(axis=1), kind="stable")
    assert (np.diff(long_tail_scores(graph)[order]) >= 0).all()


def test_scores_lie_in_the_range_of_cosine_distances() -> None:
    scores = long_tail_scores(random_graph(2000, 5))
    assert scores.min() >= 0.0
    assert scores.max() <= np.float32(0.7615942)


def test_k_may_be_a_numpy_integer() -> None:
    graph = random_graph(20, 5)
    narrow = np.int64(2)
    np.testing.assert_array_equal(
        long_tail_scores(graph, k=narrow),  # type: ignore[arg-type]  # NumPy integers count
        long_tail_scores(graph, k=2),
    )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"graph": [[0.5]]}, InputTypeError, "graph: expected a KnnGraph, got list"),
        ({"graph": None}, InputTypeError, "graph: expected a KnnGraph, got NoneType"),
        ({"k": 6}, InputError, "k: expected at most the graph's 5 neighbours, got 6"),
        ({"k": 0}, InputError, "k: expected at least 1, got 0"),
        ({"k": 2.0}, InputTypeError, "k: expected an integer, got 2.0"),
        ({"k": False}, InputTypeError, "k: expected an integer, got False"),
        ({"threads": -1}, InputError, "threads: expected 1 to 1024, got -1"),
        ({"threads": 1.5}, InputTypeError, "threads: expected an integer, got 1.5"),
    ],
)
def test_bad_arguments_are_named_before_any_work(
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, Any],
    error: type[Ds2fastError],
    message: str,
) -> None:
    monkeypatch.setattr(_core, "long_tail_scores", lambda *_: pytest.fail("work was begun"))
    given = {"graph": random_graph(20, 5)} | arguments
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        long_tail_scores(given.pop("graph"), **given)


def test_a_programming_error_in_the_binding_is_an_error_not_a_crash() -> None:
    similarities = np.zeros((4, 3), dtype=np.float32)
    for k in (0, 4):
        with pytest.raises(ValueError, match="1 <= k <= width of the graph"):
            _core.long_tail_scores(similarities, k, 1)
    with pytest.raises(ValueError, match="a matrix"):
        _core.long_tail_scores(similarities[0], 1, 1)
    with pytest.raises(TypeError):
        _core.long_tail_scores(similarities.astype(np.float64), 1, 1)
