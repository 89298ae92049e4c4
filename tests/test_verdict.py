"""Verdicts: which figures lead to which word, and how words and causes are combined."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ds2fast.evidence import WeakEvidenceWarning, doubts_of_voters, warn_of
from ds2fast.graph import KnnGraph
from ds2fast.results import Clusterability, TransitionEstimate, Verdict
from ds2fast.transition import estimate_transition_matrix
from ds2fast.verdict import Doubt, combine, doubts_of, verdict_of, with_verdict
from planted import plant


def make_estimate(**figures: Any) -> TransitionEstimate:
    """Of three levels that speak for themselves: neighbours agree in 60 % of 1 000 rows."""
    transition = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    estimate = TransitionEstimate(
        transition_matrix=transition,
        prior=np.full(3, 1 / 3),
        observed=np.full(3, 1 / 3),
        correct_given_score=np.full(3, 0.8),
        agreement=0.6,
        chance_agreement=1 / 3,
        num_counted=1000,
        solver="sharing",
        loss=0.1,
        clusterability=Clusterability(np.array([0.0, 0.5, 1.0]), np.array([0.4, 0.9])),
        misfit=0.01,
    )
    return replace(estimate, **figures)


def test_nothing_speaks_against_it_and_nothing_checks_it() -> None:
    estimate = make_estimate()
    assert doubts_of(estimate) == []
    verdict = with_verdict(estimate).verdict
    assert (verdict.word, verdict.trust) == ("plausible", 1.0)
    assert "one rater and a graph cannot tell" in verdict.causes[0]


@pytest.mark.parametrize(
    ("figures", "word", "cause"),
    [
        # Chance is 1/3; its standard error over 1 000 rows is sqrt(1/3 · 2/3 / 1000) = 0.0149.
        ({"agreement": 1 / 3 + 0.044}, "unreliable", "not clearly more"),
        ({"agreement": 1 / 3 + 0.046}, "weak", "little more"),
        ({"agreement": 1 / 3 + 0.066}, "weak", "little more"),  # 0.1 of the possible 2/3
        ({"agreement": 1 / 3 - 0.2}, "unreliable", "not clearly more"),
        # Ever so many rows: less than 0.02 is too little all the same.
        ({"agreement": 1 / 3 + 0.019, "num_counted": 10**8}, "unreliable", "not clearly more"),
        ({"clusterability": Clusterability(np.array([0.0, 1.0]), np.array([0.29]))}, "weak", "29%"),
        ({"observed": np.array([0.81, 0.1, 0.09])}, "weak", "gave score 0 to 81%"),
        ({"misfit": 0.051}, "weak", "5.1% of the counted triples"),
        ({"converged": False, "steps": 20000}, "weak", "not settled after 20000 steps"),
        ({"transition_matrix": np.full((3, 3), 1 / 3)}, "weak", "nearly singular"),
        # Two of the levels are given the same scores, all but 0.04: (0.04 / 2) · sqrt(2) = 0.028.
        (
            {"transition_matrix": np.array([[0.52, 0.48, 0], [0.48, 0.52, 0], [0, 0, 1.0]])},
            "weak",
            "least singular value 0.040",
        ),
    ],
)
def test_each_doubt(figures: dict[str, Any], word: str, cause: str) -> None:
    doubts = doubts_of(make_estimate(**figures))
    assert [doubt.word for doubt in doubts] == [word]
    assert cause in doubts[0].cause
    verdict = with_verdict(make_estimate(**figures)).verdict
    assert verdict.word == word
    assert verdict.trust == {"weak": 0.5, "unreliable": 0.0}[word]


@pytest.mark.parametrize(
    "figures",
    [
        {"agreement": 1 / 3 + 0.068},
        {"agreement": float("nan")},  # raters alone: there are no neighbours
        {"clusterability": Clusterability(np.array([0.0, 1.0]), np.array([0.3]))},
        {"clusterability": None},
        {"observed": np.array([0.8, 0.1, 0.1])},
        {"misfit": 0.05},
        {"misfit": float("nan")},
        # A level that no row has is no level that the scores cannot tell apart.
        {"transition_matrix": np.eye(3)[[0, 1, 1]], "prior": np.array([0.5, 0.5, 0.0])},
    ],
)
def test_what_is_just_enough(figures: dict[str, Any]) -> None:
    assert doubts_of(make_estimate(**figures)) == []


def test_repeats_that_never_differ_verify_nothing() -> None:
    checked = make_estimate(signal=("repeats",), num_signal=2000, own=0.4)
    for share, word in ((0.949, "verified"), (0.95, "plausible"), (1.0, "plausible")):
        verdict = with_verdict(replace(checked, repeat_agreement=share)).verdict
        assert (verdict.word, verdict.trust) == (word, 1.0)
    assert "100.0% of the repeats equal the rating they repeat" in verdict.causes[0]
    pool = plant(900, own=0.3)
    copied = estimate_transition_matrix(pool.scores, pool.graph, repeats=pool.scores)
    assert copied.repeat_agreement == 1.0
    assert copied.verdict.word != "verified"
    assert "repeats its own errors" in copied.verdict.causes[0]


def test_only_a_signal_verifies() -> None:
    checked = make_estimate(signal=("repeats", "gold"), num_signal=200, own=0.25)
    verdict = with_verdict(checked).verdict
    assert (verdict.word, verdict.trust) == ("verified", 1.0)
    assert str(verdict) == (
        "verified: T rests on repeats and gold too; 25% of the rows have a quality of their own"
    )
    few = with_verdict(replace(checked, num_signal=199)).verdict
    assert few.word == "plausible"
    assert "only 199 rows with repeats and gold check T" in few.causes[0]
    # Neighbours that do not share are told by the signal, and not supposed.
    apart = Clusterability(np.array([0.0, 1.0]), np.array([0.1]))
    assert with_verdict(replace(checked, clusterability=apart)).verdict.word == "verified"
    # T does not rest on neighbours then, and where they tell nothing they are heard as such.
    assert with_verdict(replace(checked, agreement=1 / 3)).verdict.word == "verified"
    assert with_verdict(replace(checked, misfit=0.2)).verdict.word == "weak"


def test_the_worst_word_counts_and_comes_first() -> None:
    start = Verdict("verified", ("checked",))
    doubts = [Doubt("weak", "a"), Doubt("unreliable", "b"), Doubt("plausible", "c")]
    verdict = combine(start, doubts)
    assert verdict == Verdict("unreliable", ("b", "a", "c", "checked"), 0.0)
    assert combine(start, []) == start
    assert combine(start, [Doubt("weak", "a")]) == Verdict("weak", ("a", "checked"), 0.5)


def test_what_is_not_of_the_estimate_leaves_trust_as_it_is() -> None:
    start = Verdict("plausible", ("x",))
    junk = Doubt("unreliable", "junk", of_the_estimate=False)
    assert combine(start, [junk]) == Verdict("unreliable", ("junk", "x"), 1.0)
    both = combine(start, [junk, Doubt("weak", "few")])
    assert both == Verdict("unreliable", ("junk", "few", "x"), 0.5)


def test_without_an_estimate_nothing_is_known() -> None:
    assert verdict_of(None, []) == Verdict("plausible")
    assert verdict_of(None, [Doubt("weak", "few")]).word == "weak"
    estimate = with_verdict(make_estimate(misfit=0.5))
    assert verdict_of(estimate, []) == estimate.verdict


def test_few_rated_neighbours_are_a_doubt() -> None:
    # Each of 100 rows has 10 neighbours, of which 5 are rated; a round draws 0.9 of them: 4.5.
    order = (np.arange(100)[:, None] + np.arange(1, 11)) % 100
    graph = KnnGraph.from_arrays(order, np.tile(np.linspace(0.9, 0.1, 10), (100, 1)))
    scores = np.where(np.arange(100) % 2 == 0, 1, -1)
    doubts = doubts_of_voters(scores, graph, 10)
    assert [doubt.word for doubt in doubts] == ["weak"]
    assert "only 4.5 rated neighbours tell of a row on average, not 9" in doubts[0].cause
    assert doubts_of_voters(scores, graph, 7) == ()  # 0.7 of 6 is less
    assert doubts_of_voters(np.ones(100, np.int64), graph, 10) == ()


@pytest.mark.parametrize("word", ["verified", "plausible"])
def test_no_warning_of_a_good_word(word: str) -> None:
    assert warn_of(Verdict(word, ("x",)), 1.0) == ()


@pytest.mark.parametrize(
    ("trust", "asked", "end"),
    [
        (None, False, "x"),
        (0.0, False, "x; the selection ranks by the scores as given"),
        (0.5, False, "x; the selection takes corrections by 50% only"),
        (1.0, False, "x; corrections are taken in full"),
        (1.0, True, r"x; corrections are taken in full, as asked for \(trust=1\)"),
        (0.0, True, r"x; the selection ranks by the scores as given, as asked for \(trust=0\)"),
    ],
)
def test_a_warning_says_what_was_done(trust: float | None, asked: bool, end: str) -> None:
    with pytest.warns(WeakEvidenceWarning, match=f"^the verdict is weak: {end}$") as warned:
        words = warn_of(Verdict("weak", ("x",), 0.5), trust, asked=asked)
    assert words == (str(warned[0].message),)


def test_shuffled_rows_are_unreliable_and_clusters_are_not() -> None:
    said = []
    for seed in range(20):
        pool = plant(1500, seed=seed)
        assert estimate_transition_matrix(pool.scores, pool.graph).verdict.word == "plausible"
        shuffled = np.random.default_rng(seed).permutation(pool.scores)
        said.append(estimate_transition_matrix(shuffled, pool.graph).verdict.word)
    # Three standard errors are passed once in 700 times; in 20 that may be once.
    assert said.count("unreliable") >= 19
    assert set(said) <= {"unreliable", "weak"}
