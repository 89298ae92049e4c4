"""Does it matter which encoder embeds? T and selections of two precisions, a static model, words.

The same rows are embedded by all-MiniLM-L6-v2 in fp32 and in int8, by a static model distilled from
it (fitted to 2 000 other rows), and by a baseline that knows no language model: hashed words,
weighted by rarity, projected at random to 256 columns. Compared are T, and the selected tenth.

Planted: true levels lie in clusters of the fp32 encoder's vectors, or of the baseline's; a fifth of
the rows has a quality of its own. Whose clusters they are decides who can see them, so both are
shown. Judged: scores of a real LLM judge, whose truth is not known.

As a scale: "other errors" is the fp32 encoder with the same true levels and the rater's errors
drawn anew; so much do two selections differ for a reason that has nothing to do with encoders. "As
given" ranks by the given scores, the rarest first among equals.

Usage: python bench/experiments/encoders.py --shared ../shared
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
from corrupted_pool import embedded
from experiment_data import ENCODER, Figures, finish, load_rows, means, parser_of, table
from language_model import words_of

import ds2fast
from ds2fast.results import DoubleArray, FloatArray, IntArray
from quality_noise import NUM_LEVELS
from quality_plant import Planted, Planter, rate
from quality_pool import unit_rows
from quality_regimes import Regime

FITTED_TEXTS = 2000
GRAPH_WIDTH = 30
KEPT_NEIGHBOURS = 10
TOP_SHARE = 0.1
BUCKETS, COLUMNS = 1 << 15, 256
REGIME = Regime("cluster", "ordinal", 0.3, own=0.2)
PLANTED_ON = ("fp32", "words")

Vectors = dict[str, FloatArray]
Graphs = dict[str, ds2fast.KnnGraph]


def main() -> None:
    arguments = parse_arguments()
    order = np.random.default_rng(0).permutation(load_texts(arguments.shared))
    texts, others = order[: arguments.rows].tolist(), order[arguments.rows :][:FITTED_TEXTS]
    vectors = all_vectors(texts, others.tolist(), arguments)
    graphs = graphs_of(vectors, arguments.threads)
    results: dict[str, object] = {}
    for source in PLANTED_ON:
        planter = Planter(vectors[source])
        runs = [planted_run(planter, graphs, seed, arguments.threads) for seed in arguments.seeds]
        title = f"planted on clusters of {source}, {len(texts)} rows, {len(runs)} seeds"
        results[f"planted on {source}"] = tell(title, runs)
    judged, scores = load_judged(arguments.shared, arguments.judged)
    graphs = graphs_of(all_vectors(judged, others.tolist(), arguments), arguments.threads)
    results["judged"] = tell(
        f"judged, {len(judged)} rows", [judged_run(scores, graphs, arguments.threads)]
    )
    finish(
        "encoders", {"rows": len(texts), "judged": len(judged), "seeds": arguments.seeds}, results
    )


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    add = parser.add_argument
    add("--rows", type=int, default=8000, help="rows with planted levels")
    add("--judged", type=int, default=3000, help="rows with a real judge's scores")
    add("--encoder", type=Path, default=ENCODER, help="folder of the sentence encoder")
    kept = Path(tempfile.gettempdir(), "ds2fast-experiments")
    add("--kept", type=Path, default=kept, help="folder that keeps vectors for further runs")
    return parser.parse_args()


def load_texts(shared: Path) -> list[str]:
    return [row.text for row in load_rows(shared)]


def load_judged(shared: Path, num_rows: int) -> tuple[list[str], IntArray]:
    """Random rows of the judged answers: texts and scores."""
    with gzip.open(shared / "data" / "judged.jsonl.gz", "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    chosen = np.random.default_rng(0).choice(len(records), min(num_rows, len(records)), False)
    picked = [records[row] for row in chosen.tolist()]
    texts = [f"###user: {row['instruction']}\n###assistant: {row['output']}\n" for row in picked]
    return texts, np.array([row["score"] for row in picked], dtype=np.int64)


# --- Four encoders --------------------------------------------------------------------------------


def all_vectors(texts: list[str], others: list[str], arguments: argparse.Namespace) -> Vectors:
    kept, threads = arguments.kept, arguments.threads
    static = static_model(others, arguments.encoder, kept, threads)
    return {
        "fp32": embedded(texts, arguments.encoder, kept, threads, "fp32"),
        "int8": embedded(texts, arguments.encoder, kept, threads, "int8"),
        "static": embedded(texts, static, kept, threads),
        "words": hashed_words(texts),
    }


def static_model(texts: list[str], encoder: Path, kept: Path, threads: int) -> Path:
    """The folder of a model distilled from the encoder; made where it is not there yet."""
    path = kept / f"static-{crc32(chr(0).join([str(encoder), *texts]).encode()):08x}"
    if not (path / "config.json").is_file():
        kept.mkdir(parents=True, exist_ok=True)
        ds2fast.distill(
            encoder, path, texts=texts, threads=threads, cache_dir=False, progress=False
        )
    return path


def hashed_words(texts: Sequence[str]) -> FloatArray:
    """(N, 256) unit rows: words hashed to buckets, log counts · log rarity, projected at random."""
    rows, columns, counts = [], [], []
    for row, text in enumerate(texts):
        buckets = [crc32(word.encode()) % BUCKETS for word in words_of(text)]
        found, times = np.unique(buckets, return_counts=True)
        rows.append(np.full(len(found), row))
        columns.append(found.astype(np.int64))
        counts.append(times)
    column = np.concatenate(columns)
    within = np.bincount(column, minlength=BUCKETS)
    rarity = np.log((1.0 + len(texts)) / (1.0 + within))
    weights = (1.0 + np.log(np.concatenate(counts))) * rarity[column]
    return _projected(np.concatenate(rows), column, weights, len(texts))


def _projected(rows: IntArray, columns: IntArray, weights: DoubleArray, size: int) -> FloatArray:
    """Sparse rows times a random matrix of signs; a row of no words lies where chance puts it."""
    rng = np.random.default_rng(0)
    signs = rng.choice(np.array([-1.0, 1.0], dtype=np.float32), (BUCKETS, COLUMNS))
    found = 1e-6 * rng.standard_normal((size, COLUMNS), dtype=np.float32)
    starts = np.searchsorted(rows, np.arange(size + 1))
    for row in range(size):
        part = slice(starts[row], starts[row + 1])
        found[row] += weights[part].astype(np.float32) @ signs[columns[part]]
    return np.asarray(unit_rows(found))


def graphs_of(vectors: Vectors, threads: int) -> Graphs:
    return {
        name: ds2fast.knn_graph(rows, GRAPH_WIDTH, threads=threads, progress=False)
        for name, rows in vectors.items()
    }


# --- What they lead to ----------------------------------------------------------------------------


class Outcome:
    """T and the selected rows by one graph; `trust` 0 ranks by the scores as given."""

    def __init__(
        self,
        scores: IntArray,
        graph: ds2fast.KnnGraph,
        threads: int,
        *,
        trust: float | None = None,
    ) -> None:
        self.graph = graph
        self.estimate = ds2fast.estimate_transition_matrix(
            scores, graph, num_levels=NUM_LEVELS, threads=threads, progress=False
        )
        curation = ds2fast.curate_scores(
            scores, graph, self.estimate, threads=threads, progress=False
        )
        share = self.estimate.verdict.trust if trust is None else trust
        keys = curation.keys_shrunk_to(scores, share)
        rarity = ds2fast.long_tail_scores(graph, k=10, threads=threads)
        self.chosen = ds2fast.dual_sort(keys, rarity, int(TOP_SHARE * len(scores)))

    def beside(self, other: Outcome) -> Figures:
        """How alike two outcomes are."""
        matrices = self.estimate.transition_matrix, other.estimate.transition_matrix
        return {
            "neighbours kept": neighbours_kept(self.graph, other.graph),
            "T apart": float(np.abs(matrices[0] - matrices[1]).mean()),
            "overlap": overlap(self.chosen, other.chosen),
        }


Run = tuple[dict[str, Figures], dict[str, str]]
"""Figures of each encoder, and its verdict."""


def planted_run(planter: Planter, graphs: Graphs, seed: int, threads: int) -> Run:
    planted = planter.plant(REGIME, seed)
    found = {name: Outcome(planted.scores, graph, threads) for name, graph in graphs.items()}
    again = rated_again(planted, seed)
    found["fp32, other errors"] = Outcome(again.scores, graphs["fp32"], threads)
    found["as given"] = Outcome(planted.scores, graphs["fp32"], threads, trust=0.0)
    figures = {}
    for name, outcome in found.items():
        matrix = outcome.estimate.transition_matrix
        figures[name] = outcome.beside(found["fp32"]) | {
            "T error": float(np.nanmean(np.abs(matrix - planted.counted))),
            "true level": float(planted.true[outcome.chosen].mean()),
        }
    return figures, {name: str(outcome.estimate.verdict) for name, outcome in found.items()}


def rated_again(planted: Planted, seed: int) -> Planted:
    draws = np.random.default_rng([seed, 61]).random(len(planted.true))
    return replace(planted, scores=rate(planted.true, planted.matrix, draws))


def judged_run(scores: IntArray, graphs: Graphs, threads: int) -> Run:
    found = {name: Outcome(scores, graph, threads) for name, graph in graphs.items()}
    found["as given"] = Outcome(scores, graphs["fp32"], threads, trust=0.0)
    figures = {}
    for name, outcome in found.items():
        estimate = outcome.estimate
        figures[name] = outcome.beside(found["fp32"]) | {
            "given level": float(scores[outcome.chosen].mean()),
            "agree": estimate.agreement,
            "chance": estimate.chance_agreement,
        }
    return figures, {name: str(outcome.estimate.verdict) for name, outcome in found.items()}


def neighbours_kept(graph: ds2fast.KnnGraph, other: ds2fast.KnnGraph) -> float:
    """Mean share of the ten nearest that two graphs have in common."""
    near, also = graph.indices[:, :KEPT_NEIGHBOURS], other.indices[:, :KEPT_NEIGHBOURS]
    return float((near[:, :, None] == also[:, None, :]).any(axis=2).mean())


def overlap(one: IntArray, other: IntArray) -> float:
    """Share of the rows of one selection that the other, of the same size, has, too."""
    return len(np.intersect1d(one, other)) / len(one)


def tell(title: str, runs: Sequence[Run]) -> dict[str, object]:
    figures = {name: means([run[0][name] for run in runs]) for name in runs[0][0]}
    print(f"\n{title}\n{table(figures)}")
    for name in figures:
        words = Counter(run[1][name].partition(":")[0] for run in runs)
        print(f"  {name}: {', '.join(f'{word} {n}' for word, n in words.items())}", flush=True)
    return {"figures": figures, "said": [run[1] for run in runs]}


if __name__ == "__main__":
    main()
