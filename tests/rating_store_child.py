"""Processes that the tests of the store of replies start, limit and kill."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from ds2fast.embedding.hashes import text_hash
from ds2fast.errors import OutputError
from ds2fast.rating.store import ReplyStore, StoredReply

IDENTITY = {"model": "m", "prompt": "Rate it.", "temperature": 0}


def rated(number: int, turn: int = 0, content: str = "{}") -> StoredReply:
    """A reply whose every value follows from its number."""
    criteria = {"overall": number % 10 + 1, "rarity": number % 7 + 1}
    return StoredReply(
        text_hash(str(number)), turn, criteria, None, None, content, number, 9, 1, number / 8
    )


def write_on(path: Path, log: str) -> None:
    """Write batches of three until killed; what was written is logged after it was."""
    logged = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with ReplyStore(path) as store:
        rater = store.rater_id(IDENTITY)
        first = len(store.replies(rater))
        print("open", flush=True)
        for number in range(first, 10**6, 3):
            store.write(rater, [rated(number + place) for place in range(3)])
            os.write(logged, f"{number}\n".encode())


def hold(path: Path) -> None:
    """Write one reply and keep the store open until a line comes."""
    with ReplyStore(path) as store:
        store.write(store.rater_id(IDENTITY), [rated(1)])
        print("open", flush=True)
        sys.stdin.readline()


def fill(path: Path, most_bytes: str) -> None:
    """Write until the files have the size that the process may write."""
    with ReplyStore(path) as store:
        rater = store.rater_id(IDENTITY)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(most_bytes), int(most_bytes)))
        for number in range(100_000):
            try:
                store.write(rater, [rated(number, content="x" * 1000)])
            except OutputError as error:
                print(number, len(store.replies(rater)), error, sep="\n", flush=True)
                return


if __name__ == "__main__":
    ROLES: dict[str, Callable[..., None]] = {"write": write_on, "hold": hold, "fill": fill}
    ROLES[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
