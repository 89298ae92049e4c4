"""`run.npz`: what a selection was made from comes back equal, and nothing else is taken for it."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from ds2fast.choice import Rules
from ds2fast.errors import InputFileError
from ds2fast.exclusion import Exclusion
from ds2fast.given import Given
from ds2fast.outcome import Selection
from ds2fast.pipeline import select
from ds2fast.run.state import State, read_state, write_state
from planted import plant

ROWS = 120


@pytest.fixture(scope="module")
def plain() -> Selection:
    pool = plant(ROWS)
    return select(scores=pool.scores, embeddings=pool.rows, n=10, k=5, trust=0)


@pytest.fixture
def full(plain: Selection) -> Selection:
    """A selection with everything that may be kept."""
    generator = np.random.default_rng(3)
    ratings = generator.integers(-1, 64, (ROWS, 1))
    given = Given(
        ratings,
        64,
        repeats=generator.integers(-1, 64, (ROWS, 2)),
        gold=generator.integers(-1, 64, ROWS),
        values=np.where(ratings[:, 0] < 0, np.nan, generator.normal(size=ROWS)),
    )
    excluded = Exclusion(
        generator.random(ROWS) < 0.1,
        generator.integers(-1, 5, ROWS),
        generator.integers(0, 3, ROWS).astype(np.int8),
        "eval, ünïcode.jsonl",
        5,
        generator.random(ROWS, np.float32),
    )
    return replace(
        plain,
        given=given,
        groups=tuple(generator.choice(["b", "a", "", "a\0", "日本"], ROWS).tolist()),
        positions=generator.normal(size=(ROWS, 2)).astype(np.float32),
        rules=Rules(excluded=excluded),
    )


def written(selection: Selection) -> bytes:
    file = io.BytesIO()
    write_state(file, selection)
    return file.getvalue()


def equal(one: Any, two: Any) -> bool:
    if isinstance(one, np.ndarray):
        return one.dtype == two.dtype and np.array_equal(one, two, equal_nan=one.dtype.kind == "f")
    return bool(one == two)


def check_equal(one: Any, two: Any, names: tuple[str, ...]) -> None:
    for name in names:
        assert equal(getattr(one, name), getattr(two, name)), name


def test_all_comes_back_equal(full: Selection, tmp_path: Path) -> None:
    (tmp_path / "run.npz").write_bytes(written(full))
    state = read_state(tmp_path / "run.npz")
    check_equal(full.graph, state.graph, ("indices", "similarities", "method", "recall"))
    assert full.given is not None
    check_equal(full.given, state.given, ("ratings", "num_levels", "repeats", "gold", "values"))
    check_equal(full, state, ("positions", "groups"))
    assert state.group_names == tuple(sorted(set(full.groups or ())))
    assert state.excluded is not None
    names = ("rows", "because", "how", "name", "num_rows", "similarity")
    check_equal(full.rules.excluded, state.excluded, names)


def test_what_was_not_there_is_none(plain: Selection) -> None:
    bare = replace(plain, given=None, positions=None, groups=None)
    graph = replace(bare.graph, method="given", recall=float("nan"))
    state = read_state(io.BytesIO(written(replace(bare, graph=graph))))
    assert (state.positions, state.groups, state.excluded) == (None, None, None)
    assert (state.given.repeats, state.given.gold, state.given.values) == (None, None, None)
    assert state.given.scores.tolist() == bare.given_scores.tolist()
    assert state.given.num_levels == bare.settings["num_levels"]
    assert state.graph.method == "given"
    assert np.isnan(state.graph.recall)


def test_the_same_selection_gives_the_same_bytes(full: Selection) -> None:
    assert written(full) == written(full)


# --- damaged and foreign files -------------------------------------------------------------------


def changed(content: bytes, **arrays: Any) -> bytes:
    """The file with some arrays replaced; None takes one out."""
    with np.load(io.BytesIO(content)) as file:
        kept: dict[str, Any] = dict(file) | arrays
    found = io.BytesIO()
    np.savez(found, **{name: array for name, array in kept.items() if array is not None})
    return found.getvalue()


def with_header(content: bytes, **entries: Any) -> bytes:
    with np.load(io.BytesIO(content)) as file:
        header = orjson.loads(file["header"].tobytes()) | entries
    return changed(content, header=np.frombuffer(orjson.dumps(header), np.uint8))


def other_archive(_content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "theirs")
    return file.getvalue()


def one_array(_content: bytes) -> bytes:
    file = io.BytesIO()
    np.save(file, np.arange(3))
    return file.getvalue()


def bit_flipped(content: bytes) -> bytes:
    """One bit of the graph's similarities, which lie in the middle of the file."""
    middle = len(content) // 3
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


class Planted:
    """Makes a folder when it is loaded by pickle."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return (os.mkdir, ("planted",))


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut short": lambda content: content[: len(content) // 2],
    "its end missing": lambda content: content[:-1],
    "a bit flipped": bit_flipped,
    "words": lambda content: b"no archive at all",
    "a pickle": lambda content: pickle.dumps(Planted()),
    "objects": lambda content: changed(content, gold=np.array([Planted()], dtype=object)),
    "another archive": other_archive,
    "one array": one_array,
    "no header": lambda content: changed(content, header=None),
    "a header in words": lambda content: changed(content, header=np.frombuffer(b"{", np.uint8)),
    "a header of objects": lambda content: changed(content, header=np.array(["{}"])),
    "another program": lambda content: with_header(content, kind="theirs"),
    "a later format": lambda content: with_header(content, format=2),
    "no graph": lambda content: changed(content, indices=None),
    "other neighbours": lambda content: changed(content, indices=np.full((ROWS, 3), ROWS)),
    "a row beyond the pool": lambda content: changed(
        content, indices=np.full((ROWS, 3), ROWS, np.int32), similarities=np.ones((ROWS, 3), "f")
    ),
    "cosines that are none": lambda content: changed(
        content, indices=np.ones((ROWS, 1), "i"), similarities=np.full((ROWS, 1), np.nan, "f")
    ),
    "too few ratings": lambda content: changed(content, ratings=np.zeros((3, 1), np.int8)),
    "flat ratings": lambda content: changed(content, ratings=np.zeros(ROWS, np.int8)),
    "a level beyond K": lambda content: changed(content, gold=np.full(ROWS, 64, np.int8)),
    "no levels": lambda content: with_header(content, num_levels=1),
    "levels in words": lambda content: with_header(content, num_levels="many"),
    "a group without a name": lambda content: with_header(content, group_names=["a"]),
    "places of other rows": lambda content: changed(content, positions=np.zeros((3, 2), "f")),
    "other values": lambda content: changed(content, values=np.zeros(3)),
    "an exclusion of others": lambda content: changed(content, excluded_rows=np.zeros(3, bool)),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_or_foreign_file_is_refused(
    damage: str, full: Selection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = written(full)
    read_state(io.BytesIO(content))
    Path("run.npz").write_bytes(DAMAGED[damage](content))
    with pytest.raises(InputFileError, match=r"run: expected run\.npz as ds2fast wrote it"):
        read_state("run.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]  # nothing ran


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"expected the file .*run\.npz, which is missing"):
        read_state(tmp_path / "run.npz")
    with pytest.raises(InputFileError, match="as ds2fast wrote it"):
        read_state(tmp_path)


def test_the_state_is_read_only(plain: Selection) -> None:
    state: State = read_state(io.BytesIO(written(plain)))
    with pytest.raises(ValueError, match="read-only"):
        state.given.ratings[0, 0] = 3
