"""Does a model learn more from the selected rows? Answers are spoilt, rated, selected, trained on.

Real answers are spoilt in known ways and amounts (corruption.py), a noisy rater scores them, each
way of `selections.py` selects n rows, a small model of the answers' words (language_model.py) is
trained on those, and tested on clean rows that were in no pool: bits per known word, less is
better. Three seeds: three draws of the rater, and three sets of test rows.

A selection may win by holding more words. So each is also trained on as many of its best rows as
hold the words of the shortest selection: "equal words".

Usage: python bench/experiments/downstream.py --shared ../shared
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from corrupted_pool import LEVEL_DRAWS, CorruptedPool, corrupted_pool, split
from experiment_data import (
    ENCODER,
    Figures,
    Row,
    finish,
    load_rows,
    means,
    parser_of,
    spreads,
    table,
)
from language_model import AnswerModel, Pair, Vocabulary, copied
from selections import WAYS, Rated, verdicts

import ds2fast
from ds2fast.results import DoubleArray, IntArray
from quality_noise import NUM_LEVELS, noise_matrix
from quality_plant import Planted, rate
from quality_pool import load_embeddings

HELD_OUT = 500
"""Test rows of a seed."""

REPEATED_ROWS, REPEATS = 2000, 2
GRAPH_WIDTH = 30
RATERS = {"ordinal 0.3": ("ordinal", 0.3), "judge": ("judge", 0.0)}
LEFT_OUT = ("long tail",)
"""Diversity is another experiment's question."""


@dataclass(frozen=True)
class Trials:
    """What all selections of one seed are trained and tested with."""

    pairs: list[Pair]
    held_out: list[Pair]
    from_prompt: DoubleArray
    size: int

    @property
    def words(self) -> IntArray:
        """(N,) words of each row's answer, ends included."""
        return np.array([len(answer) + 1 for _, answer in self.pairs])

    def bits(self, rows: IntArray) -> float:
        """Bits a known word of the test rows, after training on these rows."""
        model = AnswerModel.trained([self.pairs[row] for row in rows], self.size)
        return model.bits(self.held_out, self.from_prompt)


def main() -> None:
    arguments = parse_arguments()
    rows = load_rows(arguments.shared)
    parts = split(rows, arguments.rows, HELD_OUT * len(arguments.seeds))
    known = [rows[row] for row in parts.vocabulary]
    vocabulary = Vocabulary(text for row in known for text in (row.prompt, row.answer))
    vectors = load_embeddings(arguments.shared / "data" / "instructions.minilm.f16.npy")
    held_out = np.array_split(parts.held_out, len(arguments.seeds))
    tested = [[rows[row] for row in part] for part in held_out]
    clean = [rows[row] for row in parts.pool]
    print(f"{len(clean)} rows, {len(vocabulary)} known words, {HELD_OUT} test rows a seed")
    results = {}
    for draw in LEVEL_DRAWS:
        pool = corrupted_pool(
            clean, vectors[parts.pool], draw, arguments.encoder, arguments.kept, arguments.threads
        )
        for rater in RATERS:
            name = f"levels by {draw}, {rater}"
            results[name] = measure(name, pool, rater, tested, vocabulary, arguments)
    settings = {"rows": len(clean), "seeds": arguments.seeds, "n": arguments.n}
    finish("downstream", settings, results)


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    add = parser.add_argument
    add("--rows", type=int, default=12_000, help="rows of the pool")
    add("--n", type=int, nargs="+", default=[1000, 2000], help="rows to select")
    add("--encoder", type=Path, default=ENCODER, help="folder of the sentence encoder")
    kept = Path(tempfile.gettempdir(), "ds2fast-experiments")
    add("--kept", type=Path, default=kept, help="folder that keeps vectors for further runs")
    return parser.parse_args()


def measure(
    name: str,
    pool: CorruptedPool,
    rater: str,
    tested: Sequence[Sequence[Row]],
    vocabulary: Vocabulary,
    arguments: argparse.Namespace,
) -> dict[str, object]:
    """All ways with one rater; a seed is a draw of the rater and a set of test rows."""
    graph = ds2fast.knn_graph(pool.vectors, GRAPH_WIDTH, threads=arguments.threads, progress=False)
    pairs = pairs_of(pool.rows, vocabulary)
    runs: dict[int, dict[str, list[Figures]]] = {n: {} for n in arguments.n}
    said: dict[str, str] = {}
    for seed, rows in zip(arguments.seeds, tested, strict=True):
        rated = rated_pool(pool, graph, rater, seed, arguments.threads)
        trials = trials_of(pairs, pairs_of(rows, vocabulary), len(vocabulary))
        said = said or verdicts(rated)
        for n in arguments.n:
            for way, figures in compare(rated, trials, n).items():
                runs[n].setdefault(way, []).append(figures)
    words = ", ".join(f"{asked}: {verdict.partition(':')[0]}" for asked, verdict in said.items())
    print(f"\n{name}; near rows are of one level: {sharing(pool.true, graph):.2f}; {words}")
    for n, ways in runs.items():
        print(f"n = {n}, {len(arguments.seeds)} seeds")
        print(table(beside_random(ways)), flush=True)
    return {"said": said, "runs": runs}


def compare(rated: Rated, trials: Trials, n: int) -> dict[str, Figures]:
    """The figures of each way's n rows."""
    chosen = {name: way(rated, n) for name, way in WAYS.items() if name not in LEFT_OUT}
    words = trials.words
    shortest = min(int(words[rows].sum()) for rows in chosen.values())
    found = {}
    for name, rows in chosen.items():
        found[name] = {
            "true level": float(rated.true[rows].mean()),
            "words": float(words[rows].sum()),
            "bits": trials.bits(rows),
            "equal words": trials.bits(first_words(rows, words, shortest)),
        }
    return found


def first_words(rows: IntArray, words: IntArray, most: int) -> IntArray:
    """The best of the rows that together hold at most so many words."""
    return rows[words[rows].cumsum() <= most]


def rated_pool(
    pool: CorruptedPool, graph: ds2fast.KnnGraph, rater: str, seed: int, threads: int
) -> Rated:
    rng = np.random.default_rng([seed, 31])
    matrix = noise_matrix(*RATERS[rater])
    scores = rate(pool.true, matrix, rng.random(len(pool.true)))
    planted = Planted(pool.true, scores, matrix, own=0.0)
    return Rated(
        scores=scores,
        true=pool.true,
        repeats=planted.repeats(REPEATED_ROWS, REPEATS, seed),
        lengths=np.array([len(row.text.split()) for row in pool.rows], dtype=np.float64),
        graph=graph,
        num_levels=NUM_LEVELS,
        seed=seed,
        threads=threads,
    )


def pairs_of(rows: Sequence[Row], vocabulary: Vocabulary) -> list[Pair]:
    return [(vocabulary.numbers(row.prompt), vocabulary.numbers(row.answer)) for row in rows]


def trials_of(pairs: list[Pair], held_out: list[Pair], size: int) -> Trials:
    return Trials(pairs, held_out, copied(held_out, size), size)


def sharing(true: IntArray, graph: ds2fast.KnnGraph) -> float:
    """Share of rows whose nearest neighbour is of their level."""
    return float(np.mean(true == true[graph.indices[:, 0]]))


def beside_random(ways: dict[str, list[Figures]]) -> dict[str, Figures]:
    """Means over seeds; the bits also as what is saved beside random rows of the same seed.

    All ways share a seed's test rows, which alone make the bits vary. Each ± is half of a range.
    """
    found = {}
    for way, runs in ways.items():
        saved = [
            {name: other[name] - run[name] for name in ("bits", "equal words")}
            for run, other in zip(runs, ways["random"], strict=True)
        ]
        figures, saving, spread = means(runs), means(saved), spreads(saved)
        found[way] = {
            "true level": figures["true level"],
            "±": spreads(runs)["true level"],
            "words": figures["words"],
            "bits": figures["bits"],
            "saved": saving["bits"],
            "± saved": spread["bits"],
            "saved, equal words": saving["equal words"],
            "± equal": spread["equal words"],
        }
    return found


if __name__ == "__main__":
    main()
