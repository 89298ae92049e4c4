"""Several raters of one pool: what real ones say together, and what is found where all is known.

Checks first: on the first 20 000 real rows the fit's likelihood and posterior are compared with
plain NumPy over rows, and a plain step of EM must leave the fit where it is. Then

- planted: 300 000 rows of three raters with known matrices (independent, weak, one of the reversed
  scale, two that share errors), the error of the matrices, and of scores fused by `rate_raters`
  (median and mode of its posterior), by the median, the majority (ties to the lower level) and the
  rounded mean of the raters, and of the best single rater; without the fit's prior ratings too;
- the data's 300 932 rows with three raters each, whole and by source; seconds by stage.

Usage: python bench/bench_raters.py --shared ../shared
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path

import numpy as np

from ds2fast import _core, reference_panel
from ds2fast.observations import observe
from ds2fast.panel import PRIOR_RATINGS, GroupOfRows, RaterPanel, by_group, rate_raters
from ds2fast.results import DoubleArray, IntArray

NUM_LEVELS = 6
CHECKED_ROWS = 20_000
PLANTED_ROWS = 300_000
PLANTED_PRIOR = np.array([0.03, 0.10, 0.27, 0.33, 0.22, 0.05])
SOURCES = (
    ("flan", 100_000),
    ("oasst1", 33_919),
    ("wizardlm", 100_000),
    ("dolly", 15_011),
    ("alpaca", 52_002),
)

TOP_SHARE = 0.033

Figures = dict[str, float]


def main() -> None:
    arguments = parse_arguments()
    scores, names = load_ratings(arguments.shared / "data" / "tulu_ratings.npz")
    print(f"{platform.processor() or platform.machine()}, {len(scores)} rows by {', '.join(names)}")
    checked = check(scores[:CHECKED_ROWS])
    planted = measure_planted(arguments.seeds)
    real = measure_real(scores, names)
    print(json.dumps({"benchmark": "raters", "check": checked, "planted": planted, "real": real}))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, required=True, help="folder of the measuring data")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    return parser.parse_args()


def load_ratings(path: Path) -> tuple[IntArray, tuple[str, ...]]:
    with np.load(path) as data:
        names = tuple(data.files)
        return np.stack([data[name] for name in names], axis=1).astype(np.int64), names


# --- Checks ---------------------------------------------------------------------------------------


def check(scores: IntArray) -> Figures:
    """How far the fit is from plain NumPy; ends the bench where that is more than rounding."""
    panel = rate_raters(scores, num_levels=NUM_LEVELS, prior_ratings=0, progress=False)
    plain, likelihood = reference_panel.posterior(scores, panel.matrices, panel.prior)
    matrices, prior, _ = reference_panel.step(scores, panel.matrices, panel.prior)
    found = {
        "rows": float(len(scores)),
        "likelihood": abs(panel.log_likelihood - likelihood) / abs(likelihood),
        "posterior": float(np.abs(panel.posterior - plain).max()),
        "plain_step": float(
            max(np.abs(matrices - panel.matrices).max(), np.abs(prior - panel.prior).max())
        ),
    }
    print("against plain NumPy:", ", ".join(f"{name} {value:.1e}" for name, value in found.items()))
    if found["likelihood"] > 1e-10 or found["posterior"] > 1e-9 or found["plain_step"] > 1e-6:
        sys.exit("the fit differs from plain NumPy's: no times")
    return found


# --- Planted --------------------------------------------------------------------------------------


def right_with(chance: float, bias: float = 0.0) -> DoubleArray:
    """Right with this chance; errors fall by e a level of distance from the level plus the bias."""
    level = np.arange(NUM_LEVELS)
    matrix = np.exp(-np.abs(level[:, None] + bias - level))
    np.fill_diagonal(matrix, 0.0)
    matrix *= (1 - chance) / matrix.sum(axis=1, keepdims=True)
    np.fill_diagonal(matrix, chance)
    return np.asarray(matrix)


def planted_raters() -> dict[str, tuple[DoubleArray, float]]:
    """Matrices of three raters, and the share of rows in which the second copies the first."""
    fair = np.stack([right_with(0.7), right_with(0.55), right_with(0.4, 0.6)])
    weak = np.stack([right_with(0.5), right_with(0.35, -0.7), right_with(0.3, 0.8)])
    turned = fair.copy()
    turned[2] = turned[2][:, ::-1]
    return {
        "fair": (fair, 0.0),
        "weak": (weak, 0.0),
        "one reversed": (turned, 0.0),
        "errors shared": (fair, 0.3),
    }


def draw(matrices: DoubleArray, shared: float, seed: int) -> tuple[IntArray, IntArray]:
    rng = np.random.default_rng(seed)
    true = rng.choice(NUM_LEVELS, PLANTED_ROWS, p=PLANTED_PRIOR)
    below = matrices.cumsum(axis=2)[:, true, :-1]
    scores = (rng.random((len(matrices), PLANTED_ROWS, 1)) > below).sum(axis=2).T
    copied = rng.random(PLANTED_ROWS) < shared
    scores[copied, 1] = scores[copied, 0]
    return true, scores


def measure_planted(seeds: list[int]) -> dict[str, Figures]:
    print(f"\nplanted, {PLANTED_ROWS} rows, means over {len(seeds)} seeds; wrong / mean error:")
    columns = ("fused", "mode", "plain_fused", "median", "majority", "mean", "best")
    print(f"{'raters':14} {'T error':>8} {'plain':>8}", *(f"{name:>15}" for name in columns))
    results = {}
    for name, (matrices, shared) in planted_raters().items():
        runs = [measure_one(matrices, *draw(matrices, shared, seed)) for seed in seeds]
        means = {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}
        results[name] = means
        row = (f"{means[key + '_wrong']:7.4f} {means[key + '_mae']:7.4f}" for key in columns)
        print(f"{name:14} {means['t_error']:8.4f} {means['plain_t_error']:8.4f}", *row, flush=True)
    names = ("best", "mean", "fused", "expected", "linear", "truth")
    print(f"\ntrue mean of the top {TOP_SHARE:.1%}, ranked by:")
    print(f"{'raters':14}", *(f"{name:>9}" for name in names))
    for raters, means in results.items():
        print(f"{raters:14}", *(f"{means['top_' + name]:9.3f}" for name in names))
    return results


def measure_one(matrices: DoubleArray, true: IntArray, scores: IntArray) -> Figures:
    panel = rate_raters(scores, num_levels=NUM_LEVELS, progress=False)
    plain = rate_raters(scores, num_levels=NUM_LEVELS, prior_ratings=0, progress=False)
    given = (scores[:, :, None] == np.arange(NUM_LEVELS)).sum(axis=1)
    best = min(scores.T, key=lambda column: float((column != true).mean()))
    figures = {
        "t_error": float(np.abs(panel.matrices - matrices).mean()),
        "plain_t_error": float(np.abs(plain.matrices - matrices).mean()),
        "expected_correlation": float(np.corrcoef(panel.expected, true)[0, 1]),
        "linear_correlation": float(np.corrcoef(panel.linear, true)[0, 1]),
        "mean_correlation": float(np.corrcoef(scores.mean(axis=1), true)[0, 1]),
    }
    for name, ranked in {
        "best": best,
        "mean": scores.mean(axis=1),
        "fused": panel.fused,
        "expected": panel.expected,
        "linear": panel.linear,
        "truth": true,
    }.items():
        figures[f"top_{name}"] = top_mean(ranked, true)
    for name, fused in {
        "fused": panel.fused,
        "mode": panel.posterior.argmax(axis=1),
        "plain_fused": plain.fused,
        "median": np.sort(scores, axis=1)[:, scores.shape[1] // 2],
        "majority": given.argmax(axis=1),
        "mean": np.rint(scores.mean(axis=1)),
        "best": best,
    }.items():
        figures[f"{name}_wrong"] = float((fused != true).mean())
        figures[f"{name}_mae"] = float(np.abs(fused - true).mean())
    return figures


def top_mean(ranked: IntArray | DoubleArray, true: IntArray) -> float:
    """True mean of the 3.3 % ranked highest; ties by a number drawn for each row."""
    ties = np.random.default_rng(12345).random(len(true))
    best = np.lexsort((ties, -ranked))[: int(TOP_SHARE * len(true))]
    return float(true[best].mean())


# --- Real raters ----------------------------------------------------------------------------------


def measure_real(scores: IntArray, names: tuple[str, ...]) -> dict[str, object]:
    started = time.perf_counter()
    panel = rate_raters(scores, num_levels=NUM_LEVELS, names=names, progress=False)
    seconds = {"rate_raters": time.perf_counter() - started}
    groups = np.repeat([name for name, _ in SOURCES], [rows for _, rows in SOURCES])
    started = time.perf_counter()
    found = by_group(panel, scores, groups)
    seconds["by_group"] = time.perf_counter() - started
    seconds["step"] = step_seconds(scores, panel)
    print(f"\n{panel}\n")
    shares = np.bincount(panel.fused, minlength=NUM_LEVELS) / len(panel.fused)
    print("fused scores:", "".join(f"{share:7.3f}" for share in shares))
    print(
        f"{'source':10} {'rows':>7} {'mean of each rater':>26} {'fused':>7}  equal scores of pairs"
    )
    for group in found:
        print_group(group)
    print(", ".join(f"{name} {value:.2g} s" for name, value in seconds.items()))
    return {
        "names": names,
        "prior_ratings": PRIOR_RATINGS,
        "matrices": panel.matrices.tolist(),
        "prior": panel.prior.tolist(),
        "bits": panel.reliability.tolist(),
        "weight": panel.weight.tolist(),
        "agreement": panel.agreement.tolist(),
        "kappa": panel.kappa.tolist(),
        "fused": shares.tolist(),
        "steps": panel.steps,
        "seconds": seconds,
        "sources": {group.name: group_figures(group) for group in found},
    }


def step_seconds(scores: IntArray, panel: RaterPanel) -> float:
    """Seconds of a step of EM: a fit that starts at prior's marginal, by the steps it takes."""
    seen = observe(scores, NUM_LEVELS)
    patterns = np.ascontiguousarray(seen.shown.argmax(axis=2).astype(np.int8))
    counts = seen.rows_with.astype(np.float64)
    start = np.ascontiguousarray(0.5 * panel.matrices + 0.5 / NUM_LEVELS)
    started = time.perf_counter()
    steps = _core.refine_panel(patterns, counts, seen.gold, start, np.asarray(panel.prior))[3]
    return (time.perf_counter() - started) / steps


def print_group(group: GroupOfRows) -> None:
    pairs = group.agreement[np.triu_indices(len(group.mean_given), 1)]
    given = "".join(f"{mean:9.3f}" for mean in group.mean_given)
    words = "".join(f"{share:7.3f}" for share in pairs)
    print(f"{group.name:10} {group.num_rows:7d} {given:>26} {group.mean_fused:7.3f} {words}")


def group_figures(group: GroupOfRows) -> dict[str, object]:
    return {
        "rows": group.num_rows,
        "mean_given": group.mean_given.tolist(),
        "mean_fused": group.mean_fused,
        "agreement": group.agreement.tolist(),
        "prior": group.prior.tolist(),
        "matrices": group.matrices.tolist(),
    }


if __name__ == "__main__":
    main()
