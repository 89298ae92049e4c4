"""Whether curation brings raters together more than smoothing does, and nearer to the truth.

Three raters with different errors score the same planted true levels of the real rows. Each is
curated by itself, from its own scores and the graph, with k = 5 and k = 20 (the default): its most
likely levels, and what `select` ranks by, rounded ("expected"). Beside them stand smoothings over
the same neighbours, which know no rater: the rounded mean of the row's and its neighbours' scores,
weighted by similarity, and the level that has most of that weight. They change as many rows of each
rater as the curation does: those where they are surest.

Agreement can be bought: raters whose scores are all set to one level agree. So the table has both,
what raters say together and how far each is from the truth.

Usage: python bench/experiments/raters.py --shared ../shared
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from experiment_data import Figures, finish, means, parser_of, table

import ds2fast
from ds2fast.results import DoubleArray, IntArray
from quality_noise import NUM_LEVELS, noise_matrix
from quality_plant import Planter, rate
from quality_pool import load_embeddings
from quality_regimes import Regime

RATERS = {"ordinal 0.3": ("ordinal", 0.3), "uniform 0.4": ("uniform", 0.4), "judge": ("judge", 0.0)}
OWN = (0.0, 0.2, 0.4)
NEIGHBOURS = (5, 20)
GRAPH_WIDTH = 30

Raters = list[IntArray]
"""Scores of each rater."""


def main() -> None:
    arguments = parser_of(__doc__).parse_args()
    vectors = load_embeddings(arguments.shared / "data" / "instructions.minilm.f16.npy")
    graph = ds2fast.knn_graph(vectors, GRAPH_WIDTH, threads=arguments.threads, progress=False)
    planter = Planter(vectors)
    results = {}
    for own in OWN:
        runs: dict[str, list[Figures]] = {}
        for seed in arguments.seeds:
            true, given = rated_thrice(planter, own, seed)
            for name, scores in all_ways(given, graph, seed, arguments.threads).items():
                runs.setdefault(name, []).append(figures_of(scores, given, true))
        results[f"own {own:g}"] = {name: means(found) for name, found in runs.items()}
        print(f"\nrows with a quality of their own: {own:.0%}; {len(arguments.seeds)} seeds")
        print(table(results[f"own {own:g}"]), flush=True)
    finish("raters", {"seeds": arguments.seeds, "raters": list(RATERS)}, results)


def rated_thrice(planter: Planter, own: float, seed: int) -> tuple[IntArray, Raters]:
    """True levels in clusters, and three raters' scores of them, their errors independent."""
    true = planter.plant(Regime("cluster", "ordinal", 0.3, own=own), seed).true
    rng = np.random.default_rng([seed, 51])
    draws = rng.random((len(RATERS), len(true)))
    matrices = [noise_matrix(*rater) for rater in RATERS.values()]
    return true, [rate(true, *each) for each in zip(matrices, draws, strict=True)]


def all_ways(given: Raters, graph: ds2fast.KnnGraph, seed: int, threads: int) -> dict[str, Raters]:
    """Every rater's scores as given, curated, and smoothed by as many changes."""
    found = {"as given": given}
    for k in NEIGHBOURS:
        both = [curate(scores, graph, k, threads) for scores in given]
        curated = [curation.scores for curation in both]
        found[f"curated, k = {k}"] = curated
        found[f"expected, k = {k}"] = [expected_level(curation) for curation in both]
        changes = [int((one != other).sum()) for one, other in zip(curated, given, strict=True)]
        found[f"mean of {k}"] = [
            changed_most(scores, *mean_near(scores, graph, k), most)
            for scores, most in zip(given, changes, strict=True)
        ]
        found[f"mode of {k}"] = [
            changed_most(scores, *mode_near(scores, graph, k), most)
            for scores, most in zip(given, changes, strict=True)
        ]
    found["SimiFeat"] = [simifeat(scores, graph, seed, threads) for scores in given]
    widest = max(NEIGHBOURS)
    found[f"mean of {widest}, all rows"] = [mean_near(row, graph, widest)[0] for row in given]
    found[f"mode of {widest}, all rows"] = [mode_near(row, graph, widest)[0] for row in given]
    return found


def curate(scores: IntArray, graph: ds2fast.KnnGraph, k: int, threads: int) -> ds2fast.Curation:
    estimate = ds2fast.estimate_transition_matrix(
        scores, graph, num_levels=NUM_LEVELS, threads=threads, progress=False
    )
    return ds2fast.curate_scores(scores, graph, estimate, k=k, threads=threads, progress=False)


def expected_level(curation: ds2fast.Curation) -> IntArray:
    """What `select` ranks by, rounded: cautious, as one rater's scores leave much open."""
    return np.rint(curation.keys_shrunk_to(None, 1.0)).astype(np.int64)


def simifeat(scores: IntArray, graph: ds2fast.KnnGraph, seed: int, threads: int) -> IntArray:
    """The published curation, given the T of plain expectation-maximisation."""
    estimate = ds2fast.estimate_transition_matrix(
        scores, graph, num_levels=NUM_LEVELS, solver="em", threads=threads, progress=False
    )
    return ds2fast.curate_scores(
        scores, graph, estimate, method="simifeat", seed=seed, threads=threads, progress=False
    ).scores


# --- Smoothing ------------------------------------------------------------------------------------


def mean_near(scores: IntArray, graph: ds2fast.KnnGraph, k: int) -> tuple[IntArray, DoubleArray]:
    """The rounded mean of a row and its k neighbours, and how far the mean is from the score."""
    shares = shares_near(scores, graph, k)
    mean = shares @ np.arange(NUM_LEVELS)
    return np.rint(mean).astype(np.int64), np.abs(mean - scores)


def mode_near(scores: IntArray, graph: ds2fast.KnnGraph, k: int) -> tuple[IntArray, DoubleArray]:
    """The level of most weight, and by how much it outweighs the score; a tie keeps the score."""
    shares = shares_near(scores, graph, k)
    rows = np.arange(len(scores))
    mode = shares.argmax(axis=1)
    ahead = shares[rows, mode] - shares[rows, scores]
    return np.where(ahead > 0, mode, scores), ahead


def shares_near(scores: IntArray, graph: ds2fast.KnnGraph, k: int) -> DoubleArray:
    """(N, K) weight of each level among a row, which weighs 1, and its k nearest neighbours."""
    weights = np.maximum(graph.similarities[:, :k].astype(np.float64), 0.0)
    near = scores[graph.indices[:, :k]]
    shares = np.zeros((len(scores), NUM_LEVELS))
    for level in range(NUM_LEVELS):
        shares[:, level] = (scores == level) + (weights * (near == level)).sum(axis=1)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def changed_most(given: IntArray, smoothed: IntArray, sureness: DoubleArray, most: int) -> IntArray:
    """The given scores with the surest changes taken, at most so many."""
    wanted = np.flatnonzero(smoothed != given)
    surest = wanted[np.argsort(-sureness[wanted], kind="stable")[:most]]
    found = given.copy()
    found[surest] = smoothed[surest]
    return found


# --- Figures --------------------------------------------------------------------------------------


def figures_of(scores: Raters, given: Raters, true: IntArray) -> Figures:
    """Means over pairs of raters, and over raters."""
    pairs = list(combinations(scores, 2))
    together = list(zip(scores, given, strict=True))
    return {
        "changed": float(np.mean([np.mean(one != other) for one, other in together])),
        "agree": float(np.mean([np.mean(one == other) for one, other in pairs])),
        "apart": float(np.mean([np.abs(one - other).mean() for one, other in pairs])),
        "kappa": float(np.mean([weighted_kappa(one, other) for one, other in pairs])),
        "right": float(np.mean([np.mean(one == true) for one in scores])),
        "error": float(np.mean([np.abs(one - true).mean() for one in scores])),
        "true kappa": float(np.mean([weighted_kappa(one, true) for one in scores])),
    }


def weighted_kappa(one: IntArray, other: IntArray) -> float:
    """Cohen's kappa with quadratic weights: 1 as one, 0 as by chance; NaN where nothing varies."""
    apart = np.mean((one - other) ** 2.0)
    by_chance = one.var() + other.var() + (one.mean() - other.mean()) ** 2
    return float(1.0 - apart / by_chance) if by_chance > 0 else float("nan")


if __name__ == "__main__":
    main()
