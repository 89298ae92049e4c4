"""The vector store: what was appended is found, and what is damaged, torn or foreign never is."""

from __future__ import annotations

import errno
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2fast.embedding import records
from ds2fast.embedding.hashes import hash_texts, text_hash
from ds2fast.embedding.store import VectorStore
from ds2fast.errors import InputError, InputFileError, InputTypeError, OutputError
from store_data import KEY, Kept, as_kept, contents, make_batch, make_store

NAMES = ["a frog", "a toad", "", "a newt ü", "stone"]
HEADER = 4096
RECORD = 28 + 4 * 3
CHILD = [sys.executable, str(Path(__file__).with_name("store_child.py"))]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """The file of a store of five texts that were appended in two batches."""
    return make_store(tmp_path, [make_batch(NAMES[:2]), make_batch(NAMES[2:])])


def expected() -> Kept:
    return as_kept(make_batch(NAMES[:2])) | as_kept(make_batch(NAMES[2:]))


def found_in(folder: Path, names: list[str] = NAMES) -> Kept:
    with VectorStore(folder, KEY) as store:
        return contents(store, hash_texts(names))


# What it holds


def test_hash_is_blake2b_of_utf8() -> None:
    assert text_hash("ü") == blake2b(b"\xc3\xbc", digest_size=16).digest()
    hashes = hash_texts(["ü", "", "ü"])
    assert hashes.dtype == np.uint8
    assert [row.tobytes() for row in hashes] == [text_hash("ü"), text_hash(""), text_hash("ü")]
    assert hash_texts([]).shape == (0, 16)
    assert text_hash("\ud800") not in {text_hash("?"), text_hash("\ufffd"), text_hash("")}


def test_what_was_appended_is_there_when_opened_again(good: Path, tmp_path: Path) -> None:
    with VectorStore(tmp_path, KEY) as store:
        assert (store.writable, store.notes, store.width, len(store)) == (True, [], 3, 5)
        assert contents(store, hash_texts([*NAMES, "another"])) == expected()
        np.testing.assert_array_equal(
            store.find(hash_texts(["stone", "nothing", "a frog"])), [4, -1, 0]
        )


def test_order_and_repeats_are_the_callers(good: Path, tmp_path: Path) -> None:
    with VectorStore(tmp_path, KEY) as store:
        asked = ["stone", "a frog", "stone", "stone", ""]
        vectors, tokens, _ = store.read(store.find(hash_texts(asked)))
    assert [row.tobytes() for row in vectors] == [expected()[text_hash(name)][0] for name in asked]
    np.testing.assert_array_equal(tokens, [6, 7, 6, 6, 1])


def test_file_is_as_documented(good: Path, tmp_path: Path) -> None:
    content = good.read_bytes()
    magic, size, width, words, checksum = struct.unpack("<8sIIII", content[:24])
    assert (magic, size, width) == (b"DS2FVEC1", HEADER, 3)
    assert json.loads(content[24 : 24 + words]) == KEY
    assert not any(content[24 + words : HEADER])
    assert checksum == zlib.crc32(content[:20] + bytes(4) + content[24:HEADER])
    assert len(content) == HEADER + len(NAMES) * RECORD
    for place, name in enumerate(NAMES):
        record = content[HEADER + place * RECORD :][:RECORD]
        text, tokens, flags, vector, own = struct.unpack("<16sII12sI", record)
        assert text == text_hash(name)
        assert (vector, tokens, bool(flags & 1)) == expected()[text]
        assert flags >> 1 == (place in {1, 4})  # the last ones of the two appends
        assert own == zlib.crc32(record[:-4], checksum)


def test_stores_of_other_keys_are_apart(good: Path, tmp_path: Path) -> None:
    for other in (KEY | {"precision": "fp32"}, KEY | {"most tokens": "256"}, {"model": "x"}):
        with VectorStore(tmp_path, other) as store:
            assert store.folder != good.parent
            assert not contents(store, hash_texts(NAMES))
    with VectorStore(tmp_path, {name: KEY[name] for name in reversed(KEY)}) as store:
        assert store.folder == good.parent


def test_a_file_under_another_keys_name_is_not_read(good: Path, tmp_path: Path) -> None:
    with VectorStore(tmp_path, KEY | {"precision": "fp32"}) as other:
        folder = other.folder
    shutil.copy(good, folder)
    with VectorStore(tmp_path, KEY | {"precision": "fp32"}) as other:
        assert not contents(other, hash_texts(NAMES))
        assert len(other.notes) == 1


def test_a_record_of_another_store_is_not_read(good: Path, tmp_path: Path) -> None:
    with VectorStore(tmp_path, KEY | {"precision": "fp32"}) as other:
        other.append(*make_batch(NAMES))
        foreign = other.folder / "vectors.bin"
    good.write_bytes(good.read_bytes()[:HEADER] + foreign.read_bytes()[HEADER:])
    assert found_in(tmp_path) == {}


def test_a_good_record_is_kept(tmp_path: Path) -> None:
    first, second = make_batch(["a", "b"]), make_batch(["b", "c", "c", "a"])
    with VectorStore(tmp_path, KEY) as store:
        assert store.append(*first) == 2
        assert store.append(*second) == 1
        assert contents(store, hash_texts(["a", "b"])) == as_kept(first)
        assert len(store) == 3
    assert found_in(tmp_path, ["a", "b"]) == as_kept(first)


def test_empty_calls(tmp_path: Path) -> None:
    none = hash_texts([])
    with VectorStore(tmp_path, KEY) as store:
        assert store.width is None
        assert store.append(*make_batch([])) == 0
        assert store.find(none).shape == (0,)
        assert store.read(store.find(none))[0].shape == (0, 0)
        store.append(*make_batch(["a"]))
        assert store.read(store.find(none))[0].shape == (0, 3)
        assert store.append(*make_batch([])) == 0


STEPS = st.lists(
    st.one_of(st.just("reopen"), st.lists(st.integers(0, 30), max_size=8)), max_size=12
)


@given(steps=STEPS, width=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_behaves_as_a_dict_that_keeps_the_first(steps: list[Any], width: int) -> None:
    everything = hash_texts([str(number) for number in range(31)])
    model: Kept = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        store = stack.enter_context(VectorStore(Path(folder), KEY))
        for step in steps:
            if step == "reopen":
                store.close()
                store = stack.enter_context(VectorStore(Path(folder), KEY))
            else:
                batch = make_batch([str(number) for number in step], width)
                store.append(*batch)
                first = [step.index(number) for number in dict.fromkeys(step)]
                hashes, vectors, tokens, cut = batch
                new = as_kept((hashes[first], vectors[first], tokens[first], cut[first]))
                model = new | model
            assert contents(store, everything) == model
            assert len(store) == len(model)


# Damage


@pytest.mark.parametrize("size", range(HEADER + 4 * RECORD, HEADER + 5 * RECORD))
def test_torn_tail_is_overwritten(good: Path, tmp_path: Path, size: int) -> None:
    whole = good.read_bytes()
    os.truncate(good, size)
    with VectorStore(tmp_path, KEY) as store:
        kept = contents(store, hash_texts(NAMES))
        assert kept == {text: expected()[text] for text in map(text_hash, NAMES[:4])}
        assert store.append(*make_batch(NAMES[2:])) == 1
        assert contents(store, hash_texts(NAMES)) == expected()
    assert good.read_bytes() == whole


@pytest.mark.parametrize("torn", [1, 2, 5])
def test_tail_of_zeros_is_overwritten(good: Path, tmp_path: Path, torn: int) -> None:
    """What a power cut may leave: the file has its length and not all of its content."""
    whole = good.read_bytes()
    good.write_bytes(whole[: len(whole) - torn * RECORD] + bytes(torn * RECORD + 7))
    with VectorStore(tmp_path, KEY) as store:
        assert len(contents(store, hash_texts(NAMES))) == 5 - torn
        store.append(*make_batch(NAMES[:2]))
        store.append(*make_batch(NAMES[2:]))
        assert contents(store, hash_texts(NAMES)) == expected()
    assert good.read_bytes()[: len(whole)] == whole


def flip(path: Path, byte: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(byte)
        flipped = file.read(1)[0] ^ (1 << bit)
        file.seek(byte)
        file.write(bytes([flipped]))


@pytest.mark.parametrize("byte", range(HEADER, HEADER + 5 * RECORD, 3))
def test_flipped_bit_of_a_record_costs_that_record(good: Path, tmp_path: Path, byte: int) -> None:
    flip(good, byte, byte % 8)
    damaged = text_hash(NAMES[(byte - HEADER) // RECORD])
    rest = {text: kept for text, kept in expected().items() if text != damaged}
    with VectorStore(tmp_path, KEY) as store:
        assert contents(store, hash_texts(NAMES)) == rest
        store.append(*make_batch(NAMES[:2]))
        store.append(*make_batch(NAMES[2:]))
        assert contents(store, hash_texts(NAMES)) == expected()
    assert found_in(tmp_path) == expected()


@pytest.mark.parametrize("byte", [*range(24), 25, 60, 200, 3000, HEADER - 1])
def test_flipped_bit_of_the_header_sets_the_file_aside(
    good: Path, tmp_path: Path, byte: int
) -> None:
    flip(good, byte, byte % 8)
    damaged = good.read_bytes()
    with VectorStore(tmp_path, KEY) as store:
        assert contents(store, hash_texts(NAMES)) == {}
        assert len(store.notes) == 1
        assert "vectors.damaged-1.bin" in store.notes[0]
        store.append(*make_batch(NAMES, 4))  # of another width: nothing is left of the old file
    assert found_in(tmp_path) == as_kept(make_batch(NAMES, 4))
    assert good.with_name("vectors.damaged-1.bin").read_bytes() == damaged


@pytest.mark.parametrize("content", [b"", b"DS2F", b"DS2FVEC1", bytes(5000), b"DS2FVEC2" * 600])
def test_files_that_are_no_store_are_set_aside(good: Path, tmp_path: Path, content: bytes) -> None:
    good.with_name("vectors.damaged-1.bin").write_bytes(b"an older one")
    good.write_bytes(content)
    with VectorStore(tmp_path, KEY) as store:
        assert len(store) == 0
        assert str(good) in store.notes[0]
    assert good.with_name("vectors.damaged-1.bin").read_bytes() == b"an older one"
    assert good.with_name("vectors.damaged-2.bin").read_bytes() == content


def test_damage_while_open_is_found(good: Path, tmp_path: Path) -> None:
    with VectorStore(tmp_path, KEY) as store:
        slots = store.find(hash_texts(NAMES))
        flip(good, HEADER + 2 * RECORD + 30, 5)
        with pytest.raises(InputFileError, match=r"vectors\.bin: expected good .* slot 2; run aga"):
            store.read(slots)
        np.testing.assert_array_equal(store.find(hash_texts(NAMES)), [0, 1, -1, 3, 4])
        np.testing.assert_array_equal(
            store.is_lost(np.array([-1, 0, 2, 4, 5])), [False, False, True, False, False]
        )


def test_what_a_killed_run_left_is_removed(good: Path, tmp_path: Path) -> None:
    left = good.with_name(".vectors.bin.0123456789ab.tmp")
    others = good.with_name(".mine.tmp")
    left.write_bytes(b"half")
    others.write_bytes(b"not ours")
    with VectorStore(tmp_path, KEY):
        assert not left.exists()
        assert others.exists()


@pytest.mark.parametrize(("left", "is_torn"), [(1, True), (2, False), (3, True), (4, True)])
def test_a_torn_append_is_known(good: Path, tmp_path: Path, left: int, is_torn: bool) -> None:
    os.truncate(good, HEADER + left * RECORD)
    with VectorStore(tmp_path, KEY) as store:
        np.testing.assert_array_equal(
            store.is_lost(np.array([left - 1, left, left + 1])), [False, is_torn, is_torn]
        )


# Several at once


def test_second_process_reads_along(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*CHILD, "hold", tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == "open\n"
        names = ["held", "appended later", "mine"]
        with VectorStore(tmp_path, KEY) as reader:
            assert not reader.writable
            assert "another run is writing" in reader.notes[0]
            assert set(contents(reader, hash_texts(names))) == {text_hash("held")}
            assert reader.append(*make_batch(["mine"])) == 0
            print(file=writer.stdin, flush=True)
            assert writer.stdout.readline() == "appended\n"
            later = as_kept(make_batch(["held"])) | as_kept(make_batch(["appended later"]))
            assert contents(reader, hash_texts(names)) == later
        writer.kill()
        writer.wait()
        with VectorStore(tmp_path, KEY) as after:  # the lock ended with its process
            assert after.writable
            assert contents(after, hash_texts(names)) == later


def test_lock_is_its_owners_where_a_process_forks(tmp_path: Path) -> None:
    assert run_child(*CHILD, "fork", tmp_path) == [
        "after the child closed it: taken",
        "after the owner closed it: free",
    ]


def test_reader_sees_a_file_that_began_later(tmp_path: Path) -> None:
    with VectorStore(tmp_path, KEY) as writer, VectorStore(tmp_path, KEY) as reader:
        assert not contents(reader, hash_texts(NAMES))
        assert not reader.writable
        writer.append(*make_batch(NAMES))
        assert contents(reader, hash_texts(NAMES)) == as_kept(make_batch(NAMES))


def test_reader_leaves_a_damaged_file_alone(good: Path, tmp_path: Path) -> None:
    with VectorStore(tmp_path, KEY), VectorStore(tmp_path, KEY) as reader:
        flip(good, 0, 0)
        assert len(contents(reader, hash_texts(NAMES))) == 5  # it has the header read already
        with VectorStore(tmp_path, KEY) as late:
            assert [contents(late, hash_texts(NAMES)) for _ in range(2)] == [{}, {}]
            assert [str(good) in note for note in late.notes] == [False, True]
    assert good.exists()


def test_reader_is_not_fooled_by_a_slot_that_changed_hands(good: Path, tmp_path: Path) -> None:
    flip(good, HEADER + 4 * RECORD + 30, 0)  # the last record, but not its hash
    with VectorStore(tmp_path, KEY) as writer, VectorStore(tmp_path, KEY) as reader:
        np.testing.assert_array_equal(reader.is_lost(np.array([3, 4, 5])), [False, True, False])
        writer.append(*make_batch(["another"]))
        assert writer.find(hash_texts(["another"]))[0] == 4
        assert reader.find(hash_texts(["stone"]))[0] == -1


# What the system refuses


def run_child(*command: object) -> list[str]:
    child = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    return child.stdout.splitlines()


def test_file_as_large_as_it_may_be(tmp_path: Path) -> None:
    # The eighth batch of two records ends in the middle of its second one.
    whole = 15
    lines = run_child(*CHILD, "fill-file", tmp_path, HEADER + whole * RECORD + 17)
    assert lines[0] == "finished 7"
    assert lines[1].startswith("cannot append to ")
    assert "vectors.bin: expected room for 80 bytes" in lines[1]
    assert os.strerror(errno.EFBIG) in lines[1]
    names = [f"{number}{letter}" for number in range(8) for letter in "ab"]
    with VectorStore(tmp_path, KEY) as store:
        slots = store.find(hash_texts(names))
        np.testing.assert_array_equal(slots, [*range(whole), -1])
        for number in range(7):
            pair = make_batch(names[2 * number : 2 * number + 2])
            assert contents(store, pair[0]) == as_kept(pair)
        store.append(*make_batch(names[-2:]))
        assert store.find(hash_texts(names))[-1] == whole


def test_full_disk(tmp_path: Path) -> None:
    space = ["unshare", "--mount", "--map-root-user"]  # mounts that end with the process
    probe = "mount -t tmpfs -o size=64k tmpfs " + str(tmp_path)
    if (
        not shutil.which("unshare")
        or subprocess.run([*space, "sh", "-c", probe], capture_output=True, check=False).returncode
    ):
        pytest.skip("no small file system can be mounted here; the limit of a file is tried above")
    lines = run_child(*space, *CHILD, "fill-disk", tmp_path, "64k")
    finished = int(lines[0].removeprefix("finished "))
    assert 500 < finished < 820  # 80 bytes a batch in 64 KiB less the header
    assert os.strerror(errno.ENOSPC) in lines[1]
    assert lines[2] == f"kept {finished}"


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), OutputError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_an_append_after_a_failed_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
    raised: type[BaseException],
) -> None:
    with VectorStore(tmp_path, KEY) as store:
        store.append(*make_batch(["a"]))
        monkeypatch.setattr(os, "pwrite", stop_after(RECORD + 9, failure))
        with pytest.raises(raised):
            store.append(*make_batch(["b", "c", "d"]))
        monkeypatch.undo()
        assert set(contents(store, hash_texts(["b", "c", "d"]))) == {text_hash("b")}
        np.testing.assert_array_equal(store.is_lost(np.array([1, 2, 3])), [False, True, True])
        store.append(*make_batch(["b", "c", "d"]))
        np.testing.assert_array_equal(store.find(hash_texts(["a", "b", "c", "d"])), range(4))
    assert found_in(tmp_path, ["b", "c", "d"]) == as_kept(make_batch(["b", "c", "d"]))


def stop_after(most_bytes: int, failure: BaseException) -> Callable[[int, memoryview, int], int]:
    """A pwrite that takes so many bytes, then fails."""
    real, left = os.pwrite, [most_bytes]

    def pwrite(descriptor: int, content: memoryview, offset: int) -> int:
        if not left[0]:
            raise failure
        written = real(descriptor, content[: left[0]], offset)
        left[0] -= written
        return written

    return pwrite


def test_the_disk_is_a_second_behind_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, synced = [100.0], list[float]()
    monkeypatch.setattr("ds2fast.embedding.records.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(records, "_sync_data", lambda _: synced.append(clock[0]))
    with VectorStore(tmp_path, KEY) as store:
        for number in range(26):
            store.append(*make_batch([str(number)]))
            assert not synced or clock[0] - synced[-1] <= 1
            clock[0] += 0.25
        assert 5 <= len(synced) <= 7
    assert synced[-1] == clock[0]


def test_disk_that_refuses_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    store = VectorStore(tmp_path, KEY)
    store.append(*make_batch(["a"]))
    monkeypatch.setattr(records, "_sync_data", refuse)
    with pytest.raises(OutputError, match=r"cannot finish .*vectors\.bin"):
        store.close()
    monkeypatch.undo()
    with VectorStore(tmp_path, KEY) as again:
        assert again.writable


def test_folder_that_cannot_be_locked_is_read(good: Path, tmp_path: Path) -> None:
    lock = good.with_name("lock")
    lock.unlink()
    lock.mkdir()
    with VectorStore(tmp_path, KEY) as store:
        assert not store.writable
        assert "cannot be locked" in store.notes[0]
        assert contents(store, hash_texts(NAMES)) == expected()


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"expected a folder that can be made, got .*file"):
        VectorStore(tmp_path / "file" / "vectors", KEY)


def test_file_that_cannot_be_read(good: Path, tmp_path: Path) -> None:
    good.unlink()
    good.mkdir()
    with pytest.raises(InputFileError, match=r"vectors\.bin: expected a file that can be read"):
        VectorStore(tmp_path, KEY)
    good.rmdir()
    with VectorStore(tmp_path, KEY) as store:
        assert store.writable  # the one that failed let go of the lock


# Arguments


@pytest.mark.parametrize(
    ("key", "kind", "message"),
    [
        ({}, InputError, "key: expected at least one name"),
        ("model", InputTypeError, "key: expected a mapping, got str"),
        ({"model": 1.5}, InputTypeError, r"key\['model'\]: expected a str or an int, got float"),
        ({"model": True}, InputTypeError, "got bool"),
        ({1: "x"}, InputTypeError, "key: expected names of type str, got 1"),
    ],
)
def test_keys_that_are_refused(
    tmp_path: Path, key: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        VectorStore(tmp_path / "none", key)
    assert not (tmp_path / "none").exists()


HASHES, VECTORS, TOKENS, CUT = make_batch(["a", "b"])
NOT_FINITE = np.array([[1, 2, 3], [0, np.nan, 0]], np.float32)


@pytest.mark.parametrize(
    ("batch", "kind", "message"),
    [
        ((HASHES.tolist(), VECTORS, TOKENS, CUT), InputTypeError, "hashes: .* uint8, got list"),
        ((HASHES.astype(int), VECTORS, TOKENS, CUT), InputTypeError, "got int64"),
        ((HASHES[:, :8], VECTORS, TOKENS, CUT), InputError, r"hashes: .* got \(2, 8\)"),
        ((HASHES, VECTORS.astype(float), TOKENS, CUT), InputTypeError, "vectors: .* got float64"),
        ((HASHES, VECTORS[:1], TOKENS, CUT), InputError, r"vectors: .*\(2, d\), got \(1, 3\)"),
        ((HASHES, VECTORS[:, :0], TOKENS, CUT), InputError, r"got \(2, 0\)"),
        ((HASHES, VECTORS[:, :2], TOKENS, CUT), InputError, "expected 3 numbers each.* got 2"),
        ((HASHES, NOT_FINITE, TOKENS, CUT), InputError, "finite numbers, row 1 holds others"),
        ((HASHES, VECTORS, TOKENS[:1], CUT), InputError, r"tokens: .*\(2,\), got \(1,\)"),
        ((HASHES, VECTORS, TOKENS / 2, CUT), InputTypeError, "tokens: expected integers"),
        ((HASHES, VECTORS, TOKENS - 9, CUT), InputError, "tokens: expected 0 to 4294967295"),
        ((HASHES, VECTORS, TOKENS << 32, CUT), InputError, "tokens: expected 0 to 4294967295"),
        ((HASHES, VECTORS, TOKENS, TOKENS), InputTypeError, "cut: expected bool, got int64"),
        ((HASHES, VECTORS, TOKENS, CUT[:1]), InputError, r"cut: .*\(2,\), got \(1,\)"),
    ],
)
def test_batches_that_are_refused(
    good: Path, tmp_path: Path, batch: Any, kind: type[Exception], message: str
) -> None:
    before = good.read_bytes()
    with VectorStore(tmp_path, KEY) as store, pytest.raises(kind, match=message):
        store.append(*batch)
    assert good.read_bytes() == before


def test_slots_that_are_not_there(good: Path, tmp_path: Path) -> None:
    with VectorStore(tmp_path, KEY) as store:
        for slots in ([-1, 0], [5]):
            with pytest.raises(InputError, match="slots: expected 0 to 4, got"):
                store.read(np.array(slots))


def test_closed_store_is_refused(good: Path, tmp_path: Path) -> None:
    with VectorStore(tmp_path, KEY) as store:
        pass
    store.close()
    with pytest.raises(InputError, match=r"after close\(\)"):
        store.find(hash_texts(NAMES))
    with pytest.raises(InputError, match=r"after close\(\)"):
        store.append(*make_batch(NAMES))
