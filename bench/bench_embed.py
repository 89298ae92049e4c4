"""Measures `ds2fast.embed` against other ways from the same texts to the same model's vectors.

Each way runs in a process of its own, its threads and CPUs pinned alike, in rounds whose order
rotates. Before a time is printed its vectors are compared with those of sentence-transformers on
torch: cosine, the 10 nearest neighbours, and what `select` picks by them. The protocol, and what
the columns say, is in README.md beside this file.

Usage: python bench/bench_embed.py --rival-python rivals/bin/python --threads 2 1
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ds2fast import read
from ds2fast.io.atomic import atomic_file
from ds2fast.results import IntArray
from ds2fast.threads import available_threads
from embed_batches import MAX_TOKENS, TokenReader
from embed_processes import (
    DISTILLED,
    Runner,
    checkpoint_key,
    models_needed,
    rotated,
)
from embed_table import Measured, against_front, describe, describe_front, figures
from embed_truth import Truth, WrongVectorsError
from embed_ways import OURS, REFERENCE, RIVALS, WAYS
from knn_processes import RunFailedError
from knn_table import machine
from quality_plant import Planter
from quality_pool import load_embeddings
from quality_regimes import Regime

WARM_TEXTS = 32
CALIBRATION_TEXTS = 2000
"""Texts behind the timed ones: those that warm up; of the others, int8 ranges are found on the
first, and our static tier is fitted to all."""

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    arguments = parse_arguments()
    texts = load_texts(arguments)
    levels = planted_levels(arguments)
    reader = TokenReader(str(arguments.encoder))
    tokens = sum(map(len, reader(texts[: arguments.rows])))
    about = {name: value for name, value in machine().items() if name != "rivals"}
    result: dict[str, Any] = {"benchmark": "embed", "machine": about, "rows": arguments.rows}
    result |= {"tokens": tokens, "max_tokens": MAX_TOKENS, "made": {}, "threads": []}
    distinct = len(set(texts[: arguments.rows]))
    print(
        f"{about['cpu']}, {about['threads']} CPUs usable, SIMD level {about['simd_level']}\n"
        f"{arguments.rows} texts ({distinct} distinct), {tokens} tokens, cut at {MAX_TOKENS}; "
        f"load before {os.getloadavg()[0]:.2f}",
        flush=True,
    )
    with tempfile.TemporaryDirectory(prefix="bench-embed-") as work:
        models = arguments.models / checkpoint_key(arguments.encoder)
        runner = Runner(
            arguments.encoder, Path(work), models, arguments.rival_python, arguments.limit
        )
        behind = arguments.rows + WARM_TEXTS
        runner.write_texts(texts[arguments.rows : behind], texts[: arguments.rows], texts[behind:])
        ways = [REFERENCE, *arguments.rivals, *arguments.ours]
        missing = make_models(runner, ways, max(arguments.threads), result["made"])
        right = True
        for threads in arguments.threads:
            measured = measure(runner, ways, levels, threads, arguments.repeats, missing)
            right &= tell(measured, arguments.rows, tokens, threads, result)
            save(result, arguments.json)
    print(json.dumps(result))
    sys.exit(0 if right else 1)


def parse_arguments() -> argparse.Namespace:
    cpus = available_threads()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rows", type=int, default=4000, help="texts that are timed: the first of the data")
    add("--threads", type=int, nargs="+", default=[2, 1][-cpus:])
    add("--repeats", type=int, default=3, help="rounds; each way runs once in each")
    add("--rivals", choices=RIVALS, nargs="*", default=RIVALS, metavar="WAY", help=str(RIVALS))
    add("--ours", choices=OURS, nargs="*", default=OURS, metavar="WAY", help=str(OURS))
    add("--rival-python", default=sys.executable, help="interpreter that has the rivals installed")
    add("--encoder", type=Path, default=ROOT / ".cache" / "encoder", help="checkpoint's folder")
    add("--models", type=Path, default=ROOT / "build" / "bench-embed", help="keeps rivals' models")
    add("--limit", type=float, default=1800.0, help="seconds that one run may take")
    add("--json", type=Path, help="file for the JSON as well, written after every thread count")
    default_shared = os.environ.get("DS2FAST_SHARED") or ROOT.parent / "shared"
    add("--shared", type=Path, default=Path(default_shared), help="folder of the measuring data")
    arguments = parser.parse_args()
    for threads in arguments.threads:
        if not 1 <= threads <= cpus:
            parser.error(f"--threads: expected 1 to {cpus} (the CPUs usable here), got {threads}")
    if arguments.rows < 50:
        parser.error(f"--rows: expected 50 or more (a selection of one row), got {arguments.rows}")
    if arguments.repeats < 1:
        parser.error(f"--repeats: expected 1 or more, got {arguments.repeats}")
    if not (arguments.encoder / "model.safetensors").is_file():
        parser.error(f"--encoder: expected a checkpoint in safetensors in {arguments.encoder}")
    arguments.encoder, arguments.models = arguments.encoder.resolve(), arguments.models.resolve()
    return arguments


def load_texts(arguments: argparse.Namespace) -> list[str]:
    """As ds2fast renders them: the timed ones, those to warm up with, those to calibrate with."""
    path = arguments.shared / "data" / "instructions.jsonl.gz"
    if not path.is_file():
        raise SystemExit(f"--shared: expected the measuring data, {path} is not there")
    texts = list(read(path, scores=None).texts)
    most = len(texts) - WARM_TEXTS - CALIBRATION_TEXTS
    if arguments.rows > most:
        raise SystemExit(f"--rows: expected at most {most}, got {arguments.rows}")
    return texts[: arguments.rows + WARM_TEXTS + CALIBRATION_TEXTS]


def planted_levels(arguments: argparse.Namespace) -> IntArray:
    """Ratings of the timed rows: planted on the data's own vectors, so by none of the ways."""
    data = arguments.shared / "data"
    vectors = load_embeddings(data / "instructions.minilm.f16.npy")[: arguments.rows]
    try:
        levels = Planter(vectors).plant(Regime("cluster", "ordinal", 0.3), 0).scores
    except ModuleNotFoundError as error:
        raise SystemExit(
            f"expected {error.name} beside ds2fast, to plant ratings, got none"
        ) from error
    return np.asarray(levels, np.int64)


def make_models(
    runner: Runner, ways: list[str], threads: int, made: dict[str, float | None]
) -> dict[str, str]:
    """Make what is not there; why there is none, of those that could not be made."""
    missing: dict[str, str] = {}
    for model in models_needed(ways):
        print(f"... making {model}", file=sys.stderr, flush=True)
        try:
            made[model] = runner.make(model, threads)
        except RunFailedError as error:
            missing[model] = f"no model: {error}"
    if made.get(DISTILLED) is not None:
        print(f"distilling the static tier took {made[DISTILLED]:.1f} s on {threads} threads")
    return missing


def measure(
    runner: Runner,
    ways: list[str],
    levels: IntArray,
    threads: int,
    repeats: int,
    missing: dict[str, str],
) -> tuple[Truth, list[Measured]]:
    """Rounds of all ways; one that fails once is left out from then on."""
    measured = {way: Measured(way, problem=missing.get(WAYS[way].model or "")) for way in ways}
    truth: Truth | None = None
    for turn in range(repeats):
        for way in rotated(ways, turn, repeats):
            run_once(runner, measured[way], turn, threads)
        truth = truth or reference_truth(runner, measured[REFERENCE], levels)
        for one in measured.values():
            judge(runner, one, truth)
    if truth is None:  # parse_arguments asks for a round or more
        raise ValueError(f"repeats: expected 1 or more, got {repeats}")
    return truth, list(measured.values())


def run_once(runner: Runner, one: Measured, turn: int, threads: int) -> None:
    if one.problem is not None:
        return
    print(f"... round {turn + 1}, {threads} threads: {one.way}", file=sys.stderr, flush=True)
    try:
        one.runs[turn] = runner.run(one.way, threads)
    except RunFailedError as error:
        one.problem = str(error)


def reference_truth(runner: Runner, reference: Measured, levels: IntArray) -> Truth:
    if reference.problem is not None:
        raise SystemExit(f"{REFERENCE}, which all is compared with: {reference.problem}")
    try:
        return Truth.find(runner.vectors(REFERENCE), levels)
    except WrongVectorsError as error:
        raise SystemExit(f"{REFERENCE}, which all is compared with: {error}") from error


def judge(runner: Runner, one: Measured, truth: Truth) -> None:
    """Every round's vectors are looked at; the figures told are the first round's."""
    if one.problem is not None:
        return
    try:
        verdict = truth.judge(runner.vectors(one.way), WAYS[one.way].least_cosine)
    except WrongVectorsError as error:
        one.problem = f"wrong vectors: {error}"
    else:
        one.verdict = one.verdict or verdict


def tell(
    found: tuple[Truth, list[Measured]],
    texts: int,
    tokens: int,
    threads: int,
    result: dict[str, Any],
) -> bool:
    """Print the table, add to the result; whether all of ours ran and was right."""
    truth, ways = found
    front = against_front(ways)
    noise = truth.noise()
    print(f"\n{threads} thread{'' if threads == 1 else 's'}\n{describe(ways, texts, tokens)}")
    print(f"another seed of the same vectors keeps {noise:.4f} of the selection")
    print(describe_front(front), flush=True)
    result["threads"].append(
        {
            "threads": threads,
            "load_after": os.getloadavg()[0],
            "selection_of_another_seed": noise,
            "ways": [figures(one, ways[0], texts, tokens) for one in ways],
            "front": [asdict(one) for one in front],
        }
    )
    return all(one.timed for one in ways if WAYS[one.way].ours)


def save(result: dict[str, Any], path: Path | None) -> None:
    if path is not None:
        with atomic_file(path) as file:
            file.write(json.dumps(result, indent=1).encode() + b"\n")


if __name__ == "__main__":
    main()
