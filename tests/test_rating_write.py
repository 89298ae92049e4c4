"""Ratings as files: rows byte for byte with fields behind, and no file replaced unasked."""

from __future__ import annotations

import hashlib
import json
import resource
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2fast.errors import InputError, OutputError
from ds2fast.io.read import read
from ds2fast.pool import Pool
from ds2fast.rating.write import (
    append_fields,
    check_ratings_output,
    save_ratings,
    taken_fields,
)

ROWS = b'{"text": "a frog" ,"n":1.50 }\r\n\n  {"text":"\xc3\xbc \\u00fc }"}\t\n{ "text" :"c"}'


@dataclass
class Ratings:
    """A stand-in for ratings."""

    pool: Pool
    is_complete: bool = True
    values: dict[str, list[Any]] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=lambda: {"rater": {"model": "m"}})

    def fields(self) -> Mapping[str, list[Any]]:
        return self.values or {"score": [4, None, 0], "reason": [None, "cut", None]}

    def manifest(self) -> dict[str, Any]:
        return {"input": {"sha256": self.pool.sha256}, **self.record}


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    source = tmp_path / "rows.jsonl"
    source.write_bytes(ROWS)
    return read(source, scores=None)


# One line

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text() | st.floats(-1e9, 1e9),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=6,
)
BLANKS = st.text(" \t\r", max_size=3)


@given(
    own=st.dictionaries(st.text(), JSON, max_size=4),
    added=st.dictionaries(st.text(), JSON, max_size=3),
    around=st.tuples(BLANKS, BLANKS, BLANKS),
    ascii_only=st.booleans(),
    indent=st.none() | st.sampled_from(["", " ", "\t"]),
)
def test_appended_fields_are_read_back_and_the_rest_is_as_it_was(
    own: dict[str, Any],
    added: dict[str, Any],
    around: tuple[str, str, str],
    ascii_only: bool,
    indent: str | None,
) -> None:
    added = {name: value for name, value in added.items() if name not in own}
    before, inside, behind = around
    row = json.dumps(own, ensure_ascii=ascii_only, indent=indent)[:-1]
    line = f"{before}{row}{inside}}}{behind}".encode()
    result = append_fields(line, added)
    assert list(orjson.loads(result).items()) == [*own.items(), *added.items()]
    start = row.rstrip()
    rest = row[len(start) :] + inside + "}" + behind
    assert result.startswith((before + start).encode())
    assert result.endswith(rest.encode())
    new = result[len((before + start).encode()) : len(result) - len(rest.encode())]
    assert (new == b"") == (not added)
    assert new.removeprefix(b",") == orjson.dumps(added)[1:-1]


@pytest.mark.parametrize(
    ("line", "result"),
    [
        (b"{}", b'{"score":4}'),
        (b" { } ", b' {"score":4 } '),
        (b'{"a":1}', b'{"a":1,"score":4}'),
        (b'{"a":"}"  }', b'{"a":"}","score":4  }'),
        (b'{"a":{}}\r', b'{"a":{},"score":4}\r'),
        (b'{"a":1.50,"a":2}', b'{"a":1.50,"a":2,"score":4}'),
    ],
)
def test_lines_by_hand(line: bytes, result: bytes) -> None:
    assert append_fields(line, {"score": 4}) == result


@pytest.mark.parametrize("line", [b"", b"{", b"}", b"[{}]", b'"{}"', b"}{", b"{} x"])
def test_lines_that_are_no_objects(line: bytes) -> None:
    with pytest.raises(InputError, match="line: expected a JSON object"):
        append_fields(line, {"score": 4})


# Names that are taken


@pytest.mark.parametrize(
    ("rows", "names", "taken"),
    [
        ([{"text": "a"}, {"text": "b", "x": None}], ["score", "x"], (1, "x")),
        ([{"text": "a", "meta": {"score": 1}}], ["score", "meta.score"], None),
        (["a", "b"], ["score"], None),
        (["a", "b"], ["text"], (0, "text")),
        ([{"text": "a", 1: 2}], ["1"], (0, "1")),
        (pa.table({"text": ["a"], "score": [None]}), ["score"], (0, "score")),
        ([{"text": "a"}] * 5000 + [{"text": "b", "score": 1}], ["score"], (5000, "score")),
    ],
)
def test_first_row_with_a_taken_field(rows: Any, names: list[str], taken: Any) -> None:
    assert taken_fields(read(rows, scores=None), names) == taken


def test_taken_fields_that_a_file_spells_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'{"text": "a"}\n{"text": "b", "sc\\u006fre": 1}\n')
    assert taken_fields(read(file, scores=None), ["score"]) == (1, "score")


# Files


def test_rows_go_out_byte_for_byte_with_their_fields(pool: Pool, tmp_path: Path) -> None:
    out = tmp_path / "rated.jsonl"
    assert save_ratings(Ratings(pool), out) == out
    assert out.read_bytes() == (
        b'{"text": "a frog" ,"n":1.50,"score":4,"reason":null }\n'
        b'  {"text":"\xc3\xbc \\u00fc }","score":null,"reason":"cut"}\t\n'
        b'{ "text" :"c","score":0,"reason":null}\n'
    )
    manifest = json.loads((tmp_path / "rated.manifest.json").read_bytes())
    assert manifest == {
        "made_by": "ds2fast",
        "complete": True,
        "input": {"sha256": hashlib.sha256(ROWS).hexdigest()},
        "rater": {"model": "m"},
        "files": {"rated.jsonl": hashlib.sha256(out.read_bytes()).hexdigest()},
    }
    assert list(manifest)[:2] == ["made_by", "complete"]
    scores = read(out).scores
    assert scores is not None
    assert scores.tolist() == [4, -1, 0]
    names = {entry.name for entry in tmp_path.iterdir()}
    assert names == {"rows.jsonl", "rated.jsonl", "rated.manifest.json"}


def test_other_rows_are_written_as_json(tmp_path: Path) -> None:
    for rows in (["a", "b"], [{"text": "a"}, {"text": "b"}], pa.table({"text": ["a", "b"]})):
        ratings = Ratings(read(rows, scores=None), values={"score": [5, None]})
        save_ratings(ratings, tmp_path / "r.jsonl", overwrite=True)
        assert (tmp_path / "r.jsonl").read_bytes() == (
            b'{"text":"a","score":5}\n{"text":"b","score":null}\n'
        )


def test_unfinished_ratings_of_the_same_input_are_replaced(pool: Pool, tmp_path: Path) -> None:
    out = tmp_path / "rated.jsonl"
    save_ratings(Ratings(pool, is_complete=False), out)
    assert json.loads((tmp_path / "rated.manifest.json").read_bytes())["complete"] is False
    other = read(["a", "b", "c"], scores=None)
    with pytest.raises(OutputError, match="is there already"):
        save_ratings(Ratings(other), out)
    save_ratings(Ratings(pool), out)
    for again in (pool, other):
        with pytest.raises(OutputError, match=r"rated\.jsonl is there already; overwrite=True"):
            save_ratings(Ratings(again), out)
    save_ratings(Ratings(other), out, overwrite=True)
    assert out.read_bytes().startswith(b'{"text":"a","score":4')


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"{",
        b"[]",
        b'{"complete": false}',
        b'{"made_by": "other", "complete": false, "input": {"sha256": "%s"}}',
        b'{"made_by": "ds2fast", "input": {"sha256": "%s"}}',
        b'{"made_by": "ds2fast", "complete": false, "input": "%s"}',
    ],
)
def test_files_of_others_are_not_replaced(pool: Pool, tmp_path: Path, manifest: bytes) -> None:
    out, beside = tmp_path / "r.jsonl", tmp_path / "r.manifest.json"
    beside.write_bytes(manifest.replace(b"%s", hashlib.sha256(ROWS).hexdigest().encode()))
    for place in (beside, out):
        with pytest.raises(OutputError, match=f"{place.name} is there already"):
            save_ratings(Ratings(pool), out)
        assert out.exists() == (place == out)
        out.write_bytes(b"mine")
    assert out.read_bytes() == b"mine"


def test_places_that_are_refused(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "dir.jsonl").mkdir()
    (tmp_path / "link.jsonl").symlink_to("rows.jsonl")
    (tmp_path / "gone.jsonl").symlink_to("nothing")
    (tmp_path / "x.manifest.json").mkdir()
    for name, message in {
        "r.json": r"expected a file of \.jsonl, got",
        "r": r"expected a file of \.jsonl, got",
        "dir.jsonl": "got the directory",
        "x.jsonl": r"got the directory .*x\.manifest\.json",
        "rows.jsonl": "the input .* would be replaced",
        "link.jsonl": "the input .* would be replaced",
        "none/r.jsonl": "expected a folder at .*none, got none",
    }.items():
        with pytest.raises(OutputError, match=message):
            check_ratings_output(tmp_path / name, pool, overwrite=True)
    with pytest.raises(OutputError, match="is there already"):
        check_ratings_output(tmp_path / "gone.jsonl", pool)
    assert (tmp_path / "rows.jsonl").read_bytes() == ROWS


def test_input_that_is_named_as_the_manifest(tmp_path: Path) -> None:
    source = tmp_path / "r.manifest.json"
    source.write_bytes(b'[{"text": "a"}]')
    with pytest.raises(OutputError, match=r"the input .* would be replaced"):
        check_ratings_output(tmp_path / "r.jsonl", read(source, scores=None), overwrite=True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"score": [1, 2]}, "fields: expected 3 values of 'score', got 2"),
        ({"score": [1, 2, 3], "n": [1, 2, 3]}, "row 0 has 'n' already"),
    ],
)
def test_fields_that_are_refused(
    pool: Pool, tmp_path: Path, values: dict[str, list[Any]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        save_ratings(Ratings(pool, values=values), tmp_path / "r.jsonl")
    assert [entry.name for entry in tmp_path.iterdir()] == ["rows.jsonl"]


@pytest.mark.parametrize(("count", "limit"), [(200, 50_000), (3, 3000)])
def test_full_disk_leaves_what_was_there(tmp_path: Path, count: int, limit: int) -> None:
    # The few rows fit into a buffer: nothing of them has been refused when the last is written.
    rows = [{"text": "a" * 1000}] * count
    out, beside = tmp_path / "r.jsonl", tmp_path / "r.manifest.json"
    small = Ratings(read(rows[:3], scores=None))
    save_ratings(small, out)
    before = out.read_bytes(), beside.read_bytes()
    large = Ratings(read(rows, scores=None), values={"score": [1] * count})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"cannot write .*r\.jsonl: File too large"):
            save_ratings(large, out, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert (out.read_bytes(), beside.read_bytes()) == before
    assert len(list(tmp_path.iterdir())) == 2


def test_a_save_that_stops_between_leaves_no_whole_manifest(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, beside = tmp_path / "r.jsonl", tmp_path / "r.manifest.json"
    save_ratings(Ratings(read(["a", "b", "c"], scores=None)), out)
    old = out.read_bytes()
    replaced: list[str] = []
    replace_file = Path.replace

    def stop_at(count: int) -> Any:
        def replace(self: Path, target: Path) -> Path:
            if len(replaced) == count:
                raise KeyboardInterrupt
            replaced.append(target.name)
            return replace_file(self, target)

        return replace

    for count in (1, 2):
        replaced.clear()
        monkeypatch.setattr(Path, "replace", stop_at(count))
        with pytest.raises(KeyboardInterrupt):
            save_ratings(Ratings(pool), out, overwrite=True)
        monkeypatch.undo()
        assert replaced == ["r.manifest.json", "r.jsonl"][:count]
        assert (out.read_bytes() == old) == (count == 1)
        assert json.loads(beside.read_bytes())["complete"] is False
    save_ratings(Ratings(pool), out)  # the marked ones may be replaced
    assert json.loads(beside.read_bytes())["complete"] is True
