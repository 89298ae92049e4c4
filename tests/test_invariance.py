"""What must not change a graph: the SIMD level, the threads, and changes of the pool that change no
cosine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ds2fast import _core
from ds2fast.diversity import long_tail_scores
from ds2fast.errors import Ds2fastError
from ds2fast.graph import KnnGraph
from ds2fast.knn import knn_graph
from ds2fast.results import FloatArray
from graph_checks import POOLS, assert_same_bytes, integer_rows, random_rows


def search(rows: FloatArray, k: int, threads: int = 2) -> KnnGraph:
    return knn_graph(rows, k, threads=threads, progress=False)


# --- Levels and threads ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", POOLS)
def test_every_level_and_any_number_of_threads_give_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    rows, k = POOLS[name]()
    monkeypatch.setenv("DS2FAST_SIMD", "baseline")
    expected = search(rows, k, threads=1)
    for level in _core.simd_levels():
        monkeypatch.setenv("DS2FAST_SIMD", level)
        for threads in (1, 2, 7):
            assert_same_bytes(search(rows, k, threads), expected)


def test_levels_and_threads_agree_on_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    # Blocks have 768 rows at most, and more threads make them smaller: 9 of one kind, 63 of the
    # other. Half of the rows are duplicates.
    rows = np.concatenate([random_rows(3400, 72), random_rows(3400, 72)])
    monkeypatch.setenv("DS2FAST_SIMD", "baseline")
    expected = search(rows, 20, threads=1)
    for level in _core.simd_levels():
        monkeypatch.setenv("DS2FAST_SIMD", level)
        for threads in (1, 2, 7, 40):
            assert_same_bytes(search(rows, 20, threads), expected)


def test_norms_have_the_same_bits_at_every_level(monkeypatch: pytest.MonkeyPatch) -> None:
    for depth in (1, 7, 15, 16, 17, 33, 383, 1025):
        rows = random_rows(60, depth) * np.float32(1e-20)
        monkeypatch.setenv("DS2FAST_SIMD", "baseline")
        expected = _core.row_norms(rows, 1)
        exact = np.sqrt((rows.astype(np.float64) ** 2).sum(axis=1))
        # Sums of d squares in two orders: (d - 1) 2^-53 each, halved by the root, which rounds too.
        np.testing.assert_allclose(expected, exact, rtol=(depth + 2) * 2.0**-53)
        for level in _core.simd_levels():
            monkeypatch.setenv("DS2FAST_SIMD", level)
            for threads in (1, 3):
                assert _core.row_norms(rows, threads).tobytes() == expected.tobytes()


def test_the_baseline_runs_everywhere_and_the_best_level_is_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    levels = _core.simd_levels()
    assert levels[0] == "baseline"
    monkeypatch.delenv("DS2FAST_SIMD", raising=False)
    assert _core.simd_level() == levels[-1]
    monkeypatch.setenv("DS2FAST_SIMD", "")
    assert _core.simd_level() == levels[-1]
    for level in levels:
        monkeypatch.setenv("DS2FAST_SIMD", level)
        assert _core.simd_level() == level


@pytest.mark.parametrize("wanted", ["avx1024", "AVX2 ", "none"])
def test_an_unknown_level_is_an_error_that_names_the_known_ones(
    monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    monkeypatch.setenv("DS2FAST_SIMD", wanted)
    known = ", ".join(_core.simd_levels())
    expected = (
        rf"^DS2FAST_SIMD: expected one of the levels that run here \({known}\), got '{wanted}'$"
    )
    with pytest.raises(ValueError, match=expected):
        search(random_rows(20, 4), 3)


def test_an_unknown_level_is_one_of_our_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS2FAST_SIMD", "avx1024")
    with pytest.raises(Ds2fastError, match="DS2FAST_SIMD"):
        search(random_rows(20, 4), 3)


def test_searches_at_once_do_not_disturb_each_other() -> None:
    pools = [random_rows(1500, 30, seed) for seed in range(4)]
    expected = [search(rows, 8) for rows in pools]
    with ThreadPoolExecutor(4) as workers:
        for _ in range(3):
            for graph, alone in zip(
                workers.map(lambda rows: search(rows, 8), pools), expected, strict=True
            ):
                assert_same_bytes(graph, alone)


# --- Changes of the pool --------------------------------------------------------------------------


def test_permuted_rows_give_the_permuted_graph() -> None:
    rows = random_rows(1700, 50)
    graph = search(rows, 12)
    order = np.random.default_rng(3).permutation(len(rows))
    permuted = search(rows[order], 12)
    # No two cosines of a row are equal here, so nothing is left to the index.
    assert (np.diff(graph.similarities, axis=1) < 0).mean() > 0.99
    np.testing.assert_array_equal(order[permuted.indices], graph.indices[order])
    assert permuted.similarities.tobytes() == graph.similarities[order].tobytes()


def test_powers_of_two_scale_nothing() -> None:
    rows = random_rows(900, 33)
    scales = 2.0 ** np.random.default_rng(1).integers(-60, 61, (len(rows), 1))
    assert_same_bytes(search((rows * scales).astype(np.float32), 12), search(rows, 12))


def test_any_positive_scale_keeps_the_neighbours() -> None:
    rows = random_rows(900, 33)
    scales = np.random.default_rng(1).uniform(0.01, 100, (len(rows), 1)).astype(np.float32)
    graph, scaled = search(rows, 12), search(rows * scales, 12)
    # A scaled coordinate is rounded by 2^-24 of itself, which turns a row by that much at most; so
    # a cosine moves by 2 x 2^-24; storing it rounds it once more in each of the graphs.
    tolerance = 3 * 2.0**-24
    np.testing.assert_allclose(scaled.similarities, graph.similarities, rtol=0, atol=tolerance)
    gaps = -np.diff(graph.similarities.astype(np.float64), axis=1, prepend=np.inf)
    forced = (gaps[:, :-1] > 2 * tolerance) & (gaps[:, 1:] > 2 * tolerance)
    assert forced.mean() > 0.99
    np.testing.assert_array_equal(scaled.indices[:, :-1][forced], graph.indices[:, :-1][forced])


def test_flipped_coordinates_change_nothing() -> None:
    rows = random_rows(800, 65)
    signs = np.where(np.random.default_rng(1).random(65) < 0.5, -1, 1).astype(np.float32)
    assert_same_bytes(search(rows * signs, 12), search(rows, 12))


def test_appended_zero_coordinates_change_nothing() -> None:
    rows = random_rows(800, 65)
    padded = np.pad(rows, [(0, 0), (0, 31)])
    assert_same_bytes(search(padded, 12), search(rows, 12))


def test_a_far_row_changes_nothing_for_the_others() -> None:
    rows = np.abs(random_rows(800, 65))
    far = -rows.mean(axis=0, keepdims=True)
    graph = search(rows, 12)
    with_far = search(np.concatenate([rows, far]), 12)
    assert_same_bytes(KnnGraph(with_far.indices[:800], with_far.similarities[:800]), graph)
    assert (with_far.similarities[800] < 0).all()


def test_a_copy_of_a_row_comes_first_in_its_list_and_pushes_the_last_out() -> None:
    rows = random_rows(800, 65)
    graph = search(rows, 12)
    doubled = search(np.concatenate([rows, rows[137:138]]), 12)
    assert doubled.indices[137].tolist() == [800, *graph.indices[137, :11]]
    assert doubled.indices[800].tolist() == [137, *graph.indices[137, :11]]
    unaffected = ~(graph.indices == 137).any(axis=1)
    unaffected[137] = False
    np.testing.assert_array_equal(doubled.indices[:800][unaffected], graph.indices[unaffected])


def test_a_narrower_graph_is_the_beginning_of_a_wider_one() -> None:
    for rows in (random_rows(900, 40), integer_rows(900, 4, 2)):
        wide = search(rows, 150)
        for k in (1, 2, 16, 17, 100):
            narrow = search(rows, k)
            np.testing.assert_array_equal(narrow.indices, wide.indices[:, :k])
            np.testing.assert_array_equal(narrow.similarities, wide.similarities[:, :k])


def test_two_rows_that_name_each_other_agree_on_their_similarity() -> None:
    graph = search(random_rows(700, 31), 700 - 1)
    dense = np.full((700, 700), np.nan, dtype=np.float32)
    np.put_along_axis(dense, graph.indices.astype(np.int64), graph.similarities, axis=1)
    np.testing.assert_array_equal(dense, dense.T)


def test_long_tail_scores_do_not_depend_on_threads() -> None:
    similarities = -np.sort(-np.random.default_rng(0).uniform(-1, 1, (40_000, 7)), axis=1)
    graph = KnnGraph(np.zeros((40_000, 7), np.int32), similarities.astype(np.float32))
    expected = long_tail_scores(graph, threads=1).tobytes()
    for threads in (2, 7):
        assert long_tail_scores(graph, threads=threads).tobytes() == expected
