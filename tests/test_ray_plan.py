"""The parts of the Ray engine that need no cluster, nor the package."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2fast.embedding.tokenise import TokenTable
from ds2fast.engines import check_engine, open_engine, opening
from ds2fast.engines.ray.block_plan import plan_blocks
from ds2fast.engines.ray.failure import raise_told, telling
from ds2fast.engines.ray.shelf import Shelf
from ds2fast.engines.ray.wire import TokenJoin, pack, token_arrays, unpack
from ds2fast.errors import InputError, InputTypeError, MissingExtraError


@pytest.mark.parametrize(
    ("engine", "address", "error", "message"),
    [
        ("dask", None, InputError, "engine: expected 'local' or 'ray', got 'dask'"),
        ("local", "auto", InputError, "address: expected None with engine='local', got 'auto'"),
        ("ray", 6379, InputTypeError, "address: expected a str or None, got int"),
        ("ray", " ", InputError, "address: expected 'auto', host:port or ray://host:port, got ' '"),
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
    slots=st.integers(1, 300),
    store=st.integers(80 << 20, 1 << 33),
)
def test_every_pair_of_blocks_comes_once_and_half_of_the_store_is_enough(
    rows: int, row_bytes: int, slots: int, store: int
) -> None:
    plan = plan_blocks(rows, row_bytes, slots=slots, store=store)
    sizes = np.diff(plan.bounds)
    assert (plan.bounds[0], plan.bounds[-1]) == (0, rows)
    assert sizes.min() > 0
    assert plan.kept * int(sizes.max()) * row_bytes <= store // 2 + plan.kept * row_bytes
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
