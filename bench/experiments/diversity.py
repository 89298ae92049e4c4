"""How diverse is a selection? Ours beside random, raw-score top, longest and long-tail-only ones.

True levels and a rater's errors are planted on the real rows (clusters, ordinal errors 0.3, a share
of rows with a quality of their own). For n rows: their rarity (long-tail score, k = 10), the cosine
distance of a row to the nearest other selected one, how many of 400 k-means clusters they lie in
(other clusters than the levels were planted on), the share of each source, and which share of their
words, pairs and triples of words are distinct, counted in as many words for every selection.

Usage: python bench/experiments/diversity.py --shared ../shared
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from experiment_data import Figures, Row, finish, load_rows, means, parser_of, table
from language_model import words_of
from selections import WAYS, Rated

import ds2fast
from ds2fast.results import FloatArray, IntArray
from quality_noise import NUM_LEVELS
from quality_plant import Planter, k_means
from quality_pool import load_embeddings
from quality_regimes import Regime

NUM_CLUSTERS, CLUSTER_SEED = 400, 1000
COUNTED_WORDS = 20_000
"""Of each selection: longer texts would repeat more."""

REPEATED_ROWS, REPEATS = 2000, 2
GRAPH_WIDTH = 30
SHOWN_WAYS = tuple(name for name in WAYS if name != "SimiFeat")


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--n", type=int, nargs="+", default=[1000, 4000], help="rows to select")
    parser.add_argument("--own", type=float, default=0.2, help="rows of a quality of their own")
    arguments = parser.parse_args()
    rows = load_rows(arguments.shared)
    vectors = load_embeddings(arguments.shared / "data" / "instructions.minilm.f16.npy")
    graph = ds2fast.knn_graph(vectors, GRAPH_WIDTH, threads=arguments.threads, progress=False)
    rarity = ds2fast.long_tail_scores(graph, k=10, threads=arguments.threads)
    clusters = k_means(vectors, NUM_CLUSTERS, CLUSTER_SEED)[0]
    lengths = np.array([len(row.text) for row in rows], dtype=np.float64)
    planter, regime = Planter(vectors), Regime("cluster", "ordinal", 0.3, own=arguments.own)
    runs: dict[int, dict[str, list[Figures]]] = {n: {} for n in arguments.n}
    for seed in arguments.seeds:
        planted = planter.plant(regime, seed)
        repeats = planted.repeats(REPEATED_ROWS, REPEATS, seed)
        rated = Rated(planted.scores, planted.true, repeats, lengths, graph, NUM_LEVELS, seed,
                      arguments.threads)  # fmt: skip
        for n in arguments.n:
            for name in SHOWN_WAYS:
                chosen = WAYS[name](rated, n)
                figures = {"true level": float(planted.true[chosen].mean())}
                figures |= spread_of(chosen, vectors, rarity, clusters, arguments.threads)
                figures |= texts_of(chosen, rows, seed)
                runs[n].setdefault(name, []).append(figures)
    found = {
        n: {name: means(figures) for name, figures in ways.items()} for n, ways in runs.items()
    }
    for n, ways in found.items():
        tell(n, ways, rows)
    finish(
        "diversity",
        {"own": arguments.own, "seeds": arguments.seeds},
        {str(n): ways for n, ways in found.items()},
    )


def spread_of(
    chosen: IntArray, vectors: FloatArray, rarity: FloatArray, clusters: IntArray, threads: int
) -> Figures:
    """How far the rows are from others: from all, from each other, and over the clusters."""
    near = ds2fast.knn_graph(vectors[chosen], 1, threads=threads, progress=False)
    distances = 1.0 - near.similarities[:, 0].astype(np.float64)
    return {
        "rarity": float(rarity[chosen].mean(dtype=np.float64)),
        "apart": float(distances.mean()),
        "near copies": float((distances < 0.02).sum()),
        "clusters": float(len(np.unique(clusters[chosen]))),
    }


def texts_of(chosen: IntArray, rows: Sequence[Row], seed: int) -> Figures:
    """Distinct words, pairs and triples in texts of the rows, and the shares of their sources."""
    order = np.random.default_rng([seed, 41]).permutation(chosen)
    texts = [words_of(rows[row].text) for row in order.tolist()]
    figures = {f"distinct-{size}": distinct(texts, size, COUNTED_WORDS) for size in (1, 2, 3)}
    sources = Counter(rows[row].source for row in chosen.tolist())
    named = sorted({row.source for row in rows})
    return figures | {f"share {name}": sources[name] / len(chosen) for name in named}


def distinct(texts: Sequence[Sequence[str]], size: int, most: int) -> float:
    """Share of distinct n-grams among the first `most` of the texts, none across two texts."""
    found: list[tuple[str, ...]] = []
    for words in texts:
        found += zip(*(words[start:] for start in range(size)), strict=False)
        if len(found) >= most:
            break
    return len(set(found[:most])) / max(1, len(found[:most]))


def tell(n: int, ways: dict[str, Figures], rows: Sequence[Row]) -> None:
    shares = Counter(row.source for row in rows)
    pool = {f"share {name}": count / len(rows) for name, count in shares.items()}
    print(f"\nn = {n}")
    print(table({name: _cut(figures, shares=False) for name, figures in ways.items()}))
    found = {name: _cut(figures, shares=True) for name, figures in ways.items()}
    print(table(found | {"whole pool": _cut(pool, shares=True)}, digits=2), flush=True)


def _cut(figures: Figures, *, shares: bool) -> Figures:
    return {
        name.removeprefix("share "): value
        for name, value in figures.items()
        if name.startswith("share ") == shares
    }


if __name__ == "__main__":
    main()
