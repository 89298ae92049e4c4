"""Columns of views, as polars gives them: the rows that are taken come without."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ds2fast.io import parquet
from ds2fast.io.parquet import check_parquet, write_parquet
from ds2fast.io.read import read
from ds2fast.io.tabular import row_schema
from ds2fast.io.views import without_views

VIEW, WORDS = pa.string_view(), pa.large_string()
LONG = "longer than the twelve bytes that a view holds itself"
KINDS: dict[str, tuple[pa.DataType, pa.DataType, list[Any]]] = {
    "strings": (VIEW, WORDS, ["a", None, LONG]),
    "bytes": (pa.binary_view(), pa.large_binary(), [b"a", None, LONG.encode()]),
    "lists": (pa.list_(VIEW), pa.list_(WORDS), [["a", LONG], None, []]),
    "large lists": (pa.large_list(VIEW), pa.large_list(WORDS), [["a", None], None, []]),
    "pairs": (pa.list_(VIEW, 2), pa.list_(WORDS, 2), [["a", LONG], None, ["b", None]]),
    "structs": (
        pa.large_list(pa.struct({"x": VIEW, "n": pa.int8()})),
        pa.large_list(pa.struct({"x": WORDS, "n": pa.int8()})),
        [[{"x": LONG, "n": 1}], None, [{"x": None, "n": None}, None]],
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_views_become_large_columns_of_the_same_values(name: str) -> None:
    kind, plain, values = KINDS[name]
    fields = [pa.field("n", pa.int32(), False), pa.field("x", kind, metadata={"k": "v"})]
    schema = pa.schema(fields, metadata={"made": "by hand"})
    whole = pa.table([pa.array(range(3), pa.int32()), pa.array(values, kind)], schema=schema)
    for table in (whole, pa.concat_tables([whole.slice(0, 1), whole.slice(1)]), whole.slice(3)):
        found = without_views(table)
        found.validate(full=True)
        expected = schema.set(1, fields[1].with_type(plain))
        assert found.schema.equals(expected, check_metadata=True)
        assert found["x"].to_pylist() == values[len(values) - len(table) :]


def test_words_of_a_dictionary() -> None:
    numbers = pa.array([1, None, 0], pa.uint32())
    column = pa.DictionaryArray.from_arrays(numbers, pa.array(["a", LONG], VIEW), ordered=True)
    for table in (pa.table({"x": column}), pa.table({"x": column}).slice(3)):
        found = without_views(table)["x"]
        assert found.type == pa.dictionary(pa.uint32(), WORDS, ordered=True)
        assert found.to_pylist() == [LONG, None, "a"][: len(table)]


def test_what_has_no_views_is_the_same_table() -> None:
    kinds = {"text": ["a"], "list": [["b"]], "struct": [{"x": [1.5]}], "n": [None]}
    table = pa.table(kinds)
    assert without_views(table) is table


def test_rows_of_a_polars_frame_are_one_row_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """The size of a few rows is that of their own text, not of the whole frame's."""
    monkeypatch.setattr(parquet, "_GROUP_BYTES", 1 << 18)
    frame = pl.DataFrame(
        {"text": [f"{LONG} {n} {LONG * 10}" for n in range(2000)], "tags": [["x"]] * 2000}
    )
    pool = read(frame, scores=None)
    rows = np.random.default_rng(0).permutation(2000)[:300]
    schema = row_schema(pool, rows)
    check_parquet(schema)
    file = io.BytesIO()
    write_parquet(file, pool, rows, schema)
    found = pq.ParquetFile(io.BytesIO(file.getvalue()))
    assert found.num_row_groups == 1
    assert found.read()["text"].to_pylist() == frame["text"].gather(rows).to_list()
    assert found.schema_arrow.types == [WORDS, pa.large_list(WORDS)]
