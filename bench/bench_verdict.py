"""What is said of pools whose neighbours tell more or less, and whether bands hold what they say.

Verdicts: true levels follow clusters of real embeddings and the rater errs; then a share of the
embeddings is shuffled among the rows, so that their neighbours tell nothing. The table counts what
was said. Exchanging embeddings of some rows is the same as exchanging their scores, so one graph
serves all runs.

Bands: 95 % intervals of T's entries against the planted matrix, over the eight plain regimes.

Usage: python bench/bench_verdict.py --shared ../shared --runs 100 --threads 2
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path

import numpy as np

import ds2fast
from ds2fast.results import IntArray, TransitionEstimate
from quality_noise import NUM_LEVELS
from quality_plant import Planted, Planter
from quality_pool import Pool, make_pool
from quality_regimes import Regime, regimes_of

SHUFFLED = (0.0, 0.25, 0.5, 0.75, 1.0)
WORDS = ("verified", "plausible", "weak", "unreliable")
PLANTINGS = 5
"""Different clusterings; further runs draw new errors on the same true levels."""

LEAST_UNRELIABLE = 0.95
COVERAGE = (0.90, 0.99)


def main() -> None:
    arguments = parse_arguments()
    pool = make_pool(arguments.shared, arguments.rows, arguments.threads)
    planter = Planter(pool.vectors)
    print(f"{pool.name} pool of {pool.num_rows} rows, {arguments.threads} threads", flush=True)
    said = tell_verdicts(pool, planter, arguments.runs, arguments.threads)
    covered = tell_bands(pool, planter, arguments)
    figures = {
        "benchmark": "verdict",
        "pool": pool.name,
        "rows": pool.num_rows,
        "runs": arguments.runs,
        "resamples": arguments.resamples,
        "verdicts": said,
        "coverage": covered,
    }
    print(json.dumps(figures))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--shared", type=Path, help="folder of the measuring data; else vectors are made up")
    add("--rows", type=int, default=None, help="rows of the pool; all of the real ones by default")
    add("--runs", type=int, default=100)
    add("--resamples", type=int, default=50, help="resamples behind each band")
    add("--threads", type=int, default=1)
    return parser.parse_args()


def rated_anew(planted: Planted, seed: int) -> IntArray:
    """New scores of the same true levels by the same rater."""
    draws = np.random.default_rng([seed, 7]).random(len(planted.true))
    return np.asarray((planted.matrix[planted.true].cumsum(axis=1) > draws[:, None]).argmax(axis=1))


def shuffled(scores: IntArray, share: float, seed: int) -> IntArray:
    """Scores whose rows have exchanged a share of their embeddings."""
    rng = np.random.default_rng([seed, 11])
    rows = np.flatnonzero(rng.random(len(scores)) < share)
    found = scores.copy()
    found[rows] = scores[rng.permutation(rows)]
    return found


def estimate(
    pool: Pool, scores: IntArray, threads: int, resamples: int = 0, seed: int = 0
) -> TransitionEstimate:
    return ds2fast.estimate_transition_matrix(
        scores, pool.graph, num_levels=NUM_LEVELS, bootstrap=resamples, seed=seed,
        threads=threads, progress=False,
    )  # fmt: skip


def tell_verdicts(
    pool: Pool, planter: Planter, runs: int, threads: int
) -> dict[str, dict[str, int]]:
    """A table of what was said, by the share of shuffled embeddings."""
    print(f"verdicts over {runs} runs, cluster ordinal 0.3")
    print(f"{'shuffled':>9}", *(f"{word:>11}" for word in WORDS), "  agreement  first cause")
    said = {}
    for share in SHUFFLED:
        words: Counter[str] = Counter()
        agreement, cause = 0.0, ""
        for run in range(runs):
            planted = planter.plant(Regime("cluster", "ordinal", 0.3), run % PLANTINGS)
            scores = shuffled(rated_anew(planted, run), share, run)
            found = estimate(pool, scores, threads)
            words[found.verdict.word] += 1
            agreement += found.agreement / runs
            cause = found.verdict.causes[0]
        said[f"{share:.0%}"] = {word: words[word] for word in WORDS}
        counts = (f"{words[word]:11d}" for word in WORDS)
        print(f"{share:9.0%}", *counts, f"  {agreement:9.3f}  {cause[:70]}", flush=True)
    told(
        f"unreliable in at least {LEAST_UNRELIABLE:.0%} of the runs with all shuffled",
        f"{said['100%']['unreliable'] / runs:.1%}",
        said["100%"]["unreliable"] >= LEAST_UNRELIABLE * runs,
    )
    return said


def tell_bands(pool: Pool, planter: Planter, arguments: argparse.Namespace) -> dict[str, float]:
    """How often 95 % bands hold the planted entries, by regime."""
    regimes = regimes_of("plain")
    each = max(1, round(arguments.runs / len(regimes)))
    print(f"bands: {each * len(regimes)} runs, {arguments.resamples} resamples each")
    print(f"{'regime':24} {'covered':>8} {'half width':>11} {'T error':>9} {'seconds':>8}")
    covered = {}
    for regime in regimes:
        held, half, error, seconds = [], [], [], []
        for run in range(each):
            planted = planter.plant(regime, run % PLANTINGS)
            scores = rated_anew(planted, run)
            start = time.perf_counter()
            found = estimate(pool, scores, arguments.threads, arguments.resamples, run)
            seconds.append(time.perf_counter() - start)
            if found.lower is None or found.upper is None:
                raise ValueError("bands: expected them, got none")
            inside = (found.lower <= planted.matrix) & (planted.matrix <= found.upper)
            held.append(inside.mean())
            half.append((found.upper - found.lower).mean() / 2.0)
            error.append(np.abs(found.transition_matrix - planted.matrix).mean())
        covered[regime.kind] = float(np.mean(held))
        print(
            f"{regime.kind:24} {np.mean(held):8.1%} {np.mean(half):11.4f} {np.mean(error):9.4f} "
            f"{np.mean(seconds):8.2f}",
            flush=True,
        )
    mean = float(np.mean(list(covered.values())))
    told(
        f"95 % bands hold {COVERAGE[0]:.0%} to {COVERAGE[1]:.0%} of the planted entries",
        f"{mean:.1%} on average, {min(covered.values()):.1%} to {max(covered.values()):.1%}",
        COVERAGE[0] <= mean <= COVERAGE[1],
    )
    return covered


def told(goal: str, found: str, met: bool) -> None:
    print(f"goal: {goal} | found: {found} | {'met' if met else 'NOT met'}", flush=True)


if __name__ == "__main__":
    main()
