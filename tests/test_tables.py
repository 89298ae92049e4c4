"""The selected rows as Arrow, pandas, polars and Hugging Face tables, and as Parquet."""

from __future__ import annotations

import io
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2fast.errors import InputError, MissingExtraError
from ds2fast.io import parquet, tabular
from ds2fast.io.parquet import check_parquet, write_parquet
from ds2fast.io.read import read
from ds2fast.io.row_files import check_row_format
from ds2fast.io.tabular import row_schema
from ds2fast.pool import Pool
from ds2fast.tables import rows_of, to_arrow, to_dataset, to_pandas, to_polars
from test_controls import make_selection

ROWS: list[dict[str, Any]] = [
    {"text": "one", "meta": {"a": 1}, "tags": ["x"], "n": 1},
    {"text": "two", "meta": {"b": "z"}, "tags": [], "n": 2.5, "late": True},
    {"text": "three", "meta": None, "n": None},
]
COLUMNS: dict[str, Any] = {
    "text": pa.array(["a", "b", "c", "d"], pa.large_string()),
    "small": pa.array([1, None, 3, 4], pa.int8()),
    "half": pa.array(np.array([1, 2, 3, 4], np.float16)),
    "kind": pa.array(["x", "y", "x", None]).dictionary_encode(),
    "at": pa.array([datetime(2020, 1, 2, tzinfo=UTC)] * 4, pa.timestamp("ns", "UTC")),
    "day": pa.array([date(2020, 1, 2)] * 4),
    "price": pa.array([Decimal("1.50")] * 4, pa.decimal128(7, 2)),
    "raw": pa.array([b"\xff", b"", None, b"x"]),
    "messages": pa.array([[{"role": "user", "content": "hi"}], [], None, [None]]),
    "vector": pa.array([[1.0, 2.0]] * 4, pa.list_(pa.float32(), 2)),
    "map": pa.array([[("k", 1)], [], None, [("l", 2)]], pa.map_(pa.string(), pa.int16())),
}


def make_table() -> Any:
    return pa.table(COLUMNS).replace_schema_metadata({"made": "by hand"})


def written(pool: Pool, indices: list[int]) -> Any:
    """The rows as Parquet, read back."""
    file = io.BytesIO()
    rows = np.array(indices, dtype=np.int64)
    schema = row_schema(pool, rows)
    check_parquet(schema)
    write_parquet(file, pool, rows, schema)
    return pq.read_table(io.BytesIO(file.getvalue()))


# --- rows of tables keep their types ----------------------------------------------------------


def test_rows_of_a_table_keep_types_and_metadata() -> None:
    table = make_table()
    found = to_arrow(read(table, scores=None), [2, 0, 3])
    assert found.schema.equals(table.schema, check_metadata=True)
    assert found.equals(table.take([2, 0, 3]))
    assert found.to_pylist() == [table.to_pylist()[row] for row in (2, 0, 3)]


def test_a_parquet_file_comes_out_as_it_was(tmp_path: Path) -> None:
    pq.write_table(make_table(), tmp_path / "pool.parquet", row_group_size=3)
    table = pq.read_table(tmp_path / "pool.parquet")
    found = written(read(tmp_path / "pool.parquet", scores=None), [3, 1, 0])
    assert found.schema.equals(table.schema, check_metadata=True)
    assert found.equals(table.take([3, 1, 0]))


TYPES: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "int8": (pa.int8(), st.integers(-128, 127)),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "float": (pa.float32(), st.floats(width=32, allow_nan=False)),
    "words": (pa.string(), st.text(st.characters(codec="utf-8"), max_size=5)),
    "bytes": (pa.binary(), st.binary(max_size=3)),
    "times": (pa.timestamp("us"), st.datetimes()),
    "lists": (pa.list_(pa.int16()), st.lists(st.none() | st.integers(0, 9), max_size=3)),
    "objects": (
        pa.struct([("a", pa.bool_()), ("b", pa.large_string())]),
        st.fixed_dictionaries({"a": st.none() | st.booleans(), "b": st.none() | st.just("b")}),
    ),
}


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_any_table_comes_out_of_parquet_equal_by_type(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 8))
    names = data.draw(st.lists(st.sampled_from(sorted(TYPES)), unique=True))
    columns = {"text": pa.array([f"row {n}" for n in range(count)])}
    for name in names:
        kind, values = TYPES[name]
        drawn = data.draw(st.lists(st.none() | values, min_size=count, max_size=count))
        columns[name] = pa.array(drawn, kind)
    table = pa.table(columns)
    cut = data.draw(st.integers(0, count))
    table = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    rows = data.draw(st.lists(st.integers(0, count - 1), min_size=1, unique=True))
    found = written(read(table, scores=None), rows)
    assert found.schema.equals(table.schema)
    assert found.to_pylist() == [table.to_pylist()[row] for row in rows]


@pytest.mark.parametrize("as_objects", [False, True])
def test_row_groups_of_bounded_size(as_objects: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabular, "_FIRST_ROWS", 3)
    monkeypatch.setattr(tabular, "_MOST_ROWS", 4)
    monkeypatch.setattr(tabular, "_OBJECTS_AT_ONCE", 4)
    monkeypatch.setattr(parquet, "_GROUP_ROWS", 10)
    order = np.random.default_rng(0).permutation(100)[:70]
    table = pa.table({"text": [f"row {n}" for n in range(100)], "n": range(100)})
    pool = read(table.to_pylist() if as_objects else table, scores=None)
    file = io.BytesIO()
    write_parquet(file, pool, order, row_schema(pool, order))
    found = pq.ParquetFile(io.BytesIO(file.getvalue()))
    sizes = [found.metadata.row_group(group).num_rows for group in range(found.num_row_groups)]
    assert found.read()["n"].to_pylist() == order.tolist()
    assert max(sizes) < 10 + 4  # a group ends with the piece that fills it


def test_several_files_are_one_table_where_all_are_of_one_schema(tmp_path: Path) -> None:
    first = pa.table({"text": ["a", "b"], "n": pa.array([1, 2], pa.int16())})
    pq.write_table(first, tmp_path / "1.parquet")
    pq.write_table(first, tmp_path / "2.parquet")
    pq.write_table(pa.table({"text": ["c"], "n": [0.5]}), tmp_path / "3.parquet")
    (tmp_path / "4.jsonl").write_text('{"text": "d", "more": true}\n')
    paths = [tmp_path / name for name in ("1.parquet", "2.parquet", "3.parquet", "4.jsonl")]
    same, other, mixed = (read(of, scores=None) for of in (paths[:2], paths[:3], paths[::3]))
    assert to_arrow(same, [3, 0]).equals(first.take([1, 0]))
    assert to_arrow(other, [4, 0, 2]).to_pydict() == {"text": ["c", "a", "a"], "n": [0.5, 1.0, 1.0]}
    assert to_arrow(mixed, [2, 1]).to_pylist() == [
        {"text": "d", "more": True, "n": None},
        {"text": "b", "more": None, "n": 2},
    ]


# --- JSON rows: one type a field -----------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 2, 256])
def test_json_rows_get_the_type_that_all_values_fit(
    step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tabular, "_OBJECTS_AT_ONCE", step)
    monkeypatch.setattr(tabular, "_FIRST_ROWS", step)
    found = to_arrow(read(ROWS, scores=None), [2, 0, 1])
    assert {field.name: str(field.type) for field in found.schema} == {
        "text": "string",
        "meta": "struct<a: int64, b: string>",
        "tags": "list<item: string>",
        "n": "double",
        "late": "bool",
    }
    assert found.to_pylist() == [
        {"text": "three", "meta": None, "tags": None, "n": None, "late": None},
        {"text": "one", "meta": {"a": 1, "b": None}, "tags": ["x"], "n": 1.0, "late": None},
        {"text": "two", "meta": {"a": None, "b": "z"}, "tags": [], "n": 2.5, "late": True},
    ]


MISFITS = [
    ([1, "1"], "Could not convert '1'|int64 and string"),
    ([[1], 2], "list"),
    ([True, 1], "bool"),
    ([{"a": 1}, {"a": [1]}], "list"),
    ([2**64, 1], "too large|too big"),
    ([2**60 + 1, 0.5], "double precision"),
    (["\ud800", "a"], "surrogates"),
    ([{1: 2}, None], "key"),
]


@pytest.mark.parametrize("step", [1, 256])
@pytest.mark.parametrize(("values", "cause"), MISFITS)
def test_values_that_fit_no_one_type_are_refused_by_name(
    values: list[Any], cause: str, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tabular, "_OBJECTS_AT_ONCE", step)
    monkeypatch.setattr(tabular, "_FIRST_ROWS", step)
    pool = read([{"text": "t", "odd": value} for value in values], scores=None)
    expected = rf"values of one type in the field 'odd', got others \(.*({cause})"
    with pytest.raises(InputError, match=expected):
        to_arrow(pool, [0, 1])
    assert to_arrow(read([{"text": "t"}, *pool.take([0, 1])], scores=None), [0]).num_rows == 1


def test_a_format_can_be_refused_before_the_work() -> None:
    pool = read([{"text": "t", "odd": value} for value in (1, "1")], scores=None)
    check_row_format(pool, "jsonl")
    with pytest.raises(InputError, match="in the field 'odd'"):
        check_row_format(pool, "parquet")


def test_a_field_that_is_no_string() -> None:
    with pytest.raises(InputError, match="names of fields that are Unicode strings, got 7"):
        to_arrow(read([{"text": "t", 7: 1}], scores=None), [0])
    with pytest.raises(InputError, match=r"are Unicode strings, got '\\ud800'"):
        to_arrow(read([{"text": "t", "\ud800": 1}], scores=None), [0])


def test_no_rows_and_rows_that_are_not_there() -> None:
    assert to_arrow(read(["a"], scores=None), []).num_rows == 0
    with pytest.raises(InputError, match=r"indices: expected row numbers in \[0, 1\), got 1"):
        to_arrow(read(["a"], scores=None), [1])


# --- other libraries -----------------------------------------------------------------------------


def test_rows_as_dicts() -> None:
    selection = make_selection(2)
    assert rows_of(selection) == [{"text": "x" * 5}, {"text": "x" * 9}]
    with pytest.raises(InputError, match="expected one made from data"):
        rows_of(make_selection(2, pool=None))


def test_a_pandas_frame_comes_back_with_its_types() -> None:
    frame = pd.DataFrame(
        {
            "text": ["a", "b", "c"],
            "n": pd.array([1, None, 3], dtype="Int64"),
            "kind": pd.Categorical(["x", "y", "x"]),
            "at": pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-03"]),
        }
    )
    found = to_pandas(read(frame, scores=None), [2, 0])
    pd.testing.assert_frame_equal(found, frame.iloc[[2, 0]].reset_index(drop=True))


def test_a_polars_frame_comes_back_with_its_types() -> None:
    frame = pl.DataFrame(
        {
            "text": ["a", "b", "c"],
            "n": pl.Series([1, None, 3], dtype=pl.UInt8),
            "l": [["x"], [], None],
        }
    )
    found = to_polars(read(frame, scores=None), [2, 0])
    assert found.schema == frame.schema
    assert found.to_dicts() == frame[[2, 0]].to_dicts()


def test_categories_of_polars_become_a_dataset() -> None:
    kinds = pl.Series(["x", None, "y"], dtype=pl.Categorical)
    frame = pl.DataFrame({"text": ["a", "b", "c"], "kind": kinds})
    pool = read(frame, scores=None)
    assert to_dataset(pool, [2, 1])["kind"][:] == ["y", None]
    assert to_polars(pool, [2, 1])["kind"].to_list() == ["y", None]


@pytest.mark.parametrize(
    ("package", "kind"), [("pandas", "union"), ("polars", "union"), ("datasets", "map")]
)
def test_types_that_a_library_does_not_know_are_refused(package: str, kind: str) -> None:
    odd = {
        "union": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]),
        "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int32())),
    }
    pool = read(pa.table({"text": ["a"], "odd": odd[kind]}), scores=None)
    make = {"pandas": to_pandas, "polars": to_polars, "datasets": to_dataset}[package]
    with pytest.raises(InputError, match=f"of types that {package} can hold"):
        make(pool, [0])


def test_a_dataset_comes_back_with_its_features() -> None:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    data = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [0, 1, 1]}, features)
    found = to_dataset(read(data, scores=None), [2, 0])
    assert found.features == features
    assert found[:] == {"text": ["c", "a"], "label": [1, 0]}


def test_json_rows_in_each_library() -> None:
    pool = read(ROWS, scores=None)
    assert to_pandas(pool, [1, 0])["n"].tolist() == [2.5, 1.0]
    assert to_polars(pool, [1, 0])["tags"].to_list() == [[], ["x"]]
    assert to_dataset(pool, [1, 0])["text"][:] == ["two", "one"]


@pytest.mark.parametrize("package", ["pandas", "polars", "datasets"])
def test_a_package_that_is_missing_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    make = {"pandas": to_pandas, "polars": to_polars, "datasets": to_dataset}[package]
    expected = rf"{make.__name__} needs the package {package}: pip install {package}"
    with pytest.raises(MissingExtraError, match=expected):
        make(read(["a"], scores=None), [0])
