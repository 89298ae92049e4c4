"""Several raters: a matrix for each, with and without a graph, and the fused score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ds2fast
from ds2fast.curation import curate_scores
from ds2fast.errors import InputError
from ds2fast.raters import given_levels
from ds2fast.results import DoubleArray, IntArray
from ds2fast.transition import estimate_transition_matrix
from planted import Planted, noisy_rater, plant

GOOD, BAD = noisy_rater(4, 0.8), noisy_rater(4, 0.55)


def rated_by(pool: Planted) -> tuple[IntArray, DoubleArray]:
    """Scores (N, 3) and matrices (3, 4, 4) of three raters."""
    scores = np.stack([pool.scores, pool.rate(GOOD, 7), pool.rate(BAD, 8)], axis=1)
    return scores, np.stack([pool.rater, GOOD, BAD])


def off_by(found: Any, truth: DoubleArray) -> float:
    assert found is not None
    return float(np.abs(found - truth).mean())


def test_the_mean_of_ratings_is_rounded_half_up() -> None:
    ratings = np.array([[2, -1, -1], [1, 2, -1], [1, 2, 2], [0, 0, 1], [-1, -1, -1], [5, 0, 5]])
    assert given_levels(ratings).tolist() == [2, 2, 2, 0, -1, 3]
    assert given_levels(ratings[:, :1]).tolist() == [2, 1, 1, 0, -1, 5]


@pytest.mark.parametrize("own", [0.0, 0.4])
def test_three_raters_need_no_graph(own: float) -> None:
    scores, truth = rated_by(plant(6000, own=own, seed=5))
    estimate = estimate_transition_matrix(scores, None)
    # 6 000 rows of which the rarest level has a tenth: errors of an entry are some 0.02.
    assert off_by(estimate.rater_matrices, truth) < 0.03
    assert estimate.own is None
    assert (estimate.solver, estimate.signal) == ("panel", ("raters",))
    assert np.isnan(estimate.agreement)
    assert estimate.clusterability is None
    assert estimate.verdict.word == "verified"


@pytest.mark.parametrize("num_raters", [2, 3])
@pytest.mark.parametrize("own", [0.0, 0.3])
def test_raters_and_a_graph_tell_rows_of_their_own(num_raters: int, own: float) -> None:
    pool = plant(6000, own=own, seed=5)
    scores, truth = rated_by(pool)
    estimate = estimate_transition_matrix(scores[:, :num_raters], pool.graph)
    assert estimate.own == pytest.approx(own, abs=0.1)
    assert off_by(estimate.rater_matrices, truth[:num_raters]) < 0.04
    assert estimate.clusterability is not None
    assert (estimate.solver, estimate.signal) == ("sharing", ("raters",))


def test_two_raters_and_gold_need_no_graph() -> None:
    pool = plant(6000, own=0.3, seed=5)
    scores, truth = rated_by(pool)
    estimate = estimate_transition_matrix(scores[:, :2], None, gold=pool.know(600))
    assert off_by(estimate.rater_matrices, truth[:2]) < 0.04
    assert estimate.signal == ("raters", "gold")


def test_two_raters_alone_are_refused() -> None:
    scores, _ = rated_by(plant(900))
    with pytest.raises(InputError, match="graph: expected one beside two raters, got none"):
        estimate_transition_matrix(scores[:, :2], None)
    nothing_known = np.full(900, -1)
    with pytest.raises(InputError, match="a third rater, gold labels or a graph do"):
        estimate_transition_matrix(scores[:, :2], None, gold=nothing_known)


def test_raters_without_a_row_in_common() -> None:
    pool = plant(6000, own=0.5, seed=5)
    scores, truth = rated_by(pool)
    apart = np.where(np.arange(6000)[:, None] % 3 == np.arange(3), scores, -1)
    with pytest.raises(InputError, match=r"graph: expected one, .* got at most 1 ratings of a row"):
        estimate_transition_matrix(apart, None)
    two = np.where(np.arange(6000)[:, None] // 3000 == np.arange(2), scores[:, :2], -1)
    estimate = estimate_transition_matrix(two, pool.graph)
    # Nothing tells noise from rows of their own, as with one rater: the graph's matrices stand.
    assert (estimate.own, estimate.signal, estimate.num_signal) == (None, (), 0)
    assert estimate.verdict.word == "plausible"
    assert "too few rows have several ratings" in estimate.verdict.causes[0]
    assert estimate.rater_matrices is not None
    mixed = 0.5 * truth[:2] + 0.5 * (pool.prior @ truth[:2])[:, None, :]
    assert off_by(estimate.rater_matrices, mixed) < off_by(estimate.rater_matrices, truth[:2])
    # A few labels tell too little of it (measured: own was found to be 0, and ranking harmed).
    assert estimate_transition_matrix(two, pool.graph, gold=pool.know(20)).own is None
    many = estimate_transition_matrix(two, pool.graph, gold=pool.know(2000))
    assert many.own == pytest.approx(0.5, abs=0.15)


def test_a_rater_of_a_few_scattered_rows_does_no_harm() -> None:
    pool = plant(6000, own=0.3, seed=5)
    scores, truth = rated_by(pool)
    scores[np.arange(6000) % 600 > 0, 2] = -1  # ten rows, hardly any near another
    estimate = estimate_transition_matrix(scores, pool.graph)
    assert estimate.rater_matrices is not None
    assert off_by(estimate.rater_matrices[:2], truth[:2]) < 0.06
    assert estimate.own == pytest.approx(0.3, abs=0.15)
    pairs = np.where(np.arange(6000)[:, None] == 17, [-1, -1, 2], scores)
    pairs[pairs[:, 2] >= 0, :2] = -1
    pairs[np.arange(6000) % 600 == 0, 2] = -1
    with pytest.raises(InputError, match="got none of the rater in column 2"):
        estimate_transition_matrix(pairs, pool.graph)


def test_a_copy_of_a_rater_is_refused() -> None:
    pool = plant(900)
    scores, _ = rated_by(pool)
    with pytest.raises(InputError, match="columns 0 and 2 alike in all 900 rows"):
        estimate_transition_matrix(scores[:, [0, 1, 0]], None)
    with pytest.raises(InputError, match="got none in column 1"):
        estimate_transition_matrix(np.where([True, False], scores[:, :2], -1), pool.graph)


def test_one_column_is_one_rater() -> None:
    pool = plant(900)
    one = estimate_transition_matrix(pool.scores, pool.graph)
    column = estimate_transition_matrix(pool.scores[:, None], pool.graph)
    np.testing.assert_array_equal(column.transition_matrix, one.transition_matrix)
    assert column.rater_matrices is None
    curated = curate_scores(pool.scores[:, None], pool.graph, column)
    expected = curate_scores(pool.scores, pool.graph, one)
    np.testing.assert_array_equal(curated.scores, expected.scores)


def test_the_matrix_of_the_fused_score_is_what_was_given() -> None:
    pool = plant(6000, seed=5)
    scores, _ = rated_by(pool)
    estimate = estimate_transition_matrix(scores, pool.graph)
    table = np.zeros((4, 4))
    np.add.at(table, (pool.true, given_levels(scores)), 1)
    np.testing.assert_allclose(
        estimate.transition_matrix, table / table.sum(axis=1, keepdims=True), atol=0.06
    )
    np.testing.assert_allclose(estimate.transition_matrix.sum(axis=1), 1.0)


def test_rows_that_some_did_not_rate_count_as_far_as_they_go() -> None:
    pool = plant(6000, seed=5)
    scores, truth = rated_by(pool)
    missing = np.random.default_rng(0).random(scores.shape) < 0.3
    scores = np.where(missing, -1, scores)
    estimate = estimate_transition_matrix(scores, pool.graph)
    assert off_by(estimate.rater_matrices, truth) < 0.04
    assert estimate.num_signal == int(((scores >= 0).sum(axis=1) > 1).sum())
    curation = curate_scores(scores, pool.graph, estimate)
    unrated = (scores < 0).all(axis=1)
    assert unrated.any()
    assert (curation.scores[unrated] == -1).all()
    assert (curation.scores[~unrated] >= 0).all()


@pytest.mark.parametrize("own", [0.0, 0.3])
def test_fused_scores_are_nearer_to_the_truth(own: float) -> None:
    pool = plant(3000, own=own, seed=5)
    scores, _ = rated_by(pool)
    estimate = estimate_transition_matrix(scores, pool.graph)
    curation = curate_scores(scores, pool.graph, estimate)
    error = np.abs(curation.scores - pool.true).mean()
    assert error < 0.7 * np.abs(given_levels(scores) - pool.true).mean()
    assert error < np.abs(scores - pool.true[:, None]).mean(axis=0).min()


def test_an_estimate_of_other_raters_is_refused() -> None:
    pool = plant(900)
    scores, _ = rated_by(pool)
    of_three = estimate_transition_matrix(scores, pool.graph)
    of_one = estimate_transition_matrix(pool.scores, pool.graph)
    with pytest.raises(InputError, match=r"estimate: expected one of 3 raters.*got one of 1"):
        curate_scores(scores, pool.graph, of_one)
    with pytest.raises(InputError, match=r"estimate: expected one of 1 raters.*got one of 3"):
        curate_scores(pool.scores, pool.graph, of_three)


def test_select_takes_several_raters() -> None:
    pool = plant(1500, own=0.2, seed=2)
    scores, _ = rated_by(pool)
    selection = ds2fast.select(scores=scores, embeddings=pool.rows, n=300)
    assert selection.given_scores.tolist() == given_levels(scores).tolist()
    assert selection.settings["raters"] == 3
    assert selection.transition is not None
    assert selection.transition.verdict.word == "verified"
    as_given = selection.ranked_as_given()
    assert pool.true[selection.indices].mean() > pool.true[as_given].mean()
    voted = ds2fast.select(scores=scores, embeddings=pool.rows, n=300, method="simifeat")
    assert voted.curation.method == "simifeat"


def test_bands_of_several_raters_are_refused() -> None:
    scores, _ = rated_by(POOL)
    for arguments in ({"bootstrap": 20}, {"solver": "em"}, {"preset": "paper"}):
        name = {"preset": "solver"}.get(next(iter(arguments)), next(iter(arguments)))
        with pytest.raises(InputError, match=f"{name}: expected .* with several raters"):
            ds2fast.diagnose(scores=scores, embeddings=POOL.rows, **arguments)


POOL = plant(900)


def test_raters_who_err_together_are_found_by_the_graph() -> None:
    pool = plant(6000, own=0.2, seed=8)
    scores, truth = rated_by(pool)
    copied = scores.copy()
    same = np.random.default_rng(0).random(6000) < 0.9
    copied[same, 1] = scores[same, 0]
    estimate = estimate_transition_matrix(copied, pool.graph)
    assert (estimate.own, estimate.signal) == (None, ())
    assert (estimate.verdict.word, estimate.verdict.trust) == ("weak", 0.5)
    assert "err together" in estimate.verdict.causes[0]
    apart = estimate_transition_matrix(scores, pool.graph)
    assert apart.verdict.word == "verified"
    assert apart.raters_apart < estimate.raters_apart
    assert apart.own == pytest.approx(0.2, abs=0.1)
    assert apart.rater_matrices is not None
    assert off_by(apart.rater_matrices, truth) < 0.06


def test_a_reversed_rater_does_not_move_the_share_of_rows_of_their_own() -> None:
    pool = plant(6000, own=0.2, seed=8)
    scores, _ = rated_by(pool)
    scores[:, 2] = scores.max() - scores[:, 2]
    estimate = estimate_transition_matrix(scores, pool.graph)
    assert estimate.own == pytest.approx(0.2, abs=0.1)


def test_a_rater_of_mere_noise_is_named() -> None:
    pool = plant(6000, seed=9)
    scores, _ = rated_by(pool)
    noise = np.random.default_rng(1).integers(0, scores.max() + 1, 6000)
    estimate = estimate_transition_matrix(np.stack([scores[:, 0], noise], axis=1), pool.graph)
    assert estimate.verdict.word == "weak"
    assert any("one of the two raters tells next to" in cause for cause in estimate.verdict.causes)
    unshared = np.where(np.arange(6000) % 600 == 0, 1, -1)  # ten rows: nothing is said of it
    some = np.stack([scores[:, 0], noise, scores[:, 1], unshared], axis=1)
    named = estimate_transition_matrix(some, pool.graph).verdict.causes
    assert any("the rater in column 1 tells next to nothing" in cause for cause in named)
    three = np.stack([scores[:, 0], noise, scores[:, 1]], axis=1)
    told = estimate_transition_matrix(three, pool.graph).verdict.causes
    assert any("the rater in column 1 tells next to nothing" in cause for cause in told)
