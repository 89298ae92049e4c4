"""Several raters: the kernel against plain NumPy, planted matrices, and what is said of them."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ds2fast.panel
from ds2fast import _core, reference_panel
from ds2fast.errors import InputError, InputTypeError
from ds2fast.panel import RaterPanel, by_group, rate_raters
from ds2fast.results import DoubleArray, IntArray

PRIOR = np.array([0.1, 0.3, 0.4, 0.2])


def right_with(chance: float, num_levels: int = 4) -> DoubleArray:
    """Right with this chance, else another level, the nearer the likelier."""
    level = np.arange(num_levels)
    matrix = np.exp(-np.abs(level[:, None] - level).astype(float))
    np.fill_diagonal(matrix, 0.0)
    matrix *= (1 - chance) / matrix.sum(axis=1, keepdims=True)
    np.fill_diagonal(matrix, chance)
    return np.asarray(matrix)


def draw_scores(matrix: DoubleArray, true: IntArray, rng: np.random.Generator) -> IntArray:
    below = matrix.cumsum(axis=1)[true, :-1]
    return np.asarray((rng.random(len(true))[:, None] > below).sum(axis=1))


def plant(
    num_rows: int, chances: tuple[float, ...], *, unrated: float = 0.0, seed: int = 0
) -> tuple[IntArray, IntArray, DoubleArray]:
    """True levels, (N, R) scores and the matrices that they were drawn from."""
    rng = np.random.default_rng(seed)
    true = rng.choice(len(PRIOR), num_rows, p=PRIOR)
    matrices = np.stack([right_with(chance) for chance in chances])
    scores = np.stack([draw_scores(matrix, true, rng) for matrix in matrices], axis=1)
    scores[rng.random(scores.shape) < unrated] = -1
    return true, scores, matrices


def as_patterns(scores: IntArray, gold: IntArray) -> tuple[Any, Any, Any]:
    rows, counts = np.unique(np.column_stack([scores, gold]), axis=0, return_counts=True)
    return (
        np.ascontiguousarray(rows[:, :-1].astype(np.int8)),
        counts.astype(float),
        np.ascontiguousarray(rows[:, -1].astype(np.int32)),
    )


# --- Against plain NumPy --------------------------------------------------------------------------


@pytest.mark.parametrize("unrated", [0.0, 0.3])
@pytest.mark.parametrize("known", [0.0, 0.05])
def test_refined_fit_is_that_of_plain_em(unrated: float, known: float) -> None:
    true, scores, matrices = plant(3000, (0.8, 0.7, 0.65), unrated=unrated)
    gold = np.where(np.random.default_rng(1).random(len(true)) < known, true, -1)
    found, prior, likelihood, _, converged = _core.refine_panel(
        *as_patterns(scores, gold), matrices, PRIOR
    )
    plain, plain_prior, plain_likelihood = reference_panel.expectation_maximisation(
        scores, matrices, PRIOR, gold, steps=1500
    )
    assert converged
    # Both end close to one top, where the likelihood is flat: matrices differ more than it does.
    assert likelihood == pytest.approx(plain_likelihood, abs=1e-4)
    np.testing.assert_allclose(found, plain, atol=1e-3)
    np.testing.assert_allclose(prior, plain_prior, atol=1e-3)


def test_solution_is_a_fixed_point_of_plain_em_and_its_likelihood_is_right() -> None:
    _, scores, _ = plant(4000, (0.8, 0.7, 0.65, 0.5))
    gold = np.full(len(scores), -1)
    matrices, prior, likelihood, _, _ = _core.solve_panel(*as_patterns(scores, gold), 4)
    again, prior_again, before = reference_panel.step(scores, matrices, prior)
    assert likelihood == pytest.approx(before, rel=1e-12)
    np.testing.assert_allclose(again, matrices, atol=1e-6)
    np.testing.assert_allclose(prior_again, prior, atol=1e-6)


def test_posterior_fused_and_expected_are_those_of_plain_numpy() -> None:
    true, scores, _ = plant(2000, (0.8, 0.7, 0.65), unrated=0.4, seed=2)
    gold = np.where(np.arange(len(true)) % 50 == 0, true, -1)
    panel = rate_raters(scores, gold=gold, num_levels=4)
    belief, _ = reference_panel.posterior(scores, panel.matrices, panel.prior, gold)
    rated = np.asarray((scores >= 0).any(axis=1))
    assert 0 < rated.sum() < len(rated)
    np.testing.assert_allclose(panel.posterior[rated], belief[rated], atol=1e-12)
    np.testing.assert_allclose(panel.expected[rated], belief[rated] @ np.arange(4), atol=1e-12)
    below = np.array([[row[:level].sum() for level in range(4)] for row in belief])
    # The median: at most half below it, and at least half up to it.
    median = np.asarray(panel.fused[rated])
    at = np.arange(len(median))
    assert (below[rated][at, median] <= 0.5 + 1e-9).all()
    assert ((below[rated] + belief[rated])[at, median] >= 0.5 - 1e-9).all()
    assert (panel.fused[~rated] == -1).all()
    assert (panel.expected[~rated] == -1).all()
    np.testing.assert_array_equal(panel.posterior[~rated][0], panel.prior)
    known = rated & (gold >= 0)
    np.testing.assert_array_equal(panel.fused[known], true[known])
    assert panel.num_gold == known.sum()


def test_what_raters_tell_and_share_is_that_of_plain_numpy() -> None:
    _, scores, _ = plant(3000, (0.8, 0.7, 0.4), unrated=0.2, seed=3)
    panel = rate_raters(scores)
    for r in range(3):
        told = reference_panel.bits_told(panel.matrices[r], panel.prior)
        assert panel.reliability[r] == pytest.approx(told, abs=1e-12)
        for s in range(3):
            both = (scores[:, r] >= 0) & (scores[:, s] >= 0)
            x, y = scores[both, r], scores[both, s]
            assert panel.agreement[r, s] == pytest.approx((x == y).mean())
            assert panel.chance[r, s] == pytest.approx((x[:, None] == y).mean())
            kappa = reference_panel.quadratic_kappa(x, y)
            assert panel.kappa[r, s] == pytest.approx(kappa, abs=1e-12)
    assert panel.weight.sum() == pytest.approx(1.0)
    assert panel.weight[0] > panel.weight[1] > panel.weight[2]


# --- Against what was planted ---------------------------------------------------------------------


def test_planted_matrices_are_found_and_fusing_beats_the_best_rater() -> None:
    true, scores, matrices = plant(60_000, (0.75, 0.65, 0.5), seed=4)
    panel = rate_raters(scores)
    assert np.abs(panel.matrices - matrices).mean() < 0.02
    assert np.abs(panel.prior - PRIOR).max() < 0.03
    fused = (panel.fused != true).mean()
    assert fused < 0.95 * min((scores[:, r] != true).mean() for r in range(3))
    assert fused < (np.sort(scores, axis=1)[:, 1] != true).mean()
    order = np.corrcoef(panel.expected, true)[0, 1]
    assert order > np.corrcoef(scores.mean(axis=1), true)[0, 1]


def test_a_rater_of_the_reversed_scale_is_found_out() -> None:
    true, scores, _ = plant(20_000, (0.75, 0.65, 0.6), seed=5)
    scores[:, 2] = 3 - scores[:, 2]
    panel = rate_raters(scores)
    reversed_share = np.fliplr(panel.matrices[2]).diagonal().mean()
    assert reversed_share > 0.5
    assert (panel.fused == true).mean() > (scores[:, 0] == true).mean()


def test_linear_is_the_regression_of_the_truth_on_the_scores() -> None:
    true, scores, _ = plant(60_000, (0.75, 0.65, 0.5), seed=4)
    scores[:, 1] = 3 - scores[:, 1]  # a reversed scale gets a negative weight
    scores = share_errors(scores, 0.3)
    panel = rate_raters(scores)
    design = np.column_stack([np.ones(len(scores)), scores])
    regression = design @ np.linalg.lstsq(design, true)[0]
    # Errors that two raters share bend the matrices and so the prediction's scale, less its order.
    assert np.corrcoef(panel.linear, regression)[0, 1] > 0.97
    alone = np.column_stack([scores[:, 0], np.full((len(scores), 2), -1)])
    alone[: len(scores) // 2] = scores[: len(scores) // 2]
    mixed = rate_raters(alone)
    half = len(scores) // 2
    line = np.polynomial.Polynomial.fit(alone[half:, 0], true[half:], 1)
    assert np.abs(mixed.linear[half:] - line(alone[half:, 0])).max() < 0.5


def test_two_raters_and_gold_give_their_matrices() -> None:
    true, scores, matrices = plant(20_000, (0.75, 0.6), seed=6)
    gold = np.where(np.arange(len(true)) % 20 == 0, true, -1)
    panel = rate_raters(scores, gold=gold)
    assert np.abs(panel.matrices - matrices).mean() < 0.03


def share_errors(scores: IntArray, rate: float) -> IntArray:
    """The second rater copies the first in so many rows."""
    copied = np.random.default_rng(7).random(len(scores)) < rate
    shared = scores.copy()
    shared[copied, 1] = shared[copied, 0]
    return shared


def test_four_raters_show_that_some_err_alike() -> None:
    _, scores, _ = plant(50_000, (0.7, 0.6, 0.65, 0.55), seed=8)
    apart = rate_raters(scores)
    assert apart.dependence.max() < 0.01
    assert not any("err independently" in words for words in apart.warnings)
    # The fit takes in what the two share and may blame another pair, but somebody is blamed.
    alike = rate_raters(share_errors(scores, 0.4))
    assert alike.dependence.max() > 0.01
    assert "or others do and drew" in str(alike)


def test_gold_shows_which_two_of_three_err_alike() -> None:
    true, scores, _ = plant(50_000, (0.7, 0.6, 0.65), seed=9)
    gold = np.where(np.arange(len(true)) % 10 == 0, true, -1)
    panel = rate_raters(share_errors(scores, 0.4), gold=gold)
    assert panel.dependence[0, 1] > 0.05
    assert panel.dependence[0, 1] > 3 * max(panel.dependence[0, 2], panel.dependence[1, 2])
    assert rate_raters(scores, gold=gold).dependence.max() < 0.02


def test_three_raters_say_that_shared_errors_cannot_be_seen() -> None:
    _, scores, _ = plant(2000, (0.7, 0.6, 0.65))
    assert any("can't be seen" in words for words in rate_raters(scores).warnings)


def test_a_rater_of_noise_gets_no_weight_and_a_word() -> None:
    _, scores, _ = plant(20_000, (0.8, 0.7, 0.7), seed=10)
    scores[:, 2] = np.random.default_rng(11).integers(0, 4, len(scores))
    panel = rate_raters(scores, names=("good", "fair", "noise"))
    assert panel.weight[2] < 0.05
    assert any("noise tells next to nothing" in words for words in panel.warnings)


# --- Groups ---------------------------------------------------------------------------------------


def test_groups_have_means_and_matrices_of_their_own() -> None:
    _, first, first_matrices = plant(20_000, (0.8, 0.7, 0.75), seed=12)
    _, second, second_matrices = plant(20_000, (0.5, 0.7, 0.75), seed=13)
    scores = np.vstack([first, second])
    groups = np.repeat(["x", "a"], 20_000)
    panel = rate_raters(scores)
    found = by_group(panel, scores, groups)
    assert [group.name for group in found] == ["x", "a"]
    for group, own, matrices in zip(
        found, (first, second), (first_matrices, second_matrices), strict=True
    ):
        assert group.num_rows == 20_000
        np.testing.assert_allclose(group.mean_given, own.mean(axis=0))
        assert group.agreement[0, 1] == pytest.approx((own[:, 0] == own[:, 1]).mean())
        pooled = np.abs(panel.matrices[0] - matrices[0]).mean()
        assert np.abs(group.matrices[0] - matrices[0]).mean() < 0.5 * pooled
    assert found[0].mean_fused == pytest.approx(panel.fused[:20_000].mean())


def test_a_small_group_stays_near_the_pool_and_an_unrated_one_is_the_pool() -> None:
    _, scores, _ = plant(20_000, (0.8, 0.7, 0.75), seed=14)
    scores[:5] = -1
    groups = np.array(["rest"] * len(scores), dtype=object).astype(str)
    groups[:5], groups[5:25] = "none", "few"
    panel = rate_raters(scores)
    none, few, _ = by_group(panel, scores, groups)
    np.testing.assert_array_equal(none.matrices, panel.matrices)
    assert np.isnan(none.mean_given).all()
    assert np.isnan(none.mean_fused)
    assert np.abs(few.matrices - panel.matrices).mean() < 0.1


# --- Words, checks --------------------------------------------------------------------------------


def test_the_table_names_raters_and_matrices() -> None:
    _, scores, _ = plant(2000, (0.7, 0.6, 0.65))
    panel = rate_raters(scores, names=["ann", "bob", "cy"])
    words = str(panel)
    assert "3 raters, 2000 rated rows, levels 0..3" in words
    assert "bob: P(score | true score)" in words
    assert f"{panel.matrices[1][2, 2]:.3f}" in words
    assert "ann + cy" in words
    assert repr(panel).count("\n") == 0


def test_results_are_read_only_and_the_same_again() -> None:
    _, scores, _ = plant(2000, (0.7, 0.6, 0.65))
    first, second = rate_raters(scores), rate_raters(scores.astype(float))
    np.testing.assert_array_equal(first.matrices, second.matrices)
    np.testing.assert_array_equal(first.posterior, second.posterior)
    with pytest.raises(ValueError, match="read-only"):
        first.fused[0] = 1


def test_nan_and_none_are_unrated() -> None:
    _, scores, _ = plant(500, (0.7, 0.6, 0.65), unrated=0.2)
    as_nan = np.where(scores < 0, np.nan, scores)
    np.testing.assert_array_equal(rate_raters(as_nan).fused, rate_raters(scores).fused)


SCORES = [[0, 0, 1], [1, 1, 1], [0, 1, 0]]


@pytest.mark.parametrize(
    ("scores", "options", "words"),
    [
        ([[0, 1], [1, 0]], {}, r"two raters does not tell .* graph"),
        ([0, 1, 1], {}, r"R of at least 3 raters"),
        ([[0, 1, -1], [1, -1, 0]], {}, r"rows that three raters rated"),
        ([[0, 1, -1], [1, 0, -1]], {"names": ["a", "b", "c"]}, r"got none by c"),
        (SCORES, {"names": ["a", "a", "b"]}, r"names: expected 3 different names"),
        (SCORES, {"names": ["a"]}, r"names: expected 3 different names"),
        (SCORES, {"gold": [0, 1]}, r"gold: expected shape \(3,\)"),
        (SCORES, {"gold": [0, 1, 2]}, r"gold: expected levels 0 to 1"),
        (SCORES, {"num_levels": 65}, r"num_levels"),
        (SCORES, {"prior_ratings": -1.0}, r"prior_ratings: expected a number of at least 0"),
        (SCORES, {"prior_ratings": np.inf}, r"prior_ratings"),
        ([[0, 0.5, 1]], {}, r"scores: expected whole numbers"),
        ([[1, 1, 1]] * 3, {}, r"at least two different levels"),
    ],
)
def test_what_cannot_be_used_is_refused(scores: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        rate_raters(scores, **options)


def test_other_types_are_refused() -> None:
    with pytest.raises(InputTypeError, match="names"):
        rate_raters(SCORES, names="abc")
    with pytest.raises(InputTypeError, match="panel: expected a RaterPanel"):
        by_group(None, SCORES, [0, 0, 1])  # type: ignore[arg-type]  # the wrong type is the test
    panel = rate_raters(SCORES)
    with pytest.raises(InputError, match=r"groups: expected shape \(3,\)"):
        by_group(panel, SCORES, [0, 1])
    with pytest.raises(InputError, match="scores: expected those of the panel"):
        by_group(panel, SCORES[:2], [0, 1])


def test_the_examples_run() -> None:
    assert doctest.testmod(ds2fast.panel).failed == 0


def test_progress_is_told() -> None:
    _, scores, _ = plant(2000, (0.7, 0.6, 0.65))
    told: list[tuple[str, int, int]] = []
    rate_raters(scores, progress=lambda *words: told.append(words))
    assert told[-1][0] == "raters"
    assert told[-1][1] == told[-1][2]


@pytest.mark.shared
def test_real_raters_are_ordered(shared_data: Path) -> None:
    """On 300 932 real rows every rater's mean score rises from the lowest true level to the top."""
    with np.load(shared_data / "tulu_ratings.npz") as data:
        names = tuple(data.files)
        scores = np.stack([data[name] for name in names], axis=1).astype(np.int64)
    panel: RaterPanel = rate_raters(scores, names=names)
    assert panel.converged
    means = panel.matrices @ np.arange(6.0)
    for row in means:
        assert np.corrcoef(row, np.arange(6))[0, 1] > 0.5
    _, likelihood = reference_panel.posterior(scores, panel.matrices, panel.prior)
    assert panel.log_likelihood == pytest.approx(likelihood, rel=1e-10)
