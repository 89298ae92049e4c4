"""Kill a rating at random moments, resume it each time, and count what was asked for in vain."""

from __future__ import annotations

import json
import random
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ds2fast.embedding.hashes import text_hash
from ds2fast.rating.store import ReplyStore
from rating_child import start_child, store_of
from rating_pools import made_up_rows, texts_of
from rating_process import RunningServer
from rating_truth import sample_hash
from waiting import PATIENCE, wait_until

READABLE = {"right", "prose", "strings"}


@dataclass(frozen=True)
class Killed:
    """What came of a rating that was killed.

    `in_flight`: requests that had reached the server at the kills, and whose replies were not on
    the client's disk. `to_try_again`: samples whose last request had gone wrong. `excess`: samples
    that were asked for by more than one of the runs, counted for each run after the first.
    `unread`: requests that the kill cut off before they were read. `asked_though_kept`: samples
    asked for again whose reply was on the disk.
    """

    scores: list[int]
    kills: int
    requests: int
    excess: int
    in_flight: int
    to_try_again: int
    unread: int
    asked_though_kept: int
    most_kept_at_a_kill: int


def kill_and_resume(
    server: RunningServer, num_rows: int, output: Path, *, kills: int, seed: int, **arguments: Any
) -> Killed:
    """Rate rows in processes that are killed so many times, the last one not.

    The moments are drawn: each run lives for its share of what is left, give or take half of it.
    """
    draw = random.Random(seed)
    names = {text_hash(text): sample_hash(text) for text in texts_of(made_up_rows(num_rows))}
    seen = in_flight = excess = again = unread = to_try_again = 0
    kept: set[str] = set()
    asked: set[str] = set()
    done = 0
    sizes = []
    while True:
        child = start_child(num_rows, server.base_url, output, keep_going=True, **arguments)
        is_killed = done < kills
        if is_killed:
            share = (num_rows - len(kept)) / (kills + 1 - done)
            is_killed = _kill_after(child, server, seen + int(share * draw.uniform(0.5, 1.5)), draw)
        said, errors = child.communicate(timeout=2 * PATIENCE)
        wait_until(lambda: _is_quiet(server))
        entries = server.log()[seen:]
        run = [entry["sample"] for entry in entries if entry["sample"] is not None]
        seen += len(entries)
        unread += len(entries) - len(run)
        excess += len(asked & set(run))
        again += len(kept & set(run))
        asked |= set(run)
        kept = _kept_in(store_of(output), names)
        if not is_killed:
            break
        done += 1
        sizes.append(len(kept))
        last = {entry["sample"]: entry["kind"] for entry in entries if entry["sample"]}
        wrong = {sample for sample, kind in last.items() if kind not in READABLE} - kept
        to_try_again += len(wrong)
        in_flight += len(set(run) - kept - wrong)
    if child.returncode != 0:
        raise RuntimeError(f"the last run ended with {child.returncode}: {errors}")
    scores = json.loads(said.splitlines()[-1])
    return Killed(
        scores, done, seen, excess, in_flight, to_try_again, unread, again, max(sizes, default=0)
    )


def _kill_after(
    child: subprocess.Popen[str], server: RunningServer, requests: int, draw: random.Random
) -> bool:
    """Kill a process when the server has served so many requests; False: it ended before."""
    while server.stats()["requests"] < requests:
        if child.poll() is not None:
            return False
        time.sleep(0.01)
    time.sleep(draw.uniform(0, 0.05))
    child.kill()
    return child.wait() < 0


def _is_quiet(server: RunningServer) -> bool:
    """Whether the server has noted that the connections of a killed client are gone."""
    before = server.stats()
    time.sleep(0.05)  # what lies in its sockets is read in the meantime, or seen the next time
    after = server.stats()
    return bool(before["in_flight"] == 0 and after["requests"] == before["requests"])


def _kept_in(store: Path, names: dict[bytes, str]) -> set[str]:
    """The samples whose replies are on the disk, as the server's log names them."""
    with ReplyStore(store, readonly=True) as replies:
        raters = replies.raters()
        return {names[key] for number in raters for key, _ in replies.replies(number)}
