"""The store of replies: what was written stays, and nothing else is ever read as a rating."""

from __future__ import annotations

import math
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ds2fast.embedding.hashes import text_hash
from ds2fast.errors import InputError, InputFileError, InputTypeError, OutputError
from ds2fast.rating.store import (
    NO_RATER,
    ReplyStore,
    StoredReply,
    default_store,
    ratings_folder,
)
from rating_store_child import IDENTITY, rated

CHILD = [sys.executable, str(Path(__file__).with_name("rating_store_child.py"))]

FAILED = StoredReply(text_hash("bad"), 2, None, None, "refusal: 'I cannot'", None, 80, 0, 5, 1.5)


def kept(path: Path, identity: dict[str, Any] = IDENTITY) -> dict[tuple[bytes, int], StoredReply]:
    with ReplyStore(path, readonly=True) as store:
        return store.replies(store.rater_id(identity))


def written(path: Path, *replies: StoredReply) -> Path:
    with ReplyStore(path) as store:
        store.write(store.rater_id(IDENTITY), replies)
    return path


def by_key(*replies: StoredReply) -> dict[tuple[bytes, int], StoredReply]:
    return {(reply.sample, reply.turn): reply for reply in replies}


@contextmanager
def child(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*CHILD, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


# What it holds


def test_replies_come_back_as_they_were(tmp_path: Path) -> None:
    replies = [
        StoredReply(
            text_hash("ü"), 0, {"overall": 7, "rarity": 1}, 3.25, None, "ü\0 7", 9, 8, 1, 2
        ),
        StoredReply(text_hash("ü"), 1, {"overall": 10}, None, None, None, 0, 0, 0, 0.0),
        FAILED,
    ]
    path = written(tmp_path / "r.sqlite", *replies)
    assert kept(path) == by_key(*replies)
    assert [reply.is_rated for reply in kept(path).values()] == [True, True, False]


def test_columns_are_plain_sqlite(tmp_path: Path) -> None:
    path = written(tmp_path / "r.sqlite", FAILED, rated(6))
    with closing(sqlite3.connect(path)) as plain:
        assert plain.execute(
            "SELECT hex(sample), turn, criteria, reason, requests FROM reply ORDER BY rowid"
        ).fetchall() == [
            (text_hash("bad").hex().upper(), 2, None, "refusal: 'I cannot'", 5),
            (text_hash("6").hex().upper(), 0, '{"overall": 7, "rarity": 7}', None, 1),
        ]
        assert plain.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_raters_are_apart_and_told_by_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    turned = {name: IDENTITY[name] for name in reversed(IDENTITY)}
    other = IDENTITY | {"prompt": "Rate it well. ü"}
    with ReplyStore(path) as store:
        first, second = store.rater_id(IDENTITY), store.rater_id(other)
        assert first != second
        assert store.rater_id(turned) == first
        store.write(first, [rated(1)])
        store.write(second, [rated(1, turn=1), rated(2)])
        assert store.raters() == {first: IDENTITY, second: other}
    with ReplyStore(path) as again:
        assert (again.rater_id(IDENTITY), again.rater_id(other)) == (first, second)
    assert kept(path) == by_key(rated(1))
    assert kept(path, other) == by_key(rated(1, turn=1), rated(2))


def test_rated_replies_stay_and_failed_ones_give_way(tmp_path: Path) -> None:
    good = replace(FAILED, criteria={"overall": 3}, reason=None)
    path = written(tmp_path / "r.sqlite", FAILED)
    later = replace(FAILED, reason="cut", requests=6)
    assert kept(written(path, later)) == by_key(later)
    assert kept(written(path, good)) == by_key(good)
    assert kept(written(path, FAILED, replace(good, criteria={"overall": 4}))) == by_key(good)


def test_content_is_capped_and_lone_surrogates_are_kept_as_words(tmp_path: Path) -> None:
    long = replace(rated(1), content="ü" * 5000)
    odd = replace(FAILED, content="a\ud800b", reason="no JSON: \udfff")
    found = kept(written(tmp_path / "r.sqlite", long, odd))
    assert found[long.sample, 0] == replace(long, content="ü" * 2048)
    assert found[odd.sample, 2] == replace(FAILED, content="a\\ud800b", reason="no JSON: \\udfff")


def test_another_thread_may_write(tmp_path: Path) -> None:
    with ReplyStore(tmp_path / "r.sqlite") as store:
        rater = store.rater_id(IDENTITY)
        thread = threading.Thread(target=store.write, args=(rater, [rated(1)]))
        thread.start()
        thread.join()
        assert store.replies(rater) == by_key(rated(1))


# Kills, full disks, other runs


@pytest.mark.parametrize("seed", range(5))
def test_what_was_written_outlives_a_kill(tmp_path: Path, seed: int) -> None:
    path, log = tmp_path / "r.sqlite", tmp_path / "log"
    pauses = random.Random(seed)
    for _ in range(3):
        with child("write", path, log) as writer:
            assert line_of(writer) == "open\n"
            while not log.stat().st_size and writer.poll() is None:
                time.sleep(0.001)
            time.sleep(pauses.uniform(0, 0.15))
            writer.kill()
    logged = [int(number) for number in log.read_text().split()]
    found = kept(path)
    # Each run begins where the last one's replies end, so that none is missing in between.
    assert found == by_key(*map(rated, range(len(found))))
    assert len(found) % 3 == 0  # a batch is there whole or not at all
    assert logged == sorted(set(logged))
    assert logged[-1] + 3 <= len(found)
    assert len(found) - 3 * len(logged) <= 3 * 3  # of each run at most the batch in hand


@pytest.mark.parametrize("kilobytes", [60, 300])
def test_full_disk_keeps_what_was_committed(tmp_path: Path, kilobytes: int) -> None:
    path = tmp_path / "r.sqlite"
    done = subprocess.run(
        [*CHILD, "fill", path, str(kilobytes * 1000)], capture_output=True, text=True, check=True
    )
    number, readable, message = done.stdout.splitlines()
    assert int(number) > 0
    assert readable == number
    assert message.startswith(f"ratings: cannot keep replies in {path}: ")
    assert kept(path) == by_key(*(rated(n, content="x" * 1000) for n in range(int(number))))
    with ReplyStore(path) as again:  # there is room again
        again.write(again.rater_id(IDENTITY), [FAILED])
    assert len(kept(path)) == int(number) + 1


def test_second_writer_is_refused_and_a_reader_is_not(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    (tmp_path / "link.sqlite").symlink_to(path)
    with child("hold", path) as writer:
        assert line_of(writer) == "open\n"
        for name in (path, tmp_path / "link.sqlite"):
            with pytest.raises(OutputError, match=r"\.sqlite: another run is rating there"):
                ReplyStore(name)
        assert kept(path) == by_key(rated(1))
        writer.kill()
        writer.wait()
        assert kept(written(path, rated(2))) == by_key(rated(1), rated(2))


def test_log_of_a_file_that_is_gone_does_not_get_into_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    with child("hold", path) as writer:
        assert line_of(writer) == "open\n"
        writer.kill()
    aside = path.rename(tmp_path / "aside.sqlite")
    with pytest.raises(OutputError, match=r"r\.sqlite-wal holds the last replies of a file that"):
        ReplyStore(path)
    assert not path.exists()
    aside.rename(path)
    assert kept(written(path, rated(2))) == by_key(rated(1), rated(2))


def test_what_a_kill_left_while_the_file_was_made_is_removed(tmp_path: Path) -> None:
    leftover = tmp_path / ".r.sqlite.0123456789ab.tmp"
    others = tmp_path / ".s.sqlite.0123456789ab.tmp"
    leftover.touch()
    others.touch()
    written(tmp_path / "r.sqlite", rated(1))
    assert not leftover.exists()
    assert others.exists()


# Files that are refused, and left as they are


def plain_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE reply (x)")


def newer(path: Path) -> None:
    written(path, rated(1))
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 2")


def cut(path: Path) -> None:
    written(path, *map(rated, range(500)))
    path.write_bytes(path.read_bytes()[:20_000])


def overwritten(path: Path) -> None:
    written(path, *map(rated, range(500)))
    content = bytearray(path.read_bytes())
    content[30_000:34_000] = random.Random(0).randbytes(4000)
    path.write_bytes(content)


def beheaded(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_text('{"text": "a"}\n' * 20), "is another kind of file"),
        (lambda path: path.touch(), "is another kind of file"),
        (plain_database, "is another kind of file"),
        (beheaded, "is another kind of file"),
        (newer, r"expected replies in version 1, .* has version 2"),
        (cut, "is damaged"),
        (overwritten, "is damaged"),
        (Path.mkdir, "Is a directory"),
    ],
)
def test_other_files_are_refused_and_left(tmp_path: Path, make: Any, message: str) -> None:
    path = tmp_path / "r.sqlite"
    make(path)
    before = None if path.is_dir() else path.read_bytes()
    with pytest.raises(InputFileError, match=message) as told:
        ReplyStore(path)
    assert str(path) in str(told.value)
    if before is not None:
        assert path.read_bytes() == before
    with pytest.raises(InputFileError):
        kept(path)
    path.rename(tmp_path / "aside") if before is None else path.unlink()
    written(path, rated(1))  # the lock was given back


@pytest.mark.parametrize(
    "change",
    [
        """UPDATE reply SET criteria = '{"overall": 11}'""",
        """UPDATE reply SET criteria = '{"overall": 7.0}'""",
        """UPDATE reply SET criteria = '{"overall": true}'""",
        "UPDATE reply SET criteria = '{\"overall\": 7'",
        "UPDATE reply SET criteria = '{}'",
        "UPDATE reply SET sample = x'00'",
        "UPDATE reply SET expected = 5.5",
        "UPDATE reply SET requests = 'many'",
    ],
)
def test_rows_that_are_no_replies_are_never_read(tmp_path: Path, change: str) -> None:
    path = written(tmp_path / "r.sqlite", rated(1))
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(change)
    with pytest.raises(InputFileError, match="is damaged"):
        kept(path)


def test_file_itself_refuses_a_failure_with_a_number(tmp_path: Path) -> None:
    path = written(tmp_path / "r.sqlite", FAILED, rated(1))
    for change in (
        """UPDATE reply SET criteria = '{"overall": 1}' WHERE reason IS NOT NULL""",
        "UPDATE reply SET criteria = NULL WHERE reason IS NULL",
        "UPDATE reply SET expected = 1 WHERE reason IS NOT NULL",
    ):
        with closing(sqlite3.connect(path)) as other, pytest.raises(sqlite3.IntegrityError):
            other.execute(change)


def test_missing_files(tmp_path: Path) -> None:
    path = tmp_path / "new" / "r.sqlite"
    with pytest.raises(InputFileError, match="is not there"):
        ReplyStore(path, create=False)
    with ReplyStore(path, readonly=True) as store:
        assert store.rater_id(IDENTITY) == NO_RATER
        assert store.replies(NO_RATER) == {}
        assert store.raters() == {}
        with pytest.raises(OutputError, match="is only read"):
            store.write(1, [rated(1)])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot keep replies in"):
        ReplyStore(tmp_path / "file" / "r.sqlite")


def test_readers_change_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "r.sqlite", rated(1))
    before = path.read_bytes()
    with ReplyStore(path, readonly=True) as store:
        assert store.rater_id(IDENTITY | {"model": "new"}) == NO_RATER
        assert store.replies(store.rater_id(IDENTITY)) == by_key(rated(1))
    assert path.read_bytes() == before


# Arguments


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample": b"short"}, "sample: expected 16 bytes"),
        ({"turn": -1}, "turn: expected a number from 0, got -1"),
        ({"turn": True}, "turn: expected a whole number, got True"),
        ({"prompt_tokens": 2.0}, "prompt_tokens: expected a whole number"),
        ({"requests": 2**63}, "requests: expected a number from 0"),
        ({"seconds": math.nan}, "seconds: expected a number"),
        ({"seconds": "1"}, "seconds: expected a number"),
        ({"criteria": {"overall": 0}}, "criteria: expected 1 to 10 for 'overall', got 0"),
        ({"criteria": {"overall": 7.0}}, "criteria: expected 1 to 10 for 'overall', got 7.0"),
        ({"criteria": {"overall": True}}, "criteria: expected 1 to 10"),
        ({"criteria": {}}, "criteria: expected a mapping with entries"),
        ({"criteria": [7]}, "criteria: expected a mapping with entries"),
        ({"criteria": {1: 7}}, "criteria: expected names, got 1"),
        ({"criteria": None}, "reason: expected words where there are no criteria"),
        ({"criteria": None, "reason": ""}, "reason: expected words"),
        ({"criteria": None, "reason": "x", "expected": 1.0}, "expected: expected None"),
        ({"reason": "x"}, "reason: expected None beside criteria"),
        ({"expected": 5.5}, "expected: expected a number from 0 to 5"),
        ({"content": b"x"}, "content: expected text or None"),
    ],
)
def test_replies_that_cannot_be(change: dict[str, Any], message: str) -> None:
    with pytest.raises((InputError, InputTypeError), match=message):
        replace(rated(1), **change)


def test_arguments_of_the_store(tmp_path: Path) -> None:
    with ReplyStore(tmp_path / "r.sqlite") as store:
        with pytest.raises(InputTypeError, match="identity: expected a mapping, got str"):
            store.rater_id("m")  # type: ignore[arg-type]  # the wrong type is the test
        with pytest.raises(InputTypeError, match="identity: expected what JSON can hold"):
            store.rater_id({"path": Path()})
        with pytest.raises(InputError, match="identity: expected what JSON can hold"):
            store.rater_id({"temperature": math.nan})
        assert store.raters() == {}
        with pytest.raises(InputError, match="rater: expected a number that rater_id gave, got 9"):
            store.write(9, [rated(1)])
        rater = store.rater_id(IDENTITY)
        store.write(rater, [])
        store.write(rater, [rated(1)])
    for call in (lambda: store.replies(rater), lambda: store.write(rater, [rated(2)])):
        with pytest.raises(InputError, match=r"expected one that is open, got .* after close"):
            call()
    store.close()


# Places


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    path = written(tmp_path / "new" / "r.sqlite", rated(1))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with ReplyStore(path) as store:
        store.write(store.rater_id(IDENTITY), [rated(2)])
        assert stat.S_IMODE(path.with_name("r.sqlite-wal").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["a ? b#c%20.sqlite", "ü.sqlite"])
def test_odd_names(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, rated(1))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [name, f"{name}.lock"]
    assert kept(path) == by_key(rated(1))


def test_folder_of_ratings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/u")
    monkeypatch.delenv("DS2FAST_RATINGS_DIR", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert ratings_folder() == Path("/home/u/.local/share/ds2fast/ratings")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert ratings_folder() == Path("/data/ds2fast/ratings")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert ratings_folder() == Path("/home/u/Library/Application Support/ds2fast/ratings")
    monkeypatch.setenv("DS2FAST_RATINGS_DIR", "~/kept")
    assert ratings_folder() == Path("/home/u/kept")


def test_name_of_a_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DS2FAST_RATINGS_DIR", str(tmp_path))
    one = default_store({"model": "../org/Model 7B:q4", "prompt": "p"})
    assert one.parent == tmp_path
    assert one == default_store({"prompt": "p", "model": "../org/Model 7B:q4"})
    assert one.name.startswith("org-Model-7B-q4-")
    assert len(one.stem.rpartition("-")[2]) == 8
    assert one != default_store({"model": "../org/Model 7B:q4", "prompt": "q"})
    assert default_store({"model": "ü"}).name.startswith("model-")
    assert not list(tmp_path.iterdir())
    shutil.rmtree(tmp_path)
    written(default_store({"model": "m"}), rated(1))
