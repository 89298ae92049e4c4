"""The exact graph by blocks: the tasks, their merging, and what a stopped run leaves."""

from __future__ import annotations

import mmap
import random
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import blocks_child
from ds2fast import _core, reference
from ds2fast.blocks import (
    Layout,
    Nearest,
    between,
    blocks_memory,
    choose_block_rows,
    exact_blocks,
    merge,
    state,
    within,
)
from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.knn import knn_graph
from ds2fast.results import DoubleArray, FloatArray, RowArray
from ds2fast.work import WorkFolder
from graph_checks import (
    EXACT_POOLS,
    FLOAT_POOLS,
    POOLS,
    assert_exact,
    assert_same_bytes,
    integer_rows,
    random_rows,
)


def search(rows: RowArray, k: int, block_rows: int, threads: int = 2, **more: Any) -> KnnGraph:
    norms = _core.row_norms(rows, 1)
    found = exact_blocks(rows, norms, k, block_rows=block_rows, threads=threads, **more)
    return KnnGraph(*found, method="exact", recall=1.0)


def whole(rows: RowArray, k: int) -> KnnGraph:
    return knn_graph(rows, k, threads=2, progress=False)


def copy_of(nearest: Nearest) -> Nearest:
    return Nearest(nearest.ids.copy(), nearest.similarities.copy())


def assert_equal(found: Nearest, expected: Nearest) -> None:
    np.testing.assert_array_equal(found.ids, expected.ids)
    assert found.similarities.tobytes() == expected.similarities.tobytes()


# --- The whole ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FLOAT_POOLS)
def test_blocks_equal_the_reference(name: str) -> None:
    rows, k = FLOAT_POOLS[name]()
    assert_exact(search(rows, k, block_rows=len(rows) // 3 + 1), rows, k)


@pytest.mark.parametrize("name", EXACT_POOLS)
def test_blocks_equal_the_reference_bit_for_bit_where_arithmetic_is_exact(name: str) -> None:
    rows, k = EXACT_POOLS[name]()
    graph = search(rows, k, block_rows=len(rows) // 3 + 1)
    ids, similarities = reference.knn_graph(rows, k)
    np.testing.assert_array_equal(graph.indices, ids)
    np.testing.assert_array_equal(graph.similarities, similarities.astype(np.float32))


@pytest.mark.parametrize("name", POOLS)
def test_every_level_number_of_threads_and_size_of_blocks_gives_the_bytes_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    rows, k = POOLS[name]()
    expected = whole(rows, k)
    n = len(rows)
    for level in _core.simd_levels():
        monkeypatch.setenv("DS2FAST_SIMD", level)
        # Of one row where that is quick, and where the last block has but one.
        for threads, block_rows in ((1, n), (7, n // 2 + 1), (2, max(1, n - 1)), (3, n // 5 + 1)):
            assert_same_bytes(search(rows, k, block_rows, threads), expected)


def test_blocks_of_one_row_and_of_less_than_k_rows() -> None:
    rows = np.concatenate([random_rows(20, 9), integer_rows(20, 9, 1)])
    for block_rows in (1, 2, 7):
        assert_same_bytes(search(rows, 11, block_rows), whole(rows, 11))


def test_many_panels_with_copies_across_blocks() -> None:
    rows = np.concatenate([random_rows(1300, 72), random_rows(1300, 72), random_rows(400, 72, 1)])
    rows[::9] = rows[5]  # some 330 of them: more than k + 1 in every block
    expected = whole(rows, 20)
    for block_rows in (400, 1111):
        assert_same_bytes(search(rows, 20, block_rows), expected)


def test_halves_and_rows_apart_are_read_where_they_are() -> None:
    halves = random_rows(300, 21).astype(np.float16)
    assert_same_bytes(search(halves, 7, 90), whole(halves, 7))
    apart = random_rows(300, 50)[::-2, 3:24]
    assert_same_bytes(search(apart, 7, 40), whole(apart, 7))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_memory_mapped_rows_that_cannot_be_written(tmp_path: Path, dtype: npt.DTypeLike) -> None:
    np.save(tmp_path / "rows.npy", random_rows(500, 21).astype(dtype))
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    expected = whole(np.load(tmp_path / "rows.npy"), 7)
    assert_same_bytes(search(rows, 7, 120), expected)
    assert_same_bytes(search(np.asarray(rows)[:], 7, 120), expected)


def test_changes_of_a_private_mapping_are_kept(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", random_rows(300, 21))
    rows = np.load(tmp_path / "rows.npy", mmap_mode="c")
    rows[:] = random_rows(300, 21, seed=1)
    assert_same_bytes(search(rows, 7, 120), whole(random_rows(300, 21, seed=1), 7))


@pytest.mark.parametrize("private", [{"flags": mmap.MAP_PRIVATE}, {"access": mmap.ACCESS_COPY}])
def test_changes_of_a_mapping_that_numpy_did_not_make_are_kept(
    tmp_path: Path, private: dict[str, int]
) -> None:
    rows = random_rows(128, 32)
    (tmp_path / "zeros").write_bytes(bytes(rows.nbytes))
    with (tmp_path / "zeros").open("r+b") as file:
        mapping = mmap.mmap(file.fileno(), 0, **private)
    changed: FloatArray = np.ndarray(rows.shape, np.float32, mapping)
    changed[:] = rows
    found = search(changed, 3, 50)
    np.testing.assert_array_equal(changed, rows)
    assert_same_bytes(found, search(rows, 3, 50))


def test_progress_counts_pairs_of_rows_up_to_all() -> None:
    seen: list[tuple[int, int]] = []
    search(random_rows(1000, 30), 5, 300, report=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (1000 * 999 // 2, 1000 * 999 // 2)


# --- The tasks ------------------------------------------------------------------------------------

ROWS = integer_rows(310, 6, 3)  # ties and copies abound, and float64 is exact


def cosines(a: FloatArray, b: FloatArray) -> DoubleArray:
    x, y = a.astype(np.float64), b.astype(np.float64)
    norms = np.sqrt((x * x).sum(axis=1))[:, None] * np.sqrt((y * y).sum(axis=1))
    return np.asarray((x @ y.T) / norms)


def brute_force(cosine: DoubleArray, first_id: int, k: int, floor: DoubleArray) -> Nearest:
    """The k best columns of each row that reach its floor; NaN is none."""
    nearest = Nearest.none(len(cosine), k)
    for row, values in enumerate(cosine):
        best = [n for n in np.lexsort((np.arange(len(values)), -values)) if values[n] >= floor[row]]
        nearest.ids[row, : len(best[:k])] = np.array(best[:k]) + first_id
        nearest.similarities[row, : len(best[:k])] = values[best[:k]]
    return nearest


@pytest.mark.parametrize("num_rows", [0, 1, 2, 9, 10, 150])
def test_within_a_block_as_brute_force(num_rows: int) -> None:
    rows = ROWS[:num_rows]
    cosine = cosines(rows, rows)
    np.fill_diagonal(cosine, np.nan)
    expected = brute_force(cosine, 1000, 9, np.full(num_rows, -np.inf))
    assert_equal(within(rows, 1000, 9, 2), expected)


@pytest.mark.parametrize("sizes", [(0, 5), (5, 0), (1, 1), (3, 100), (100, 3), (140, 170)])
@pytest.mark.parametrize("k", [1, 8, 160])
def test_between_blocks_as_brute_force_at_every_level(
    monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, int], k: int
) -> None:
    a, b = ROWS[: sizes[0]], ROWS[sizes[0] : sum(sizes)]
    cosine, transposed = cosines(a, b), cosines(b, a)
    random_ = np.random.default_rng(0)
    floors = (
        [np.full(size, -np.inf) for size in sizes],
        [random_.choice([-np.inf, -0.5, 0.0, 0.5, 1.0, 2.0], size) for size in sizes],
    )
    # Some floors are just what there is: a tie with the floor counts.
    if min(sizes):
        floors[1][0][::2] = cosine.max(axis=1)[::2]
        floors[1][1][::2] = np.median(transposed, axis=1)[::2]
    for floor_a, floor_b in floors:
        expected = brute_force(cosine, 70, k, floor_a), brute_force(transposed, 30, k, floor_b)
        for level in _core.simd_levels():
            monkeypatch.setenv("DS2FAST_SIMD", level)
            for threads in (1, 3):
                found = between(a, 30, b, 70, k, threads, floor_a=floor_a, floor_b=floor_b)
                assert_equal(found[0], expected[0])
                assert_equal(found[1], expected[1])
                if np.isinf(floor_a).all():
                    without = between(a, 30, b, 70, k, threads)
                    assert_equal(without[0], expected[0])
                    assert_equal(without[1], expected[1])


def test_one_floor_alone() -> None:
    a, b = ROWS[:100], ROWS[100:]
    floor = np.full(100, 0.75)
    found = between(a, 0, b, 100, 5, 2, floor_a=floor)
    assert_equal(found[0], brute_force(cosines(a, b), 100, 5, floor))
    assert_equal(found[1], between(a, 0, b, 100, 5, 2)[1])


def test_copies_of_a_row_may_have_floors_of_their_own() -> None:
    a, b = np.repeat(ROWS[:3], 40, axis=0), ROWS[100:200]
    floor = np.random.default_rng(0).choice([-1.0, 0.25, 0.5, 0.9], len(a))
    found, _ = between(a, 0, b, 500, 6, 2, floor_a=floor)
    assert_equal(found, brute_force(cosines(a, b), 500, 6, floor))


def test_known_norms_are_taken_for_what_they_are() -> None:
    a, b = random_rows(90, 30), random_rows(70, 30, seed=1)
    norms = _core.row_norms(np.concatenate([a, b]), 1)
    found = between(a, 0, b, 90, 5, 1, norms_a=norms[:90], norms_b=norms[90:])
    for nearest, alone in zip(found, between(a, 0, b, 90, 5, 1), strict=True):
        assert_equal(nearest, alone)
    assert_equal(within(a, 0, 5, 1, norms=norms[:90]), within(a, 0, 5, 1))


def test_a_programming_error_in_the_binding_is_an_error_not_a_crash() -> None:
    rows = random_rows(6, 4)
    one = np.ones(6)
    for more, message in (
        ({"k": 0}, "1 <= k"),
        ({"threads": 0}, "threads >= 1"),
        ({"first_id": 2**31 - 6}, "ids below"),
        ({"norms": one[:5]}, "one norm a row"),
    ):
        given: dict[str, Any] = {"rows": rows, "norms": one, "first_id": 0, "k": 2, "threads": 1}
        with pytest.raises(ValueError, match=message):
            _core.exact_within(**(given | more))
    with pytest.raises(ValueError, match="one floor a row"):
        between(rows, 0, rows, 6, 2, 1, floor_a=one[:5])
    for other in (random_rows(6, 5), rows.astype(np.float16)):
        with pytest.raises(ValueError, match="one depth and type"):
            between(rows, 0, other, 6, 2, 1)
    with pytest.raises(ValueError, match="one shape"):
        merge(Nearest.none(3, 2), Nearest.none(3, 4))


# --- Merging --------------------------------------------------------------------------------------


def random_lists(num_rows: int, k: int, seed: int) -> Nearest:
    """Of few ids and fewer similarities, one for each id of a row; some end early."""
    random_ = np.random.default_rng(seed)
    known = np.random.default_rng(99).integers(0, 4, (num_rows, 30)) / 4
    lists = Nearest.none(num_rows, k)
    for row in range(num_rows):
        ids = random_.choice(30, random_.integers(0, k + 1), replace=False)
        order = np.lexsort((ids, -known[row, ids]))
        lists.ids[row, : len(ids)] = ids[order]
        lists.similarities[row, : len(ids)] = known[row, ids[order]]
    return lists


def test_merging_keeps_the_best_of_both_and_names_nobody_twice() -> None:
    x, y = random_lists(5000, 6, 0), random_lists(5000, 6, 1)
    expected = Nearest.none(5000, 6)
    for row in range(5000):
        entries = {
            (-float(similarity), int(i))
            for lists in (x, y)
            for i, similarity in zip(lists.ids[row], lists.similarities[row], strict=True)
            if i >= 0
        }
        for place, (negative, i) in enumerate(sorted(entries)[:6]):
            expected.ids[row, place] = i
            expected.similarities[row, place] = -negative
    for threads in (1, 3):
        assert_equal(merge(x, y, threads=threads), expected)
        assert_equal(merge(y, x, threads=threads), expected)
    assert_equal(merge(expected, y), expected)
    into = copy_of(x)
    assert merge(into, y, into=into) is into
    assert_equal(into, expected)
    into = copy_of(y)
    assert_equal(merge(x, into, into=into), expected)


def test_merging_an_end_with_an_end() -> None:
    assert_equal(merge(Nearest.none(4, 3), Nearest.none(4, 3)), Nearest.none(4, 3))
    assert merge(Nearest.none(0, 3), Nearest.none(0, 3)).ids.shape == (0, 3)


def test_tasks_merge_to_the_graph_in_any_order() -> None:
    rows, k = integer_rows(400, 5, 2), 13
    layout = Layout(400, 90)
    parts: list[tuple[int, Nearest]] = []
    for a, b in layout.pairs():
        span_a, span_b = layout.rows_of(a), layout.rows_of(b)
        if a == b:
            parts.append((a, within(rows[span_a], span_a.start, k, 1)))
        else:
            found = between(rows[span_a], span_a.start, rows[span_b], span_b.start, k, 1)
            parts.extend(zip((a, b), found, strict=True))
    ids, similarities = reference.knn_graph(rows, k)
    for seed in range(3):
        random.Random(seed).shuffle(parts)
        lists = [Nearest.none(layout.size(block), k) for block in range(layout.num_blocks)]
        for block, nearest in parts:
            lists[block] = merge(lists[block], nearest)
        np.testing.assert_array_equal(np.concatenate([x.ids for x in lists]), ids)
        np.testing.assert_array_equal(np.concatenate([x.similarities for x in lists]), similarities)


# --- The layout -----------------------------------------------------------------------------------


@pytest.mark.parametrize("num_blocks", range(1, 9))
def test_each_pair_of_blocks_comes_once_and_one_block_stays(num_blocks: int) -> None:
    pairs = list(Layout(num_blocks * 10 - 3, 10).pairs())
    assert Counter(pairs) == Counter(
        (a, b) for a in range(num_blocks) for b in range(a, num_blocks)
    )
    assert pairs[:num_blocks] == [(block, block) for block in range(num_blocks)]
    crossing = pairs[num_blocks:]
    for before, after in pairwise(crossing):
        assert set(before) & set(after)


def test_comparisons_add_up_to_all_pairs_of_rows() -> None:
    layout = Layout(103, 20)
    assert sum(layout.num_comparisons(a, b) for a, b in layout.pairs()) == 103 * 102 // 2


@pytest.mark.parametrize("num_rows", [300, 10_000, 12_345_678])
@pytest.mark.parametrize("on_disk", [False, True])
def test_blocks_are_as_large_as_memory_allows(num_rows: int, on_disk: bool) -> None:
    def needed(block_rows: int) -> int:
        return blocks_memory(num_rows, 384, 20, block_rows, on_disk=on_disk)

    least = needed(256)
    for max_memory in (least, least + 10_000_000, 2 * least, 50 * least):
        chosen = choose_block_rows(num_rows, 384, 20, max_memory, on_disk=on_disk)
        assert 1 <= chosen <= num_rows
        assert needed(chosen) <= max_memory
        # One block less would be larger ones, too large.
        num_blocks = -(-num_rows // chosen)
        assert num_blocks == 1 or needed(-(-num_rows // (num_blocks - 1))) > max_memory


def test_too_little_memory_is_an_error_that_says_how_much_it_takes() -> None:
    with pytest.raises(InputError, match=r"^max_memory: expected at least .* got 1 MiB$"):
        choose_block_rows(1_000_000, 384, 10, 2**20)


def test_max_memory_chooses_the_blocks() -> None:
    rows = random_rows(2000, 64)
    enough = blocks_memory(2000, 64, 5, 600, itemsize=0, on_disk=False)
    found = exact_blocks(rows, _core.row_norms(rows, 1), 5, threads=2, max_memory=enough)
    assert_same_bytes(KnnGraph(*found), whole(rows, 5))
    with pytest.raises(InputError, match="max_memory"):
        exact_blocks(rows, _core.row_norms(rows, 1), 5, threads=2, max_memory=1000)


# --- On disk --------------------------------------------------------------------------------------


class CrashError(Exception):
    """Where a process might have been killed."""


class Crasher:
    """Stops at one of the moments at which lists are written or noted, and counts them.

    Of lists that are being written, half of the rows are then new, and one is neither old nor new.
    """

    def __init__(self, patch: pytest.MonkeyPatch, moment: int) -> None:
        self._moment, self.seen = moment, 0
        finish = WorkFolder.finish

        def torn_merge(x: Nearest, y: Nearest, *, into: Nearest, threads: int) -> Nearest:
            merged = merge(x, y, threads=threads)
            half = len(merged.ids) // 2
            into.ids[:half], into.similarities[:half] = (
                merged.ids[:half],
                merged.similarities[:half],
            )
            into.ids[half] = -7
            into.similarities[half] = 9.0
            self._meet()
            into.ids[:], into.similarities[:] = merged.ids, merged.similarities
            return into

        def torn_finish(work: WorkFolder, step: str, *arrays: Any) -> None:
            self._meet()
            finish(work, step, *arrays)
            self._meet()

        patch.setattr(state, "merge", torn_merge)
        patch.setattr(WorkFolder, "finish", torn_finish)

    def _meet(self) -> None:
        self.seen += 1
        if self.seen == self._moment:
            raise CrashError


def test_a_run_that_stops_at_any_moment_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    rows = np.concatenate([random_rows(60, 12), integer_rows(61, 12, 1)])
    expected = whole(rows, 8)
    moment, crashed = 1, True
    while crashed:
        crashed = False
        with (
            WorkFolder(tmp_path, {"moment": moment}) as work,
            pytest.MonkeyPatch.context() as patch,
        ):
            Crasher(patch, moment)
            try:
                search(rows, 8, 45, work=work)
            except CrashError:
                crashed = True
        with WorkFolder(tmp_path, {"moment": moment}) as work:
            assert_same_bytes(search(rows, 8, 45, work=work), expected)
            work.remove()
        moment += 1
    # 3 blocks: 3 pairs of a block with itself, a merge each, 3 across, two each; 2 a pair for the
    # journal; and the run that met them all.
    assert moment == 3 + 6 + 12 + 2


def test_a_run_that_is_stopped_again_and_again_does_each_pair_once(tmp_path: Path) -> None:
    rows = random_rows(400, 12)
    done: list[int] = []

    def stop_late(now: int, total: int) -> None:
        if now > (done[-1] if done else 0):
            done.append(now)
            if now < total:
                raise KeyboardInterrupt

    for _ in range(100):
        with WorkFolder(tmp_path, {}) as work:
            try:
                graph = search(rows, 8, 100, work=work, report=stop_late)
            except KeyboardInterrupt:
                continue
            break
    assert_same_bytes(graph, whole(rows, 8))
    assert len(done) >= 10


def test_what_is_finished_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = random_rows(300, 12)
    with WorkFolder(tmp_path, {}) as work:
        search(rows, 8, 100, work=work)
        monkeypatch.setattr(_core, "exact_within", lambda *_: pytest.fail("done again"))
        monkeypatch.setattr(_core, "exact_between", lambda *_: pytest.fail("done again"))
        assert_same_bytes(search(rows, 8, 100, work=work), whole(rows, 8))
        # Larger blocks might be had, but those that were begun with are finished.
        assert_same_bytes(search(rows, 8, 300, work=work), whole(rows, 8))


@pytest.mark.parametrize("moment", [5, 12, 17])
def test_smaller_blocks_begin_again(tmp_path: Path, moment: int) -> None:
    rows = random_rows(300, 12)
    for block_rows in (110, 80, 50):
        with WorkFolder(tmp_path, {}) as work, pytest.MonkeyPatch.context() as patch:
            Crasher(patch, moment)
            with pytest.raises(CrashError):
                search(rows, 8, block_rows, work=work)
    with WorkFolder(tmp_path, {}) as work:
        assert_same_bytes(search(rows, 8, 299, work=work), whole(rows, 8))


def test_killed_processes_leave_work_that_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    rows = random_rows(12_000, 64)
    np.save(tmp_path / "rows.npy", rows)
    command = [sys.executable, blocks_child.__file__, str(tmp_path / "rows.npy"), str(tmp_path)]
    choice = random.Random(0)
    layout = Layout(len(rows), 900)
    ends = np.cumsum([layout.num_comparisons(a, b) for a, b in layout.pairs()])
    finished = 0
    for _ in range(3):
        with subprocess.Popen([*command, "9", "900"], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert int(child.stdout.readline().split()[0]) >= finished
            for _ in range(choice.randrange(20, 40)):
                done, total = map(int, child.stdout.readline().split())
            child.kill()
        assert done < total
        # The pair that it last told of may be unfinished; the others are not.
        assert finished < (finished := int(ends[ends < done].max()))
    with WorkFolder(tmp_path, {"k": "9"}) as work:
        assert work.value("exact graph") == {"block_rows": 900, "attempt": 1}
        assert_same_bytes(search(rows, 9, 900, work=work), whole(rows, 9))
