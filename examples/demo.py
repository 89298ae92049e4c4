"""The main job on a pool whose truth is known: write it, embed it, select, judge the result.

    python examples/demo.py --encoder DIR --output DIR

`make demo` runs this. Nothing that selects ever reads the truth; only the tables here do.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
import time
from pathlib import Path

import numpy as np

import ds2fast
from ds2fast.results import BoolArray, FloatArray, IntArray
from ds2fast.summary import describe_cut, describe_timings, format_matrix

from make_pool import TRANSITION_MATRIX, true_scores, write_pool

FRACTION = 0.10


def main() -> int:
    """The command line: returns 0."""
    parser = argparse.ArgumentParser(description="ds2fast on a pool whose truth is known.")
    parser.add_argument("--encoder", required=True, help="directory or id of the sentence encoder")
    parser.add_argument("--output", type=Path, required=True, help="where the files go")
    parser.add_argument("--seed", type=int, default=0, help="of the pool (default %(default)s)")
    options = parser.parse_args()
    try:
        run(options.encoder, options.output, options.seed)
    except ds2fast.Ds2fastError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def run(encoder: str, output: Path, seed: int) -> None:
    """Write the pool into `output`, select into `output/selection`, print what came of it."""
    pool_file, _ = write_pool(output, seed=seed)
    truth = true_scores(seed=seed)
    pool = ds2fast.read(pool_file)
    print(f"1. A pool of {len(pool)} rows that a noisy rater has scored: {pool_file}")
    print(indent(pool.describe()))

    print("\n2. Their embeddings, by the real encoder on this CPU")
    start = time.perf_counter()
    embeddings = ds2fast.embed(pool.texts, model=encoder)
    took = time.perf_counter() - start
    vectors = embeddings.vectors
    rows, width = vectors.shape
    print(f"   {rows} x {width} in {took:.1f} s ({rows / took:.0f} rows/s)")
    print(
        f"   {embeddings.num_run} texts were embedded now, {embeddings.num_kept} kept from before"
    )
    print(indent(textwrap.fill(embeddings.reason, 92)))

    selection = ds2fast.select(pool, embeddings=vectors, fraction=FRACTION, num_levels=6)
    selection.save(output / "selection", overwrite=True)
    print(f"\n3. The best {len(selection)} rows; {describe_timings(selection.timings)}")
    print_transition(selection, truth)
    print_corrections(selection, truth)
    print(f"\n6. What decided: {describe_cut(selection)}")
    print_comparison(selection, with_repeats(selection, truth, seed), truth, vectors, seed)
    print_rows(selection, truth)
    print(f"\nThe files are in {output / 'selection'}:")
    print("   selected.jsonl, scores.parquet, manifest.json")


def print_transition(selection: ds2fast.Selection, truth: IntArray) -> None:
    """T as estimated beside T as planted."""
    estimate = selection.transition
    if estimate is None:
        return
    planted = np.bincount(truth, minlength=6) / len(truth)
    error = np.abs(estimate.transition_matrix - TRANSITION_MATRIX).mean()
    print("\n4. How the rater errs, estimated from neighbours alone")
    left = ["  estimated", *format_matrix(estimate.transition_matrix, estimate.prior).splitlines()]
    right = ["  planted", *format_matrix(TRANSITION_MATRIX, planted).splitlines()]
    for one, other in zip(left, right, strict=True):
        print(f"{one:<62}{other}")
    print(
        f"   mean |difference| {error:.3f}; neighbours' scores agree in {estimate.agreement:.0%},"
    )
    print(f"   by chance it would be {estimate.chance_agreement:.0%}")


def print_corrections(selection: ds2fast.Selection, truth: IntArray) -> None:
    """How many misrated rows were found of how many planted."""
    planted = selection.given_scores != truth
    found = selection.curation.misrated
    hits = int((planted & found).sum())
    precision, recall = hits / max(int(found.sum()), 1), hits / int(planted.sum())
    before = np.abs(selection.given_scores - truth).mean()
    after = np.abs(selection.curated_scores - truth).mean()
    print(f"\n5. Misrated rows: {int(planted.sum())} planted, {int(found.sum())} flagged, ", end="")
    print(f"{hits} of these rightly")
    print(f"   precision {precision:.2f}, recall {recall:.2f}, ", end="")
    print(f"F1 {2 * precision * recall / max(precision + recall, 1e-9):.2f}; ", end="")
    print(f"mean error of the scores {before:.3f} as given, {after:.3f} curated")


def with_repeats(selection: ds2fast.Selection, truth: IntArray, seed: int) -> ds2fast.Selection:
    """The same once the same rater has rated a tenth of the rows a second time."""
    rng = np.random.default_rng([seed, 1])
    rows = rng.choice(len(truth), len(truth) // 10, replace=False)
    again = np.full(len(truth), -1)
    again[rows] = [rng.choice(6, p=TRANSITION_MATRIX[level]) for level in truth[rows]]
    return ds2fast.select(
        selection.pool, graph=selection.graph, n=len(selection), num_levels=6, repeats=again
    )


def print_comparison(
    selection: ds2fast.Selection,
    repeated: ds2fast.Selection,
    truth: IntArray,
    vectors: FloatArray,
    seed: int,
) -> None:
    """The selection beside others of the same size."""
    n = len(selection)
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(truth))
    given = selection.given_scores[shuffled]
    choices: dict[str, IntArray] = {
        "random rows": shuffled[:n],
        "top scores as given": shuffled[np.argsort(-given, kind="stable")][:n],
        "ds2fast": selection.indices,
        f"and {len(truth) // 10} rated twice": repeated.indices,
        "top true scores": shuffled[np.argsort(-truth[shuffled], kind="stable")][:n],
    }
    print(f"\n7. {n} rows, chosen in five ways")
    heads = f"{'true score':>12}{'level 4 or 5':>14}{'rarity':>9}{'apart':>8}{'repeats':>9}"
    print(f"   {'':<22}{heads}")
    for name, rows in choices.items():
        apart, repeats = spread(vectors[rows])
        print(
            f"   {name:<22}{truth[rows].mean():>12.2f}{(truth[rows] >= 4).mean():>14.0%}"
            f"{selection.long_tail[rows].mean():>9.3f}{apart:>8.3f}{int(repeats.sum()):>9}"
        )
    print("   rarity: mean long-tail score in the pool; apart: mean cosine distance to the nearest")
    print("   other chosen row; repeats: chosen rows that are nearly the same as another (> 0.98)")


def spread(vectors: FloatArray) -> tuple[float, BoolArray]:
    """Mean distance of each row to its nearest other one, and which rows have a near copy."""
    nearest = ds2fast.knn_graph(vectors, 1, progress=False).similarities[:, 0]
    return float(1.0 - nearest.mean()), nearest > 0.98


def print_rows(selection: ds2fast.Selection, truth: IntArray) -> None:
    """The first and the last selected row."""
    pool = selection.pool
    if pool is None:
        return
    for name, row in (("first", selection.indices[0]), ("last", selection.indices[-1])):
        given, curated = selection.given_scores[row], selection.curated_scores[row]
        print(f"\n   the {name} one: given {given}, curated {curated}, true {truth[row]}, ", end="")
        print(f"long-tail {selection.long_tail[row]:.3f}")
        print(indent(pool.texts[row][:400].rstrip() + " …"))


def indent(text: str) -> str:
    """Every line moved to the right, for a block of text."""
    return "\n".join("   | " + line for line in text.splitlines())


if __name__ == "__main__":
    sys.exit(main())
