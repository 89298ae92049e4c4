"""The parts of the Ray engine that need no cluster, nor the package."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ds2fast
from ds2fast import _core
from ds2fast.approximate.arrays import Codes, Lists
from ds2fast.blocks import Nearest
from ds2fast.embedding.tokenise import TokenTable
from ds2fast.engines import check_engine, open_engine, opening
from ds2fast.engines.ray import nodes, presence, workers
from ds2fast.engines.ray.block_plan import plan_blocks
from ds2fast.engines.ray.driver_lists import DriverLists
from ds2fast.engines.ray.exact import block_of, open_lists
from ds2fast.engines.ray.failure import raise_told, telling
from ds2fast.engines.ray.presence import Presence, watched
from ds2fast.engines.ray.rounds import check_store, plain_codes, plain_lists
from ds2fast.engines.ray.shelf import Shelf
from ds2fast.engines.ray.stream import windows
from ds2fast.engines.ray.wire import TokenJoin, pack, token_arrays, unpack
from ds2fast.errors import InputError, InputTypeError, MissingExtraError
from ds2fast.graph_search import check_search
from ds2fast.io.scratch import scratch_array

NO_ADDRESS = (
    "address: expected 'auto' or host:port, of a cluster that this machine is a node of "
    "(Ray Data knows no way through a Ray client)"
)


@pytest.mark.parametrize(
    ("engine", "address", "error", "message"),
    [
        ("dask", None, InputError, "engine: expected 'local' or 'ray', got 'dask'"),
        ("local", "auto", InputError, "address: expected None with engine='local', got 'auto'"),
        ("ray", 6379, InputTypeError, "address: expected a str or None, got int"),
        ("ray", " ", InputError, f"{NO_ADDRESS}, got ' '"),
        ("ray", "ray://head:10001", InputError, f"{NO_ADDRESS}, got 'ray://head:10001'"),
    ],
)
def test_arguments_are_refused_by_name(
    engine: str, address: object, error: type[Exception], message: str
) -> None:
    for check in (check_engine, open_engine):
        with pytest.raises(error) as raised:
            check(engine, address)  # type: ignore[arg-type]
        assert str(raised.value) == message


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ds2fast\[ray\]'"):
        open_engine("ray")


@given(
    rows=st.integers(2, 3000),
    row_bytes=st.integers(4, 6000),
    k=st.integers(1, 200),
    slots=st.integers(1, 300),
    store=st.integers(80 << 20, 1 << 33),
)
def test_every_pair_of_blocks_comes_once_and_three_quarters_of_the_store_are_enough(
    rows: int, row_bytes: int, k: int, slots: int, store: int
) -> None:
    plan = plan_blocks(rows, row_bytes, k, slots=slots, store=store)
    sizes = np.diff(plan.bounds)
    assert (plan.bounds[0], plan.bounds[-1]) == (0, rows)
    assert sizes.min() > 0
    # The last of some blocks of one size may have a row more than what was planned with.
    most = int(sizes.max()) - 1
    answer = 2 * (12 * k + 8)  # for two blocks: an id and a similarity a neighbour, and a floor
    assert most <= 1 or plan.kept * most * row_bytes <= store // 2
    assert most <= 1 or plan.in_flight * most * answer <= store // 4
    pairs = list(plan.pairs())
    count = plan.num_blocks
    assert sorted(pairs) == [(a, b) for a in range(count) for b in range(a, count)]


@given(st.lists(st.sets(st.integers(0, 9), min_size=1, max_size=2), max_size=60), st.data())
def test_a_shelf_is_never_fuller_than_it_may_be(
    wanted: list[set[int]], data: st.DataObject
) -> None:
    put: list[int] = []
    shelf = Shelf(lambda block: put.append(block) or block, 4)  # type: ignore[func-returns-value]
    out: list[set[int]] = []
    for blocks in wanted:
        while (found := shelf.take(blocks)) is None:
            shelf.give_back(out.pop(data.draw(st.integers(0, len(out) - 1))))
        assert set(found) == blocks
        out.append(blocks)
        assert set().union(*out) <= shelf.held
        assert len(shelf.held) <= 4


def test_tables_come_back_in_any_order() -> None:
    tables = [
        TokenTable(
            np.array([7, 8, 9], np.int32), np.array([0, 1, 3]), np.array([True]), np.array([0, 2])
        ),
        TokenTable(np.array([4], np.int32), np.array([0, 1]), np.array([False])),
    ]
    packed = [pack([(number, token_arrays(table))]) for number, table in enumerate(tables)]
    join = TokenJoin(None)
    for one in reversed(packed):
        for number, arrays in unpack(one):
            assert join.add(number, arrays) == 1
    joined = join.joined()
    assert joined.ids.tolist() == [7, 8, 9, 4]
    assert joined.offsets.tolist() == [0, 1, 3, 4]
    assert joined.firsts.tolist() == [0, 2, 3]
    assert joined.truncated.tolist() == [True, False]


def test_an_error_of_ours_is_told_and_raised_again() -> None:
    def fail() -> None:
        raise InputError("model: expected another")

    with pytest.raises(InputError, match=r"^model: expected another$"):
        raise_told(telling(fail)())


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def test_an_address_where_nobody_listens_is_named_before_anything_is_read(
    nobody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "check_extra", lambda: None)
    with pytest.raises(InputError, match=f"^address: expected a Ray cluster .*{nobody}"):
        ds2fast.select(
            tmp_path / "missing.jsonl", n=1, engine="ray", address=nobody, progress=False
        )


def test_of_several_nodes_of_a_host_each_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    level = _core.simd_level()
    good = {"error": "", "version": ds2fast.__version__, "level": level}
    places = [("a", "host"), ("b", "host")]
    for bad, expected in (
        ({**good, "version": "0.0.1"}, "got 0.0.1 on host"),
        ({"error": "no module"}, r"got host where it cannot be imported \(no module\)"),
    ):
        monkeypatch.setattr(nodes, "_ask", lambda _, bad=bad: [bad, good])
        with pytest.raises(InputError, match=expected):
            nodes.check_nodes(places)
    monkeypatch.setattr(nodes, "_ask", lambda _: [{**good, "level": "other"}, good])
    assert nodes.check_nodes(places) == {"DS2FAST_SIMD": level}


def _in_band(value: Any) -> tuple[int, int]:
    """Bytes of a pickle, and of the buffers beside it, which are never copied into it."""
    buffers: list[pickle.PickleBuffer] = []
    found = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return len(found), sum(buffer.raw().nbytes for buffer in buffers)


def test_what_lies_in_files_is_sent_without_being_pickled(tmp_path: Path) -> None:
    rows = scratch_array(tmp_path, (500, 64), np.float32)
    rows[:] = np.arange(64)
    entries = scratch_array(tmp_path, (500, 16), np.uint32)
    similarities = scratch_array(tmp_path, (500, 16), np.float32)
    values = scratch_array(tmp_path, (500, 64), np.int8)
    numbers = [scratch_array(tmp_path, (500,), kind) for kind in (np.int32, *[np.float32] * 3)]
    codes, lists = Codes(values, *numbers), Lists(entries, similarities)
    assert _in_band(codes)[1] == 0  # as they are they would be
    for sent, size in (
        (block_of(rows, 100, 400), 300 * 64 * 4),
        (block_of(rows[:, ::2], 100, 400), 300 * 32 * 4),
        (plain_codes(codes), 500 * (64 + 16)),
        (plain_lists(lists), 500 * 16 * 8),
    ):
        in_band, beside = _in_band(sent)
        assert in_band < 2000
        assert beside == size
    assert block_of(rows, 0, 1).tolist() == [list(range(64))]


def test_a_search_that_no_store_can_hold_is_refused() -> None:
    rows = 100_000
    codes = Codes(
        np.zeros((rows, 64), np.int8), np.zeros(rows, np.int32), *np.zeros((3, rows), np.float32)
    )
    lists = Lists(np.zeros((rows, 10), np.uint32), np.zeros((rows, 10), np.float32))
    # Codes, lists, answers for half of the rows, a tree.
    enough = rows * (64 + 16) + rows * 80 + rows // 2 * 80 + rows * 4
    check_store(codes, lists, enough)
    with pytest.raises(InputError, match=r"^address: .* hold 20 MiB each, .* got one of 19 MiB"):
        check_store(codes, lists, enough - 1)


def test_a_window_is_put_when_it_is_sent_and_not_before() -> None:
    put: list[str] = []

    def put_one(table: Any) -> str:
        put.append(table.name)
        return f"ref {table.name}"

    tables: Any = (_Table(*one) for one in {"a": 4, "b": 5, "c": 2, "d": 30, "e": 1}.items())
    found = windows(tables, 9, put_one)
    assert [(window, "".join(put)) for window in found] == [
        (["ref a", "ref b"], "ab"),
        (["ref c"], "abc"),
        (["ref d"], "abcd"),
        (["ref e"], "abcde"),
    ]


class _Table:
    """As much of a table as a window asks for."""

    def __init__(self, name: str, nbytes: int) -> None:
        self.name = name
        self.nbytes = nbytes


@pytest.mark.parametrize("on_disk", [True, False])
def test_lists_of_the_driver_hold_the_best(tmp_path: Path, on_disk: bool) -> None:
    lists = DriverLists(4, 2, tmp_path if on_disk else None)
    assert lists.floors(slice(0, 4)).tolist() == [-np.inf] * 4
    lists.merge(slice(1, 3), Nearest(np.array([[3, -1], [0, 1]], np.int32),
                                     np.array([[0.5, -np.inf], [0.9, 0.2]])))  # fmt: skip
    lists.merge(slice(2, 4), Nearest(np.array([[3, -1], [2, 0]], np.int32),
                                     np.array([[0.3, -np.inf], [0.3, 0.1]])))  # fmt: skip
    assert lists.floors(slice(1, 4)).tolist() == [-np.inf, 0.3, 0.1]
    ids, similarities = lists.result()
    assert ids.tolist() == [[-1, -1], [3, -1], [0, 3], [2, 0]]
    assert similarities.dtype == np.float32
    assert similarities[1:].tolist() == [
        [0.5, -np.inf], [np.float32(0.9), np.float32(0.3)], [np.float32(0.3), np.float32(0.1)]
    ]  # fmt: skip
    assert not isinstance(ids, np.memmap)
    assert not isinstance(similarities, np.memmap)
    assert list(tmp_path.iterdir()) == []  # a file that has no name


def test_a_drivers_lists_keep_to_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders: list[Path | None] = []
    monkeypatch.setattr(
        "ds2fast.engines.ray.exact.DriverLists", lambda rows, k, folder: folders.append(folder)
    )
    rows = np.random.default_rng(0).standard_normal((70_000, 4), dtype=np.float32)
    graph, lists, norms = 8 * 70_000 * 3, 16 * 70_000 * 3, 8 * 70_000
    for limit in (None, lists + norms, lists + norms - 1, graph + norms):
        open_lists(check_search(rows, 3, max_memory=limit, cache_dir=tmp_path, threads=1))
    assert folders == [None, None, tmp_path / "work", tmp_path / "work"]
    with pytest.raises(InputError, match=r"^max_memory: expected at least 3 MiB for a graph"):
        open_lists(check_search(rows, 3, max_memory=graph + norms - 1, threads=1))


GONE = r"^address: expected a Ray cluster that runs until the work is done, got one that is gone \("


@pytest.fixture
def somebody() -> Iterator[str]:
    """An address where somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_cluster_is_lost_when_a_part_of_it_was_missing_for_too_long(
    somebody: str, nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, half = Presence(somebody, somebody), Presence(somebody, nobody)
    monkeypatch.setattr(presence, "LONGEST_LOST", 3600.0)
    assert (there.look(), half.look()) == (True, False)
    assert (there.is_lost, half.is_lost) == (False, False)
    monkeypatch.setattr(presence, "LONGEST_LOST", 0.0)
    assert (there.is_lost, half.is_lost) == (False, True)
    there.wait()
    with pytest.raises(InputError, match=GONE + nobody):
        half.wait()


@pytest.mark.parametrize("before", [signal.default_int_handler, signal.SIG_IGN])
def test_what_waits_for_a_lost_cluster_is_ended(
    nobody: str, before: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "LONGEST_LOST", 0.0)
    usual = signal.signal(signal.SIGINT, before)
    try:
        with pytest.raises(InputError, match=GONE + nobody):
            watched(Presence(nobody), threading.Event().wait)
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        signal.signal(signal.SIGINT, usual)


def test_an_error_of_rays_is_the_clusters_loss_where_it_is_missing(
    somebody: str, nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "LONGEST_LOST", 0.0)

    def fail_by(error: BaseException) -> Callable[[], None]:
        def fail() -> None:
            raise error

        return fail

    with pytest.raises(InputError, match=GONE + nobody):
        watched(Presence(nobody), fail_by(ConnectionError("broken pipe")))
    with pytest.raises(ConnectionError, match="broken pipe"):
        watched(Presence(somebody), fail_by(ConnectionError("broken pipe")))
    with pytest.raises(InputError, match=r"^k: "):
        watched(Presence(nobody), fail_by(InputError("k: expected another")))


def test_ctrl_c_is_heard_while_a_cluster_is_watched(somebody: str) -> None:
    def press() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        watched(Presence(somebody), press)
    assert watched(Presence(somebody), lambda: 7) == 7
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_ends_a_process_that_leaves_it_to_the_system(somebody: str) -> None:
    code = (
        "import os, signal, threading\n"
        "from ds2fast.engines.ray.presence import Presence, watched\n"
        "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
        "def press():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    threading.Event().wait(60)\n"
        f"watched(Presence({somebody!r}), press)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGINT


def test_a_lost_cluster_is_told_again_where_nobody_heard_it(
    nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "LONGEST_LOST", 0.0)
    monkeypatch.setattr(presence, "_TURN", 0.05)
    unheard: list[BaseException] = []

    def wait_twice() -> None:
        try:
            threading.Event().wait()
        except BaseException as error:
            unheard.append(error)
        threading.Event().wait()

    with pytest.raises(InputError, match=r"^address: expected a Ray cluster that runs until"):
        watched(Presence(nobody), wait_twice)
    assert len(unheard) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_process_closes_an_encoder_before_it_opens_another() -> None:
    told: list[str] = []

    class Spec:
        """A model of which each encoder tells when it is opened and closed."""

        def __init__(self, name: str) -> None:
            self.name = name
            self.identity: dict[str, str] = {}

        def open(self, *with_precision: str) -> Any:
            return self._encoder() if with_precision else self

        @contextmanager
        def _encoder(self) -> Iterator[Any]:
            if self.name == "bad":
                raise InputError("model: expected another")
            told.append(f"{self.name} opened")
            yield self
            told.append(f"{self.name} closed")

    one, two = Spec("one"), Spec("two")
    specs: list[Any] = [one, one, two]
    for spec in specs:
        assert workers._encoder(spec, "fp32", "native", ()) is spec
    assert told == ["one opened", "one closed", "two opened"]
    bad: Any = Spec("bad")
    with pytest.raises(InputError, match=r"^model: expected another"):
        workers._encoder(bad, "fp32", "native", ())
    assert workers._encoder(specs[-1], "fp32", "native", ()) is specs[-1]
    assert told[3:] == ["two closed", "two opened"]
