"""The plan of a job: a job that was stopped ends with the bytes of one that was not."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2fast.embedding.hashes import hash_texts
from ds2fast.embedding.header import DamagedFileError
from ds2fast.embedding.plan import BatchPlan
from ds2fast.embedding.plan_file import decode_plan, encode_plan
from ds2fast.embedding.store import VectorStore
from ds2fast.errors import InputError, OutputError
from ds2fast.results import IntArray
from store_data import KEY, Kept, contents, job_names, make_batch
from waiting import PATIENCE

CHILD = [sys.executable, str(Path(__file__).with_name("store_child.py"))]
HEADER = 4096
RECORD = 28 + 4 * 3


def fours(places: IntArray) -> list[IntArray]:
    return np.split(places, range(4, len(places), 4))


def never(places: IntArray) -> list[IntArray]:
    raise AssertionError(f"planned anew: {places}")


def run(store: VectorStore, names: list[str], plan: BatchPlan, most: int = 10**9) -> list[str]:
    """Run some batches of a plan; the texts that ran."""
    ran: list[str] = []
    for batch in plan.batches[:most]:
        mates = [names[place] for place in batch]
        store.append(*make_batch(mates))
        ran += mates
    return ran


def texts(begin: int, end: int) -> list[str]:
    return [f"text {number}" for number in range(begin, end)]


def plans_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/plans/*"))


def unbroken(folder: Path, names: list[str]) -> tuple[bytes, Kept]:
    """The file, and what it holds, of a job that nothing stopped."""
    with VectorStore(folder, KEY) as store:
        run(store, names, BatchPlan(store, hash_texts(names), fours))
        return (store.folder / "vectors.bin").read_bytes(), contents(store, hash_texts(names))


# One job


def test_an_unbroken_job(tmp_path: Path) -> None:
    names = texts(0, 10)
    with VectorStore(tmp_path, KEY) as store:
        plan = BatchPlan(store, hash_texts(names), fours)
        assert [batch.tolist() for batch in plan.batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
        np.testing.assert_array_equal(plan.slots, [-1] * 10)
        assert len(plans_in(tmp_path)) == 1
        run(store, names, plan)
        plan.finish()
        assert not plans_in(tmp_path)
        again = BatchPlan(store, hash_texts(names), never)
        assert again.batches == []
        np.testing.assert_array_equal(again.slots, range(10))
        assert not plans_in(tmp_path)


def test_stopped_job_goes_on_by_its_plan_in_any_order_of_texts(tmp_path: Path) -> None:
    names = texts(0, 30)
    with VectorStore(tmp_path / "a", KEY) as store:
        run(store, names, BatchPlan(store, hash_texts(names), fours), most=3)
    turned = names[::-1]
    with VectorStore(tmp_path / "a", KEY) as store:
        plan = BatchPlan(store, hash_texts(turned), never)
        assert run(store, turned, plan) == names[12:]
        plan.finish()
        file, kept = unbroken(tmp_path / "b", names)
        assert contents(store, hash_texts(names)) == kept
        assert (store.folder / "vectors.bin").read_bytes() == file


@pytest.mark.parametrize("size", range(HEADER + 8 * RECORD, HEADER + 12 * RECORD + 1, 5))
def test_torn_batch_runs_whole(tmp_path: Path, size: int) -> None:
    names = texts(0, 22)
    file, kept = unbroken(tmp_path / "b", names)
    with VectorStore(tmp_path / "a", KEY) as store:
        run(store, names, BatchPlan(store, hash_texts(names), fours), most=3)
        path = store.folder / "vectors.bin"
    path.write_bytes(path.read_bytes()[:size])
    with VectorStore(tmp_path / "a", KEY) as store:
        ran = run(store, names, BatchPlan(store, hash_texts(names), never))
        assert ran == (names[12:] if size == HEADER + 12 * RECORD else names[8:])
        assert contents(store, hash_texts(names)) == kept
    assert path.read_bytes() == file


@given(place=st.integers(0, 21), byte=st.integers(0, RECORD - 1), stop=st.integers(1, 6))
def test_batch_with_a_damaged_record_runs_whole(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, stop: int
) -> None:
    tmp_path, names = tmp_path_factory.mktemp("plan"), texts(0, 22)
    _, kept = unbroken(tmp_path / "b", names)
    with VectorStore(tmp_path / "a", KEY) as store:
        run(store, names, BatchPlan(store, hash_texts(names), fours), most=stop)
        path = store.folder / "vectors.bin"
    content = bytearray(path.read_bytes())
    done = min(22, 4 * stop)
    at = HEADER + place * RECORD + byte
    if place < done:
        content[at] ^= 0x10
        path.write_bytes(content)
    with VectorStore(tmp_path / "a", KEY) as store:
        ran = run(store, names, BatchPlan(store, hash_texts(names), never))
        begin = place // 4 * 4
        assert ran == (names[begin : begin + 4] if place < done else []) + [
            name for name in names[done:] if name not in names[begin : begin + 4] or place >= done
        ]
        assert contents(store, hash_texts(names)) == kept


# Several jobs


def test_two_jobs_that_share_texts_run_none_twice(tmp_path: Path) -> None:
    first, second = texts(1, 101), texts(40, 201)
    with VectorStore(tmp_path, KEY) as store:
        ran = run(store, first, BatchPlan(store, hash_texts(first), fours), most=12)
        assert len(ran) == 48
    with VectorStore(tmp_path, KEY) as store:
        plan = BatchPlan(store, hash_texts(second), fours)
        ran += run(store, second, plan)
        plan.finish()
    with VectorStore(tmp_path, KEY) as store:
        ran += run(store, first, BatchPlan(store, hash_texts(first), never))
    assert sorted(ran) == sorted(texts(1, 201))
    assert not plans_in(tmp_path)


def test_jobs_that_stop_in_turns_run_no_text_twice(tmp_path: Path) -> None:
    jobs = [texts(0, 60), texts(0, 90)[::-2], texts(30, 90), texts(7, 50)[::3]]
    ran: list[str] = []
    for turn in range(80):
        names = jobs[turn % 4]
        with VectorStore(tmp_path, KEY) as store:
            ran += run(store, names, BatchPlan(store, hash_texts(names), fours), most=1)
    assert sorted(ran) == sorted(texts(0, 90))
    assert not plans_in(tmp_path)


def test_a_text_that_was_lost_joins_the_plan(tmp_path: Path) -> None:
    names = texts(0, 12)
    with VectorStore(tmp_path, KEY) as store:
        store.append(*make_batch(names[:1]))
        run(store, names, BatchPlan(store, hash_texts(names), fours), most=1)
        path = store.folder / "vectors.bin"
    content = bytearray(path.read_bytes())
    content[HEADER + 30] ^= 1  # the one that was there before the job
    path.write_bytes(content)
    for make in (fours, never):  # and stays in the plan
        with VectorStore(tmp_path, KEY) as store:
            plan = BatchPlan(store, hash_texts(names), make)
            assert [batch.tolist() for batch in plan.batches] == [[5, 6, 7, 8], [9, 10, 11], [0]]


def test_reader_uses_a_plan_and_leaves_it(tmp_path: Path) -> None:
    names = texts(0, 12)
    with VectorStore(tmp_path, KEY) as writer, VectorStore(tmp_path, KEY) as reader:
        fresh = BatchPlan(reader, hash_texts(names), lambda places: [places])
        assert len(fresh.batches) == 1
        assert not plans_in(tmp_path)
        plan = BatchPlan(writer, hash_texts(names), fours)
        run(writer, names, plan, most=1)
        copied = BatchPlan(reader, hash_texts(names), never)
        assert [batch.tolist() for batch in copied.batches] == [[4, 5, 6, 7], [8, 9, 10, 11]]
        copied.finish()
        assert len(plans_in(tmp_path)) == 1


# The file


def test_damaged_plan_is_made_anew(tmp_path: Path) -> None:
    names = texts(0, 12)
    with VectorStore(tmp_path, KEY) as store:
        BatchPlan(store, hash_texts(names), fours)
        (path,) = plans_in(tmp_path)
        good = path.read_bytes()
        for damaged in (b"", good[:-1], good[:50], good + b"\0", bytes(len(good))):
            path.write_bytes(damaged)
            plan = BatchPlan(store, hash_texts(names), lambda places: [places])
            assert len(plan.batches) == 1
        other = hash_texts(["another"])
        path.write_bytes(encode_plan(bytes.fromhex(path.stem), [other]))
        assert len(BatchPlan(store, hash_texts(names), fours).batches) == 3
        assert path.read_bytes() == good


@given(lengths=st.lists(st.integers(1, 5), max_size=6), job=st.binary(min_size=16, max_size=16))
def test_plan_file_holds_its_batches(lengths: list[int], job: bytes) -> None:
    batches = [
        hash_texts([f"{number} {place}" for place in range(length)])
        for number, length in enumerate(lengths)
    ]
    read = decode_plan(encode_plan(job, batches), job)
    assert [batch.tobytes() for batch in read] == [batch.tobytes() for batch in batches]
    with pytest.raises(DamagedFileError):
        decode_plan(encode_plan(job, batches), job[::-1] + b"x")


@given(data=st.data())
def test_flipped_bit_of_a_plan_is_found(data: st.DataObject) -> None:
    job = bytes(range(16))
    content = bytearray(encode_plan(job, [hash_texts(["a", "b"]), hash_texts(["c"])]))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(DamagedFileError):
        decode_plan(bytes(content), job)


def test_plan_that_cannot_be_written(tmp_path: Path) -> None:
    with VectorStore(tmp_path, KEY) as store:
        (store.folder / "plans").write_bytes(b"a file")
        with pytest.raises(OutputError, match=r"plans"):
            BatchPlan(store, hash_texts(["a"]), fours)


def test_arguments_that_are_refused(tmp_path: Path) -> None:
    with VectorStore(tmp_path, KEY) as store:
        with pytest.raises(InputError, match=r"hashes: expected each text once, got 2 times .* 1$"):
            BatchPlan(store, hash_texts(["a", "b", "c", "b"]), fours)
        with pytest.raises(InputError, match="make: expected batches with each of 2 texts"):
            BatchPlan(store, hash_texts(["a", "b"]), lambda places: [places[:1]])
        with pytest.raises(InputError, match="make: expected batches with each of 2 texts"):
            BatchPlan(store, hash_texts(["a", "b"]), lambda places: [places, places])
    assert not plans_in(tmp_path)


# Kill -9


def run_child(folder: Path, log: Path, pause: float, kill_after: float | None) -> int:
    """Run the job of `store_child.py`, or kill it so many seconds after the store was opened."""
    command = [*CHILD, "job", str(folder), str(log), str(pause)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        if kill_after is not None:
            time.sleep(kill_after)
            child.kill()
        return child.wait(timeout=PATIENCE)


def test_job_killed_twenty_times_ends_with_the_same_bytes(tmp_path: Path) -> None:
    """Some 800 batches of at least 2 ms each: 20 times 60 ms are not enough to end them."""
    chance = random.Random(4)
    kills = 0
    while kills < 20:
        code = run_child(tmp_path / "a", tmp_path / "log", 0.002, chance.uniform(0, 0.06))
        if code == 0:
            break
        assert code == -signal.SIGKILL
        kills += 1
    assert kills >= 10
    assert run_child(tmp_path / "a", tmp_path / "log", 0, None) == 0
    assert run_child(tmp_path / "b", tmp_path / "once", 0, None) == 0

    (broken,) = (tmp_path / "a").glob("*/vectors.bin")
    (whole,) = (tmp_path / "b").glob("*/vectors.bin")
    assert broken.read_bytes() == whole.read_bytes()
    hashes = hash_texts(job_names())
    with VectorStore(tmp_path / "a", KEY) as store, VectorStore(tmp_path / "b", KEY) as other:
        kept = contents(store, hashes)
        assert len(kept) == len(hashes)
        assert kept == contents(other, hashes)
    assert not plans_in(tmp_path / "a")
    assert not list((tmp_path / "a").rglob(".*"))

    ran, once = ((tmp_path / name).read_text().splitlines() for name in ("log", "once"))
    assert len(once) == len(set(once))
    assert set(ran) == set(once)  # the batches of the plan, whole, and no others
    repeats = len(ran) - len(set(ran))
    print(f"{kills} kills, {len(once)} batches, {repeats} of them run twice")
    assert repeats <= kills
