"""Rows and texts that stay out of memory: read back from files, the same as they came."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ds2fast
from ds2fast.embedding.distinct import check_texts, distinct_texts
from ds2fast.embedding.hashes import hash_texts
from ds2fast.embedding.tokenise import text_chunks
from ds2fast.errors import InputError, InputFileError, OutputError
from ds2fast.io import held, table_rows, texts
from ds2fast.io.read import read
from ds2fast.io.texts import LazyTexts
from ds2fast.pool import as_rows
from static_fixtures import make_table, write_static
from test_read import OBJECTS


@pytest.fixture
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds are so low that all rows and texts lie in files."""
    monkeypatch.setattr(texts, "KEPT_TEXT", 0)
    monkeypatch.setattr(held, "KEPT_ROWS", 1)
    monkeypatch.setattr(table_rows, "KEPT_ROWS", 0)
    monkeypatch.setattr(table_rows, "_BATCH_BYTES", 64)


# --- rows come back as they went in ---------------------------------------------------------------


@given(
    st.lists(st.tuples(OBJECTS, st.booleans(), st.sampled_from(["", "\t", " "])), min_size=1),
    st.sampled_from(["jsonl", "jsonl.gz", "json"]),
    st.randoms(use_true_random=False),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lines_come_back_byte_for_byte(
    nothing_kept: None, drawn: list[tuple[dict[str, Any], bool, str]], kind: str, random: Any
) -> None:
    lines = [
        json.dumps({**row, "text": "x\u2028"}, ensure_ascii=escape).encode() + space.encode()
        for row, escape, space in drawn
    ]
    content = b"".join(line + random.choice([b"\n", b"\r\n", b"\n \n"]) for line in lines)
    order = [random.randrange(len(lines)) for _ in range(2 * len(lines))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"rows.{kind}"
        path.write_bytes(gzip.compress(content) if kind.endswith("gz") else content)
        pool = read(path, scores=None)
        assert list(pool.lines(order)) == [lines[n] for n in order]
        assert list(pool.lines(np.arange(len(lines)))) == lines
        assert pool.take(order) == [json.loads(lines[n]) for n in order]
        assert list(pool.rows) == [json.loads(line) for line in lines]


VALUES: dict[str, Any] = {
    "int8": (pa.int8(), st.integers(-128, 127)),
    "float32": (pa.float32(), st.floats(width=32, allow_nan=False)),
    "text": (pa.large_string(), st.text(max_size=6)),
    "words": (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["a", "b"])),
    "bytes": (pa.binary(), st.binary(max_size=4)),
    "days": (pa.date32(), st.dates()),
    "lists": (pa.list_(pa.int16()), st.lists(st.integers(0, 9), max_size=3)),
    "struct": (pa.struct({"x": pa.bool_()}), st.fixed_dictionaries({"x": st.booleans()})),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    names = draw(st.lists(st.sampled_from(sorted(VALUES)), unique=True))
    count = draw(st.integers(1, 12))
    columns = {"question": pa.array([f"{n}?" for n in range(count)])}
    columns["answer"] = pa.array(["yes"] * count)
    for name in names:
        kind, values = VALUES[name]
        column = draw(st.lists(st.none() | values, min_size=count, max_size=count))
        columns[name] = pa.array(column, kind)
    return pa.table(columns)


@pytest.mark.parametrize("is_kept", [True, False])
@given(table=tables(), random=st.randoms(use_true_random=False), groups=st.integers(1, 12))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_of_parquet_come_back_of_the_same_types(
    is_kept: bool, monkeypatch: pytest.MonkeyPatch, table: pa.Table, random: Any, groups: int
) -> None:
    if not is_kept:
        monkeypatch.setattr(table_rows, "KEPT_ROWS", 0)
        monkeypatch.setattr(table_rows, "_BATCH_BYTES", 64)
    order = [random.randrange(len(table)) for _ in range(8)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        pq.write_table(table, path, row_group_size=groups)
        # Older versions of Arrow read a dictionary's numbers of 8 bits as numbers of 32.
        expected = pq.read_table(path).schema
        pool = read(path, scores=None)
    found = pool.table(order)
    assert found is not None
    assert found.schema.equals(expected)
    assert found.to_pylist() == [table.to_pylist()[n] for n in order]
    assert pool.take(order) == [table.to_pylist()[n] for n in order]
    assert list(pool.texts) == [f"###user: {n}?\n###assistant: yes\n" for n in range(len(table))]


# --- files that change ----------------------------------------------------------------------------


def rows_file(folder: Path) -> Path:
    path = folder / "rows.jsonl"
    path.write_bytes(b'{"text": "one"}\n{"text": "two"}\n')
    return path


def test_a_file_that_changed_since(tmp_path: Path) -> None:
    path = rows_file(tmp_path)
    pool = read(path, scores=None)
    assert pool.take([1]) == [{"text": "two"}]
    path.write_bytes(b'{"text": "1"}\n{"text": "2"}\n')
    with pytest.raises(InputFileError, match=r"rows\.jsonl as it was when it was read"):
        pool.take([1])
    rows_file(tmp_path)
    os.utime(path, ns=(1, 1))  # of the same size, and even the same bytes: but written anew
    with pytest.raises(InputFileError, match="got a file that has changed since"):
        list(pool.lines([0]))
    path.unlink()
    with pytest.raises(InputFileError, match=r"cannot read the rows of .*rows\.jsonl again: No su"):
        pool.take([0])
    assert pool.take([]) == []


def test_a_file_that_grows_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = rows_file(tmp_path)
    check = held.UserFile.check

    def grow_first(self: held.UserFile) -> None:
        with path.open("ab") as file:
            file.write(b'{"text": "three"}\n')
        check(self)

    monkeypatch.setattr(held.UserFile, "check", grow_first)
    with pytest.raises(InputFileError, match="got a file that has changed since"):
        read(path, scores=None)


def test_a_full_disk_for_temporary_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(tempfile.SpooledTemporaryFile):  # type: ignore[type-arg]  # bytes by default
        def write(self, content: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", Full)
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a"}\n'))
    with pytest.raises(OutputError, match=r"No space left on device; TMPDIR names another folder"):
        read(tmp_path / "rows.jsonl.gz", scores=None)


# --- texts ----------------------------------------------------------------------------------------


def test_lazy_texts_are_the_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"text": f"Text {n % 7} \u00e9" * (n % 5), "score": n % 3} for n in range(40)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    kept = read(path)
    assert isinstance(kept.texts, list)
    monkeypatch.setattr(texts, "KEPT_TEXT", 2000)
    lazy = read(path)
    assert isinstance(lazy.texts, LazyTexts)
    assert list(lazy.texts) == kept.texts == [row["text"] for row in rows]
    assert (lazy.texts[-1], lazy.texts[3:9:2]) == (kept.texts[-1], kept.texts[3:9:2])
    assert lazy.lengths.tolist() == kept.lengths.tolist() == list(map(len, kept.texts))
    assert lazy.empty == kept.empty
    with pytest.raises(IndexError):
        _ = lazy.texts[40]


@pytest.mark.parametrize("lowercase", [True, False])
def test_distinct_texts_of_lazy_ones(lowercase: bool, tmp_path: Path, nothing_kept: None) -> None:
    words = ["One", "two", "one", "Two", "One", "three"]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": w}) + "\n" for w in words))
    lazy = read(tmp_path / "a.jsonl", scores=None).texts
    distinct, inverse = distinct_texts(check_texts(lazy), lowercase=lowercase)
    read_as = [word.lower() if lowercase else word for word in words]
    expected = list(dict.fromkeys(read_as))
    assert list(distinct.texts) == expected
    assert [distinct.texts[place] for place in inverse] == read_as
    assert np.array_equal(distinct.hashes, hash_texts(expected))
    last = distinct.at(np.array([len(expected) - 1, 0]))
    assert list(last.texts) == [expected[-1], expected[0]]
    assert last.at(np.array([1])).texts[0] == expected[0]


def test_chunks_of_texts() -> None:
    assert list(text_chunks(iter(["a", "b", "c"]), 2, 100)) == [["a", "b"], ["c"]]
    assert list(text_chunks(["abc", "", "d", "ef"], 9, 3)) == [["abc", ""], ["d", "ef"]]
    assert list(text_chunks([], 2, 3)) == []


def test_lazy_texts_select_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    model = write_static(tmp_path / "model", {"embeddings": make_table()})
    words = ["a", "green", "frog", "the", "toad", "swims"]
    rows = [
        {"text": " ".join(rng.choice(words, 6)), "score": int(rng.integers(4)), "source": "web"}
        for _ in range(120)
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def select() -> ds2fast.Selection:
        with pytest.warns(ds2fast.WeakEvidenceWarning):
            return ds2fast.select(path, n=20, model=model, cache_dir=False, progress=False)

    kept = select()
    monkeypatch.setattr(texts, "KEPT_TEXT", 0)
    lazy = select()
    assert lazy.pool is not None
    assert isinstance(lazy.pool.texts, LazyTexts)
    assert lazy.indices.tolist() == kept.indices.tolist()
    assert lazy.long_tail.tobytes() == kept.long_tail.tobytes()
    assert lazy.decided.record() == kept.decided.record()
    assert lazy.selected == kept.selected


# --- memory ---------------------------------------------------------------------------------------


def long_lines(count: int, size: int) -> Iterator[bytes]:
    for number in range(count):
        yield json.dumps({"text": f"{number} " * (size // 6), "source": "web"}).encode() + b"\n"


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "parquet"])
def test_memory_does_not_grow_with_the_rows(kind: str, tmp_path: Path, nothing_kept: None) -> None:
    """Python's own memory: 40 MB of rows are read, digested and walked within a tenth of that."""
    count, size = 400, 100_000
    path = tmp_path / f"rows.{kind}"
    if kind == "parquet":
        lines = [json.loads(line) for line in long_lines(count, size)]
        pq.write_table(pa.Table.from_pylist(lines), path, row_group_size=20)
        del lines
    else:
        with (
            gzip.open(path, "wb", compresslevel=1)
            if kind.endswith("gz")
            else path.open("wb") as file
        ):
            file.writelines(long_lines(count, size))
    read(["warm up"], scores=None)
    tracemalloc.start()
    try:
        pool = read(path, scores=None)
        distinct, _ = distinct_texts(pool.texts, lowercase=True)
        assert (len(distinct), sum(map(len, distinct.texts))) == (count, pool.lengths.sum())
        assert set(pool.column("source")) == {"web"}
        assert sum(map(len, pool.lines(np.arange(count)))) > count * size // 2
        assert sum(1 for text in pool.texts if text) == count
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    allowed = 40e6 if kind == "parquet" else 4e6  # a table's rows are turned into objects by 16 MiB
    assert peak < allowed, f"{peak / 1e6:.1f} MB"


def test_a_pool_made_by_hand_walks_its_texts_once() -> None:
    rows = [{"text": "abc"}, {"text": ""}]
    pool = read(rows, scores=None)
    by_hand = ds2fast.Pool(as_rows(rows), ["abc", ""], pool.schema, pool.empty)
    assert by_hand.lengths.tolist() == [3, 0]
    assert by_hand.take([1, 0]) == [{"text": ""}, {"text": "abc"}]
    with pytest.raises(InputError, match="row numbers"):
        by_hand.table([2])
