"""`select` and `diagnose`: the stages joined give what the reference gives."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import ds2fast
from ds2fast import _core, reference, reference_posterior, reference_sharing
from ds2fast.embedding import PrecisionGate
from ds2fast.evidence import WeakEvidenceWarning
from ds2fast.reference_sharing import Parameters, Patterns
from ds2fast.results import DoubleArray, FloatArray, IntArray
from ds2fast.stages import graph_width
from encoder_fixtures import WORDS, make_tiny_encoder
from static_fixtures import make_table, write_static

NUM_LEVELS = 6


def make_pool(seed: int = 0, clusters: int = 30, size: int = 20) -> tuple[FloatArray, IntArray]:
    """Clusters that share a true level; a quarter of the scores is wrong, some are missing."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(clusters, 12))
    rows = np.repeat(centres, size, axis=0) + 0.2 * rng.normal(size=(clusters * size, 12))
    true = np.repeat(rng.integers(0, NUM_LEVELS, clusters), size)
    wrong = rng.random(len(true)) < 0.25
    scores = np.where(wrong, rng.integers(0, NUM_LEVELS, len(true)), true)
    scores[::17] = -1
    order = rng.permutation(len(true))
    return rows[order].astype(np.float32), scores[order].astype(np.int64)


def select_plainly(
    rows: FloatArray, scores: IntArray, n: int, width: int, solver: str = "em"
) -> IntArray:
    """DS2 as published, from end to end in NumPy."""
    ids, similarities = reference.knn_graph(rows, width)
    counts = reference.agreement_counts(scores, ids, NUM_LEVELS)
    solve = {"em": reference.solve_em, "moments": reference.solve_moments}[solver]
    transition, prior = solve(counts)
    observed = counts.sum(axis=(1, 2)) / counts.sum()
    rates = reference.error_rates(transition, prior, observed)
    as_stored = similarities.astype(np.float32)
    votes = reference.simifeat_votes(scores, ids, as_stored, rates, k=10, rounds=51, seed=0)
    curated = reference.curate(scores, *votes)[0]
    long_tail = reference.long_tail_scores(as_stored, 10).astype(np.float32)
    return reference.dual_sort(curated, long_tail, n)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_published_stages_give_the_rows_of_the_reference(seed: int) -> None:
    rows, scores = make_pool(seed)
    selection = ds2fast.select(
        scores=scores, embeddings=rows, n=100, num_levels=NUM_LEVELS, solver="em", method="simifeat"
    )
    assert selection.trust == 1.0
    expected = select_plainly(rows, scores, 100, selection.graph.k)
    assert selection.indices.tolist() == expected.tolist()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_paper_preset_gives_the_rows_of_the_reference(seed: int) -> None:
    rows, scores = make_pool(seed)
    selection = ds2fast.select(
        scores=scores, embeddings=rows, n=100, num_levels=NUM_LEVELS, preset="paper"
    )
    expected = select_plainly(rows, scores, 100, selection.graph.k, solver="moments")
    assert selection.indices.tolist() == expected.tolist()
    assert selection.keys.tolist() == selection.curated_scores.tolist()


def fit_plainly(scores: IntArray, ids: IntArray, similarities: DoubleArray) -> Parameters:
    """T and p of the sharing model: 400 steps of plain EM from one start."""
    near, _, is_copy = neighbours = reference_sharing.independent_neighbours(
        scores, ids, similarities.astype(np.float32), 5
    )
    edges = np.quantile(neighbours[1][near >= 0], np.linspace(0, 1, 6))
    bins = np.digitize(neighbours[1], edges[1:-1])
    counts = reference_sharing.sharing_counts(scores, near, bins, is_copy, NUM_LEVELS, 5)
    num_rows = float(((scores >= 0) & (is_copy == 0) & (near[:, 1] >= 0)).sum())
    nothing = Patterns(np.empty((0, NUM_LEVELS), int), np.empty(0), np.empty(0, int))
    start = 0.7 * np.eye(NUM_LEVELS) + 0.05
    observed = counts.sum(axis=(0, 2, 3)) / counts.sum()
    found = Parameters(start, observed, 0.0, np.full((15, 4), 0.25))
    for _ in range(400):
        found = reference_sharing.em_step(counts, nothing, num_rows, found, fit_own=False)
    return found


def expect_plainly(
    scores: IntArray,
    ids: IntArray,
    similarities: DoubleArray,
    transition: DoubleArray,
    prior: DoubleArray,
) -> DoubleArray:
    """The ranking value of each row, −1 unrated."""
    near, kept, is_copy = reference_sharing.independent_neighbours(
        scores, ids, similarities.astype(np.float32), 20
    )
    centres = (scores >= 0) & (is_copy == 0)
    num_bins = min(int(centres.sum()) // 100, 8)
    edges = np.quantile(kept[near >= 0], np.linspace(0, 1, num_bins + 1))
    bins = np.digitize(kept, edges[1:-1])
    counts = reference_sharing.pair_counts(scores, near, bins, is_copy, NUM_LEVELS, num_bins)
    alpha = reference_posterior.solve_alpha(counts, transition, transition, prior)
    messages = reference_posterior.messages(transition.T, prior, alpha)
    # The likelihood is flat at its top; that the kernel gets there is tested by itself.
    weights, _, _ = _core.fit_weights(
        scores.astype(np.int32), near.astype(np.int32), bins.astype(np.uint8), messages, prior,
        np.ascontiguousarray(transition.T), np.flatnonzero(centres).astype(np.int32), 1,
    )  # fmt: skip
    beliefs = reference_posterior.neighbour_beliefs(
        scores, near, bins, messages * weights[:, None, None], prior
    )
    values = [
        reference_posterior.expected_value(int(score), belief, transition, prior)
        if score >= 0
        else -1.0
        for score, belief in zip(scores, beliefs, strict=True)
    ]
    return np.array(values)


def test_the_default_gives_what_the_oracles_give() -> None:
    rows, scores = make_pool()
    selection = ds2fast.select(scores=scores, embeddings=rows, n=100, num_levels=NUM_LEVELS)
    ids, similarities = reference.knn_graph(rows, selection.graph.k)
    found = fit_plainly(scores, ids, similarities)
    assert selection.transition is not None
    # Plain EM is within 2e-4 of its limit by then (its steps shrink by 0.99 each).
    np.testing.assert_allclose(
        selection.transition.transition_matrix, found.transition, rtol=0, atol=1e-3
    )
    np.testing.assert_allclose(selection.transition.prior, found.prior, rtol=0, atol=1e-4)
    # Where T is next to 0 the value hangs on its last digits: from here on the stage's T counts.
    expected = expect_plainly(
        scores, ids, similarities,
        selection.transition.transition_matrix, selection.transition.prior,
    )  # fmt: skip
    assert selection.curation.expected is not None
    np.testing.assert_allclose(selection.curation.expected, expected, rtol=0, atol=1e-4)
    # Which side of a step a row is on may hang on that; all else is plain sorting.
    steps = np.round(selection.curation.expected / 0.25) * 0.25
    steps[scores < 0] = -1.0
    assert selection.keys.tolist() == steps.tolist()
    long_tail = reference.long_tail_scores(similarities.astype(np.float32), 10)
    order = reference.dual_sort(steps, long_tail.astype(np.float32), 100)
    assert selection.indices.tolist() == order.tolist()
    clear = np.abs(expected / 0.25 % 1 - 0.5) > 4e-4
    assert clear.mean() > 0.98
    np.testing.assert_array_equal(
        steps[clear & (scores >= 0)], np.round(expected / 0.25)[clear & (scores >= 0)] * 0.25
    )


def test_trust_0_ranks_by_the_scores_as_given() -> None:
    rows, scores = make_pool()
    selection = ds2fast.select(
        scores=scores, embeddings=rows, n=100, num_levels=NUM_LEVELS, trust=0
    )
    assert selection.trust == 0.0
    assert selection.keys.tolist() == scores.tolist()
    long_tail = ds2fast.long_tail_scores(selection.graph, k=10)
    assert selection.indices.tolist() == ds2fast.dual_sort(scores, long_tail, 100).tolist()
    assert selection.indices.tolist() == selection.ranked_as_given().tolist()


def test_trust_in_between_goes_a_part_of_the_way() -> None:
    rows, scores = make_pool()
    given: dict[str, Any] = {"scores": scores, "embeddings": rows, "num_levels": NUM_LEVELS}
    whole = ds2fast.select(**given, n=100)
    half = ds2fast.select(**given, n=100, trust=0.5)
    assert (whole.trust, half.trust) == (1.0, 0.5)
    assert whole.curation.expected is not None
    part = scores + 0.5 * (whole.curation.expected - scores)
    expected = np.where(scores < 0, -1.0, np.round(4 * part) / 4)
    assert half.keys.tolist() == expected.tolist()
    assert half.indices.tolist() == ds2fast.dual_sort(expected, half.long_tail, 100).tolist()
    assert half.indices.tolist() != whole.indices.tolist()
    assert "(the ranking goes 50% of the way to the curated scores)" in str(half)
    assert "of the way to the curated scores" not in str(whole)


def test_shuffled_embeddings_are_unreliable_and_the_scores_as_given_decide() -> None:
    rows, scores = make_pool()
    shuffled = np.random.default_rng(7).permutation(rows)
    given: dict[str, Any] = {"scores": scores, "embeddings": shuffled, "num_levels": NUM_LEVELS}
    said = "the verdict is unreliable: neighbours .*; the selection ranks by the scores as given$"
    with pytest.warns(WeakEvidenceWarning, match=said):
        selection = ds2fast.select(**given, n=100)
    assert (selection.verdict.word, selection.trust) == ("unreliable", 0.0)
    expected = ds2fast.dual_sort(scores, selection.long_tail, 100)
    assert selection.indices.tolist() == expected.tolist()
    with pytest.warns(WeakEvidenceWarning, match=r"taken in full, as asked for \(trust=1\)$"):
        told_otherwise = ds2fast.select(**given, n=100, trust=1)
    assert told_otherwise.keys.tolist() == told_otherwise.curation.rank_keys.tolist()
    assert told_otherwise.indices.tolist() != expected.tolist()


def test_what_speaks_against_the_pool_alone_leaves_corrections_as_they_are() -> None:
    rows, scores = make_pool()
    twice, scores = np.repeat(rows, 2, axis=0), np.repeat(scores, 2)
    with pytest.warns(WeakEvidenceWarning, match=r"^the verdict is weak: 100% of the") as warned:
        selection = ds2fast.select(scores=scores, embeddings=twice, n=5, num_levels=NUM_LEVELS)
    assert (selection.verdict.word, selection.trust) == ("weak", 1.0)
    assert selection.keys.tolist() == selection.curation.rank_keys.tolist()
    # Nobody asked for trust=1.
    assert str(warned[0].message).endswith("; corrections are taken in full")


def test_the_stages_by_hand_give_the_same() -> None:
    rows, scores = make_pool()
    whole = ds2fast.select(scores=scores, embeddings=rows, n=100, num_levels=NUM_LEVELS)
    graph = ds2fast.knn_graph(rows, whole.graph.k)
    estimate = ds2fast.estimate_transition_matrix(scores, graph, num_levels=NUM_LEVELS)
    curation = ds2fast.curate_scores(scores, graph, estimate)
    long_tail = ds2fast.long_tail_scores(graph, k=10)
    assert ds2fast.dual_sort(curation.rank_keys, long_tail, 100).tolist() == whole.indices.tolist()
    given_parts: list[dict[str, Any]] = [
        {"graph": graph},
        {"graph": graph, "transition": estimate},
        {"graph": graph, "curation": curation},
    ]
    for parts in given_parts:
        again = ds2fast.select(scores=scores, n=100, num_levels=NUM_LEVELS, **parts)
        assert again.indices.tolist() == whole.indices.tolist()


def test_unrated_rows_are_never_selected_and_do_not_vote() -> None:
    rows, scores = make_pool()
    selection = ds2fast.select(scores=scores, embeddings=rows, fraction=1.0, num_levels=NUM_LEVELS)
    assert sorted(selection.indices) == np.flatnonzero(scores >= 0).tolist()
    assert (selection.curated_scores[scores < 0] == -1).all()
    assert not selection.curation.misrated[scores < 0].any()


@pytest.mark.parametrize(("fraction", "n"), [(0.1, 56), (0.5, 282), (1.0, 564)])
def test_fraction_is_of_the_rated_rows_rounded_down(fraction: float, n: int) -> None:
    rows, scores = make_pool()
    assert int((scores >= 0).sum()) == 564
    selection = ds2fast.select(
        scores=scores, embeddings=rows, fraction=fraction, num_levels=NUM_LEVELS
    )
    assert len(selection) == n


def test_top_reselects_from_the_same_run() -> None:
    rows, scores = make_pool()
    small = ds2fast.select(scores=scores, embeddings=rows, n=10, num_levels=NUM_LEVELS)
    large = ds2fast.select(scores=scores, embeddings=rows, n=300, num_levels=NUM_LEVELS)
    assert small.top(300).indices.tolist() == large.indices.tolist()
    assert len(small.top()) == int((scores >= 0).sum())
    assert small.top(5).settings["n"] == 5
    with pytest.raises(ds2fast.InputError, match=r"n: expected at most .*564.* got 565"):
        small.top(565)


def test_the_cut_says_what_decided() -> None:
    rows, scores = make_pool()
    selection = ds2fast.select(scores=scores, embeddings=rows, n=150, num_levels=NUM_LEVELS)
    cut = selection.cut
    chosen = selection.keys[selection.indices]
    assert cut.key == chosen.min()
    assert cut.above + cut.at_cut == 150
    assert cut.above == (chosen > cut.key).sum()
    assert cut.candidates == (selection.keys == cut.key).sum() > cut.at_cut
    assert (cut.by_score, cut.by_rarity) == (cut.above, cut.at_cut)
    whole = selection.top(cut.above + cut.candidates)
    assert (whole.cut.by_score, whole.cut.by_rarity) == (len(whole), 0)  # all with this score


def test_paper_preset_uses_the_published_solver() -> None:
    rows, scores = make_pool()
    selection = ds2fast.select(
        scores=scores, embeddings=rows, n=10, num_levels=NUM_LEVELS, preset="paper"
    )
    assert selection.transition is not None
    assert selection.transition.solver == "moments"
    assert selection.curation.method == "simifeat"
    assert selection.curation.k == 10
    assert selection.curation.min_confidence == 0.5
    assert selection.trust == 1.0


@pytest.mark.parametrize("method", ["posterior", "simifeat"])
def test_min_confidence_above_all_keeps_the_scores_as_given(method: str) -> None:
    rows, scores = make_pool()
    selection = ds2fast.select(
        scores=scores, embeddings=rows, n=100, num_levels=NUM_LEVELS, min_confidence=1.0,
        method=method,
    )  # fmt: skip
    assert (selection.curated_scores == scores).all()
    assert (selection.keys == scores).all()
    assert selection.indices.tolist() == selection.ranked_as_given().tolist()
    assert selection.curation.misrated.any()


def test_min_confidence_takes_only_what_is_sure_enough() -> None:
    rows, scores = make_pool()
    selection = ds2fast.select(
        scores=scores, embeddings=rows, n=100, num_levels=NUM_LEVELS, min_confidence=0.8
    )
    curation = selection.curation
    sure = curation.confidence >= 0.8
    assert 0 < sure.sum() < curation.misrated.sum()
    assert (selection.curated_scores == np.where(sure, curation.suggested, scores)).all()
    assert (selection.keys[~sure] == scores[~sure]).all()
    assert curation.corrected.sum() == sure.sum()


def test_threads_do_not_change_the_selection() -> None:
    rows, scores = make_pool()
    runs = [
        ds2fast.select(
            scores=scores, embeddings=rows, n=100, num_levels=NUM_LEVELS, threads=threads
        )
        for threads in (1, 2, 7)
    ]
    assert len({run.indices.tobytes() for run in runs}) == 1
    assert len({run.curation.confidence.tobytes() for run in runs}) == 1


@pytest.mark.parametrize(("rated", "expected"), [(1.0, 20), (0.5, 40), (0.4, 50), (0.1, 64)])
def test_graph_width_holds_twenty_rated_neighbours(rated: float, expected: int) -> None:
    assert graph_width(10, 100_000, rated) == expected  # 20 / rated, at most 64


@pytest.mark.parametrize(("k", "rated", "expected"), [(20, 1.0, 26), (20, 0.6, 52), (15, 1.0, 20)])
def test_graph_width_leaves_room_for_rows_that_a_round_skips(
    k: int, rated: float, expected: int
) -> None:
    # Share s = 0.9 * rated of the neighbours takes part, and v = k - 1 must:
    # (v + 3 sqrt(v (1 - s))) / s, where that is more than 20 / rated.
    assert graph_width(k, 100_000, rated) == expected


def test_graph_width_of_small_pools() -> None:
    assert graph_width(10, 12, 1.0) == 11
    assert graph_width(100, 100_000, 1.0) == 121  # (99 + 3 sqrt(9.9)) / 0.9


def test_diagnose_measures_agreement() -> None:
    rows, scores = make_pool()
    diagnosis = ds2fast.diagnose(scores=scores, embeddings=rows, num_levels=NUM_LEVELS)
    estimate = diagnosis.transition
    ids = diagnosis.graph.indices
    same, counted = 0, 0
    for row in np.flatnonzero(scores >= 0):
        rated = [m for m in ids[row] if scores[m] >= 0][:2]
        if len(rated) == 2:
            counted += 1
            same += scores[rated[0]] == scores[row]
    assert estimate.num_counted == counted
    assert estimate.agreement == pytest.approx(same / counted)
    assert estimate.chance_agreement == pytest.approx(float((estimate.observed**2).sum()))
    assert "nearest neighbours have the same score" in str(diagnosis)


def test_a_graph_that_says_nothing_is_warned_of() -> None:
    rng = np.random.default_rng(0)
    with pytest.warns(WeakEvidenceWarning, match="by chance it would be .*: not clearly more"):
        diagnosis = ds2fast.diagnose(
            scores=rng.integers(0, 6, 2000), embeddings=rng.normal(size=(2000, 8))
        )
    assert any("by chance" in warning for warning in diagnosis.warnings)
    assert "WARNING: the verdict is unreliable" in str(diagnosis)


def test_few_rated_rows_are_warned_of() -> None:
    rows, scores = make_pool()
    scores = np.where(np.arange(len(scores)) % 20 == 0, scores, -1)
    with pytest.warns(WeakEvidenceWarning):
        selection = ds2fast.select(
            scores=scores, embeddings=rows, n=5, num_levels=NUM_LEVELS, max_unrated=1.0
        )
    # 1 row in 20 is rated, so of 64 neighbours some 3 do.
    assert any("rated neighbours tell of a row" in warning for warning in selection.warnings)


def test_a_good_pool_is_not_warned_of() -> None:
    rows, scores = make_pool()
    assert ds2fast.diagnose(scores=scores, embeddings=rows).warnings == ()


def test_rows_without_text_are_never_selected() -> None:
    rows, scores = make_pool()
    data = [
        {"text": "" if score == 5 and i % 2 else f"row {i}", "score": max(int(score), 0)}
        for i, score in enumerate(scores)
    ]
    pool = ds2fast.read(data, num_levels=NUM_LEVELS)
    selection = ds2fast.select(pool, embeddings=rows, fraction=1.0)
    empty = np.array([not row["text"] for row in data])
    assert empty.sum() > 10
    assert not empty[selection.indices].any()
    assert (selection.curated_scores[empty] == -1).all()
    assert f"{empty.sum()} empty texts" in str(selection)


def with_unrated(count: int) -> tuple[FloatArray, IntArray]:
    """600 rows of which the first `count` have no score."""
    rows, scores = make_pool()
    return rows, np.where(np.arange(600) < count, -1, np.maximum(scores, 0))


# Shares of 600 rows: 120 are 0.2, 174 are 0.29 (though 0.29 · 600 is below 174 in floats).
@pytest.mark.parametrize(
    ("most", "share"), [(120, {}), (174, {"max_unrated": 0.29}), (0, {"max_unrated": 0})]
)
def test_a_pool_with_too_many_unrated_rows_is_refused(most: int, share: dict[str, float]) -> None:
    rows, scores = with_unrated(most)
    given: dict[str, Any] = {"embeddings": rows, "n": 5, "num_levels": NUM_LEVELS} | share
    assert len(ds2fast.select(scores=scores, **given).indices) == 5
    _, scores = with_unrated(most + 1)
    allowed = share.get("max_unrated", 0.2)
    seen: list[str] = []
    with pytest.raises(
        ds2fast.InputError,
        match=rf"^max_unrated: expected at most {allowed} of the rows .*, got {most + 1} of 600, "
        r".*rate the rest, or pass max_unrated= \(--max-unrated\) up to 1\.0$",
    ):
        ds2fast.select(scores=scores, **given, progress=lambda *now: seen.append(now[0]))
    assert seen == []  # before the graph
    more = ds2fast.select(scores=scores, **(given | {"max_unrated": 1.0}))
    assert more.settings["max_unrated"] == 1.0
    assert (more.given_scores[more.indices] >= 0).all()


def test_unrated_rows_are_told_before_the_number_that_is_too_large() -> None:
    rows, scores = with_unrated(300)
    with pytest.raises(ds2fast.InputError, match=r"^max_unrated: .* got 300 of 600, 0\.5"):
        ds2fast.select(scores=scores, embeddings=rows, n=400, num_levels=NUM_LEVELS)


def test_rows_without_text_count_as_unrated() -> None:
    rows, scores = with_unrated(100)
    data = [{"text": f"row {i}" if i < 579 else " ", "score": int(s)} for i, s in enumerate(scores)]
    pool = ds2fast.read(data, num_levels=NUM_LEVELS)
    assert pool.num_unrated == 100  # and 21 have no text
    with pytest.raises(ds2fast.InputError, match=r"^max_unrated: .* got 121 of 600, "):
        ds2fast.select(pool, embeddings=rows, n=5)
    assert len(ds2fast.select(pool, embeddings=rows, n=5, max_unrated=0.21).indices) == 5


def test_a_row_that_one_of_the_raters_rated_is_rated() -> None:
    rows, scores = with_unrated(300)
    both = np.stack([scores, np.where(scores < 0, 2, -1)], axis=1)
    both[300:420, 1] = both[300:420, 0]  # some rows in common
    both[:100] = -1
    selection = ds2fast.select(scores=both, embeddings=rows, n=5, num_levels=NUM_LEVELS)
    assert (selection.given_scores < 0).sum() == 100


def test_diagnose_takes_any_share_of_unrated_rows() -> None:
    rows, scores = with_unrated(300)
    diagnosis = ds2fast.diagnose(scores=scores, embeddings=rows, num_levels=NUM_LEVELS)
    assert (diagnosis.given_scores < 0).sum() == 300


def test_scores_beside_a_pool_are_used(tmp_path: Path) -> None:
    rows, scores = make_pool()
    data = [{"text": f"row {i}", "score": 1 + i % 2, "other": int(5 - max(s, 0))}
            for i, s in enumerate(scores)]  # fmt: skip
    pool = ds2fast.read(data)
    by_array = ds2fast.select(pool, scores=scores, embeddings=rows, n=50, num_levels=6)
    assert by_array.given_scores.tolist() == scores.tolist()
    by_array.save(tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["input"]["scores"] == "given beside the rows"
    assert "raw_score" not in pq.read_schema(tmp_path / "out" / "scores.parquet").names
    by_name = ds2fast.select(pool, scores="other", embeddings=rows, n=50, num_levels=6)
    assert by_name.given_scores.tolist() == [row["other"] for row in data]
    with pytest.raises(ds2fast.InputError, match="nonexistent"):
        ds2fast.select(pool, scores="nonexistent", embeddings=rows, n=50)
    with pytest.raises(
        ds2fast.InputError, match=r"scores: expected one score a row \(600\), got 5"
    ):
        ds2fast.select(pool, scores=[0, 1, 2, 3, 4], embeddings=rows, n=50)
    with pytest.raises(ds2fast.InputError, match="num_levels: expected that of the pool"):
        ds2fast.select(pool, embeddings=rows, n=50, num_levels=9)


def test_arguments_are_checked_before_any_work() -> None:
    seen: list[str] = []
    wrong: list[dict[str, Any]] = [{"seed": 2**64}, {"num_levels": 70}, {"cache_dir": True}]
    for arguments in wrong:
        with pytest.raises(ds2fast.Ds2fastError, match=next(iter(arguments))):
            ds2fast.select(
                scores=SCORES, embeddings=ROWS, n=5, progress=lambda *a: seen.append(a[0]),
                **arguments,
            )  # fmt: skip
    assert seen == []


ROWS, SCORES = make_pool()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 5, "fraction": 0.5}, r"n, fraction: expected just one of the two, got both"),
        ({}, r"n, fraction: expected just one of the two, got neither"),
        ({"n": 0}, r"n: expected at least 1, got 0"),
        ({"n": 565}, r"n: expected at most the number of rated rows \(564\), got 565"),
        ({"fraction": 0.0}, r"fraction: expected a share in \(0, 1\], got 0.0"),
        ({"fraction": 1.5}, r"fraction: expected a share in \(0, 1\], got 1.5"),
        ({"fraction": 0.001}, r"fraction: .* at least one of the 564 rated rows, got 0.001"),
        ({"n": 5, "k": 600}, r"k: expected fewer than the number of rows \(600\), got 600"),
        ({"n": 5, "k": 1}, r"k: expected at least 2, got 1"),
        ({"n": 5, "preset": "fast"}, r"preset: expected None or 'paper', got 'fast'"),
        ({"n": 5, "preset": "paper", "k": 5}, r"k: expected 10 with preset='paper', got 5"),
        ({"n": 5, "min_confidence": 1.5}, r"min_confidence: expected 0 to 1, got 1.5"),
        ({"n": 5, "max_unrated": 1.5}, r"max_unrated: expected 0 to 1, got 1.5"),
        ({"n": 5, "max_unrated": -0.1}, r"max_unrated: expected 0 to 1, got -0.1"),
        ({"n": 5, "max_unrated": float("nan")}, r"max_unrated: expected 0 to 1, got nan"),
        ({"n": 5, "seed": -1}, r"seed: expected at least 0, got -1"),
        ({"n": 5, "threads": 0}, r"threads: expected 1 to 1024, got 0"),
        ({"n": 5, "num_levels": 3}, r"scores: .*"),
        ({"n": 5, "precision": "fp16"}, r"precision: expected 'auto', .* or 'int8', got 'fp16'"),
        ({"n": 5, "long_text": "drop"}, r"long_text: expected 'truncate' or .*, got 'drop'"),
        (
            {"n": 5, "embeddings": ROWS[:10]},
            r"embeddings: expected one row a score \(600\), got 10",
        ),
        (
            {"n": 5, "scores": "score"},
            r"data: expected rows, a path or a Pool, or both scores= and embeddings=",
        ),
        ({"n": 5, "embeddings": None}, r"data: expected data, or embeddings= or graph="),
        ({"n": 5, "scores": np.full(600, 3)}, r"scores: expected at least two"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"scores": SCORES, "embeddings": ROWS, "num_levels": NUM_LEVELS}
    given |= arguments
    with pytest.raises(ds2fast.InputError, match=message):
        ds2fast.select(**given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 2.5}, r"n: expected an integer, got 2.5"),
        ({"n": True}, r"n: expected an integer, got True"),
        ({"n": 5, "model": 7}, r"model: expected an id or a directory, got int"),
        ({"n": 5, "curation": "none"}, r"curation: expected a Curation, got str"),
        (
            {"n": 5, "transition": np.eye(6)},
            r"transition: expected a TransitionEstimate, got ndarray",
        ),
        (
            {"n": 5, "graph": ROWS, "embeddings": None},
            r"graph: expected a KnnGraph, got ndarray",
        ),
        ({"n": 5, "max_unrated": "all"}, r"max_unrated: expected a number, got 'all'"),
        ({"n": 5, "progress": 3}, r"progress: expected None, a bool or a callable"),
    ],
)
def test_arguments_of_a_wrong_type_are_named(arguments: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"scores": SCORES, "embeddings": ROWS, "num_levels": NUM_LEVELS}
    given |= arguments
    with pytest.raises(ds2fast.InputTypeError, match=message):
        ds2fast.select(**given)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_unusable_embeddings_name_the_first_row(value: float) -> None:
    rows = ROWS.copy()
    rows[[7, 300]] = value
    with pytest.raises(ds2fast.InputError, match=r"row 7 holds .* \(2 such rows in all\)"):
        ds2fast.select(scores=SCORES, embeddings=rows, n=5, num_levels=NUM_LEVELS)


def test_a_graph_must_be_as_wide_as_k_and_alone() -> None:
    graph = ds2fast.knn_graph(ROWS, 5)
    with pytest.raises(ds2fast.InputError, match=r"k: expected at most the given graph's 5 .* 10"):
        ds2fast.select(scores=SCORES, graph=graph, n=5, num_levels=NUM_LEVELS)
    with pytest.raises(ds2fast.InputError, match=r"embeddings, graph: expected at most one"):
        ds2fast.select(scores=SCORES, graph=graph, embeddings=ROWS, n=5, num_levels=NUM_LEVELS)


def test_stages_that_do_not_fit_the_scores_are_refused() -> None:
    selection = ds2fast.select(scores=SCORES, embeddings=ROWS, n=5, num_levels=NUM_LEVELS)
    fewer = SCORES.copy()
    fewer[:60] = -1
    with pytest.raises(ds2fast.InputError, match=r"curation: .* differs in which rows are unrated"):
        ds2fast.select(
            scores=fewer, embeddings=ROWS, curation=selection.curation, n=5, num_levels=6
        )
    for torn in (
        {"expected": np.zeros(5)},
        {"expected": np.full(len(SCORES), np.nan)},
        {"posterior": np.zeros((4, 6))},
    ):
        with pytest.raises(ds2fast.InputError, match=r"curation: expected (one with|a posterior)"):
            ds2fast.select(
                scores=SCORES,
                embeddings=ROWS,
                curation=replace(selection.curation, **torn),
                n=5,
                num_levels=6,
            )
    assert selection.transition is not None
    broken = replace(selection.transition, transition_matrix=np.full((6, 6), 7.0))
    with pytest.raises(ds2fast.InputError, match=r"transition: expected rows of T"):
        ds2fast.select(scores=SCORES, embeddings=ROWS, transition=broken, n=5, num_levels=6)


def test_what_would_have_no_use_is_refused_before_any_work(monkeypatch: Any) -> None:
    selection = ds2fast.select(scores=SCORES, embeddings=ROWS, n=5, num_levels=NUM_LEVELS)
    assert selection.transition is not None
    again: dict[str, Any] = {"scores": SCORES, "repeats": SCORES, "n": 5, "num_levels": NUM_LEVELS}

    def too_late(*_: Any, **__: Any) -> None:
        raise AssertionError("neighbours were looked for")

    monkeypatch.setattr("ds2fast.engines.local.knn_graph", too_late)
    with pytest.raises(ds2fast.InputError, match=r"repeats: expected with solver='sharing' only"):
        ds2fast.select(embeddings=ROWS, preset="paper", **again)
    with pytest.raises(ds2fast.InputError, match=r"repeats: expected without curation="):
        ds2fast.select(embeddings=ROWS, curation=selection.curation, **again)
    with pytest.raises(ds2fast.InputError, match=r"bootstrap: expected with solver='sharing' only"):
        ds2fast.diagnose(scores=SCORES, embeddings=ROWS, preset="paper", bootstrap=50)
    two = np.stack([SCORES, np.roll(SCORES, 1)], axis=1)
    with pytest.raises(ds2fast.InputError, match=r"transition: expected one of 2 raters.*got .* 1"):
        ds2fast.select(
            scores=two, embeddings=ROWS, n=5, num_levels=6, transition=selection.transition
        )
    wrong: list[dict[str, Any]] = [
        {"own": float("nan")},
        {"rater_matrices": np.full((1, 6, 6), np.nan)},
    ]
    for broken in wrong:
        with pytest.raises(ds2fast.InputError, match=r"estimate: expected (own|finite rater_matr)"):
            ds2fast.select(
                scores=SCORES,
                embeddings=ROWS,
                n=5,
                num_levels=6,
                transition=replace(selection.transition, **broken),
            )


def test_scores_as_given_rank_within_their_level_too() -> None:
    values = SCORES + np.random.default_rng(0).uniform(0.1, 0.9, len(SCORES))
    selection = ds2fast.select(
        scores=values, embeddings=ROWS, n=60, edges=[1, 2, 3, 4, 5], trust=0.0
    )
    assert selection.indices.tolist() == selection.ranked_as_given().tolist()
    assert selection.decided.overlap_given == 1.0
    assert selection.decided.by_correction == 0


def test_a_graph_or_curation_of_another_pool_is_refused() -> None:
    other_rows, other_scores = make_pool(seed=5, clusters=10)
    other = ds2fast.select(scores=other_scores, embeddings=other_rows, n=5, num_levels=NUM_LEVELS)
    with pytest.raises(
        ds2fast.InputError, match=r"graph: expected one row a score \(600\), got 200"
    ):
        ds2fast.select(scores=SCORES, graph=other.graph, n=5, num_levels=NUM_LEVELS)
    with pytest.raises(ds2fast.InputError, match=r"curation: expected one score a row"):
        ds2fast.select(
            scores=SCORES, embeddings=ROWS, curation=other.curation, n=5, num_levels=NUM_LEVELS
        )


def test_a_model_that_is_missing_is_told_before_the_data_is_read(tmp_path: Path) -> None:
    with pytest.raises(ds2fast.InputFileError, match="no_such_file"):
        ds2fast.select(tmp_path / "no_such_file.jsonl", n=5, model="./nowhere")
    (tmp_path / "broken.jsonl").write_text("{")
    with pytest.raises(ds2fast.ModelNotFoundError, match="nowhere"):
        ds2fast.select(tmp_path / "broken.jsonl", n=5, model="./nowhere")


def wordy_rows() -> list[dict[str, Any]]:
    """Rows whose first words say what their score is, so that neighbours share it."""
    return [
        {"text": f"{5 * (WORDS[topic] + ' ')}{second} {third}", "score": topic}
        for topic in range(5)
        for second in WORDS[5:9]
        for third in WORDS[9:12]
    ]


def test_how_texts_were_embedded_is_kept_and_told(tmp_path: Path) -> None:
    model = make_tiny_encoder(tmp_path / "model").directory
    data = [*wordy_rows(), wordy_rows()[0], {"text": "toad " * 40, "score": 3}]
    given: dict[str, Any] = {"model": model, "cache_dir": tmp_path / "cache"}
    first = ds2fast.select(data, n=5, precision="bf16", **given)
    again = ds2fast.select(data, n=5, precision="bf16", **given)
    assert first.encoder is not None
    assert again.encoder is not None
    expected = {
        "precision": "bf16",
        "backend": "native",
        "reason": "it was asked for",
        "gate": None,
        "long_text": "truncate",
        "truncated": 1,
    }
    assert {name: first.encoder[name] for name in expected} == expected
    assert (first.encoder["num_run"], first.encoder["num_kept"]) == (61, 0)
    assert (again.encoder["num_run"], again.encoder["num_kept"]) == (0, 61)
    said = " ".join(str(again).split())
    assert "in bf16 (native): it was asked for" in said
    assert "1 text was cut at 16 tokens" in said
    assert "0 distinct texts were embedded now, the vectors of 61 were kept from before" in said
    whole = ds2fast.diagnose(data, long_text="chunk-mean", **given)
    assert whole.encoder is not None
    assert (whole.encoder["long_text"], whole.encoder["truncated"]) == ("chunk-mean", 0)
    assert "texts beyond 16 tokens are the mean of their pieces" in " ".join(str(whole).split())


def test_the_gate_is_passed_on_and_kept(tmp_path: Path) -> None:
    model = make_tiny_encoder(tmp_path / "model").directory
    gate = PrecisionGate(sample=12, cosine=0.25, overlap=0.125)
    given: dict[str, Any] = {"model": model, "cache_dir": False, "gate": gate}
    for result in (
        ds2fast.select(wordy_rows(), n=5, **given),
        ds2fast.diagnose(wordy_rows(), **given),
    ):
        assert result.encoder is not None
        assert result.encoder["gate"] == {"sample": 12, "cosine": 0.25, "overlap": 0.125}
        # 60 texts are enough for a sample of 12, where the processor has anything to compare.
        if "int8" in _core.native_precisions():
            assert "on 12 of these texts" in result.encoder["reason"]
            assert "(at least 0.25)" in result.encoder["reason"]
    with pytest.raises(ds2fast.InputTypeError, match="gate: expected a PrecisionGate, got float"):
        ds2fast.select(tmp_path / "none.jsonl", n=5, gate=0.9)  # type: ignore[arg-type]  # the test


def test_what_depends_on_earlier_runs_stands_apart_in_the_manifest(tmp_path: Path) -> None:
    model = make_tiny_encoder(tmp_path / "model").directory
    manifests = []
    for run in ("first", "second"):
        selection = ds2fast.select(
            wordy_rows(), n=5, model=model, precision="int8", cache_dir=tmp_path / "cache"
        )
        selection.save(tmp_path / run)
        manifests.append(json.loads((tmp_path / run / "manifest.json").read_text()))
    first, second = manifests
    assert first.pop("embedding_run") == {"num_run": 60, "num_kept": 0, "notes": []}
    assert second.pop("embedding_run") == {"num_run": 0, "num_kept": 60, "notes": []}
    for manifest in manifests:
        del manifest["created"], manifest["timings_seconds"]
    assert first == second
    assert first["encoder"]["precision"] == "int8"


def test_a_static_model_serves_as_model(tmp_path: Path) -> None:
    model = write_static(tmp_path / "static", {"embeddings": make_table()})
    selection = ds2fast.select(wordy_rows(), n=5, model=model, cache_dir=False)
    assert selection.encoder is not None
    assert (selection.encoder["backend"], selection.encoder["precision"]) == ("static", "fp32")
    assert "(static): a static model" in " ".join(str(selection).split())


def test_what_a_model_cannot_do_is_told_before_the_data_is_read(tmp_path: Path) -> None:
    model = write_static(tmp_path / "static", {"embeddings": make_table()})
    (tmp_path / "broken.jsonl").write_text("{")
    wrong: list[dict[str, Any]] = [{"precision": "int8"}, {"long_text": "chunk-mean"}]
    for arguments in wrong:
        with pytest.raises(ds2fast.InputError, match="with the static model"):
            ds2fast.select(tmp_path / "broken.jsonl", n=5, model=model, **arguments)


def test_text_says_what_is_the_text() -> None:
    rows, scores = make_pool()
    data = [{"title": f"row {i}", "score": max(int(s), 0)} for i, s in enumerate(scores)]
    selection = ds2fast.select(data, text="{title}!", embeddings=rows, n=5)
    assert selection.pool is not None
    assert selection.pool.texts[3] == "row 3!"
    with pytest.raises(ds2fast.InputError, match="text: expected rows or a file beside it"):
        ds2fast.select(ds2fast.read(data, text="title"), text="title", embeddings=rows, n=5)


def test_results_print_in_a_line() -> None:
    rows, scores = make_pool()
    pool = ds2fast.read([{"text": "x" * 999, "score": max(int(s), 0)} for s in scores])
    selection = ds2fast.select(pool, embeddings=rows, n=5)
    for value in (pool, selection, selection.graph, selection.transition, selection.curation):
        assert len(repr(value)) < 3500
        assert "\n" not in repr(value).replace("\\n", "")
    assert "int32[600, 20]" in repr(selection.graph)


def test_saved_files_hold_every_row_and_what_made_them(tmp_path: Path) -> None:
    rows, scores = make_pool()
    data = [
        {"text": f"row {i}", "score": None if s < 0 else int(s), "extra": {"é": [i]}}
        for i, s in enumerate(scores)
    ]
    pool = ds2fast.read(data, num_levels=NUM_LEVELS)
    selection = ds2fast.select(pool, embeddings=rows, n=50)
    selection.save(tmp_path / "out")
    lines = (tmp_path / "out" / "selected.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [data[i] for i in selection.indices]
    assert selection.selected == [data[i] for i in selection.indices]
    kept = set(selection.indices.tolist())
    assert selection.filtered == [row for i, row in enumerate(data) if i not in kept]

    table = pq.read_table(tmp_path / "out" / "scores.parquet").to_pydict()
    assert table["index"] == list(range(600))
    assert table["given_score"] == scores.tolist()
    assert table["curated_score"] == selection.curated_scores.tolist()
    ranked = sorted((r, i) for i, r in enumerate(table["rank"]) if r >= 0)
    assert [i for _, i in ranked] == selection.indices.tolist()
    assert table["selected"] == [r >= 0 for r in table["rank"]]

    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["input"]["rows"] == 600
    assert manifest["input"]["unrated"] == 36
    assert manifest["settings"]["n"] == 50
    assert selection.transition is not None
    assert manifest["transition"]["transition_matrix"] == pytest.approx(
        selection.transition.transition_matrix
    )


@pytest.mark.parametrize("name", ["thesis.tex", "scores.parquet"])
def test_saving_never_touches_files_of_others(tmp_path: Path, name: str) -> None:
    selection = ds2fast.select(scores=SCORES, embeddings=ROWS, n=5, num_levels=NUM_LEVELS)
    (tmp_path / name).write_text("mine")
    with pytest.raises(ds2fast.OutputError, match=name):
        selection.save(tmp_path, overwrite=True)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: "mine"}


def test_saving_over_results_needs_overwrite(tmp_path: Path) -> None:
    selection = ds2fast.select(scores=SCORES, embeddings=ROWS, n=5, num_levels=NUM_LEVELS)
    selection.save(tmp_path / "out")
    with pytest.raises(ds2fast.OutputError, match="--overwrite"):
        selection.save(tmp_path / "out")
    selection.top(7).save(tmp_path / "out", overwrite=True)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["settings"]["n"] == 7


def test_rows_need_data() -> None:
    selection = ds2fast.select(scores=SCORES, embeddings=ROWS, n=5, num_levels=NUM_LEVELS)
    with pytest.raises(ds2fast.InputError, match="made from data"):
        _ = selection.selected


def test_results_cannot_be_changed() -> None:
    selection = ds2fast.select(scores=SCORES, embeddings=ROWS, n=5, num_levels=NUM_LEVELS)
    with pytest.raises(AttributeError):
        selection.indices = selection.indices  # type: ignore[misc]  # that it fails is the test
    for array in (selection.indices, selection.curated_scores, selection.graph.indices):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_progress_names_the_stages_in_order() -> None:
    calls: list[tuple[str, int, int]] = []
    ds2fast.select(
        scores=SCORES,
        embeddings=ROWS,
        n=5,
        num_levels=NUM_LEVELS,
        progress=lambda stage, done, total: calls.append((stage, done, total)),
    )
    stages = list(dict.fromkeys(stage for stage, _, _ in calls))
    assert stages == ["k-NN graph", "transition matrix", "curation"]
    for stage in stages:
        done, total = [call[1:] for call in calls if call[0] == stage][-1]
        assert done == total > 0


@pytest.mark.encoder
def test_texts_are_embedded_and_selected(encoder_dir: Path) -> None:
    topics = ["baking bread", "orbits of planets", "SQL joins", "pruning roses", "chess endings"]
    data = [
        {
            "instruction": f"Tell me about {topic}, part {i}.",
            "output": "word " * i,
            "score": j,
        }
        for j, topic in enumerate(topics)
        for i in range(8)
    ]
    selection = ds2fast.select(data, n=6, k=4, model=str(encoder_dir), cache_dir=False)
    assert len(selection.selected) == 6
    assert selection.encoder is not None
    assert selection.encoder["weights_sha256"].startswith("53aa5117")
    assert selection.encoder["precision"] == "fp32"
    assert "40 texts are too few" in selection.encoder["reason"]
    # Rows of a topic are each other's neighbours: that is what embedding is for.
    topic = np.repeat(np.arange(5), 8)
    assert (topic[selection.graph.indices[:, :3]] == topic[:, None]).mean() > 0.9


def test_planted_errors_on_real_embeddings_are_found(shared_data: Path) -> None:
    rows = np.load(shared_data / "instructions.minilm.f16.npy")[:8000].astype(np.float32)
    rng = np.random.default_rng(3)
    # Levels that follow a coarse direction of the space, so that near rows mostly share theirs.
    value = rows @ rng.normal(size=rows.shape[1])
    true = np.digitize(value, np.quantile(value, [0.1, 0.3, 0.6, 0.8, 0.95])).astype(np.int64)
    matrix: DoubleArray = np.full((6, 6), 0.05) + 0.70 * np.eye(6)
    scores = np.array([rng.choice(6, p=matrix[level]) for level in true])
    selection = ds2fast.select(scores=scores, embeddings=rows, n=264, num_levels=6)
    given = ds2fast.dual_sort(scores, selection.long_tail, 264)
    assert true[selection.indices].mean() > true[given].mean() + 0.2


@pytest.mark.filterwarnings("ignore::ds2fast.WeakEvidenceWarning")
def test_how_neighbours_were_found_is_told_where_it_is_not_as_asked_or_not_exact() -> None:
    rows, scores = make_pool(0)
    given: dict[str, Any] = {"scores": scores, "num_levels": NUM_LEVELS, "progress": False}
    asked = ds2fast.diagnose(embeddings=rows, graph_method="approximate", **given)
    assert asked.graph.method == "exact"  # so few rows cost less
    assert "exact graph, though an approximate one was asked for" in str(asked)
    assert "exact graph" not in str(ds2fast.diagnose(embeddings=rows, **given))
    lacking = replace(
        asked.graph, method="approximate", recall=0.98123, recall_interval=(0.9787, 0.9842)
    )
    of_another = ds2fast.select(graph=lacking, n=5, graph_method="approximate", **given)
    assert (
        "approximate graph: 98.1% of the true neighbours, by a sample of rows searched exactly "
        "(95 % interval 97.9% to 98.4%)"
    ) in str(of_another)
    brought = ds2fast.select(graph=asked.graph, n=5, graph_method="approximate", **given)
    assert "asked for" not in str(brought)
