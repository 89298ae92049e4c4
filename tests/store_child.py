"""Processes that the tests of the store start, limit and kill: `store_child.py WHAT FOLDER ...`."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ds2fast.embedding.hashes import hash_texts
from ds2fast.embedding.plan import BatchPlan
from ds2fast.embedding.store import VectorStore
from ds2fast.errors import OutputError
from store_data import KEY, job_batches, job_names, make_batch


def run_job(folder: Path, log: str, pause: str) -> None:
    """Run what is left of the job; each batch is logged before it is appended."""
    names = job_names()
    hashes = hash_texts(names)
    logged = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with VectorStore(folder, KEY) as store:
        print("open", flush=True)
        plan = BatchPlan(store, hashes, job_batches)
        for batch in plan.batches:
            os.write(logged, " ".join(map(str, batch)).encode() + b"\n")
            time.sleep(float(pause))
            store.append(*make_batch([names[place] for place in batch], 256))
        plan.finish()


def hold(folder: Path) -> None:
    """Append one text and keep the store open until a line comes."""
    with VectorStore(folder, KEY) as store:
        store.append(*make_batch(["held"]))
        print("open", flush=True)
        sys.stdin.readline()
        store.append(*make_batch(["appended later"]))
        print("appended", flush=True)
        sys.stdin.readline()


def fork(folder: Path) -> None:
    """Close the store in a forked child, then in its owner while a child lives on with it."""
    store = VectorStore(folder, KEY)
    if not (child := os.fork()):
        store.close()
        os._exit(0)
    os.waitpid(child, 0)
    print("after the child closed it:", _state(folder))
    if not (child := os.fork()):
        time.sleep(60)  # until it is killed
        os._exit(0)
    store.close()
    print("after the owner closed it:", _state(folder))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _state(folder: Path) -> str:
    with VectorStore(folder, KEY) as store:
        return "free" if store.writable else "taken"


def fill_file(folder: Path, most_bytes: str) -> None:
    """Append until the file has the size that the process may write."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(most_bytes), int(most_bytes)))
    _fill(folder)


def fill_disk(folder: Path, size: str) -> None:
    """Append until a small file system, mounted for this process alone, is full."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    _fill(folder)
    with VectorStore(folder, KEY) as store:
        for number in range(10_000):
            batch = make_batch([f"{number}a", f"{number}b"])
            slots = store.find(batch[0])
            if (slots < 0).any():
                break
            if store.read(slots)[0].tobytes() != batch[1].tobytes():
                raise SystemExit(f"batch {number} has other vectors")
    print("kept", number)


def _fill(folder: Path) -> None:
    with VectorStore(folder, KEY) as store:
        for number in range(10_000):
            try:
                store.append(*make_batch([f"{number}a", f"{number}b"]))
            except OutputError as error:
                print("finished", number)
                print(error, flush=True)
                return


if __name__ == "__main__":
    ROLES: dict[str, Callable[..., None]] = {
        "job": run_job,
        "hold": hold,
        "fork": fork,
        "fill-file": fill_file,
        "fill-disk": fill_disk,
    }
    ROLES[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
