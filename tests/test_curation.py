"""SimiFeat's votes against the NumPy reference, bit for bit; what the posterior makes of scores."""

from __future__ import annotations

import doctest
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ds2fast.curation
from ds2fast import _core, reference
from ds2fast.curation import curate_scores
from ds2fast.errors import InputError, InputTypeError
from ds2fast.graph import KnnGraph
from ds2fast.results import Curation, DoubleArray, IntArray, TransitionEstimate
from ds2fast.simifeat import error_rates
from waiting import ctrl_c_after


def make_estimate(
    transition: DoubleArray, prior: DoubleArray, observed: DoubleArray
) -> TransitionEstimate:
    return TransitionEstimate(
        transition_matrix=transition,
        prior=prior,
        observed=observed,
        correct_given_score=np.full(len(prior), np.nan),
        agreement=0.5,
        chance_agreement=0.2,
        num_counted=100,
        solver="em",
        loss=0.0,
    )


def random_estimate(num_levels: int, seed: int = 0) -> TransitionEstimate:
    """T of diagonal about 0.7 and the given shares that it implies."""
    rng = np.random.default_rng(seed)
    errors = rng.dirichlet(np.ones(num_levels), num_levels)
    transition = 0.65 * np.eye(num_levels) + 0.35 * errors
    prior = rng.dirichlet(np.full(num_levels, 5.0))
    return make_estimate(transition, prior, prior @ transition)


def make_pool(
    num_rows: int, num_levels: int, width: int, *, unrated: float = 0.0, seed: int = 0
) -> tuple[IntArray, KnnGraph]:
    """Scores that follow the row number, a third of them noise; ties, duplicates, cosines < 0."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([np.arange(-width, 0), np.arange(1, width + 1)])
    indices = np.array([rng.permutation(offsets)[:width] + n for n in range(num_rows)]) % num_rows
    similarities = -np.sort(-rng.uniform(-0.3, 1.0, indices.shape), axis=1)
    similarities[rng.random(num_rows) < 0.1] = 1.0  # duplicates
    similarities[rng.random(num_rows) < 0.1] = 0.5  # ties
    similarities[rng.random(num_rows) < 0.05] = -0.25  # no weight at all
    scores = np.arange(num_rows) * num_levels // num_rows
    noisy = rng.random(num_rows) < 0.3
    scores[noisy] = rng.integers(0, num_levels, noisy.sum())
    scores[rng.random(num_rows) < unrated] = -1
    return scores, KnnGraph.from_arrays(indices, similarities)


# rows, levels, neighbours, share of unrated rows, k
POOLS = [
    pytest.param((700, 6, 14, 0.0, 10), id="six levels"),
    pytest.param((700, 6, 14, 0.4, 10), id="many unrated"),
    pytest.param((900, 4, 12, 0.9, 10), id="nine tenths unrated: lists end"),
    pytest.param((300, 2, 4, 0.0, 5), id="two levels, lists as short as k"),
    pytest.param((600, 20, 9, 0.1, 8), id="twenty levels"),
    pytest.param((400, 3, 5, 0.0, 2), id="one neighbour"),
]


def reference_curation(
    scores: IntArray, graph: KnnGraph, estimate: TransitionEstimate, *, k: int, seed: int
) -> tuple[tuple[IntArray, IntArray, IntArray], Any]:
    rates = reference.error_rates(estimate.transition_matrix, estimate.prior, estimate.observed)
    votes = reference.simifeat_votes(
        scores, graph.indices, graph.similarities, rates, k=k, rounds=7, seed=seed
    )
    return votes, reference.curate(scores, *votes)


def fields(curation: Curation) -> list[Any]:
    return [
        curation.scores,
        curation.misrated,
        curation.suggested,
        curation.confidence,
        curation.error_probability,
        curation.rank_keys,
    ]


@pytest.mark.parametrize("pool", POOLS)
def test_votes_and_curated_scores_equal_the_reference(
    pool: tuple[int, int, int, float, int],
) -> None:
    num_rows, num_levels, width, unrated, k = pool
    scores, graph = make_pool(num_rows, num_levels, width, unrated=unrated)
    estimate = random_estimate(num_levels)
    votes, expected = reference_curation(scores, graph, estimate, k=k, seed=5)
    assert votes[1].sum() > 0
    found = _core.simifeat_votes(
        scores.astype(np.int8), graph.indices, graph.similarities, error_rates(estimate),
        k - 1, 7, 5, 2,
    )  # fmt: skip
    for ours, theirs in zip(found, votes, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    curation = curate_scores(scores, graph, estimate, method="simifeat", k=k, rounds=7, seed=5)
    for mine, theirs in zip(fields(curation), [*expected, expected[0]], strict=True):
        np.testing.assert_array_equal(mine, theirs)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    num_levels=st.integers(2, 7),
    num_rows=st.integers(12, 60),
    unrated=st.sampled_from([0.0, 0.5]),
    rate=st.floats(0.05, 0.95),
)
def test_votes_equal_the_reference_on_any_small_pool(
    seed: int, num_levels: int, num_rows: int, unrated: float, rate: float
) -> None:
    scores, graph = make_pool(num_rows, num_levels, 5, unrated=unrated, seed=seed)
    rates = np.full(num_levels, rate)
    rates[seed % num_levels] = np.nan
    expected = reference.simifeat_votes(
        scores, graph.indices, graph.similarities, rates, k=5, rounds=3, seed=seed
    )
    found = _core.simifeat_votes(
        scores.astype(np.int8), graph.indices, graph.similarities, rates, 4, 3, seed, 1
    )
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("method", ["posterior", "simifeat"])
def test_the_same_bytes_for_any_number_of_threads(method: str) -> None:
    scores, graph = make_pool(20_000, 6, 12, unrated=0.2)
    given: dict[str, Any] = {"method": method, "rounds": 5}
    expected = fields(curate_scores(scores, graph, random_estimate(6), **given, threads=1))
    assert expected[1].any()
    for threads in (2, 7):
        found = fields(curate_scores(scores, graph, random_estimate(6), **given, threads=threads))
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.tobytes() == theirs.tobytes()


def test_the_seed_decides_the_draws() -> None:
    scores, graph = make_pool(500, 6, 12)
    estimate = random_estimate(6)
    one = curate_scores(scores, graph, estimate, method="simifeat", seed=1)
    again = curate_scores(scores, graph, estimate, method="simifeat", seed=1)
    other = curate_scores(scores, graph, estimate, method="simifeat", seed=2**64 - 1)
    assert one.error_probability.tobytes() == again.error_probability.tobytes()
    assert one.error_probability.tobytes() != other.error_probability.tobytes()


def two_groups(size: int = 20) -> tuple[IntArray, KnnGraph]:
    """Rows of level 0, then rows of level 1; every row's neighbours are the others of its group."""
    order = np.array([[m for m in range(size) if m != n] for n in range(size)])
    indices = np.concatenate([order, order + size])
    graph = KnnGraph.from_arrays(indices, np.full(indices.shape, 0.9))
    return np.repeat([0, 1], size), graph


def test_a_clean_pool_keeps_every_score() -> None:
    scores, graph = two_groups()
    curation = curate_scores(scores, graph, random_estimate(2), method="simifeat")
    np.testing.assert_array_equal(curation.scores, scores)
    assert not curation.misrated.any()
    # Nothing was flagged in any of the rounds that saw a row: (0 + 1) / (seen + 2).
    assert curation.error_probability.max() < 0.05
    assert not curation.confidence.any()


def test_a_planted_error_is_mended() -> None:
    scores, graph = two_groups()
    scores[3] = 1
    estimate = random_estimate(2)
    curation = curate_scores(scores, graph, estimate, method="simifeat", rounds=51)
    assert curation.scores[3] == 0
    assert curation.suggested[3] == 0
    assert curation.misrated[3]
    # Flagged in all of the m rounds that saw it, always for level 0:
    # (m + 1) / (m + 2) · (m + 1) / (m + 2), as K = 2.
    assert curation.confidence[3] == pytest.approx(curation.error_probability[3] ** 2)
    assert curation.corrected[3]
    np.testing.assert_array_equal(np.flatnonzero(curation.scores != scores), [3])
    cautious = curate_scores(
        scores, graph, estimate, method="simifeat", rounds=51, min_confidence=1.0
    )
    np.testing.assert_array_equal(cautious.scores, scores)
    assert cautious.misrated[3]


@pytest.mark.parametrize("method", ["posterior", "simifeat"])
def test_unrated_rows_stay_unrated(method: str) -> None:
    scores, graph = two_groups()
    scores[[0, 25]] = -1
    curation = curate_scores(scores, graph, random_estimate(2), method=method)
    for row in (0, 25):
        assert curation.rank_keys[row] == -1
        assert curation.scores[row] == curation.suggested[row] == -1
        assert np.isnan(curation.error_probability[row])
        assert not curation.misrated[row]
    floats = np.where(scores < 0, np.nan, scores)
    np.testing.assert_array_equal(
        curate_scores(floats, graph, random_estimate(2), method=method).scores, curation.scores
    )


def test_each_round_sees_nine_tenths_of_the_rated_rows() -> None:
    scores, graph = make_pool(101, 3, 6, unrated=0.3)
    seen, _, _ = _core.simifeat_votes(
        scores.astype(np.int8), graph.indices, graph.similarities, np.full(3, 0.3), 4, 11, 0, 2
    )
    num_rated = int((scores >= 0).sum())
    assert seen.sum() == 11 * (num_rated * 9 // 10)
    assert not seen[scores < 0].any()
    assert len(np.unique(seen[scores >= 0])) > 1


def test_error_rates_by_hand() -> None:
    transition = np.array([[0.8, 0.2, 0, 0], [0, 1.0, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 0, 1.0]])
    prior = np.array([0.5, 0.3, 0.2, 0.0])
    observed = np.array([0.5, 0.25, 0.25, 0.0])
    # Level 0: 1 − 0.8 · 0.5 / 0.5. Level 1: more is implied than observed, 0 becomes 0.05.
    # Level 2: T_22 = 0, 1 becomes 0.95. Level 3: absent.
    rates = error_rates(make_estimate(transition, prior, observed))
    np.testing.assert_allclose(rates, [0.2, 0.05, 0.95, np.nan])
    for seed in range(5):
        estimate = random_estimate(6, seed)
        np.testing.assert_array_equal(
            error_rates(estimate),
            reference.error_rates(estimate.transition_matrix, estimate.prior, estimate.observed),
        )


def test_a_level_without_error_rate_is_never_flagged() -> None:
    scores, graph = make_pool(300, 3, 8)
    estimate = random_estimate(3)
    estimate = replace(estimate, observed=np.array([0.0, 0.5, 0.5]))
    curation = curate_scores(scores, graph, estimate, method="simifeat", k=8)
    assert not curation.misrated[scores == 0].any()
    assert curation.misrated[scores > 0].any()


def test_the_settings_are_kept() -> None:
    scores, graph = two_groups()
    curation = curate_scores(
        scores, graph, random_estimate(2),
        method="simifeat", min_confidence=0.25, k=4, rounds=3, seed=9,
    )  # fmt: skip
    assert (curation.method, curation.min_confidence, curation.k) == ("simifeat", 0.25, 4)
    assert (curation.rounds, curation.seed) == (3, 9)
    assert curation.scores.dtype == curation.suggested.dtype == np.int64
    default = curate_scores(scores, graph, random_estimate(2))
    assert (default.method, default.min_confidence, default.k) == ("posterior", 0.0, 19)
    assert (default.rounds, default.seed, default.rank_step) == (0, 0, 0.25)


def _refuse(match: str, error: type[Exception] = InputError, **arguments: Any) -> None:
    scores, graph = make_pool(40, 3, 4)
    with pytest.raises(error, match=match):
        curate_scores(
            arguments.pop("scores", scores),
            arguments.pop("graph", graph),
            arguments.pop("estimate", random_estimate(3)),
            **{"method": "simifeat", "k": 5, **arguments},
        )


def test_bad_input_is_refused() -> None:
    scores, _ = make_pool(40, 3, 4)
    estimate = random_estimate(3)
    _refuse(r"scores: expected shape \(40,\)", scores=scores[1:])
    _refuse("scores: expected numbers", InputTypeError, scores=["a"] * 40)
    _refuse("scores: expected rated rows", scores=[None] * 40)
    _refuse("graph: expected a KnnGraph", InputTypeError, graph=None)
    _refuse("estimate: expected a TransitionEstimate, got tuple", InputTypeError, estimate=())
    _refuse("estimate: expected one made with all score levels.*got one of 2",
            estimate=random_estimate(2))  # fmt: skip
    _refuse("estimate: expected transition_matrix", estimate=replace(estimate, observed=np.ones(2)))
    _refuse("estimate: expected finite", estimate=replace(estimate, prior=np.full(3, np.nan)))


def test_bad_settings_are_refused() -> None:
    _refuse("method: expected 'posterior' or 'simifeat', got 'vote'", method="vote")
    _refuse("k: expected at most the graph's 4 neighbours, got 5", method="posterior")
    _refuse("k: expected at least 1, got 0", method="posterior", k=0)
    _refuse("k: expected at least 2, got 1", k=1)
    _refuse(r"k: expected at most 5 \(the row and the graph\'s 4 .*got 6", k=6)
    _refuse("rounds: expected at least 1, got 0", rounds=0)
    _refuse("rounds: expected an integer", InputTypeError, rounds=5.0)
    _refuse("seed: expected at least 0, got -1", seed=-1)
    _refuse("seed: expected 0 to", seed=2**64)
    _refuse("min_confidence: expected 0 to 1, got 1.5", min_confidence=1.5)
    _refuse("min_confidence: expected 0 to 1, got nan", min_confidence=np.nan)
    _refuse("min_confidence: expected a number", InputTypeError, min_confidence="half")
    _refuse("threads: expected", threads=-1)


def spread_graph(size: int = 20) -> tuple[IntArray, KnnGraph]:
    """As `two_groups`, but no two neighbours are equally near: those would count once."""
    scores, graph = two_groups(size)
    return scores, KnnGraph.from_arrays(
        graph.indices, np.tile(np.linspace(0.95, 0.5, size - 1), (2 * size, 1))
    )


def test_the_posterior_mends_a_planted_error() -> None:
    scores, graph = spread_graph()
    scores[3] = 1
    curation = curate_scores(scores, graph, random_estimate(2))
    np.testing.assert_array_equal(np.flatnonzero(curation.scores != scores), [3])
    assert curation.suggested[3] == 0
    assert curation.misrated[3]
    assert curation.corrected[3]


def test_what_the_posterior_gives_follows_from_its_probabilities() -> None:
    scores, graph = make_pool(700, 6, 14, unrated=0.2)
    curation = curate_scores(scores, graph, random_estimate(6))
    assert curation.posterior is not None
    rated = np.flatnonzero(scores >= 0)
    shares, given_scores = curation.posterior[rated], scores[rated]
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert np.isnan(curation.posterior[scores < 0]).all()
    best = shares.argmax(axis=1)
    assert (best != given_scores).any()
    np.testing.assert_array_equal(curation.suggested[rated], best)
    np.testing.assert_array_equal(curation.scores[rated], best)
    own = shares[np.arange(len(rated)), given_scores]
    np.testing.assert_allclose(curation.error_probability[rated], 1 - own, atol=1e-12)
    confidence = np.where(best == given_scores, 0.0, shares.max(axis=1))
    np.testing.assert_array_equal(curation.confidence[rated], confidence)
    np.testing.assert_array_equal(curation.misrated[rated], own < 0.5)
    assert curation.expected is not None
    steps = np.round(curation.expected[rated] / 0.25) * 0.25
    np.testing.assert_array_equal(curation.rank_keys[rated], steps)


@pytest.mark.parametrize("least", [0.3, 0.6, 1.0])
def test_only_what_is_sure_enough_is_taken(least: float) -> None:
    scores, graph = make_pool(700, 6, 14, unrated=0.2)
    whole = curate_scores(scores, graph, random_estimate(6))
    some = curate_scores(scores, graph, random_estimate(6), min_confidence=least)
    taken = whole.confidence >= least
    assert taken.any() == (least < 1.0)
    np.testing.assert_array_equal(some.suggested, whole.suggested)
    np.testing.assert_array_equal(some.scores, np.where(taken, whole.scores, scores))
    assert whole.expected is not None
    np.testing.assert_array_equal(some.expected, np.where(taken, whole.expected, scores))


def test_a_tie_keeps_the_score_as_given() -> None:
    # A rater who says nothing, and two levels as frequent: both are as likely for every row.
    scores, graph = spread_graph()
    estimate = make_estimate(np.full((2, 2), 0.5), np.full(2, 0.5), np.full(2, 0.5))
    curation = curate_scores(scores, graph, estimate)
    np.testing.assert_array_equal(curation.scores, scores)
    assert not curation.confidence.any()


def test_keys_shrunk_by_hand() -> None:
    scores, graph = two_groups(3)
    curation = replace(
        curate_scores(scores, graph, random_estimate(2), method="simifeat", k=2),
        scores=np.array([0, 1, 2, 3, 4, -1]),
        expected=np.array([0.1, 1.4, 2.0, 2.6, 3.9, -1.0]),
        rank_step=0.25,
    )
    given_scores = np.array([0, 3, 2, 3, 0, -1])
    assert curation.rank_keys.tolist() == [0.0, 1.5, 2.0, 2.5, 4.0, -1.0]
    # Half of the way: 0.05, 2.2, 2.0, 2.8, 1.95.
    assert curation.keys_shrunk_to(given_scores, 0.5).tolist() == [0.0, 2.25, 2.0, 2.75, 2.0, -1.0]
    assert curation.keys_shrunk_to(given_scores, 0.0).tolist() == given_scores.tolist()
    assert curation.keys_shrunk_to(given_scores, 1.0).tolist() == curation.rank_keys.tolist()
    exact = replace(curation, rank_step=None)
    assert exact.rank_keys.tolist() == [0.1, 1.4, 2.0, 2.6, 3.9, -1.0]
    assert replace(exact, expected=None).rank_keys.tolist() == [0, 1, 2, 3, 4, -1]


def test_progress_is_told() -> None:
    scores, graph = make_pool(300, 3, 8)
    calls: list[tuple[str, int, int]] = []
    given: dict[str, Any] = {"k": 5, "progress": lambda *call: calls.append(call)}
    curate_scores(scores, graph, random_estimate(3), method="simifeat", **given)
    assert calls[-1] == ("curation", 51, 51)
    calls.clear()
    curate_scores(scores, graph, random_estimate(3), **given)
    stage, done, total = calls[-1]
    assert stage == "curation"
    assert done == total > 0


def test_ctrl_c_stops_the_rounds() -> None:
    scores, graph = make_pool(2_000, 4, 12)
    started = time.process_time()
    with pytest.raises(KeyboardInterrupt), ctrl_c_after(0.2):
        curate_scores(
            scores, graph, random_estimate(4), method="simifeat", rounds=10**6
        )  # minutes of work
    assert (
        time.process_time() - started < 20.0
    )  # of processor time: a busy machine adds to it, though not minutes


def test_the_examples_run() -> None:
    results = doctest.testmod(ds2fast.curation)
    assert results.attempted > 0
    assert results.failed == 0
