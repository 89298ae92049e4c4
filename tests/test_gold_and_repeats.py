"""Repeats and gold labels: planted shares of rows of their own are found, and T comes closer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ds2fast
from ds2fast.curation import curate_scores
from ds2fast.errors import InputError
from ds2fast.results import TransitionEstimate
from ds2fast.transition import estimate_transition_matrix
from planted import Planted, plant


def off_by(estimate: TransitionEstimate, pool: Planted) -> float:
    """Mean |T̂ − T|."""
    return float(np.abs(estimate.transition_matrix - pool.rater).mean())


@pytest.mark.parametrize("own", [0.0, 0.15, 0.3])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_repeats_tell_the_share_of_rows_of_their_own(own: float, seed: int) -> None:
    pool = plant(own=own, seed=seed)
    estimate = estimate_transition_matrix(pool.scores, pool.graph, repeats=pool.repeat(2000))
    # 2 000 pairs of scores tell to 0.011 how often a rater repeats itself. By as much as neighbours
    # agree less is `own` more than 0, and there are only 200 clusters whose level was drawn.
    assert estimate.own == pytest.approx(own, abs=0.06)
    assert estimate.signal == ("repeats",)
    assert estimate.num_signal == 2000
    assert estimate.verdict.word == "verified"


def test_without_a_signal_own_is_not_known() -> None:
    pool = plant(own=0.3)
    estimate = estimate_transition_matrix(pool.scores, pool.graph)
    assert estimate.own is None
    assert (estimate.signal, estimate.num_signal) == ((), 0)
    assert estimate.verdict.word == "plausible"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_t_comes_closer_with_repeats_and_with_gold(seed: int) -> None:
    pool = plant(own=0.3, seed=seed)
    without = estimate_transition_matrix(pool.scores, pool.graph)
    repeated = estimate_transition_matrix(pool.scores, pool.graph, repeats=pool.repeat(2000))
    known = estimate_transition_matrix(pool.scores, pool.graph, gold=pool.know(500))
    assert off_by(repeated, pool) < 0.6 * off_by(without, pool)
    assert off_by(known, pool) < 0.6 * off_by(without, pool)
    assert known.signal == ("gold",)
    assert known.num_signal == 500
    assert known.own == pytest.approx(0.3, abs=0.1)


def test_both_signals_are_named() -> None:
    pool = plant(1500, own=0.3)
    estimate = estimate_transition_matrix(
        pool.scores, pool.graph, repeats=pool.repeat(300), gold=pool.know(100)
    )
    assert estimate.signal == ("repeats", "gold")


def test_a_few_signals_are_not_called_verified() -> None:
    pool = plant(1500)
    estimate = estimate_transition_matrix(pool.scores, pool.graph, gold=pool.know(50))
    assert estimate.verdict.word == "plausible"
    assert "only 50 rows with gold check T" in str(estimate.verdict)


def test_the_order_and_the_columns_of_repeats_mean_nothing() -> None:
    pool = plant(1500, own=0.2)
    first, second = pool.repeat(300), np.where(pool.repeat(300) >= 0, pool.rate(pool.rater, 3), -1)
    runs = [
        estimate_transition_matrix(pool.scores, pool.graph, repeats=np.stack(columns, axis=1))
        for columns in ((first, second), (second, first), (first, np.full(1500, -1), second))
    ]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.transition_matrix, runs[0].transition_matrix)
        assert run.own == runs[0].own


def test_repeats_of_no_row_are_as_none() -> None:
    pool = plant(1500)
    nothing = np.full(1500, np.nan)
    without = estimate_transition_matrix(pool.scores, pool.graph)
    empty = estimate_transition_matrix(pool.scores, pool.graph, repeats=nothing, gold=nothing)
    np.testing.assert_array_equal(empty.transition_matrix, without.transition_matrix)
    assert empty.own is None
    assert empty.signal == ()


def test_rows_drawn_by_their_score_bias_nothing() -> None:
    # As an audit draws: half of the labels among the few rows of the highest score.
    pool = plant(own=0.3, seed=4)
    generator = np.random.default_rng(0)
    top, rest = np.flatnonzero(pool.scores == 3), np.flatnonzero(pool.scores < 3)
    chosen = np.concatenate([generator.choice(top, 400, False), generator.choice(rest, 400, False)])
    gold = np.full(len(pool.true), -1)
    gold[chosen] = pool.true[chosen]
    estimate = estimate_transition_matrix(pool.scores, pool.graph, gold=gold)
    without = estimate_transition_matrix(pool.scores, pool.graph)
    assert off_by(estimate, pool) < 0.6 * off_by(without, pool)
    # 800 labels, of which those of a stratum weigh more: standard errors of some 0.02.
    np.testing.assert_allclose(estimate.prior, pool.prior, atol=0.07)


def test_a_known_row_has_its_true_score() -> None:
    pool = plant(1500, own=0.3)
    gold = pool.know(200)
    estimate = estimate_transition_matrix(pool.scores, pool.graph, gold=gold)
    curation = curate_scores(pool.scores, pool.graph, estimate, gold=gold)
    known = np.flatnonzero(gold >= 0)
    np.testing.assert_array_equal(curation.scores[known], gold[known])
    assert curation.expected is not None
    np.testing.assert_allclose(curation.expected[known], gold[known], atol=1e-9)
    assert curation.posterior is not None
    np.testing.assert_allclose(curation.posterior[known, gold[known]], 1.0, atol=1e-9)
    wrong = pool.scores[known] != gold[known]
    np.testing.assert_array_equal(curation.misrated[known], wrong)


def test_with_a_signal_the_ranking_value_is_the_posterior_mean() -> None:
    pool = plant(1500, own=0.3)
    repeats = pool.repeat(500)
    estimate = estimate_transition_matrix(pool.scores, pool.graph, repeats=repeats)
    curation = curate_scores(pool.scores, pool.graph, estimate, repeats=repeats)
    assert curation.posterior is not None
    np.testing.assert_allclose(curation.posterior.sum(axis=1), 1.0, atol=1e-12)
    assert curation.expected is not None
    np.testing.assert_allclose(curation.expected, curation.posterior @ np.arange(4), atol=1e-12)
    without = curate_scores(pool.scores, pool.graph, estimate)
    agrees = (repeats >= 0) & (repeats == pool.scores)
    rows = np.flatnonzero(agrees)
    assert without.posterior is not None
    # Who gave the same score twice is believed more often than who gave it once.
    assert (
        curation.posterior[rows, pool.scores[rows]].mean()
        > without.posterior[rows, pool.scores[rows]].mean() + 0.03
    )


@pytest.mark.parametrize("own", [0.0, 0.4])
def test_a_selection_with_repeats_is_better_than_as_given(own: float) -> None:
    pool = plant(own=own, seed=3)
    selection = ds2fast.select(
        scores=pool.scores, embeddings=pool.rows, repeats=pool.repeat(2000), n=600, num_levels=4
    )
    assert selection.transition is not None
    assert selection.transition.verdict.word == "verified"
    assert selection.trust == 1.0
    assert selection.settings["repeated_rows"] == 2000
    chosen, as_given = selection.indices, selection.ranked_as_given()
    assert pool.true[chosen].mean() > pool.true[as_given].mean() + 0.05


# --- Through `select` and `diagnose`: arrays, fields, scales --------------------------------------


def rows_of(pool: Planted, scale: list[Any], repeats: Any, gold: Any) -> list[dict[str, Any]]:
    """Rows with the values that stand for levels; None where there is none."""
    return [
        {
            "text": f"Question {row}, answered in some words.",
            "score": scale[score],
            "again": None if second < 0 else scale[second],
            "truth": None if true < 0 else scale[true],
        }
        for row, (score, second, true) in enumerate(zip(pool.scores, repeats, gold, strict=True))
    ]


PAPER_SCALE = [4, 6, 8, 9]  # of 1..10: the paper takes clip(score, 4, 9) - 4, so levels 0, 2, 4, 5


@pytest.mark.parametrize("scale", [[0, 1, 2, 3], [1, 2, 3, 4], PAPER_SCALE])
def test_fields_are_read_on_the_scale_of_the_scores(scale: list[Any]) -> None:
    pool = plant(900, own=0.2)
    repeats, gold = pool.repeat(300), pool.know(100)
    levels = np.array([0, 2, 4, 5] if scale == PAPER_SCALE else [int(value) for value in scale])
    data = rows_of(pool, scale, repeats, gold)
    given: dict[str, Any] = {"embeddings": pool.rows}
    by_field = ds2fast.diagnose(data, repeats="again", gold="truth", **given)
    by_array = ds2fast.diagnose(
        scores=levels[pool.scores],
        repeats=np.where(repeats < 0, -1, levels[repeats]),
        gold=np.where(gold < 0, -1, levels[gold]),
        num_levels=int(levels.max()) + 1,
        **given,
    )
    np.testing.assert_array_equal(by_field.given_scores, levels[pool.scores])
    np.testing.assert_array_equal(
        by_field.transition.transition_matrix, by_array.transition.transition_matrix
    )
    assert by_field.transition.own == by_array.transition.own
    assert by_field.transition.signal == ("repeats", "gold")


def test_a_file_and_several_fields_of_repeats(tmp_path: Path) -> None:
    pool = plant(900, own=0.2)
    data = rows_of(pool, [0, 1, 2, 3], pool.repeat(300), pool.know(100))
    for row, third in zip(data, pool.rate(pool.rater, 9), strict=True):
        row["third"] = None if row["again"] is None else int(third)
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in data))
    found = ds2fast.diagnose(
        tmp_path / "pool.jsonl", repeats=["again", "third"], embeddings=pool.rows
    )
    second = np.array([[-1 if row[name] is None else row[name] for name in ("again", "third")]
                       for row in data])  # fmt: skip
    plain = ds2fast.diagnose(scores=pool.scores, repeats=second, embeddings=pool.rows)
    np.testing.assert_array_equal(
        found.transition.transition_matrix, plain.transition.transition_matrix
    )
    assert found.settings["repeated_rows"] == plain.settings["repeated_rows"] == 300


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"repeats": [0, 1]}, r"repeats: expected one row a score \(900\), got \(2, 1\)"),
        ({"gold": np.zeros((900, 2))}, r"gold: expected one true score a row, got .*\(900, 2\)"),
        ({"gold": [-1] * 5 + [7] * 895, "num_levels": 4}, r"levels 0..3 .* got 7 in row 5 of gold"),
        (
            {"repeats": [[-1, -1]] * 5 + [[0, 2.5]] * 895, "num_levels": 4},
            r"levels 0..3 .* got 2.5 in row 5 of repeats",
        ),
        (
            {"scores": [[0, 1]] * 5 + [[0, 4]] * 895, "num_levels": 4},
            r"levels 0..3 .* got 4 in row 5 \(",
        ),
        ({"repeats": "again"}, r"repeats: expected an array where there are no rows"),
        ({"repeats": np.zeros((900, 0))}, r"repeats: expected shape \(N,\) or \(N, M\)"),
        ({"repeats": np.zeros(900), "solver": "em"}, r"repeats: expected with solver='sharing'"),
        ({"gold": np.zeros(900), "preset": "paper"}, r"gold: expected with solver='sharing'"),
    ],
)
def test_what_cannot_be_used_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ds2fast.diagnose(**{"scores": POOL.scores, "embeddings": POOL.rows, **arguments})


def test_repeats_of_an_unrated_row_are_refused() -> None:
    scores = POOL.scores.copy()
    scores[11] = -1
    repeats = np.full(900, -1)
    repeats[11] = 2
    with pytest.raises(InputError, match="of rated rows only; row 11 has one and no score"):
        ds2fast.diagnose(scores=scores, embeddings=POOL.rows, repeats=repeats)


def test_repeats_of_a_row_without_text_count_for_nothing() -> None:
    # Such a row is unrated, whatever its score and its repeats say.
    repeats = POOL.repeat(300)
    rows = rows_of(POOL, [0, 1, 2, 3], repeats, POOL.know(0))
    row = int(np.flatnonzero(repeats >= 0)[0])
    rows[row]["text"] = ""
    found = ds2fast.diagnose(rows, repeats="again", embeddings=POOL.rows)
    assert found.given_scores[row] == -1
    assert found.transition.num_signal == 299


POOL = plant(900)


def test_votes_take_no_signal() -> None:
    estimate = estimate_transition_matrix(POOL.scores, POOL.graph)
    for name in ("repeats", "gold"):
        message = f"{name}: expected with method='posterior' only, got it with 'simifeat'"
        given: dict[str, Any] = {name: POOL.scores}
        with pytest.raises(InputError, match=message):
            curate_scores(POOL.scores, POOL.graph, estimate, method="simifeat", **given)


def test_gold_that_contradicts_the_scores_is_not_followed() -> None:
    pool = plant(4000, seed=3)
    truth = pool.know(300)
    top = int(pool.scores.max())
    contradicting = np.where(truth >= 0, top - truth, -1)
    found = estimate_transition_matrix(pool.scores, pool.graph, gold=contradicting)
    assert found.gold_correlation < -0.3
    assert (found.verdict.word, found.verdict.trust) == ("unreliable", 0.0)
    assert "contradict each other" in found.verdict.causes[0]
    right = estimate_transition_matrix(pool.scores, pool.graph, gold=truth)
    assert right.gold_correlation > 0.3
    assert right.verdict.word == "verified"


def test_repeats_of_other_rows_are_not_followed() -> None:
    pool = plant(4000, seed=3)
    rng = np.random.default_rng(0)
    rows = rng.choice(4000, 400, replace=False)
    others = np.full(4000, -1)
    others[rows] = rng.permutation(pool.scores[rows])
    found = estimate_transition_matrix(pool.scores, pool.graph, repeats=others)
    assert (found.verdict.word, found.verdict.trust) == ("unreliable", 0.0)
    assert "of another rater, or of other rows" in found.verdict.causes[0]
