"""The agreement counts and both solvers against the NumPy reference and planted matrices."""

from __future__ import annotations

import doctest
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import ds2fast.transition
from ds2fast import _core, reference
from ds2fast.errors import InputError, InputTypeError
from ds2fast.graph import KnnGraph
from ds2fast.results import DoubleArray, IntArray
from ds2fast.transition import estimate_transition_matrix
from waiting import ctrl_c_after


def make_pool(
    num_rows: int, num_levels: int, width: int, *, unrated: float = 0.0, seed: int = 0
) -> tuple[IntArray, KnnGraph]:
    """Scores that follow the row number, a fifth of them noise, and neighbours of near numbers."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([np.arange(-width, 0), np.arange(1, width + 1)])
    indices = np.array([rng.permutation(offsets)[:width] + n for n in range(num_rows)]) % num_rows
    similarities = -np.sort(-rng.uniform(-0.1, 1.0, indices.shape), axis=1)
    similarities[rng.random(num_rows) < 0.2] = 1.0  # duplicates
    scores = np.arange(num_rows) * num_levels // num_rows
    noisy = rng.random(num_rows) < 0.2
    scores[noisy] = rng.integers(0, num_levels, noisy.sum())
    scores[rng.random(num_rows) < unrated] = -1
    return scores, KnnGraph.from_arrays(indices, similarities)


POOLS = [
    pytest.param((600, 6, 10, 0.0), id="six levels"),
    pytest.param((600, 6, 10, 0.3), id="a third unrated"),
    pytest.param((900, 4, 12, 0.9), id="nine tenths unrated"),
    pytest.param((300, 2, 2, 0.0), id="two levels, two neighbours"),
    pytest.param((800, 20, 6, 0.1), id="twenty levels"),
]


def planted_matrix(num_levels: int, diagonal: float) -> tuple[DoubleArray, DoubleArray]:
    """T whose errors fall with the distance to the true level, and a prior that falls with it."""
    level = np.arange(num_levels)
    weight = np.exp(-np.abs(level[None] - level[:, None]).astype(float))
    np.fill_diagonal(weight, 0.0)
    transition = (1 - diagonal) * weight / weight.sum(axis=1, keepdims=True)
    np.fill_diagonal(transition, diagonal)
    prior = (num_levels - level) / (num_levels - level).sum()
    return transition, prior


def exact_counts(transition: DoubleArray, prior: DoubleArray) -> IntArray:
    """What 10^12 rows would count if they followed the model to the letter."""
    shares = np.einsum("i,ia,ib,ic->abc", prior, transition, transition, transition)
    return np.asarray(np.rint(1e12 * shares), dtype=np.int64)


def log_likelihood(counts: IntArray, transition: DoubleArray, prior: DoubleArray) -> float:
    shares = np.einsum("i,ia,ib,ic->abc", prior, transition, transition, transition)
    return float((counts[counts > 0] * np.log(shares[counts > 0])).sum() / counts.sum())


@pytest.mark.parametrize("pool", POOLS)
def test_counts_equal_the_reference(pool: tuple[int, int, int, float]) -> None:
    num_rows, num_levels, width, unrated = pool
    scores, graph = make_pool(num_rows, num_levels, width, unrated=unrated)
    expected = reference.agreement_counts(scores, graph.indices, num_levels)
    for threads in (1, 2, 7):
        counts = _core.agreement_counts(scores.astype(np.int8), graph.indices, num_levels, threads)
        np.testing.assert_array_equal(counts, expected)


@pytest.mark.parametrize("pool", POOLS[:4])
def test_em_equals_the_reference(pool: tuple[int, int, int, float]) -> None:
    num_rows, num_levels, width, unrated = pool
    scores, graph = make_pool(num_rows, num_levels, width, unrated=unrated)
    counts = reference.agreement_counts(scores, graph.indices, num_levels)
    transition, prior = reference.solve_em(counts)
    estimate = estimate_transition_matrix(scores, graph, num_levels=num_levels, solver="em")
    # Both iterate one map from one start until a step moves nothing by 1e-10; they may end one step
    # apart, which for a rate of convergence of 0.9999 leaves 1e-6.
    np.testing.assert_allclose(estimate.transition_matrix, transition, atol=1e-6)
    np.testing.assert_allclose(estimate.prior, prior, atol=1e-6)
    ours = log_likelihood(counts, estimate.transition_matrix, estimate.prior)
    assert ours >= log_likelihood(counts, transition, prior) - 1e-12


@pytest.mark.parametrize("pool", POOLS[:4])
def test_moments_equal_the_reference(pool: tuple[int, int, int, float]) -> None:
    num_rows, num_levels, width, unrated = pool
    scores, graph = make_pool(num_rows, num_levels, width, unrated=unrated)
    counts = reference.agreement_counts(scores, graph.indices, num_levels)
    transition, prior = reference.solve_moments(counts)
    estimate = estimate_transition_matrix(scores, graph, num_levels=num_levels, solver="moments")
    # At its fixed rate of 0.1 Adam circles the minimum: a start moved by 1e-15 ends up to 4e-4 of
    # loss and 0.005 of T elsewhere (measured on the reference itself). The gradient has its own
    # test, in C++.
    assert estimate.loss <= reference.moment_loss(counts, transition, prior) + 2e-3
    assert np.abs(estimate.transition_matrix - transition).mean() < 0.01
    assert np.abs(estimate.prior - prior).max() < 0.02


@pytest.mark.parametrize("num_levels", [2, 6, 20])
def test_em_recovers_the_planted_matrix(num_levels: int) -> None:
    truth = planted_matrix(num_levels, 0.7)
    transition, prior, steps, converged = _core.solve_em(exact_counts(*truth))
    assert converged
    assert 1 < steps < 20_000
    np.testing.assert_allclose(transition, truth[0], atol=1e-4)
    np.testing.assert_allclose(prior, truth[1], atol=1e-4)


def test_moment_loss_equals_the_reference() -> None:
    rng = np.random.default_rng(4)
    for num_levels in (2, 5, 9):
        counts = rng.integers(0, 50, (num_levels,) * 3)
        transition = rng.dirichlet(np.ones(num_levels), num_levels)
        prior = rng.dirichlet(np.ones(num_levels))
        expected = reference.moment_loss(counts, transition, prior)
        assert _core.moment_loss(counts, transition, prior) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("solver", ["em", "moments"])
def test_64_levels_work(solver: str) -> None:
    # 64 groups of 40 rows; a row's neighbours are the next ones of its group, one in ten mistaken.
    rows = np.arange(64 * 40)
    indices = rows[:, None] // 40 * 40 + (rows[:, None] + np.arange(1, 3)) % 40
    scores = rows // 40
    scores[::10] = (scores[::10] + 1) % 64
    graph = KnnGraph.from_arrays(indices, np.full(indices.shape, 0.9))
    estimate = estimate_transition_matrix(scores, graph, solver=solver)
    assert estimate.num_levels == 64
    np.testing.assert_allclose(estimate.transition_matrix.sum(axis=1), 1.0, atol=1e-12)
    assert estimate.prior.sum() == pytest.approx(1.0)
    assert np.median(estimate.transition_matrix.diagonal()) == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize("solver", ["sharing", "em", "moments"])
def test_absent_levels_change_nothing_for_the_others(solver: str) -> None:
    scores, graph = make_pool(500, 3, 8)
    spread = np.array([0, 2, 5])[scores]
    dense = estimate_transition_matrix(scores, graph, solver=solver)
    sparse = estimate_transition_matrix(spread, graph, num_levels=7, solver=solver)
    present = np.ix_([0, 2, 5], [0, 2, 5])
    # Sharing starts from a T that spreads over all K levels, so it stops a step elsewhere.
    tolerance = 1e-5 if solver == "sharing" else 0.0
    np.testing.assert_allclose(
        sparse.transition_matrix[present], dense.transition_matrix, rtol=0, atol=tolerance
    )
    np.testing.assert_allclose(sparse.prior, [*_spread(dense.prior), 0.0], rtol=0, atol=tolerance)
    absent = [1, 3, 4, 6]
    np.testing.assert_array_equal(sparse.transition_matrix[absent], np.eye(7)[absent])
    assert np.isnan(sparse.correct_given_score[absent]).all()
    assert sparse.loss == pytest.approx(dense.loss, abs=max(tolerance, 1e-14))


def _spread(values: DoubleArray) -> DoubleArray:
    out = np.zeros(6)
    out[[0, 2, 5]] = values
    return out


@pytest.mark.parametrize("solver", ["sharing", "em", "moments"])
def test_a_level_that_only_neighbours_have_is_absent(solver: str) -> None:
    # Row 4, the only one of level 2, has unrated neighbours; it is a neighbour of row 0.
    indices = [[4, 1], [0, 3], [3, 1], [2, 1], [5, 6], [6, 4], [5, 4], [3, 2]]
    scores = [0, 0, 1, 1, 2, -1, -1, 1]
    graph = KnnGraph.from_arrays(indices, [[0.9, 0.8]] * 8)
    estimate = estimate_transition_matrix(scores, graph, solver=solver)
    assert estimate.num_counted == 5
    assert estimate.prior.sum() == pytest.approx(1.0)
    assert estimate.prior[2] == 0
    assert estimate.transition_matrix[2].tolist() == [0, 0, 1]
    assert estimate.observed.tolist() == [0.4, 0.6, 0.0]


def test_all_of_one_level_but_one_row() -> None:
    scores = np.zeros(60, dtype=np.int64)
    scores[30] = 1
    rows = np.arange(60)[:, None]
    similarities = np.tile([0.9, 0.8, 0.7, 0.6], (60, 1))
    graph = KnnGraph.from_arrays((rows + np.arange(1, 5)) % 60, similarities)
    for solver in ("sharing", "em", "moments"):
        estimate = estimate_transition_matrix(scores, graph, solver=solver)
        assert np.isfinite(estimate.transition_matrix).all()
        np.testing.assert_allclose(estimate.transition_matrix.sum(axis=1), 1.0, atol=1e-12)
        assert estimate.observed.tolist() == pytest.approx([59 / 60, 1 / 60])


def test_diagnostics_by_hand() -> None:
    # Triples: (0,0,1) (0,0,1) (1,0,0) (1,0,0); the fifth row is unrated. The nearest rated
    # neighbour of rows 0 and 1 agrees with them.
    indices = [[1, 2, 4], [4, 0, 3], [0, 1, 3], [1, 0, 2], [0, 1, 2]]
    graph = KnnGraph.from_arrays(indices, [[0.9, 0.8, 0.7]] * 5)
    default = estimate_transition_matrix([0, 0, 1, 1, -1], graph)
    assert (default.solver, default.num_counted) == ("sharing", 4)
    assert (default.agreement, default.chance_agreement) == (0.5, 0.5)
    estimate = estimate_transition_matrix([0, 0, 1, 1, -1], graph, solver="em")
    assert estimate.num_counted == 4
    assert estimate.agreement == 0.5
    assert estimate.chance_agreement == 0.5
    assert estimate.observed.tolist() == [0.5, 0.5]
    assert estimate.solver == "em"
    counts = np.zeros((2, 2, 2), dtype=np.int64)
    counts[0, 0, 1] = counts[1, 0, 0] = 2
    expected = reference.moment_loss(counts, estimate.transition_matrix, estimate.prior)
    assert estimate.loss == pytest.approx(expected, abs=1e-14)
    right = estimate.transition_matrix.diagonal() * estimate.prior / 0.5
    np.testing.assert_allclose(estimate.correct_given_score, np.minimum(right, 1.0))


@pytest.mark.parametrize("solver", ["sharing", "em"])
def test_the_same_bytes_for_any_number_of_threads_and_any_way_to_write_unrated(
    solver: str,
) -> None:
    scores, graph = make_pool(20_000, 6, 4, unrated=0.2)
    as_floats = np.where(scores < 0, np.nan, scores)
    as_objects = np.array([None if score < 0 else int(score) for score in scores], dtype=object)
    expected = estimate_transition_matrix(scores, graph, solver=solver, threads=1)
    for given, threads in ((scores, 2), (scores, 7), (as_floats, 2), (as_objects, 2)):
        estimate = estimate_transition_matrix(given, graph, solver=solver, threads=threads)
        assert estimate.transition_matrix.tobytes() == expected.transition_matrix.tobytes()
        assert estimate.prior.tobytes() == expected.prior.tobytes()
        assert estimate.num_counted == expected.num_counted


def _refuse(match: str, error: type[Exception] = InputError, **arguments: Any) -> None:
    scores, graph = make_pool(40, 3, 4)
    given: dict[str, Any] = {"scores": scores, "graph": graph, **arguments}
    with pytest.raises(error, match=match):
        estimate_transition_matrix(given.pop("scores"), given.pop("graph"), **given)


def _with(scores: npt.ArrayLike, row: int, value: object) -> list[object]:
    values: list[object] = list(np.asarray(scores))
    values[row] = value
    return values


def test_bad_scores_are_refused() -> None:
    scores, _ = make_pool(40, 3, 4)
    _refuse(r"scores: expected shape \(40,\).*\(39,\)", scores=scores[1:])
    _refuse(r"scores: expected shape \(40,\).*\(40, 1, 1\)", scores=scores[:, None, None])
    _refuse(r"scores: expected 1 to 64 raters, got shape \(40, 0\)", scores=np.empty((40, 0)))
    _refuse(
        r"scores: expected 1 to 64 raters, got shape \(40, 65\)",
        scores=np.repeat(scores[:, None], 65, axis=1),
    )
    _refuse("scores: expected numbers.*'good'", InputTypeError, scores=_with(scores, 3, "good"))
    _refuse("scores: expected numbers, got '1'", InputTypeError, scores=["1"] * 40)
    _refuse("scores: expected numbers, got dtype bool", InputTypeError, scores=scores > 0)
    _refuse("scores: expected numbers.*True", InputTypeError, scores=[None, True] * 20)
    _refuse("scores: expected whole.*row 7 holds 1.5", scores=_with(scores, 7, 1.5))
    _refuse("scores: expected.*row 7 holds inf", scores=_with(scores, 7, np.inf))
    _refuse("scores: expected levels.*row 2 holds -2", scores=_with(scores, 2, -2))
    _refuse("scores: expected levels 0 to 63.*holds 64", scores=_with(scores, 2, 64))
    _refuse("scores: expected rated rows, got 40 unrated", scores=[-1] * 40)
    _refuse("scores: expected at least two different levels.*level 4", scores=[4] * 39 + [-1])
    _refuse(r"scores: expected values below num_levels \(2\)", num_levels=2)


def test_bad_settings_are_refused() -> None:
    _, graph = make_pool(40, 3, 4)
    _refuse("num_levels: expected at least 2, got 1", num_levels=1)
    _refuse("num_levels: expected at most 64, got 65", num_levels=65)
    _refuse("num_levels: expected an integer", InputTypeError, num_levels=3.0)
    _refuse("solver: expected 'sharing', 'em' or 'moments', got 'newton'", solver="newton")
    _refuse("bootstrap: expected at least 0, got -1", bootstrap=-1)
    _refuse("bootstrap: expected an integer", InputTypeError, bootstrap=0.5)
    _refuse("seed: expected at least 0, got -1", seed=-1)
    _refuse("seed: expected 0 to", seed=2**64)
    _refuse("threads: expected", threads=0)
    _refuse("graph: expected a KnnGraph, got ndarray", InputTypeError, graph=graph.indices)
    narrow = KnnGraph.from_arrays(graph.indices[:, :1], graph.similarities[:, :1])
    _refuse("graph: expected at least 2 neighbours a row, got 1", graph=narrow)
    wide = KnnGraph(graph.indices.astype(np.int64), graph.similarities)
    _refuse("graph: expected int32 indices.*int64", graph=wide)
    short = KnnGraph(graph.indices, graph.similarities[:, :3])
    _refuse("graph: expected indices and similarities of one shape", graph=short)
    beyond = KnnGraph(graph.indices + np.int32(1), graph.similarities)
    _refuse(r"graph: expected row numbers in \[0, 40\), got 1 to 40", graph=beyond)


def test_no_row_with_two_rated_neighbours_is_refused() -> None:
    scores = np.full(40, -1)
    scores[[0, 20]] = 0, 1
    for solver in ("sharing", "em", "moments"):
        _refuse(
            "graph: expected rated rows with two rated neighbours.*2 rated",
            scores=scores,
            solver=solver,
        )


def test_what_a_solver_cannot_use_is_refused() -> None:
    scores, _ = make_pool(40, 3, 4)
    for solver in ("em", "moments"):
        beside = f"expected with solver='sharing' only, got it with '{solver}'"
        _refuse(f"repeats: {beside}", solver=solver, repeats=scores)
        _refuse(f"gold: {beside}", solver=solver, gold=scores)
        _refuse(f"bootstrap: {beside}", solver=solver, bootstrap=50)


def test_what_several_raters_cannot_use_is_refused() -> None:
    scores, _ = make_pool(40, 3, 4)
    three = np.stack([np.roll(scores, shift) for shift in range(3)], axis=1)
    two = three[:, :2]
    _refuse("repeats: expected with one rater only, got them beside 2 raters",
            scores=two, repeats=scores)  # fmt: skip
    _refuse("bootstrap: expected 0 with several raters", scores=three, bootstrap=50)
    _refuse("solver: expected 'sharing' with several raters, got 'em'", scores=three, solver="em")
    _refuse("graph: expected one beside two raters, got none", scores=two, graph=None)
    _refuse(r"graph: expected one, or several raters' scores \(N, R\), got neither", graph=None)


def test_bad_repeats_are_refused() -> None:
    scores, _ = make_pool(40, 3, 4)
    _refuse(r"repeats: expected shape \(40, M\).*\(39,\)", repeats=scores[1:])
    _refuse(r"repeats: expected shape \(40, M\).*\(1, 40, 1\)", repeats=scores[None, :, None])
    _refuse("repeats: expected levels 0 to 2.*row 5 holds 3", repeats=_with(scores, 5, 3))
    _refuse("repeats: expected whole.*row 5 holds 0.5", repeats=_with(scores, 5, 0.5))
    _refuse("repeats: expected numbers.*'two'", InputTypeError, repeats=_with(scores, 5, "two"))
    _refuse(
        "repeats: expected further ratings of rated rows only; row 4 has one and no score",
        scores=_with(scores, 4, -1),
        repeats=_with(np.full(40, -1), 4, 1),
    )


def test_bad_gold_is_refused() -> None:
    scores, _ = make_pool(40, 3, 4)
    _refuse(r"gold: expected shape \(40,\), one true score a row, got \(39,\)", gold=scores[1:])
    _refuse(r"gold: expected shape \(40,\).*got \(40, 1\)", gold=scores[:, None])
    _refuse("gold: expected levels 0 to 2.*row 5 holds 3", gold=_with(scores, 5, 3))
    _refuse("gold: expected numbers.*'two'", InputTypeError, gold=_with(scores, 5, "two"))


def test_progress_is_told() -> None:
    scores, graph = make_pool(300, 4, 5)
    calls: list[tuple[str, int, int]] = []
    for solver in ("sharing", "em", "moments"):
        estimate_transition_matrix(
            scores, graph, solver=solver, progress=lambda *call: calls.append(call)
        )
        stage, done, total = calls[-1]
        assert stage == "transition matrix"
        assert done == total > 0


def test_an_error_of_the_progress_callable_reaches_the_caller() -> None:
    scores, graph = make_pool(300, 4, 5)

    def stop(stage: str, done: int, total: int) -> None:
        raise LookupError(stage)

    for solver in ("sharing", "em"):
        with pytest.raises(LookupError, match="transition matrix"):
            estimate_transition_matrix(scores, graph, solver=solver, progress=stop)


def test_ctrl_c_stops_a_solver() -> None:
    counts = np.random.default_rng(1).integers(0, 9, (64, 64, 64))
    started = time.process_time()
    with pytest.raises(KeyboardInterrupt), ctrl_c_after(0.2):
        _core.solve_moments(counts)  # seconds of work
    assert time.process_time() - started < 4.0  # of six; a busy machine adds to what it takes


def test_the_examples_run() -> None:
    results = doctest.testmod(ds2fast.transition)
    assert results.attempted > 0
    assert results.failed == 0
