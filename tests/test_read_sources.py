"""Rows from several files, patterns, standard input, packed files, CSV and data sets."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from ds2fast.errors import InputError, InputFileError, InputTypeError
from ds2fast.io.digest import InputFile, join_digests
from ds2fast.io.read import read
from ds2fast.pool import Pool, sources_of

ROWS = [{"text": letter, "score": score} for score, letter in enumerate("abc", start=1)]
LINES = [json.dumps(row).encode() for row in ROWS]
CONTENT = b"".join(line + b"\n" for line in LINES)


def zst(content: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(content)


PACKED: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("", lambda content: content),
    (".gz", gzip.compress),
    (".zst", zst),
]


def scores_of(pool: Pool) -> list[int]:
    assert pool.scores is not None
    return list(map(int, pool.scores))


# --- packed --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "pack"), PACKED)
@pytest.mark.parametrize("kind", ["jsonl", "json", "csv"])
def test_packed_files(
    kind: str, suffix: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    contents = {
        "jsonl": CONTENT,
        "json": json.dumps(ROWS).encode(),
        "csv": b"text,score\r\na,1\r\nb,2\r\nc,3\r\n",
    }
    path = tmp_path / f"rows.{kind}{suffix}"
    path.write_bytes(pack(contents[kind]))
    pool = read(path)
    assert list(pool.texts) == ["a", "b", "c"]
    assert scores_of(pool) == [1, 2, 3]
    assert pool.files == (InputFile(path, pool.sha256),)


def test_frames_of_zstandard_one_behind_the_other(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.zst"
    path.write_bytes(zst(CONTENT[:20]) + zst(b"") + zst(CONTENT[20:]))
    assert list(read(path).lines([0, 1, 2])) == LINES


def test_broken_zstandard(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.zst"
    whole = zst(b"\n".join(b'{"text":"%d"}' % n for n in range(50_000)))
    for content in (whole[: len(whole) // 2], whole + b"beyond", CONTENT):
        path.write_bytes(content)
        with pytest.raises(InputError, match="expected a whole Zstandard file, got one that"):
            read(path, scores=None)


# --- several files -------------------------------------------------------------------------------


def several(folder: Path) -> list[Path]:
    """A file of lines, a packed one with an empty line, a table, and words: 6 rows."""
    paths = [folder / name for name in ("a.jsonl", "b.jsonl.gz", "c.parquet", "d.csv")]
    paths[0].write_bytes(CONTENT)
    paths[1].write_bytes(gzip.compress(b'\n{"text": "d", "score": 4}\n'))
    pq.write_table(pa.table({"text": ["e"], "score": [5], "more": [[1]]}), paths[2])
    paths[3].write_bytes(b"text,score\nf,0\n")
    return paths


def test_several_files(tmp_path: Path) -> None:
    paths = several(tmp_path)
    pool = read(paths)
    assert list(pool.texts) == list("abcdef")
    assert scores_of(pool) == [1, 2, 3, 4, 5, 0]
    assert pool.path is None
    alone = [read(path, scores=None).sha256 for path in paths]
    assert pool.files == tuple(map(InputFile, paths, alone))
    assert pool.sha256 == join_digests(alone)
    assert pool.take([5, 4, 0, 3, 3]) == [
        {"text": "f", "score": "0"},
        {"text": "e", "score": 5, "more": [1]},
        ROWS[0],
        {"text": "d", "score": 4},
        {"text": "d", "score": 4},
    ]
    assert list(pool.lines([2, 3])) == [LINES[2], b'{"text": "d", "score": 4}']
    assert pool.column("more") == [None] * 4 + [[1], None]
    assert pool.table([4, 5]) is None
    assert read([str(path) for path in paths]).sha256 == pool.sha256


def test_patterns(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", "c.jsonl"):
        (tmp_path / name).write_text(json.dumps({"text": name}))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "d.jsonl").write_text('{"text": "d"}')
    (tmp_path / "[x].jsonl").write_text('{"text": "literal"}')

    def texts(pattern: str | Path) -> list[str]:
        return list(read(pattern, scores=None).texts)

    assert texts(f"{tmp_path}/[ab].jsonl") == ["a.jsonl", "b.jsonl"]
    assert texts(tmp_path / "?.jsonl") == ["a.jsonl", "b.jsonl", "c.jsonl"]
    assert texts(f"{tmp_path}/**/d.jsonl") == ["d"]
    assert texts(f"{tmp_path}/[x].jsonl") == ["literal"]
    with pytest.raises(InputFileError, match=r"the pattern .*no-\*\.jsonl matches none"):
        read(f"{tmp_path}/no-*.jsonl")
    (tmp_path / "deep-notes.txt").touch()
    with pytest.raises(InputError, match=r"expected a file of \.jsonl, .*got .*deep"):
        read(f"{tmp_path}/deep*")


def test_lists_of_paths_and_other_things(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(CONTENT)
    with pytest.raises(InputTypeError, match="paths alone in a list with a path, got dict too"):
        read([path, {"text": "a"}])
    with pytest.raises(InputTypeError, match="got strings that name no file too"):
        read([path, "a text"])
    with pytest.raises(InputFileError, match=r"but gone\.jsonl does not exist"):
        read([str(path), "gone.jsonl"])
    assert read(["see a.jsonl", "a.jsonl has it"], scores=None).texts == [
        "see a.jsonl",
        "a.jsonl has it",
    ]


def test_places_in_several_files_are_named(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    first.write_bytes(CONTENT)
    second.write_text('\n{"text": "x", "score": "good"}')
    with pytest.raises(InputError, match=rf"got 'good' in {second}, line 2"):
        read([first, second])
    second.write_text("\n\nbroken")
    with pytest.raises(InputError, match=rf"{second}, line 3: expected one JSON object"):
        read([first, second])


# --- standard input ------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [pack for _, pack in PACKED])
def test_standard_input(pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack(CONTENT)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(packed)))
    pool = read("-")
    assert list(pool.lines([2, 0])) == [LINES[2], LINES[0]]
    assert (pool.files, pool.path) == ((), None)
    assert not sys.stdin.closed
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"{\n")))
    with pytest.raises(InputError, match="standard input, line 1: expected one JSON object"):
        read(Path("-"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(CONTENT,))
    writer.start()
    pool = read(path)
    writer.join()
    assert list(pool.lines([1, 2])) == LINES[1:]


# --- CSV -----------------------------------------------------------------------------------------


def test_words_of_csv(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    long = "x" * 200_000
    path.write_bytes(
        b"\xef\xbb\xbftext,score,source,again\r\n"
        b'"two\r\nlines, ""quoted""",4,web,3\r\n\r\nb,,7,\n' + f"{long}, 1.0 ,7,2\n".encode()
    )
    pool = read(path, id="source")
    assert list(pool.texts) == ['two\r\nlines, "quoted"', "b", long]
    assert scores_of(pool) == [4, -1, 1]
    assert pool.ids == ["web", "7", "7"]
    assert pool.take([1]) == [{"text": "b", "score": "", "source": "7", "again": ""}]
    assert sources_of(pool) == ["web", "7", "7"]
    assert pool.column("again") == ["3", "", "2"]
    assert pool.column("again", numbers=True) == [3.0, None, 2.0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,score\na,1\nb,1,2\n", "line 3: expected 2 values, one a field of line 1, got 3"),
        ("text,score\na\n", "line 2: expected 2 values, one a field of line 1, got 1"),
        ("text,text\na,1\n", r"expected distinct names of fields in line 1, got \['text', 'text'"),
        ("text,\na,1\n", "expected distinct names of fields in line 1"),
        ('text\n"open', "expected CSV in UTF-8, got broken after line"),
        ("text\n\udcff", "expected CSV in UTF-8, got broken after line"),
        ("text,score\na,good\nb,1\n", r"got 'good' in line 2"),
        ("text,score\n", "expected at least one row, got none"),
        ("", "expected at least one row, got none"),
    ],
)
def test_bad_csv(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=message):
        read(path)


def test_numbers_as_words_are_scores_in_csv_alone(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,score\na,1\n")
    (tmp_path / "b.jsonl").write_text('{"text": "b", "score": "2"}')
    with pytest.raises(InputError, match=rf"got '2' in {tmp_path / 'b.jsonl'}, line 1"):
        read([tmp_path / "a.csv", tmp_path / "b.jsonl"])


# --- data sets and frames ------------------------------------------------------------------------


def test_a_data_set_with_an_order_of_its_own() -> None:
    datasets = pytest.importorskip("datasets")
    whole = datasets.Dataset.from_list([{**row, "m": {"n": [row["score"]]}} for row in ROWS])
    chosen = whole.select([2, 0, 1]).filter(lambda row: row["text"] != "a", num_proc=None)
    for data in (chosen, chosen.with_format("numpy")):
        pool = read(data)
        assert list(pool.texts) == ["c", "b"]
        assert scores_of(pool) == [3, 2]
        assert pool.take([1, 0]) == [
            {"text": "b", "score": 2, "m": {"n": [2]}},
            {"text": "c", "score": 3, "m": {"n": [3]}},
        ]
        table = pool.table([1])
        assert table is not None
        assert table.to_pylist() == pool.take([1])
        assert pool.column("m.n") == [[3], [2]]
    with pytest.raises(InputTypeError, match="choose one of its splits: train"):
        read(datasets.DatasetDict({"train": whole}))
    with pytest.raises(InputTypeError, match="a stream has to be written to a file"):
        read(whole.to_iterable_dataset())


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames(library: str) -> None:
    frame = pytest.importorskip(library).DataFrame(ROWS)
    pool = read(frame)
    assert list(pool.texts) == ["a", "b", "c"]
    assert pool.take([2, 1]) == [ROWS[2], ROWS[1]]
    table = pool.table([2, 1])
    assert table is not None
    assert table.to_pylist() == [ROWS[2], ROWS[1]]


# --- what was asked for ---------------------------------------------------------------------------


def test_a_pool_knows_how_it_was_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(CONTENT)
    pool = read(tmp_path / "a.jsonl", text="{text}!", scores="score")
    assert (pool.text_option, pool.score_option) == ("{text}!", "score")
    again = read([file.path for file in pool.files], text=pool.text_option)
    assert list(again.texts) == ["a!", "b!", "c!"]
    given: Any = [1, 2]
    pool = read(["a", "bcd"], scores=given)
    assert (pool.text_option, pool.score_option, pool.files) == (None, None, ())
    assert pool.lengths.tolist() == [1, 3]
