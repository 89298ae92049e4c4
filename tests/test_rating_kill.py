"""A rating that is killed, again and again, ends as if it had not been; and no file has the key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rating_child import FAILED, start_child, store_of
from rating_kills import Killed, kill_and_resume
from rating_pools import made_up_rows, texts_of
from rating_process import rating_server
from rating_secret import made_up_key, places_of
from rating_truth import true_level
from waiting import PATIENCE

NUM_ROWS = 300
CONCURRENCY = 16


@pytest.mark.parametrize("faults", [(), ("--fault", "all", "--share", "0.05")])
def test_a_killed_rating_goes_on_where_it_was(tmp_path: Path, faults: tuple[str, ...]) -> None:
    whole, killed = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    healthy = ("--latency", "0.02")
    with rating_server(*healthy) as server:
        child = start_child(NUM_ROWS, server.base_url, whole)
        output, errors = child.communicate(timeout=PATIENCE)
        assert child.returncode == 0, errors
    unbroken = json.loads(output.splitlines()[-1])
    assert unbroken == [true_level(text) for text in texts_of(made_up_rows(NUM_ROWS))]
    late = ("--slow-seconds", "4", "--retry-after", "0.1")
    log = tmp_path / "server.jsonl"
    with rating_server(*healthy, *late, *faults, log=log) as server:
        found = kill_and_resume(
            server,
            NUM_ROWS,
            killed,
            kills=2,
            seed=1,
            concurrency=CONCURRENCY,
            timeout=2.0 if faults else PATIENCE,
        )
    assert found.scores == unbroken
    assert killed.read_bytes() == whole.read_bytes()
    assert found.kills == 2
    assert_nothing_is_asked_twice(found)
    if not faults:
        assert found.requests == NUM_ROWS + found.excess + found.unread


def assert_nothing_is_asked_twice(found: Killed) -> None:
    assert found.asked_though_kept == 0
    assert found.excess <= found.in_flight + found.to_try_again
    assert found.in_flight <= found.kills * CONCURRENCY


# --- The key --------------------------------------------------------------------------------------


def test_the_key_stands_in_no_file_and_no_output(tmp_path: Path) -> None:
    key, other = made_up_key(6), made_up_key(7)
    written = tmp_path / "written"
    written.mkdir()
    said: list[str] = []
    leaking = ("--fault", "leak", "--fault", "error-500", "--share", "0.3", "--latency", "0.01")
    strict = ("--require-key", other)
    for number, (options, code) in enumerate([(leaking, 0), (strict, FAILED)]):
        environment = {"OPENAI_API_KEY": key, "DS2FAST_RATINGS_DIR": str(written / "default")}
        with rating_server(*options, log=written / f"server-{number}.jsonl") as server:
            output = written / f"rated-{number}.jsonl"
            child = start_child(
                60, server.base_url, output, environment=environment, keep_going=True, store=None
            )
            said += child.communicate(timeout=PATIENCE)
            assert child.returncode == code, said[-1]
    assert "key was refused" in said[-1]
    assert_without(key, written, said)


def test_the_key_stands_in_nothing_that_a_killed_or_stopped_run_leaves(tmp_path: Path) -> None:
    key = made_up_key(8)
    output, log = tmp_path / "rated.jsonl", tmp_path / "server.jsonl"
    said: list[str] = []
    leaking = ("--fault", "leak", "--share", "0.5", "--sticky", "--latency", "0.02")
    with rating_server(*leaking, log=log) as server:
        key_file = tmp_path.parent / f"{tmp_path.name}.key"
        key_file.write_text(key)
        child = start_child(
            NUM_ROWS, server.base_url, output, api_key_file=str(key_file), keep_going=True
        )
        while len(log.read_text("utf-8").splitlines()) < 60:
            assert child.poll() is None
        child.kill()
        said += child.communicate(timeout=PATIENCE)
        assert store_of(output).with_suffix(".sqlite-wal").exists()
        assert_without(key, tmp_path, said)
        child = start_child(NUM_ROWS, server.base_url, output, api_key_file=str(key_file))
        said += child.communicate(timeout=PATIENCE)
        assert child.returncode == FAILED
    assert "RatingAlarm" in said[-1]  # it quotes a reason, and those of leaks hold the key
    assert_without(key, tmp_path, said)


def assert_without(key: str, folder: Path, said: list[str]) -> None:
    found, searched = places_of(key, folder, said)
    assert searched >= 3 + len(said)  # the server's log, the store and its lock
    assert found == []


def test_the_search_finds_a_key_where_there_is_one(tmp_path: Path) -> None:
    key = made_up_key(9)
    (tmp_path / "binary").write_bytes(b"\0\xff" + key[20:28].encode() + b"\0")
    assert places_of(key, tmp_path, ["", key[-9:]])[0] == [str(tmp_path / "binary"), "output 1"]
