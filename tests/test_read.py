"""Rows in: files and data in memory, good and bad."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2fast.errors import InputError, InputFileError, InputTypeError
from ds2fast.io.read import read
from ds2fast.io.rows import dump_row
from ds2fast.io.write import write_rows
from ds2fast.pool import Pool

ROWS: list[dict[str, Any]] = [
    {"id": "a", "question": "2+2?", "answer": "4", "score": 5},
    {"id": "b", "question": "Naïve?", "answer": "\u2028 yes \x85 no", "score": 1.0},
    {"id": "c", "question": "3?", "answer": "", "score": None},
]
TEXTS = [
    "###user: 2+2?\n###assistant: 4\n",
    "###user: Naïve?\n###assistant: \u2028 yes \x85 no\n",
    "###user: 3?\n###assistant: \n",
]


def jsonl(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def as_file(kind: str, folder: Path) -> Path:
    path = folder / f"rows.{kind}"
    lines = jsonl(ROWS)
    array = json.dumps(ROWS, indent=1).encode()
    match kind:
        case "jsonl" | "JSONL":
            path.write_bytes(lines)
        case "jsonl.gz":
            path.write_bytes(gzip.compress(lines))
        case "json":
            path.write_bytes(b"\xef\xbb\xbf\r\n" + array)
        case "json.gz":
            path.write_bytes(gzip.compress(array))
        case "lines.json":
            path.write_bytes(lines)
        case _:
            pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=2)
    return path


@pytest.mark.parametrize(
    "kind", ["jsonl", "JSONL", "jsonl.gz", "json", "json.gz", "lines.json", "parquet"]
)
def test_every_file_format(kind: str, tmp_path: Path) -> None:
    path = as_file(kind, tmp_path)
    for data in (path, str(path)):
        pool = read(data, id="id")
        assert pool.texts == TEXTS
        assert pool.scores is not None
        assert pool.scores.tolist() == [5, 1, -1]
        assert pool.ids == ["a", "b", "c"]
        assert pool.path == path
        assert (pool.num_levels, pool.num_rated, pool.num_unrated) == (6, 2, 1)
        assert [row["id"] for row in pool.take([2, 0, 2])] == ["c", "a", "c"]
        assert [json.loads(line) for line in pool.lines([1, 0])] == [ROWS[1], ROWS[0]]
    assert pool.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert pool.read_seconds > 0


def test_a_json_file_with_one_object_over_several_lines(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps({"text": "a", "n": [1, {}]}, indent=2))
    pool = read(tmp_path / "one.json", scores=None)
    assert pool.texts == ["a"]
    assert pool.take([0]) == [{"text": "a", "n": [1, {}]}]


def test_pyarrow_is_imported_only_where_it_is_needed(tmp_path: Path) -> None:
    as_file("jsonl", tmp_path)
    code = (
        "import sys, ds2fast, ds2fast_cli.jobs\n"
        f"ds2fast.read({str(tmp_path / 'rows.jsonl')!r})\n"
        "ds2fast.read(['a', 'b'], scores=[1, 2])\n"
        "print([name for name in sys.modules if name.startswith('pyarrow')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_data_in_memory() -> None:
    table = pa.Table.from_pylist(ROWS)
    batch = table.to_batches()[0]
    for data in (ROWS, tuple(ROWS), table, batch, FrameOfColumns(table)):
        pool = read(data)
        assert pool.texts == TEXTS
        assert pool.take([1]) == [ROWS[1]]
        assert pool.path is None
        assert pool.column("answer") == [row["answer"] for row in ROWS]


class FrameOfColumns:
    """Stands for a polars or pandas frame: all that is asked of it is Arrow's stream protocol."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __arrow_c_stream__(self, schema: Any = None) -> Any:
        return self._table.__arrow_c_stream__(schema)


def test_strings() -> None:
    pool = read(["one", "", "three"], scores=[1, 2, 3])
    assert pool.texts == ["one", "", "three"]
    assert (pool.empty.count, pool.empty.first) == (1, 1)
    assert list(pool.lines([2])) == [b'{"text":"three"}']
    assert pool.describe() == (
        "3 rows; text from strings; row 0 renders as:\none\n"
        "1 empty text, first in row 1\nscores 1..3 taken as they are"
    )


def test_messages_in_parquet(tmp_path: Path) -> None:
    rows = [
        {"messages": [{"role": "user", "content": "Hi"}], "score": 1},
        {"messages": None, "score": 2},
        {"messages": [{"role": "user", "content": None}], "score": 3},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "m.parquet")
    pool = read(tmp_path / "m.parquet")
    assert pool.texts == ["###user: Hi\n", "", ""]
    assert (pool.empty.count, pool.empty.first) == (2, 1)
    assert pool.take([1]) == [rows[1]]


def test_rows_of_a_table_come_back_from_any_chunk() -> None:
    chunks = [pa.table({"text": [f"{n}" for n in range(start, start + 3)]}) for start in (0, 3, 6)]
    pool = read(pa.concat_tables(chunks), scores=None)
    order = [8, 0, 4, 4, 3, 7]
    assert pool.take(order) == [{"text": f"{n}"} for n in order]
    assert pool.take([]) == []


def test_rows_of_a_long_table_in_any_order() -> None:
    table = pa.table({"text": pa.array([f"{n}" for n in range(1000)], pa.string_view())})
    order = np.random.default_rng(0).integers(0, 1000, size=300)
    for data in (table, pa.concat_tables([table.slice(0, 101), table.slice(101)])):
        pool = read(data, scores=None)
        assert pool.take(order) == [{"text": f"{n}"} for n in order]
        assert list(pool.lines([999])) == [b'{"text":"999"}']


def test_no_scores_wanted() -> None:
    pool = read([{"text": "a"}, {"text": "b"}], scores=None)
    assert pool.scores is None
    assert pool.raw_scores is None
    assert (pool.num_levels, pool.score_mapping) == (None, None)
    assert (len(pool), pool.num_rated, pool.num_unrated) == (2, 0, 2)


def test_scores_as_a_nested_field_and_as_an_array() -> None:
    rows = [{"text": "a", "meta": {"judge": 1}}, {"text": "b", "meta": {"judge": 2}}, {"text": "c"}]
    for scores in ("meta.judge", [1, 2, None], np.array([1.0, 2.0, np.nan])):
        for data in (rows, pa.Table.from_pylist(rows)):
            pool = read(data, scores=scores)
            assert pool.scores is not None
            assert pool.scores.tolist() == [1, 2, -1]


def test_num_levels_reaches_the_scores() -> None:
    pool = read(["a", "b"], scores=[9, 10], num_levels=11)
    assert pool.scores is not None
    assert pool.scores.tolist() == [9, 10]
    assert pool.num_levels == 11


def test_python_json_extras_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [b'{"text": "a", "score": NaN}', b'{"text": "cut \\ud83d", "score": 1}']
    path.write_bytes(b"\n".join([*lines, b'{"text": "b", "score": 2}']))
    pool = read(path)
    assert pool.texts == ["a", "cut ?", "b"]
    assert pool.scores is not None
    assert pool.scores.tolist() == [-1, 1, 2]
    assert list(pool.lines([1, 0])) == [lines[1], lines[0]]


def test_bom_crlf_and_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text":"a"}\r\n\r\n \n{"text" : "b"} \n\n{"text":"c"}')
    pool = read(path, scores=None)
    assert list(pool.lines([0, 1, 2])) == [b'{"text":"a"}', b'{"text" : "b"} ', b'{"text":"c"}']
    assert pool.texts == ["a", "b", "c"]


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
JSON = st.recursive(
    LEAVES | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=4,
)
OBJECTS = st.dictionaries(st.text(max_size=5), JSON, max_size=4)


@given(
    st.lists(st.tuples(OBJECTS, st.booleans(), st.booleans()), min_size=1, max_size=5),
    st.randoms(),
)
def test_lines_go_out_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[tuple[dict[str, Any], bool, bool]],
    random: Any,
) -> None:
    folder = tmp_path_factory.mktemp("round-trip")
    lines = [
        json.dumps({**row, "text": "x\x00\u2028"}, ensure_ascii=escape, indent=None).encode()
        + b"\t" * padded
        for row, escape, padded in drawn
    ]
    ends = [random.choice([b"\n", b"\r\n", b"\n\n"]) for _ in lines]
    content = b"".join(line + end for line, end in zip(lines, ends, strict=True))
    (folder / "in.jsonl.gz").write_bytes(gzip.compress(content))
    pool = read(folder / "in.jsonl.gz", scores=None)
    order = random.sample(range(len(lines)), len(lines))
    with (folder / "out.jsonl").open("wb") as file:
        write_rows(file, pool, order)
    assert (folder / "out.jsonl").read_bytes() == b"".join(lines[n] + b"\n" for n in order)
    assert pool.texts == ["x\x00\u2028"] * len(lines)


@given(OBJECTS)
def test_objects_go_out_as_equal_json(row: dict[str, Any]) -> None:
    line = dump_row(row)
    assert b"\n" not in line
    assert json.loads(line) == row


def test_objects_beyond_json_go_out_readable() -> None:
    row = {
        "numpy": np.float32(0.5),
        "array": np.arange(2),
        "big": 10**30,
        "bytes": [b"ok", b"\xff"],
        "set": {1},
        "nested": MappingProxyType({"a": np.float16(2)}),
        "path": Path("a"),
        3: float("nan"),
    }
    assert json.loads(dump_row({**row, "big": 1})) == {
        **{"numpy": 0.5, "array": [0, 1], "big": 1, "bytes": ["ok", "/w=="], "set": [1]},
        **{"nested": {"a": 2}, "path": "a", "3": None},
    }
    del row[3]
    assert json.loads(dump_row(row))["big"] == 10**30
    assert json.loads(dump_row({"cut": "\ud83d"})) == {"cut": "\ud83d"}


# --- bad input ---------------------------------------------------------------------------------


def test_missing_file_and_directory(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"data: expected a file, but .*no\.jsonl does not"):
        read(tmp_path / "no.jsonl")
    with pytest.raises(InputFileError, match="data: expected a file, got the directory"):
        read(tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read anything")
def test_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.touch(mode=0o000)
    with pytest.raises(InputFileError, match=r"data: cannot read .*rows\.jsonl: Permission denied"):
        read(path)


def test_a_file_that_the_system_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.jsonl"
    path.touch()

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputFileError, match=r"data: cannot read .*rows\.jsonl: Permission denied"):
        read(path)


def test_a_disk_that_fails_while_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FailingFile(io.BytesIO):
        def readinto(self, buffer: Any) -> int:
            if self.tell() > 0:
                raise OSError(5, "Input/output error")
            return super().readinto(buffer)

    path = tmp_path / "rows.jsonl"
    path.touch()
    content = b'{"text": "a"}\n'
    monkeypatch.setattr(Path, "open", lambda *_, **__: FailingFile(content))
    with pytest.raises(InputFileError, match=r"cannot read on after line 1: .*Input/output error"):
        read(path, scores=None)


def test_unknown_extension(tmp_path: Path) -> None:
    (tmp_path / "rows.txt").touch()
    with pytest.raises(InputError, match=r"expected a file of \.jsonl, .*got .*rows\.txt"):
        read(tmp_path / "rows.txt")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": "half', r"line 3: expected one JSON object, got broken JSON \(.*half"),
        (b'{"text": "\xff"}', r"line 3: expected one JSON object, got broken JSON"),
        (b'{"text": "a"} {"text": "b"}', r"line 3: expected one JSON object, got broken JSON"),
        (b"[" * 100_000, r"line 3: expected one JSON object, got broken JSON .*\[\['…$"),
        (b'["text"]', r"line 3: expected one JSON object, got an array: '\[\"text\"\]'"),
        (b'"text"', r"line 3: expected one JSON object, got a string"),
        (b"7", r"line 3: expected one JSON object, got a number"),
        (b"null", r"line 3: expected one JSON object, got null"),
        (b"true", r"line 3: expected one JSON object, got true or false"),
    ],
)
def test_bad_lines_are_named(line: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"text": "a"}\n\n' + line + b"\n")
    with pytest.raises(InputError, match=rf"rows\.jsonl, {message}"):
        read(path, scores=None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b'[{"text": "a"},',
            r"rows\.json: expected a JSON array of objects, one object, or one "
            r"object a line, got broken JSON",
        ),
        (b'[{"text": "a"}, 7]', r"rows\.json: expected dicts or strings, got int in row 1"),
        (b'{\n"text": "a"', r"rows\.json: expected .*one object a line, got broken JSON .*'\{"),
        (b'{\n"text": "a"}\n{\n"text": "b"}', r"rows\.json: expected .*, got broken JSON .*line 3"),
        (b'{"text": "a"}\n{\n"text": "b"}', r"rows\.json, line 2: expected one JSON object, got"),
        (b'{"text": "a"}\n\n[7]', r"rows\.json, line 3: expected one JSON object, got an array"),
        (b"[]", r"rows\.json: expected at least one row, got none"),
        (b"", r"rows\.json: expected at least one row, got none"),
    ],
)
def test_bad_json_files(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read(path, scores=None)


def test_broken_gzip(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    noise = np.random.default_rng(0).bytes(60_000).hex()
    whole = gzip.compress(b'{"text": "a"}\n' + jsonl([{"text": noise}]) * 3)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"expected a whole gzip file, got one that is broken"):
        read(path, scores=None)
    path.write_bytes(whole[:1000] + bytes(100) + whole[1100:])
    with pytest.raises(InputError, match=r"expected a whole gzip file, got one that is broken"):
        read(path, scores=None)
    path.write_bytes(b'{"text": "not compressed"}\n')
    with pytest.raises(InputError, match=r"broken after line 0: Not a gzipped file"):
        read(path, scores=None)


def test_broken_parquet(tmp_path: Path) -> None:
    path = as_file("parquet", tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"rows\.parquet: expected a whole Parquet file, got"):
        read(path)


def test_zero_rows(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b"\n\n")
    empty: list[Any] = [[], tmp_path / "rows.jsonl", pa.table({"text": pa.array([], pa.string())})]
    for data in empty:
        with pytest.raises(InputError, match="expected at least one row, got none"):
            read(data)


def test_no_text_field() -> None:
    for data in ([{"body": "a"}, {"title": "b"}], pa.table({"body": ["a"], "title": ["b"]})):
        with pytest.raises(
            InputError,
            match=r"no field that holds the text; fields seen: body, title; forms known: chosen.*"
            r"messages.*question \+ answer, text; text= \(--text\) names",
        ):
            read(data, scores=None)


def test_all_texts_empty() -> None:
    with pytest.raises(InputError, match="expected texts, got 2 rows whose texts are all empty"):
        read([{"text": ""}, {"text": " "}], scores=None)


def test_text_argument_that_strings_cannot_have() -> None:
    with pytest.raises(InputError, match=r"text: expected a field.*'body'; fields seen: none"):
        read(["body"], text="body", scores=None)


def test_scores_field_that_no_row_has() -> None:
    with pytest.raises(
        InputError,
        match="scores: expected a field of the rows, got 'rating', which none of the 2 rows has; "
        r"fields seen: text, score; scores= \(--scores\) names another field",
    ):
        read([{"text": "a", "score": 1}, {"text": "b"}], scores="rating")
    with pytest.raises(InputError, match=r"got 'score', which none of the 1 rows has; .*: none"):
        read(["a"])


def test_words_in_a_scores_field_are_named() -> None:
    rows = [{"text": "a", "score": 1}, {"text": "b"}, {"text": "c", "score": "good"}]
    with pytest.raises(InputError, match=r"^scores='score': expected a number.*'good' in row 2"):
        read(rows)


@pytest.mark.parametrize(
    ("lines", "arguments", "message"),
    [
        (['{"text": "a", "score": 1}', "", '{"text": "b", "score": "good"}'], {}, "got 'good'"),
        (['{"text": "a", "score": 1}', "", '{"text": "b", "score": -5}'], {}, "got -5"),
        (
            ['{"text": "a", "score": 1}', "", '{"text": "b", "score": 9}'],
            {"num_levels": 4},
            "got 9",
        ),
        (['{"text": 1}', "", '{"text": "b"}'], {"text": "{text:d}", "scores": None}, "cannot fill"),
    ],
)
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_errors_of_files_name_the_line(
    lines: list[str], arguments: dict[str, Any], message: str, name: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text("\n".join(lines))
    with pytest.raises(InputError, match=rf"{message}.*in line 3\b"):
        read(tmp_path / name, **arguments)


def test_scores_of_another_length() -> None:
    with pytest.raises(InputError, match="scores: expected one score for each of 2 rows, got 3"):
        read(["a", "b"], scores=[1, 2, 3])


def test_id_that_no_row_has() -> None:
    with pytest.raises(InputError, match="id: expected a field of the rows, got 'key'"):
        read([{"text": "a"}], scores=None, id="key")
    with pytest.raises(InputTypeError, match="id: expected a field name or None, got int"):
        read([{"text": "a"}], scores=None, id=3)  # type: ignore[arg-type]  # the wrong type is the test
    assert read([{"text": "a"}, {"text": "b", "id": 7}], scores=None, id="id").ids == [None, 7]


@pytest.mark.parametrize("data", [7, None, {"text": "a"}, iter(["a"]), b"rows.jsonl"])
def test_data_of_another_type(data: Any) -> None:
    with pytest.raises(InputTypeError, match=r"data: expected a path .*got"):
        read(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (["a", 7], "data: expected dicts or strings, got int in row 1"),
        (["a", {"text": "b"}], "no mixture, got dict in row 1 after str"),
        ([{"text": "b"}, "a"], "no mixture, got str in row 1 after dict"),
    ],
)
def test_lists_of_other_things(data: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(data)


def test_columns_of_one_name() -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    with pytest.raises(InputError, match="expected distinct columns, got 'text' more than once"):
        read(table, scores=None)


def test_a_frame_that_arrow_refuses() -> None:
    class Broken:
        def __arrow_c_stream__(self, schema: Any = None) -> Any:
            raise TypeError("mixed column")

    with pytest.raises(InputError, match=r"a table that Arrow can hold, got Broken \(mixed column"):
        read(Broken())


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([2], r"row numbers in \[0, 2\), got 2"),
        ([0, -1], r"row numbers in \[0, 2\), got -1"),
        ([0.0], r"integers of shape \(n,\), got float64"),
        ([[0]], r"integers of shape \(n,\), got int64 of shape \(1, 1\)"),
    ],
)
def test_bad_indices(indices: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"indices: expected {message}"):
        read(["a", "b"], scores=None).take(indices)


def test_column_that_no_row_has() -> None:
    pool = read([{"text": "a", "topic": "x"}, {"text": "b"}], scores=None)
    assert pool.column("topic") == ["x", None]
    with pytest.raises(InputError, match=r"column: .*got 'group'; fields seen: text, topic"):
        pool.column("group")


# --- hashes ------------------------------------------------------------------------------------


def test_hash_of_data_in_memory() -> None:
    expected = hashlib.sha256(b'{"text":"a"}\n{"text":"b"}\n').hexdigest()
    rows = [{"text": "a"}, {"text": "b"}]
    for data in (rows, ["a", "b"], pa.Table.from_pylist(rows)):
        assert read(data, scores=None).sha256 == expected
    assert read(rows[::-1], scores=None).sha256 != expected


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "json", "parquet"])
def test_hash_of_a_file_that_changed_since(kind: str, tmp_path: Path) -> None:
    path = as_file(kind, tmp_path)
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    pool = read(path)
    path.write_bytes(b"other")
    assert pool.sha256 == expected
    path.unlink()
    assert pool.sha256 == expected


@pytest.mark.parametrize(
    "tail", [b"", bytes(700_000), gzip.compress(b'{"text": "d"}')], ids=["alone", "zeros", "member"]
)
def test_hash_covers_all_of_a_gzip_file(tail: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(jsonl(ROWS)) + tail)
    assert read(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_path_of_a_pool_outlives_a_change_of_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = as_file("jsonl", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert read("rows.jsonl").path == path
    path.write_text("{")
    with pytest.raises(InputError, match=r"^rows\.jsonl, line 1"):  # messages: as it was given
        read("rows.jsonl")


def test_a_pool_made_by_hand() -> None:
    pool = read(["a"], scores=None)
    assert Pool(pool.rows, pool.texts, pool.schema, pool.empty).read_seconds == 0.0


# --- real data ---------------------------------------------------------------------------------


@pytest.mark.shared
def test_real_judged_rows(shared_data: Path) -> None:
    path = shared_data / "judged.jsonl.gz"
    pool = read(path)
    with gzip.open(path) as file:
        lines = file.read().splitlines()
    assert list(pool.lines(np.arange(len(lines)))) == lines
    rows = [json.loads(line) for line in lines]
    assert pool.scores is not None
    assert pool.scores.tolist() == [row["score"] for row in rows]
    assert pool.score_mapping == "scores 0..5 taken as they are"
    first = rows[0]
    assert pool.texts[0] == f"###user: {first['instruction']}\n###assistant: {first['output']}\n"
    assert pool.empty.count == sum(not (row["instruction"] + row["output"]).strip() for row in rows)


@pytest.mark.shared
def test_real_messages(shared_data: Path) -> None:
    pool = read(shared_data / "instructions.jsonl.gz", scores=None, id="id")
    assert pool.ids == list(range(40_000))
    assert str(pool.schema) == "messages (role/content)"
    for number in (0, 17, 39_999):
        (row,) = pool.take([number])
        expected = "".join(f"###{m['role']}: {m['content']}\n" for m in row["messages"])
        assert pool.texts[number] == expected
