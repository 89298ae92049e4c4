"""Is a selection better than its controls? On answers that a real LLM judge has scored.

24 142 answers of 29 generators to 805 instructions, with a judge's log odds; the scores 0 to 5 are
those cut at fixed quantiles. A tenth is selected, as ds2fast does it and within rules, and is laid
beside the controls that `select` writes: rows drawn at random (20 draws), the longest, the best by
the score as given with ties at random. The judge's log odds are finer than the scores that the ways
see; the truth behind them nobody knows.

Usage: python bench/bench_controls.py --shared ../shared [--model .cache/encoder]
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np

import ds2fast
from ds2fast.controls import controls_of
from ds2fast.results import DoubleArray, IntArray

RANDOM_DRAWS = 20


def main() -> None:
    arguments = parse_arguments()
    path = arguments.shared / "data" / "judged.jsonl.gz"
    with gzip.open(path, "rt") as file:
        rows = [json.loads(line) for line in file]
    odds = np.array([row["judge_log_odds"] for row in rows])
    asked = np.unique([row["instruction"] for row in rows], return_inverse=True)[1]
    common: dict[str, Any] = {
        "model": arguments.model,
        "threads": arguments.threads,
        "fraction": arguments.fraction,
    }
    plain = ds2fast.select(path, **common)
    print(plain)
    graph = plain.graph
    ways: dict[str, IntArray] = {"ds2fast": plain.indices}
    for name, rules in rules_of().items():
        ways[name] = ds2fast.select(path, **common, **rules).indices
    ways |= {
        "preset=paper": ds2fast.select(path, graph=graph, preset="paper", **common).indices,
        "scores as given, rarest first": plain.ranked_as_given(),
    }
    for control, indices in controls_of(plain, seed=0).items():
        if control != "random":
            ways[f"control: {control}"] = indices
    figures = {name: figures_of(chosen, plain, odds, asked) for name, chosen in ways.items()}
    draws = [
        figures_of(controls_of(plain, seed=seed)["random"], plain, odds, asked)
        for seed in range(RANDOM_DRAWS)
    ]
    figures["control: random (mean of 20)"] = {
        key: float(np.mean([draw[key] for draw in draws])) for key in draws[0]
    }
    figures["the whole pool"] = figures_of(np.arange(len(rows)), plain, odds, asked)
    tell(figures)
    print(json.dumps({"bench": "controls", "rows": len(rows), "n": len(plain), "ways": figures}))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="folder of the measuring data")
    parser.add_argument("--model", default=".cache/encoder", help="encoder")
    parser.add_argument("--fraction", type=float, default=0.1, help="share to select")
    parser.add_argument("--threads", type=int, help="threads")
    return parser.parse_args()


def rules_of() -> dict[str, dict[str, Any]]:
    """Selections within rules."""
    return {
        "ds2fast, max_similarity=0.9": {"max_similarity": 0.9},
        "ds2fast, 3 answers an instruction": {"groups": "instruction", "group_caps": 3},
    }


def figures_of(
    chosen: IntArray, selection: ds2fast.Selection, odds: DoubleArray, asked: IntArray
) -> dict[str, float]:
    """What is said of a set of rows."""
    pool = selection.pool
    lengths = np.array([len(text) for text in pool.texts]) if pool is not None else np.zeros(1)
    return {
        "rows": len(chosen),
        "judge_log_odds": float(odds[chosen].mean()),
        "score": float(selection.given_scores[chosen].mean()),
        "long_tail": float(selection.long_tail[chosen].mean()),
        "instructions": len(np.unique(asked[chosen])),
        "characters": float(lengths[chosen].mean()),
    }


def tell(figures: dict[str, dict[str, float]]) -> None:
    """A line a way."""
    print(f"\n{'way':36}  rows  log odds  score  long-tail  instructions  characters")
    for name, found in figures.items():
        print(
            f"{name:36} {found['rows']:5.0f} {found['judge_log_odds']:9.2f} {found['score']:6.2f} "
            f"{found['long_tail']:10.3f} {found['instructions']:13.0f} {found['characters']:11.0f}"
        )


if __name__ == "__main__":
    main()
