"""What comes of a rating where the server misbehaves, how fast it is, and what a kill costs.

All of it against `tests/rating_server.py`, a process of its own that speaks real HTTP on the
loopback and whose truth follows from hashes. Parts:

- faults: rows rated right, unrated with a reason, or wrong, and requests per reply, by kind;
- throughput: replies a second at 64 in flight where every answer takes 200 ms, beside the plain
  client that users write: `AsyncOpenAI`, a semaphore, `json.loads`, nothing kept;
- kill: a child process killed at random moments and resumed, compared with the unbroken run;
- secret: every file and all output of runs, failing ones too, searched for pieces of the key;
- estimate: the prompt tokens that were foretold beside those that the server counted.

Usage: python bench/bench_rating.py --rows 10000
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import importlib
import itertools
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ds2fast
from knn_table import describe_machine, machine

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "examples")]

from rating_answers import KINDS
from rating_child import FAILED, start_child
from rating_kills import kill_and_resume
from rating_pools import judge, made_up_rows
from rating_process import RunningServer, rating_server
from rating_secret import made_up_key, places_of
from rating_truth import true_level

from make_pool import make_pool

PACKAGES = ("openai", "json-repair", "aiohttp")
PARTS = ("faults", "throughput", "kill", "secret", "estimate")
SHARE = 0.1
WAITING_ROWS = 5  # `retry-after` stops all for up to a second each time: a fifth of the rows
TIMEOUT, SLOW_SECONDS = 1.0, 3.0
IN_FLIGHT, LATENCY = 64, 0.2
GOAL_THROUGHPUT, GOAL_ESTIMATE = 0.9, 0.05
KILLS, KILL_LATENCY = 20, 0.02
MEASURED = 100  # replies that a measured estimate rests on

Figures = dict[str, Any]


def main() -> None:
    arguments = parse_arguments()
    on = {**machine(), "rivals": {name: version(name) for name in PACKAGES}}
    print(f"{describe_machine(on)}\n{arguments.rows} rows", flush=True)
    measures = {
        "faults": measure_faults,
        "throughput": measure_throughput,
        "kill": measure_kills,
        "secret": measure_secret,
        "estimate": measure_estimate,
    }
    figures: Figures = {"benchmark": "rating", "machine": on, "rows": arguments.rows}
    for part in arguments.parts:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["DS2FAST_RATINGS_DIR"] = f"{folder}/ratings"
            figures[part] = measures[part](arguments, Path(folder))
    print(json.dumps(figures))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--kinds", nargs="+", choices=[*KINDS, "all"], help="of faults")
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--shared", type=Path, help="measuring data: real rows for the estimate")
    parser.add_argument(
        "--tokenizer",
        type=Path,
        default=ROOT / ".cache" / "encoder" / "tokenizer.json",
        help="vocabulary that the server counts tokens by",
    )
    return parser.parse_args()


def rate(server: RunningServer, rows: Any, **arguments: Any) -> ds2fast.Ratings:
    given = {"model": "judge", "keep_going": True, "progress": False, **arguments}
    return ds2fast.rate(rows, base_url=server.base_url, **given)


def fail(what: str) -> None:
    sys.exit(f"{what}: no figures")


# --- Faults ---------------------------------------------------------------------------------------


def measure_faults(arguments: argparse.Namespace, _: Path) -> dict[str, Figures]:
    print(f"\nfaults in {SHARE:.0%} of the requests (`all`: each kind in turn)")
    print(f"{'kind':14} {'right':>7} {'unrated':>8} {'wrong':>6} {'requests/reply':>15} {'s':>7}")
    found = {}
    for kind in arguments.kinds or [*KINDS, "all"]:
        rows = arguments.rows // (WAITING_ROWS if kind == "retry-after" else 1)
        found[kind] = run = measure_kind(kind, rows)
        print(
            f"{kind:14} {run['right']:7} {run['unrated']:8} {run['wrong']:6} "
            f"{run['requests_per_reply']:15.3f} {run['seconds']:7.1f}",
            flush=True,
        )
        for reason, count in run["reasons"].items():
            print(f"  {count} x {reason}")
        if run["wrong"] or run["right"] + run["unrated"] != rows:
            fail(f"{kind}: wrong scores")
    return found


def measure_kind(kind: str, num_rows: int) -> Figures:
    rows = made_up_rows(num_rows)
    late = ("--slow-seconds", str(SLOW_SECONDS), "--retry-after", "0.1")
    with rating_server("--fault", kind, "--share", str(SHARE), *late) as server:
        # A store for each kind: by chance, another server may get the same port.
        store = Path(os.environ["DS2FAST_RATINGS_DIR"]) / f"{kind}.sqlite"
        start = time.perf_counter()
        ratings = rate(server, rows, timeout=TIMEOUT, store=store)
        seconds = time.perf_counter() - start
        requests = server.stats()["requests"]
    verdict = judge(ratings)
    return {
        "rows": num_rows,
        "right": verdict.right,
        "unrated": verdict.unrated,
        "wrong": verdict.wrong,
        "requests_per_reply": requests / num_rows,
        "seconds": seconds,
        "reasons": dict(verdict.reasons.most_common(3)),
    }


# --- Throughput -----------------------------------------------------------------------------------


def measure_throughput(arguments: argparse.Namespace, folder: Path) -> dict[str, Figures]:
    """Replies a second between the first request and the last reply, by the server's own log."""
    most = IN_FLIGHT / LATENCY
    print(f"\n{IN_FLIGHT} in flight, {LATENCY} s each: at most {most:.0f} replies/s")
    print(f"{'client':10} {'replies/s':>10} {'share':>7} {'in all/s':>9} {'CPU ms/reply':>13}")
    importlib.import_module("openai")  # half a second, once, whoever needs it
    rows = made_up_rows(arguments.rows)
    texts = list(ds2fast.read(rows, scores=None).texts)
    true = [true_level(text) for text in texts]
    found = {}
    for name, client in {"ds2fast": ours, "plain": plain}.items():
        log = folder / f"{name}.throughput.jsonl"
        with rating_server("--latency", str(LATENCY), log=log) as server:
            start, cpu = time.perf_counter(), cpu_seconds()
            levels = client(server, rows, texts)
            in_all, cpu = time.perf_counter() - start, cpu_seconds() - cpu
            entries = server.log()
        if levels != true:
            fail(f"{name}: wrong scores")
        began = min(entry["begin"] for entry in entries)
        seconds = max(entry["end"] for entry in entries) - began
        rate_found = len(rows) / seconds
        found[name] = {
            "replies_per_second": rate_found,
            "share": rate_found / most,
            "in_all_per_second": len(rows) / in_all,
            "cpu_ms_per_reply": 1000 * cpu / len(rows),
        }
        print(
            f"{name:10} {rate_found:10.1f} {rate_found / most:7.1%} {len(rows) / in_all:9.1f} "
            f"{1000 * cpu / len(rows):13.2f}",
            flush=True,
        )
    share = found["ds2fast"]["share"]
    ratio = found["ds2fast"]["replies_per_second"] / found["plain"]["replies_per_second"]
    met = "met" if share >= GOAL_THROUGHPUT else "NOT met"
    print(
        f"goal: {GOAL_THROUGHPUT:.0%} of what is possible: {share:.1%}, {met}; {ratio:.3f} x plain"
    )
    return found


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def ours(server: RunningServer, rows: Any, _: Sequence[str]) -> list[int]:
    """Our client, with the store and all checks; rows in, levels out."""
    levels: list[int] = rate(server, rows, concurrency=IN_FLIGHT).scores.tolist()
    return levels


def plain(server: RunningServer, _: Any, texts: Sequence[str]) -> list[int]:
    """What users write: no store, no tries of its own but the library's, no doubt about a reply."""
    return asyncio.run(plainly(server, texts))


async def plainly(server: RunningServer, texts: Sequence[str]) -> list[int]:
    from openai import AsyncOpenAI

    from ds2fast.rating.prompt import DEFAULT_PROMPT

    slots = asyncio.Semaphore(IN_FLIGHT)
    schema = {"type": "json_schema", "json_schema": DEFAULT_PROMPT.schema}
    # The overloads know literal options only.
    options: Any = {"model": "judge", "temperature": 0, "max_tokens": 256}
    options["response_format"] = schema

    async def ask(text: str) -> int:
        async with slots:
            asked = {**options, "messages": DEFAULT_PROMPT.messages(text)}
            completion = await client.chat.completions.create(**asked)
        reply: Mapping[str, int] = json.loads(completion.choices[0].message.content or "")
        return min(max(reply["overall"], 4), 9) - 4

    async with AsyncOpenAI(base_url=server.base_url, api_key="none") as client:
        return list(await asyncio.gather(*(ask(text) for text in texts)))


# --- Kills ----------------------------------------------------------------------------------------


def measure_kills(arguments: argparse.Namespace, folder: Path) -> Figures:
    num_rows, kills = arguments.rows, arguments.kills
    print(f"\n{kills} kills of a run of {num_rows} rows at random moments, {IN_FLIGHT} in flight")
    whole, killed = folder / "whole.jsonl", folder / "killed.jsonl"
    with rating_server("--latency", str(KILL_LATENCY)) as server:
        child = start_child(num_rows, server.base_url, whole, concurrency=IN_FLIGHT)
        _, errors = child.communicate()
    if child.returncode:
        fail(f"the unbroken run: {errors}")
    log = folder / "server.jsonl"
    with rating_server("--latency", str(KILL_LATENCY), log=log) as server:
        found = kill_and_resume(
            server, num_rows, killed, kills=kills, seed=0, concurrency=IN_FLIGHT
        )
    if killed.read_bytes() != whole.read_bytes():
        fail("the killed run's rows differ from the unbroken one's")
    if found.asked_though_kept or found.excess > found.in_flight:
        fail(f"{found.asked_though_kept} finished replies were asked for again")
    print(
        f"equal to the unbroken run; {found.requests} requests, {found.excess} of them in excess, "
        f"{found.in_flight} in flight at the {found.kills} kills, {found.unread} cut off unread; "
        f"finished replies asked for again: {found.asked_though_kept}",
        flush=True,
    )
    return {
        "kills": found.kills,
        "requests": found.requests,
        "excess": found.excess,
        "in_flight_at_kills": found.in_flight,
        "unread": found.unread,
        "asked_though_kept": found.asked_though_kept,
    }


# --- The key --------------------------------------------------------------------------------------


def measure_secret(arguments: argparse.Namespace, folder: Path) -> Figures:
    """Runs that end well, with an alarm, with a refusal of the key, and by a kill."""
    num_rows, key, said = min(arguments.rows, 1000), made_up_key(1), list[str]()
    written = folder / "written"
    written.mkdir()
    environment = {"OPENAI_API_KEY": key, "DS2FAST_RATINGS_DIR": str(written / "ratings")}
    leaking = ("--fault", "leak", "--share", "0.3", "--latency", "0.01")
    runs = {
        "well": (leaking, True, 0),
        "alarm": ((*leaking, "--sticky"), False, FAILED),
        "refused": (("--require-key", made_up_key(2)), False, FAILED),
        "killed": (leaking, True, -9),
    }
    for name, (options, keep_going, code) in runs.items():
        with rating_server(*options, log=written / f"{name}.log") as server:
            output = written / f"{name}.jsonl"
            child = start_child(
                num_rows, server.base_url, output, environment=environment, keep_going=keep_going
            )
            while name == "killed" and server.stats()["requests"] < num_rows // 3:
                time.sleep(0.01)
            if name == "killed":
                child.kill()
            said += child.communicate()
            if child.returncode != code:
                fail(f"the run `{name}` ended with {child.returncode}: {said[-1]}")
    found, searched = places_of(key, folder, said)
    print(f"\nthe key, or 8 characters of it: in {len(found)} of {searched} files and outputs")
    if found:
        fail(f"the key is in {found}")
    return {"searched": searched, "found": len(found)}


# --- Estimate -------------------------------------------------------------------------------------


def measure_estimate(arguments: argparse.Namespace, _: Path) -> dict[str, Figures]:
    if not arguments.tokenizer.is_file():
        print(f"\nestimate: no vocabulary in {arguments.tokenizer}: left out")
        return {}
    rows = load_rows(arguments.shared, arguments.rows)
    source = "real" if arguments.shared else "made-up"
    print(f"\nprompt tokens, {source} rows, vocabulary {arguments.tokenizer}")
    with rating_server("--tokenizer", str(arguments.tokenizer)) as server:
        asked: Figures = {"model": "judge", "base_url": server.base_url}
        ways = {
            "rules": foretold(rows, asked),
            "vocabulary": foretold(rows, {**asked, "tokenizer": arguments.tokenizer}),
        }
        ratings = rate(server, rows, limit=MEASURED)
        before = server.stats()["prompt_tokens"]
        ways[f"rules, {MEASURED} replies had"] = before + foretold(rows, asked)
        ratings = rate(server, rows)
        used = server.stats()["prompt_tokens"]
    if not judge(ratings).all_right:
        fail("estimate: wrong scores")
    found = {}
    for name, tokens in ways.items():
        error = tokens / used - 1
        met = "met" if abs(error) <= GOAL_ESTIMATE else "NOT met"
        print(f"  {name:26} {tokens:10} foretold, {used:10} used, {error:+.1%}: {met}")
        found[name] = {"foretold": tokens, "used": used, "error": error}
    return found


def foretold(rows: Any, asked: Figures) -> int:
    return ds2fast.estimate_rating(rows, progress=False, **asked).prompt_tokens


def load_rows(shared: Path | None, number: int) -> list[dict[str, Any]]:
    """Real rows, or those of the demo's pool; without their scores."""
    if shared is None:
        return [{"messages": row["messages"]} for row in make_pool(min(number, 20_000))]
    with gzip.open(shared / "data" / "instructions.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [
            {"messages": json.loads(line)["messages"]} for line in itertools.islice(lines, number)
        ]


if __name__ == "__main__":
    main()
