"""The approximate graph, round by round, until a sample of rows has the recall that was asked for.

Leaves of random-leader trees are joined all-pairs in int8, each row then meets the neighbours of
its neighbours, and float64 ranks what is left. Descents are those of NN-descent (Dong, Moses and Li
2011), in a form whose result depends on no order of work.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ds2fast import _core
from ds2fast.approximate.arrays import NO_PLACE, Lists, Room
from ds2fast.approximate.done import Done
from ds2fast.approximate.program import Kind, most_trees, steps
from ds2fast.approximate.rarest import HEARD, rarest
from ds2fast.approximate.recall import Recall, draw_sample, recall_of
from ds2fast.approximate.rounds import Shape, Tree, grow
from ds2fast.approximate.runner import LocalRunner, Runner
from ds2fast.results import DoubleArray, FloatArray, IdArray, RowArray
from ds2fast.work import WorkFolder

_LEAF_ROWS = 1024
_FAN_OUT = 96
_MOST_HEARD = 16
_RANKED = 32_768  # rows, at least, that are ranked between two reports
_REPORTS = 32  # on ranking, at most


@dataclass(frozen=True, eq=False)
class Found:
    """What a search found.

    Attributes
    ----------
    ids : (N, k) int32
    similarities : (N, k) float32
    recall : Recall
    trees : int
        Trees that it took.
    """

    ids: IdArray
    similarities: FloatArray
    recall: Recall
    trees: int


def approximate_memory(num_rows: int, depth: int, k: int, *, on_disk: bool = False) -> int:
    """Bytes that a search takes beyond its input, but for what a thread works with.

    In memory codes, lists twice and the result: N·(d + 16·w + 8·k + 80), where d is rounded up to
    64 and w is the width of a list; on disk the result and N·80 of numbers of rows alone.

    Examples
    --------
    >>> approximate_memory(1_000_000, 384, 10) / 2**20  # MiB
    732.421875
    """
    kept = num_rows * (8 * k + 80)
    if on_disk:
        return kept
    return kept + num_rows * (_core.code_depth(depth) + 16 * list_width(k))


def list_width(k: int) -> int:
    """Entries of a list: some more than k, since codes rank them and float64 decides.

    Four more find as much as eight on real embeddings; two lose some.

    Examples
    --------
    >>> list_width(10), list_width(24)
    (14, 28)
    """
    return k + max(4, k // 6)


def shape_of(k: int, leaf_rows: int = _LEAF_ROWS) -> Shape:
    """The shape of a search for k neighbours."""
    least = list_width(k) + 1
    return Shape(max(leaf_rows, 2 * least), least, _FAN_OUT, min(k, _MOST_HEARD))


def approximate_graph(
    rows: RowArray,
    norms: DoubleArray,
    k: int,
    *,
    recall: float,
    seed: int,
    threads: int,
    report: _core.Report | None = None,
    work: WorkFolder | None = None,
    shape: Shape | None = None,
    runner: Runner | None = None,
) -> Found | None:
    """The k most similar rows of every row, most of them; None where an exact search is cheaper.

    Parameters
    ----------
    rows : (N, d) float32 or float16
        As `knn_graph` reads them in place.
    norms : (N,) float64
        Of `_core.row_norms`, all finite and above 0.
    k : int
        1 ≤ k < N.
    recall : float
        Of the sample's neighbours this share, at least, is to be found.
    seed : int
        Of the trees and the sample.
    threads : int
        Threads to use; the result does not depend on it.
    report : callable, optional
        Gets `(done, total)` in rows of rounds; the total grows where more rounds are needed.
    work : WorkFolder, optional
        Keeps codes and lists on disk: a run that was stopped goes on after the last block that it
        finished, with the same result. Its key says of which rows it is, of which k, seed, recall
        and shape: what a look at the recall decided holds for that recall alone.
    shape : Shape, optional
        How trees are cut; None is by k.
    runner : Runner, optional
        What runs the blocks of a round; this process by default.

    Examples
    --------
    >>> rows = np.random.default_rng(0).standard_normal((20_000, 8), dtype=np.float32)
    >>> norms = _core.row_norms(rows, 1)
    >>> found = approximate_graph(rows, norms, 5, recall=0.9, seed=0, threads=1)
    >>> found.recall.share >= 0.9, found.ids.shape
    (True, (20000, 5))
    """
    chosen = shape or shape_of(k)
    searched, rest = _core.find_copies(rows, norms, k, report)
    search = _Search(rows, norms, k, chosen, seed, threads, searched, Room(work), report)
    runner = runner or LocalRunner(threads, work)
    search.prepare()
    seen = search.run(recall, runner)
    if seen is None:
        return None
    ids, similarities = search.rank()
    _core.fill_in_copies(rows, norms, rest, ids, similarities)
    return Found(ids, similarities, seen, search.num_trees)


class _Search:
    """One search: its codes and lists, and how far it is."""

    def __init__(
        self, rows: RowArray, norms: DoubleArray, k: int, shape: Shape, seed: int, threads: int,
        searched: IdArray, room: Room, report: _core.Report | None,
    ) -> None:  # fmt: skip
        self._rows, self._norms, self._k = rows, norms, k
        self._shape, self._seed, self._threads = shape, seed, threads
        self._searched, self._room = searched, room
        self._done = Done(room.work)
        self._width = min(list_width(k), len(searched) - 1)
        self._count = _Count(len(searched), report)
        self.num_trees = 0

    def prepare(self) -> None:
        """Codes in the order of the first tree, near rows side by side, and what is true."""
        count = len(self._searched)
        self._codes = self._room.codes(count, self._rows.shape[1])
        self._order = self._room.array("order", (count,), np.int32)
        bounds = self._done.value("codes")
        if bounds is None:
            bounds = self._encode()
            self._done.finish("codes", bounds, self._order, *self._codes)
        self._first_tree = Tree(
            np.arange(count, dtype=np.int32), np.asarray(bounds, dtype=np.int64)
        )
        places = draw_sample(count, self._seed)
        self._sample = places
        self._true = _core.exact_neighbours(
            self._rows, self._norms, self._order, self._codes, places, self._k, self._threads,
            self._count.silent,
        )  # fmt: skip

    def run(self, recall: float, runner: Runner) -> Recall | None:
        """Rounds until the recall is reached, and what it is; None where it is not worth it."""
        lists = self._empty_lists()
        most = most_trees(len(self._order), self._shape)
        number = 0
        for step in steps():
            if self.num_trees + step.count(Kind.TREE) > most:
                return None
            self._count.expect(len(step))
            for kind in step:
                number += 1
                lists = self._round(kind, number, lists, runner)
            self._lists = lists
            seen = self._look(number)
            if seen.share >= recall:
                return seen
        raise AssertionError  # steps() does not end

    def _round(self, kind: Kind, number: int, lists: Lists, runner: Runner) -> Lists:
        out = self._room.lists(number % 2, len(self._order), self._width)
        report = self._count.round()
        is_new = self._done.value(f"round {number}") is None
        if kind is Kind.DESCENT and is_new:
            runner.descend(number, self._codes, self._shape, lists, out, report)
        elif is_new:
            runner.join(number, self._codes, self._tree(), lists, out, report)
        self.num_trees += kind is Kind.TREE
        self._done.finish(f"round {number}", True, *out)
        self._count.finish()
        return out

    def rank(self) -> tuple[IdArray, FloatArray]:
        """Ids (N, k) and similarities (N, k) of all rows that were searched."""
        self._room.let_lists_go()  # the result takes the place of those that are not ranked
        ids = np.empty((len(self._rows), self._k), np.int32)
        similarities = np.empty((len(self._rows), self._k), np.float32)
        self._count.expect(1)
        report = self._count.round()
        total = len(self._order)
        some = max(_RANKED, -(-total // _REPORTS))
        means = np.empty(total, np.float32)
        for first in range(0, total, some):
            places = np.arange(first, min(first + some, total), dtype=np.int32)
            found, exact = self._rank_at(places)
            ids[self._order[places]] = found
            similarities[self._order[places]] = exact
            means[places] = exact[:, :HEARD].mean(axis=1)
            if report is not None:
                report(int(places[-1]) + 1, total)
        self._search_rarest(rarest(means), ids, similarities)
        self._count.finish()
        return ids, similarities

    def _search_rarest(self, places: IdArray, ids: IdArray, similarities: FloatArray) -> None:
        """Put the exact neighbours of the rows that look rarest in place of what was found."""
        true_ids, true_similarities = _core.exact_neighbours(
            self._rows, self._norms, self._order, self._codes, places, self._k, self._threads,
            self._count.silent,
        )  # fmt: skip
        rows = self._order[places]
        ids[rows], similarities[rows] = true_ids, true_similarities

    def _encode(self) -> list[int]:
        """Write codes and the order of the places; where the leaves of the first tree are."""
        codes, silent = self._codes, self._count.silent
        _core.encode_rows(self._rows, self._norms, self._searched, codes, self._threads, silent)
        tree = grow(codes, self._shape, self._tree_seed(), self._threads, silent)
        _core.reorder_rows(codes, tree.order, silent)
        np.take(self._searched, tree.order, out=self._order, mode="clip")
        return [int(bound) for bound in tree.bounds]

    def _empty_lists(self) -> Lists:
        lists = self._room.lists(0, len(self._order), self._width)
        if self._done.value("lists") is None:
            lists.entries[:] = NO_PLACE
            lists.similarities[:] = -np.inf
            self._done.finish("lists", True, *lists)
        return lists

    def _tree(self) -> Tree:
        if self.num_trees == 0:
            return self._first_tree
        return grow(self._codes, self._shape, self._tree_seed(), self._threads, self._count.silent)

    def _tree_seed(self) -> int:
        """Of the next tree: no two trees of any two searches share one by their numbers."""
        drawn = np.random.SeedSequence([self._seed, self.num_trees])
        return int(drawn.generate_state(1, np.uint64)[0])

    def _look(self, number: int) -> Recall:
        """The recall after so many rounds; lists of rounds before are gone when it is resumed."""
        step = f"recall after round {number}"
        known = self._done.value(step)
        if known is not None:
            share, tied, low, high = known
            return Recall(share, tied, (low, high))
        found, exact = self._rank_at(self._sample)
        seen = recall_of(found, exact, *self._true, self._seed)
        self._done.finish(step, [seen.share, seen.tied, *seen.interval])
        return seen

    def _rank_at(self, places: IdArray) -> tuple[IdArray, DoubleArray]:
        return _core.rank_lists(
            self._rows, self._norms, self._order, self._codes, self._lists, places, self._k,
            self._threads, self._count.silent,
        )  # fmt: skip


class _Count:
    """Tells how far a search is, in rows of rounds; how many rounds there are shows on the way."""

    def __init__(self, num_rows: int, report: _core.Report | None) -> None:
        self._num_rows = num_rows
        self._report = report
        self._done = 0
        self._expected = 0

    def expect(self, rounds: int) -> None:
        """So many more rounds come."""
        self._expected += rounds

    def round(self) -> _core.Report | None:
        """What the next round reports to."""
        report, rows = self._report, self._num_rows
        if report is None:
            return None
        return lambda done, of: report(
            rows * self._done + rows * done // max(of, 1), rows * max(self._expected, 1)
        )

    def finish(self) -> None:
        """A round has ended."""
        self._done += 1

    def silent(self, done: int, total: int) -> None:
        """For work that is not counted: it can be stopped, and the count stands still."""
