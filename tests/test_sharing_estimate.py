"""The estimate by default: bands, misfit, copies, and the figures beside T."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ds2fast.graph import KnnGraph
from ds2fast.knn import knn_graph
from ds2fast.observations import observe
from ds2fast.results import IntArray, TransitionEstimate
from ds2fast.sharing import (
    SharingFit,
    Triples,
    count_triples,
    fit_sharing,
    independent_neighbours,
    misfit,
    signal_of,
)
from ds2fast.transition import estimate_transition_matrix
from planted import Planted, noisy_rater, plant
from waiting import ctrl_c_after


def fit(pool: Planted) -> tuple[Triples, SharingFit]:
    """The triples of a pool of three levels, and what is fitted to them without a signal."""
    size = len(pool.prior)
    voters = independent_neighbours(pool.scores, pool.graph, 1)
    triples = count_triples(pool.scores, voters, size, 1)
    return triples, fit_sharing(
        triples, signal_of(observe(pool.scores[:, None], size), pool.scores)
    )


# --- Bands ----------------------------------------------------------------------------------------


def test_bands_hold_what_was_planted() -> None:
    held = []
    for seed in range(10):
        pool = plant(3000, (0.3, 0.4, 0.3), seed=seed)
        estimate = estimate_transition_matrix(pool.scores, pool.graph, bootstrap=60)
        assert estimate.lower is not None
        assert estimate.upper is not None
        held.append((estimate.lower <= pool.rater) & (pool.rater <= estimate.upper))
        # What says nothing holds everything.
        assert (estimate.upper - estimate.lower).max() < 0.25
    # 90 entries at 95 %, those of a matrix bound to each other: 0.05 is more than two errors.
    assert np.mean(held) >= 0.89


def test_bands_surround_the_estimate_and_stay_within_0_and_1() -> None:
    pool = plant(1500)
    estimate = estimate_transition_matrix(pool.scores, pool.graph, bootstrap=20)
    pairs = (
        (estimate.lower, estimate.transition_matrix, estimate.upper),
        (estimate.prior_lower, estimate.prior, estimate.prior_upper),
    )
    for lower, value, upper in pairs:
        assert lower is not None
        assert upper is not None
        assert (lower >= 0).all()
        assert (lower <= value).all()
        assert (value <= upper).all()
        assert (upper <= 1).all()
        assert (lower < upper).any()
    assert estimate.bootstrap == 20


def test_bands_are_made_only_where_asked_for_and_change_nothing() -> None:
    pool = plant(1500)
    without = estimate_transition_matrix(pool.scores, pool.graph)
    found = estimate_transition_matrix(pool.scores, pool.graph, bootstrap=20)
    assert without.lower is without.upper is without.prior_lower is without.prior_upper is None
    assert without.bootstrap == 0
    np.testing.assert_array_equal(found.transition_matrix, without.transition_matrix)


def test_bands_depend_on_the_seed_and_not_on_threads() -> None:
    pool = plant(1500)

    def bands(seed: int, threads: int) -> bytes:
        estimate = estimate_transition_matrix(
            pool.scores, pool.graph, bootstrap=20, seed=seed, threads=threads
        )
        assert estimate.lower is not None
        return estimate.lower.tobytes()

    assert bands(1, 1) == bands(1, 2) == bands(1, 7)
    assert bands(1, 1) != bands(2, 1)


def test_more_rows_make_narrower_bands() -> None:
    widths = []
    for num_rows in (900, 8100):
        pool = plant(num_rows, (0.3, 0.4, 0.3), seed=1)
        estimate = estimate_transition_matrix(pool.scores, pool.graph, bootstrap=40)
        assert estimate.lower is not None
        assert estimate.upper is not None
        widths.append((estimate.upper - estimate.lower).mean())
    assert widths[1] < 0.6 * widths[0]  # a third, but for what the model adds


# --- Misfit ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [0.0, 0.3])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_the_model_made_is_no_misfit(own: float, seed: int) -> None:
    pool = plant(3000, own=own, seed=seed)
    assert estimate_transition_matrix(pool.scores, pool.graph).misfit < 0.02


def test_misfit_is_the_distance_from_what_was_counted() -> None:
    triples, found = fit(plant(6000, (0.3, 0.4, 0.3)))
    assert misfit(triples, found) < 0.02
    # A rater who says the same whatever the truth: three independent scores of the observed mix.
    near, levels = triples.near, triples.levels
    rows = np.flatnonzero((near.is_copy == 0) & (near.ids[:, 1] >= 0))
    observed = np.bincount(levels[rows], minlength=3) / len(rows)
    deaf = replace(found, transition=np.tile(observed, (3, 1)))
    seen = np.zeros((3, 3, 3))
    np.add.at(seen, (levels[rows], levels[near.ids[rows, 0]], levels[near.ids[rows, 1]]), 1)
    expected = np.einsum("a,b,c->abc", observed, observed, observed)
    distance = np.abs(seen / len(rows) - expected).sum() / 2
    assert distance > 0.2
    # What sampling explains is taken off: a triple weighs the sum of three signs, so n of a cell
    # are sqrt(2 / pi · 3 n) from their mean, and more where they share rows.
    by_chance = np.sqrt(2 / np.pi * 3 * seen).sum() / 2 / len(rows)
    taken_off = distance - misfit(triples, deaf)
    assert by_chance < taken_off < 1.5 * by_chance


def test_a_row_rated_otherwise_than_its_neighbours_is_a_misfit() -> None:
    # Half of the rows have another rater, who mistakes most levels, and neighbours only among the
    # other half: the model knows one rater.
    pool = plant(3000, (0.3, 0.4, 0.3), width=29)
    other = np.array([[0.2, 0.7, 0.1], [0.05, 0.25, 0.7], [0.6, 0.1, 0.3]])
    second = np.random.default_rng(0).permutation(3000) < 1500
    scores = np.where(second, pool.rate(other, 1), pool.rate(noisy_rater(3, 0.95), 2))
    across = second[pool.graph.indices] != second[:, None]
    width = int(across.sum(axis=1).min())
    assert width >= 2
    chosen = np.argsort(~across, axis=1, kind="stable")[:, :width]
    graph = KnnGraph.from_arrays(
        np.take_along_axis(pool.graph.indices, chosen, axis=1),
        np.take_along_axis(pool.graph.similarities, chosen, axis=1),
    )
    estimate = estimate_transition_matrix(scores, graph)
    assert estimate.misfit > 0.1
    assert "where the model does not put them" in str(estimate.verdict)


# --- Copies ---------------------------------------------------------------------------------------


def with_copies(pool: Planted, width: int) -> KnnGraph:
    """The graph of every row twice."""
    return knn_graph(np.concatenate([pool.rows, pool.rows]), width, progress=False)


def figures(estimate: TransitionEstimate) -> list[Any]:
    return [
        estimate.transition_matrix,
        estimate.prior,
        estimate.observed,
        estimate.agreement,
        estimate.num_counted,
        estimate.misfit,
    ]


def test_copies_count_once() -> None:
    pool = plant(1200, width=20)
    once = estimate_transition_matrix(pool.scores, pool.graph)
    # Twice as many neighbours and the row's own copy: the same 20 rows, each of them twice.
    twice = estimate_transition_matrix(np.tile(pool.scores, 2), with_copies(pool, 41))
    for mine, theirs in zip(figures(once), figures(twice), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert once.clusterability is not None
    assert twice.clusterability is not None
    np.testing.assert_allclose(
        twice.clusterability.sharing, once.clusterability.sharing, rtol=0, atol=0.01
    )


def test_copies_do_not_narrow_the_bands() -> None:
    pool = plant(1200, width=20)
    once = estimate_transition_matrix(pool.scores, pool.graph, bootstrap=100)
    twice = estimate_transition_matrix(
        np.tile(pool.scores, 2), with_copies(pool, 41), bootstrap=100
    )
    assert once.lower is not None
    assert once.upper is not None
    assert twice.lower is not None
    assert twice.upper is not None
    ratio = (twice.upper - twice.lower).mean() / (once.upper - once.lower).mean()
    assert 0.85 < ratio < 1.15


def test_the_second_copy_of_a_row_is_no_centre_and_a_copy_no_neighbour() -> None:
    # Rows 0 and 1 are copies; of row 2 they are neighbours of one similarity, so one counts.
    indices = [[1, 2, 3], [0, 2, 3], [0, 1, 3], [2, 0, 1]]
    similarities = [[1.0, 0.8, 0.5], [1.0, 0.8, 0.5], [0.8, 0.8, 0.6], [0.6, 0.5, 0.5]]
    graph = KnnGraph.from_arrays(indices, similarities)
    near = independent_neighbours(np.array([0, 1, 1, 0]), graph, 1, 3)
    assert near.ids.tolist() == [[2, 3, -1], [2, 3, -1], [0, 3, -1], [2, 0, -1]]
    assert near.is_copy.tolist() == [0, 1, 0, 0]
    # Row 0 is unrated: then its copy counts, and row 2 hears it.
    near = independent_neighbours(np.array([-1, 1, 1, 0]), graph, 1, 3)
    assert near.is_copy.tolist() == [0, 0, 0, 0]
    assert near.ids[2].tolist() == [1, 3, -1]


# --- Figures beside T -----------------------------------------------------------------------------


def test_figures_are_of_the_counted_rows() -> None:
    pool = plant(1500)
    scores = np.where(np.arange(1500) % 5 == 0, -1, pool.scores)
    estimate = estimate_transition_matrix(scores, pool.graph)
    near = [[m for m in pool.graph.indices[n] if scores[m] >= 0] for n in range(1500)]
    counted = [n for n in range(1500) if scores[n] >= 0 and len(near[n]) >= 2]
    assert estimate.num_counted == len(counted)
    same = np.mean([scores[n] == scores[near[n][0]] for n in counted])
    assert estimate.agreement == pytest.approx(same)
    shares = np.bincount(scores[counted]) / len(counted)
    np.testing.assert_allclose(estimate.observed, shares)
    assert estimate.chance_agreement == pytest.approx(float(shares @ shares))


def test_the_curve_of_sharing_is_what_was_planted() -> None:
    # A third of the rows is of its own: so is a neighbour. The row itself shows z or its own too,
    # which without a signal is taken for noise of the rater.
    pool = plant(9000, own=1 / 3, seed=6)
    estimate = estimate_transition_matrix(pool.scores, pool.graph, repeats=pool.repeat(3000))
    assert estimate.clusterability is not None
    sharing, edges = estimate.clusterability.sharing, estimate.clusterability.edges
    assert sharing.shape == (8,)
    assert (np.diff(edges) > 0).all()
    assert sharing.mean() == pytest.approx(2 / 3, abs=0.07)


@pytest.mark.parametrize("num_levels", [3, 6, 20])
def test_t_is_found(num_levels: int) -> None:
    pool = plant(9000, (1 / num_levels,) * num_levels, seed=1)
    estimate = estimate_transition_matrix(pool.scores, pool.graph)
    error = np.abs(estimate.transition_matrix - pool.realised).mean()
    # Entries are shares among 9 000 / K rows, of which the truth is unknown: a few of their errors.
    shares = pool.rater * (1 - pool.rater) / (9000 / num_levels)
    assert error < 3 * np.sqrt(shares).mean()


# --- Stopping -------------------------------------------------------------------------------------


def test_ctrl_c_stops_the_bands() -> None:
    pool = plant(3000)
    started = time.process_time()
    with pytest.raises(KeyboardInterrupt), ctrl_c_after(0.3):
        estimate_transition_matrix(pool.scores, pool.graph, bootstrap=10**5)  # minutes of work
    assert (
        time.process_time() - started < 20.0
    )  # of processor time: a busy machine adds to it, though not minutes


def test_the_input_may_lie_in_memory_as_it_likes_and_is_not_written_to() -> None:
    pool = plant(1500, own=0.2)
    repeats, gold = pool.repeat(300), pool.know(100)
    expected = estimate_transition_matrix(pool.scores, pool.graph, repeats=repeats, gold=gold)
    changes: list[Callable[[IntArray], Any]] = [
        lambda values: np.repeat(values, 2)[::2],
        lambda values: values[::-1].copy()[::-1],
        lambda values: values.astype(values.dtype.newbyteorder()),
        lambda values: values.astype(np.int8),
        lambda values: np.where(values < 0, np.nan, values),
        lambda values: [None if value < 0 else int(value) for value in values],
    ]
    for change in changes:
        found = estimate_transition_matrix(
            change(pool.scores), pool.graph, repeats=change(repeats), gold=change(gold)
        )
        assert found.transition_matrix.tobytes() == expected.transition_matrix.tobytes()
    before = (pool.scores.tobytes(), repeats.tobytes(), gold.tobytes())
    for array in (pool.scores, repeats, gold):
        array.setflags(write=False)
    estimate_transition_matrix(pool.scores, pool.graph, repeats=repeats, gold=gold)
    assert before == (pool.scores.tobytes(), repeats.tobytes(), gold.tobytes())
