"""The kernels of the sharing model against plain NumPy: neighbours, counts, EM, curve, draws."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from ds2fast import _core
from ds2fast import reference_sharing as reference
from ds2fast.results import DoubleArray, IntArray
from ds2fast.sharing import quantiles_in_place

NO_PATTERNS = (np.zeros(0), np.zeros(0, dtype=np.int32))


class Pool(NamedTuple):
    """Rows with binned neighbours, as the counting kernels take them."""

    levels: np.ndarray
    ids: np.ndarray
    bins: np.ndarray
    is_copy: np.ndarray
    num_levels: int
    num_bins: int


def make_graph(
    num_rows: int, num_levels: int, width: int, *, unrated: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Levels that follow the row number; lists of near rows with copies and equal similarities."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([np.arange(-width, 0), np.arange(1, width + 1)])
    indices = np.array([rng.permutation(offsets)[:width] + n for n in range(num_rows)]) % num_rows
    similarities = rng.uniform(0.1, 0.9, indices.shape).astype(np.float32)
    similarities[:, 0][rng.random(num_rows) < 0.1] = 0.9995
    equal = rng.random(num_rows) < 0.3
    similarities[equal, 1] = similarities[equal, 0]
    similarities = -np.sort(-similarities, axis=1)
    levels = np.arange(num_rows) * num_levels // num_rows
    noisy = rng.random(num_rows) < 0.3
    levels[noisy] = rng.integers(0, num_levels, noisy.sum())
    levels[rng.random(num_rows) < unrated] = -1
    return levels.astype(np.int8), indices.astype(np.int32), similarities


def make_pool(
    num_rows: int = 500,
    num_levels: int = 6,
    num_bins: int = 3,
    *,
    width: int = 5,
    unrated: float = 0.2,
    seed: int = 0,
) -> Pool:
    levels, indices, similarities = make_graph(
        num_rows, num_levels, 2 * width, unrated=unrated, seed=seed
    )
    ids, kept, is_copy = _core.independent_neighbours(levels, indices, similarities, width, 1)
    bins = np.digitize(kept, np.linspace(0.1, 0.9, num_bins + 1)[1:-1]).astype(np.uint8)
    return Pool(levels, ids, bins, is_copy, num_levels, num_bins)


POOLS = [
    pytest.param(make_pool(), id="six levels"),
    pytest.param(make_pool(300, 2, 2, width=3), id="two levels"),
    pytest.param(make_pool(600, 20, 1), id="twenty levels, one bin"),
    pytest.param(make_pool(400, 4, 5, unrated=0.9), id="nine tenths unrated"),
    pytest.param(make_pool(50, 3, 2, unrated=1.0), id="none rated"),
    pytest.param(make_pool(200, 3, 2, width=1), id="one neighbour, no pair"),
    pytest.param(make_pool(300, 5)._replace(num_levels=7), id="two levels absent"),
    pytest.param(make_pool(300)._replace(is_copy=np.ones(300, dtype=np.uint8)), id="all copies"),
]


def random_parameters(num_levels: int, num_pairs: int, seed: int) -> reference.Parameters:
    rng = np.random.default_rng(seed)
    return reference.Parameters(
        rng.dirichlet(np.ones(num_levels), num_levels),
        rng.dirichlet(np.ones(num_levels)),
        0.3,
        rng.dirichlet(np.ones(4), num_pairs),
    )


def patterns_of(truth: DoubleArray, prior: DoubleArray, num_rows: int) -> reference.Patterns:
    """Pairs of ratings of `num_rows` rows; of every tenth row the true level is known too."""
    rng = np.random.default_rng(5)
    size = len(prior)
    true = rng.choice(size, num_rows, p=prior)
    given = (truth.cumsum(axis=1)[true][:, None] > rng.random((num_rows, 2, 1))).argmax(axis=2)
    gold = np.where(np.arange(num_rows) % 10 == 0, true, -1)
    shown = np.stack([(given == a).sum(axis=1) for a in range(size)], axis=1)
    rows, weights = np.unique(np.c_[shown, gold], axis=0, return_counts=True)
    return reference.Patterns(rows[:, :-1], weights.astype(float), rows[:, -1])


def assert_same(fit: reference.Parameters, after: reference.Parameters) -> None:
    np.testing.assert_allclose(fit.transition, after.transition, atol=1e-6)
    np.testing.assert_allclose(fit.prior, after.prior, atol=1e-6)
    np.testing.assert_allclose(fit.shares, after.shares, atol=1e-6)
    assert fit.own == pytest.approx(after.own, abs=1e-6)


def no_patterns(num_levels: int) -> reference.Patterns:
    return reference.Patterns(
        np.zeros((0, num_levels), dtype=np.int64), np.zeros(0), np.zeros(0, dtype=np.int64)
    )


def solve(
    counts: IntArray, patterns: reference.Patterns, num_rows: float, *, fit_own: bool
) -> tuple[reference.Parameters, float, bool]:
    transition, prior, own, shares, likelihood, _, converged = _core.solve_sharing(
        counts,
        patterns.shown.astype(np.int32),
        patterns.weights,
        patterns.gold.astype(np.int32),
        num_rows,
        fit_own,
    )
    return reference.Parameters(transition, prior, own, shares), likelihood, converged


@pytest.mark.parametrize("width", [1, 4, 20])
@pytest.mark.parametrize("unrated", [0.0, 0.5, 1.0])
def test_neighbours_equal_the_reference(width: int, unrated: float) -> None:
    graph = make_graph(400, 5, 9, unrated=unrated, seed=1)
    ids, similarities, is_copy = reference.independent_neighbours(*graph, width)
    for threads in (1, 2, 7):
        found = _core.independent_neighbours(*graph, width, threads)
        np.testing.assert_array_equal(found[0], ids)
        np.testing.assert_array_equal(found[1], similarities)
        np.testing.assert_array_equal(found[2], is_copy)


def test_a_graph_of_copies_only_has_no_neighbours() -> None:
    indices = np.array([[1, 2], [0, 2], [0, 1]], dtype=np.int32)
    similarities = np.ones((3, 2), dtype=np.float32)
    levels = np.array([-1, 2, 2], dtype=np.int8)
    ids, kept, is_copy = _core.independent_neighbours(levels, indices, similarities, 2, 1)
    assert (ids == -1).all()
    assert (kept == 0).all()
    assert is_copy.tolist() == [0, 0, 1]  # row 0, unrated, is nobody's original


@pytest.mark.parametrize("pool", POOLS)
def test_counts_equal_the_reference(pool: Pool) -> None:
    triples = reference.sharing_counts(*pool)
    pairs = reference.pair_counts(*pool)
    for threads in (1, 2, 7):
        np.testing.assert_array_equal(_core.sharing_counts(*pool, threads), triples)
        np.testing.assert_array_equal(_core.pair_counts(*pool, threads), pairs)


@pytest.mark.parametrize("num_rows", [300.0, 40_000.0])
@pytest.mark.parametrize("pool", POOLS[:4])
def test_the_fit_is_a_maximum_by_the_reference(pool: Pool, num_rows: float) -> None:
    # Two maxima of one map need not be one point, so the fit is held against what it must be: a
    # fixed point of the reference's EM step whose objective is as said and as high as EM's.
    counts = _core.sharing_counts(*pool, 1)
    nothing = no_patterns(pool.num_levels)
    fit, reached, converged = solve(counts, nothing, num_rows, fit_own=False)
    assert converged
    said = reference.objective(counts, nothing, num_rows, fit, fit_own=False)
    assert reached == pytest.approx(said, rel=1e-9)
    after = reference.em_step(counts, nothing, num_rows, fit, fit_own=False)
    assert_same(fit, after)
    observed = counts.sum(axis=(0, 2, 3)) / counts.sum()
    plain = reference.Parameters(
        0.05 / pool.num_levels + 0.95 * np.eye(pool.num_levels),
        observed,
        0.0,
        np.tile([0.64, 0.16, 0.16, 0.04], (len(counts), 1)),
    )
    for _ in range(100):
        plain = reference.em_step(counts, nothing, num_rows, plain, fit_own=False)
    # The solver takes objectives that differ by 1e-7 of themselves for equal.
    best_plain = reference.objective(counts, nothing, num_rows, plain, fit_own=False)
    assert reached >= best_plain - 1e-7 * abs(best_plain)


@pytest.mark.parametrize("num_levels", [2, 4])
def test_a_fit_with_a_signal_is_a_maximum_by_the_reference(num_levels: int) -> None:
    pool = make_pool(600, num_levels, 2)
    counts = _core.sharing_counts(*pool, 1)
    patterns = patterns_of(
        0.3 / num_levels + 0.7 * np.eye(num_levels), np.full(num_levels, 1 / num_levels), 400
    )
    fit, reached, converged = solve(counts, patterns, 480.0, fit_own=True)
    assert converged
    assert 0.0 <= fit.own < 1.0
    said = reference.objective(counts, patterns, 480.0, fit, fit_own=True)
    assert reached == pytest.approx(said, rel=1e-9)
    after = reference.em_step(counts, patterns, 480.0, fit, fit_own=True)
    assert_same(fit, after)


def test_em_of_the_reference_never_lowers_the_objective() -> None:
    pool = make_pool(600, 4, 2)
    counts = _core.sharing_counts(*pool, 1)
    patterns = patterns_of(np.full((4, 4), 0.1) + 0.6 * np.eye(4), np.full(4, 0.25), 400)
    at = random_parameters(4, len(counts), 3)
    before = -np.inf
    for _ in range(50):
        reached = reference.objective(counts, patterns, 5e4, at, fit_own=True)
        assert reached >= before - 1e-8  # rounding of sums near 1e5
        before, at = reached, reference.em_step(counts, patterns, 5e4, at, fit_own=True)


def faultless_counts(rows_a_level: IntArray) -> IntArray:
    """(1, K, K, K): each row and both of its neighbours show the level of the neighbourhood."""
    counts = np.zeros((1, *(len(rows_a_level),) * 3), dtype=np.int64)
    every = np.arange(len(rows_a_level))
    counts[0, every, every, every] = rows_a_level
    return counts


def falling_shares(num_levels: int) -> DoubleArray:
    levels = np.arange(num_levels)
    falling = np.exp(-np.abs(levels[:, None] - levels))
    return np.asarray(falling / falling.sum(axis=1, keepdims=True))


@pytest.mark.parametrize(
    ("rows_a_level", "supposed"),
    [
        pytest.param([3, 3], 10 * 6 / 40_000, id="six rows"),
        pytest.param([2000, 1200, 780, 20], 1.0, id="4 000 rows"),
        pytest.param([20_000, 12_000, 7992, 8], 10.0, id="40 000 rows"),
        pytest.param([200_000, 120_000, 79_992, 8], 10.0, id="400 000 rows"),
    ],
)
def test_supposed_rows_count_where_rows_are_few(rows_a_level: list[int], supposed: float) -> None:
    """Where nobody errs hidden levels are all but certain: T follows from the counts by hand."""
    rows = np.array(rows_a_level)
    counts = faultless_counts(rows)
    fit, _, converged = solve(counts, no_patterns(len(rows)), float(rows.sum()), fit_own=False)
    assert converged
    # The row and both of its neighbours show the level: three times n_i of what is counted.
    counted = 3.0 * np.diag(rows) + supposed * falling_shares(len(rows))
    expected = counted / counted.sum(axis=1, keepdims=True)
    # All but: three times n_a p_i T_ia^3 / p_a = n_i T_ia^3 rows (a, a, a) may be of level i.
    doubt = ((1.0 - np.eye(len(rows))) * expected**3).sum(axis=1, keepdims=True)
    assert (np.abs(fit.transition - expected) <= 2e-6 + doubt).all()
    np.testing.assert_allclose(fit.prior, rows / rows.sum(), atol=2e-6)
    np.testing.assert_allclose(fit.shares, [[1.0, 0.0, 0.0, 0.0]], atol=2e-4)
    # Six rows, and levels of many, are as if nothing were supposed; one of 8 in 40 000 is not.
    off = 1.0 - np.diag(fit.transition)
    assert (off[3 * rows > 1000 * supposed] < 1e-3).all()
    assert (off[rows == 8] > 0.1).all()


def test_the_prior_is_held_to_the_scores_where_own_is_fitted() -> None:
    rows = np.array([20_000, 12_000, 8000])
    # 4 000 rows more, rated once, known to be of level 0.
    gold = reference.Patterns(np.array([[1, 0, 0]]), np.array([4000.0]), np.array([0]))
    seen = rows + np.array([4000, 0, 0])
    fit, _, converged = solve(faultless_counts(rows), gold, 40_000.0, fit_own=False)
    assert converged
    np.testing.assert_allclose(fit.prior, seen / 44_000, atol=1e-5)
    fit, _, converged = solve(faultless_counts(rows), gold, 40_000.0, fit_own=True)
    assert converged
    assert fit.own == pytest.approx(0.0, abs=1e-4)
    np.testing.assert_allclose(fit.prior, (seen + 300 * rows / 40_000) / 44_300, atol=1e-5)


def test_a_small_pool_is_supposed_the_same_share_of() -> None:
    """Up to 40 000 rows, what is supposed grows with the pool: the fit is that of its shares."""
    pool = make_pool(600, 4, 2)
    counts = _core.sharing_counts(*pool, 1)
    small, large, endless = (
        solve(counts, no_patterns(4), num_rows, fit_own=False)[0].transition
        for num_rows in (6.0, 40_000.0, 1e9)
    )
    np.testing.assert_allclose(small, large, atol=1e-4)
    assert np.abs(large - endless).max() > 1e-4


def test_gold_names_the_levels() -> None:
    # A rater who has two levels the wrong way round; without gold no likelihood could tell.
    swapped = np.array([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
    patterns = patterns_of(swapped, np.full(3, 1 / 3), 3000)
    counts = np.zeros((1, 3, 3, 3), dtype=np.int64)
    fit, _, converged = solve(counts, patterns, 0.0, fit_own=False)
    assert converged
    # 1 000 rows a level, two ratings each: a standard error of 0.012.
    np.testing.assert_allclose(fit.transition, swapped, atol=0.06)


@pytest.mark.parametrize("pool", POOLS[:3])
def test_alpha_is_the_best_of_all(pool: Pool) -> None:
    counts = _core.pair_counts(*pool, 1)
    at = random_parameters(pool.num_levels, 1, 4)
    transition = 0.5 * at.transition + 0.5 * np.eye(pool.num_levels)
    emission = 0.8 * transition + 0.2 * at.prior
    alpha = _core.solve_alpha(counts, emission, transition, at.prior)
    assert ((alpha >= 0) & (alpha <= 1)).all()
    for table, found in zip(counts, alpha, strict=True):
        model = (table, emission, transition, at.prior)
        best = reference.pair_log_likelihood(*model, found)
        tried = [reference.pair_log_likelihood(*model, x) for x in np.linspace(0, 1, 201)]
        assert best >= max(tried) - 1e-9 * abs(best)


def test_resamples_spread_as_the_weights_do() -> None:
    pool = make_pool(3000, 3, 2, unrated=0.0)
    counts = _core.sharing_counts(*pool, 1)
    fit, _, _ = solve(counts, no_patterns(3), 3000.0, fit_own=False)
    arguments = (*pool[:4], 2, *fit, np.zeros((0, 3), dtype=np.int32), *NO_PATTERNS, False, 60)
    drawn = _core.resample_sharing(*arguments, 7, 1)
    for threads in (2, 3):
        again = _core.resample_sharing(*arguments, 7, threads)
        for one, other in zip(drawn, again, strict=True):
            np.testing.assert_array_equal(one, other)
    assert drawn[0].shape == (60, 3, 3)
    np.testing.assert_allclose(drawn[0].sum(axis=2), 1.0, atol=1e-12)
    np.testing.assert_allclose(drawn[1].sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_array_equal(drawn[2], 0.0)
    # The same in plain NumPy with signs of its own, each refitted by the solver from the start: two
    # standard deviations of 60 and of 30 draws differ by a sixth one time in three.
    rng = np.random.default_rng(8)
    refits = []
    for _ in range(30):
        signs = rng.choice([-1.0, 1.0], len(pool.levels))
        weighted = np.maximum(reference.sharing_counts(*pool, signs), 0).astype(np.int64)
        refits.append(solve(weighted, no_patterns(3), 3000.0, fit_own=False)[0].transition)
    ratio = drawn[0].std(axis=0, ddof=1).mean() / np.std(refits, axis=0, ddof=1).mean()
    assert 0.6 < ratio < 1.6


def test_wrong_shapes_are_refused() -> None:
    pool = make_pool(50)
    with pytest.raises(ValueError, match="one bin an id"):
        _core.sharing_counts(pool.levels, pool.ids, pool.bins[:, :2].copy(), pool.is_copy, 6, 3, 1)
    with pytest.raises(ValueError, match="levels below the number of levels"):
        _core.sharing_counts(*pool[:4], 3, 3, 1)
    with pytest.raises(ValueError, match="bins below the number of bins"):
        _core.pair_counts(*pool[:4], 6, 1, 1)
    with pytest.raises(ValueError, match=r"a \(P, K, K, K\) table"):
        solve(np.zeros((1, 2, 2, 3), dtype=np.int64), no_patterns(2), 1.0, fit_own=False)


def test_quantiles_in_place_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    for count in [1, 2, 3, 4, 9, *rng.integers(10, 3000, 200)]:
        values = rng.normal(size=count).astype(np.float32)
        ties = np.round(values, 1)
        for num_bins in (1, 3, 5, 8):
            shares = np.linspace(0.0, 1.0, num_bins + 1)
            for given in (values, ties):
                expected = np.quantile(given.astype(np.float64), shares)
                np.testing.assert_array_equal(quantiles_in_place(given.copy(), shares), expected)
