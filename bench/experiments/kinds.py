"""How curation fares on each kind of data: summaries, questions, mathematics, code and others.

The real rows are sorted into kinds by plain rules on source and prompt. Each kind is a pool of its
own, with its own graph, on which true levels and a rater's errors are planted: how often neighbours
agree beyond chance, what the verdict is, how far T̂ is from T, and what curation does to the
error of the scores and to the true mean of the best tenth.

No non-English set is at hand. Rows that hold foreign words are counted, not measured: they are few.

Usage: python bench/experiments/kinds.py --shared ../shared
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from experiment_data import Figures, Row, finish, load_rows, means, parser_of, table

import ds2fast
from ds2fast.results import FloatArray, Verdict
from quality_figures import mean_error, transition_error
from quality_noise import NUM_LEVELS
from quality_plant import Planted, Planter
from quality_pool import load_embeddings
from quality_regimes import Regime

LEAST_ROWS = 500
GRAPH_WIDTH = 30
TOP_SHARE = 0.1
REGIMES = {
    "ordinal 0.3, own 0": Regime("cluster", "ordinal", 0.3),
    "ordinal 0.3, own 0.4": Regime("cluster", "ordinal", 0.3, own=0.4),
    "judge, own 0.2": Regime("cluster", "judge", own=0.2),
}

_SUMMARY = re.compile(
    r"summar(?:y|ies|i[sz])|tl;?dr|\bsum (?:it )?up\b|in your own words|boil(?:ed)? (?:it )?down"
    r"|(?:write|generate|suggest|what is) (?:a|the) (?:headline|title)|main points?\b|condense",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"(?:article|paragraph|passage|context|information|text|facts?|story)\b.*\?"
    r"|\?.*(?:article|paragraph|passage|context|information)\b|answer the (?:following )?question",
    re.IGNORECASE | re.DOTALL,
)
_FOREIGN = re.compile(
    r"\b(?:der|und|nicht|ist|les|des|est|une|dans|que|los|las|una|por|para|di|che|het|een)\b",
    re.IGNORECASE,
)
LEAST_FOREIGN = 0.12
"""Share of such words in a text that is taken for one in another language."""


def main() -> None:
    arguments = parser_of(__doc__).parse_args()
    rows = load_rows(arguments.shared)
    vectors = load_embeddings(arguments.shared / "data" / "instructions.minilm.f16.npy")
    kinds = np.array([kind_of(row) for row in rows])
    foreign = sum(is_foreign(row.text) for row in rows)
    print(f"{foreign} of {len(rows)} rows read as another language than English: not measured")
    results: dict[str, object] = {"foreign": foreign}
    measured: dict[str, dict[str, Figures]] = {name: {} for name in REGIMES}
    said: dict[str, dict[str, list[Verdict]]] = {name: {} for name in REGIMES}
    for kind in ("all", *sorted(set(kinds.tolist()))):
        chosen = np.flatnonzero(kinds == kind) if kind != "all" else np.arange(len(rows))
        if len(chosen) < LEAST_ROWS:
            print(f"{kind}: {len(chosen)} rows are too few")
            continue
        found = measure(vectors[chosen], arguments.seeds, arguments.threads)
        for name, (figures, verdicts) in found.items():
            measured[name][kind], said[name][kind] = figures, verdicts
    for name, of_kind in measured.items():
        print(f"\n{name}; means over {len(arguments.seeds)} seeds")
        print(table(of_kind))
        for kind, verdicts in said[name].items():
            words = Counter(verdict.word for verdict in verdicts)
            print(f"  {kind}: {', '.join(f'{word} {n}' for word, n in words.items())}", flush=True)
    words_of = {
        name: {kind: [str(v) for v in vs] for kind, vs in s.items()} for name, s in said.items()
    }
    results |= {"figures": measured, "said": words_of}
    finish("kinds", {"seeds": arguments.seeds}, results)


def kind_of(row: Row) -> str:
    """The kind by source where a source is of one kind, else by what the prompt asks for."""
    by_source = {"gsm8k": "mathematics", "code_alpaca": "code"}
    if row.source in by_source:
        return by_source[row.source]
    if "toolformer" in row.prompt:
        return "tool use"
    if _SUMMARY.search(row.prompt):
        return "summaries"
    if row.source in ("t0", "dolly") and _QUESTION.search(row.prompt):
        return "questions on a text"
    return "other tasks" if row.source == "t0" else "instructions"


def is_foreign(text: str) -> bool:
    """By common words of German, French, Spanish, Italian and Dutch, or by the script."""
    words = re.findall(r"\w+", text)
    letters = [letter for letter in text if letter.isalpha()]
    if len(words) < 5 or not letters:
        return False
    other_script = sum(ord(letter) > 0x24F for letter in letters) / len(letters)
    return len(_FOREIGN.findall(text)) / len(words) >= LEAST_FOREIGN or other_script >= 0.3


def measure(
    vectors: FloatArray, seeds: Sequence[int], threads: int
) -> dict[str, tuple[Figures, list[Verdict]]]:
    """Of each regime the mean figures, and each seed's verdict."""
    graph = ds2fast.knn_graph(vectors, GRAPH_WIDTH, threads=threads, progress=False)
    planter = Planter(vectors)
    found = {}
    for name, regime in REGIMES.items():
        runs = [curate(planter.plant(regime, seed), graph, threads) for seed in seeds]
        found[name] = means([figures for figures, _ in runs]), [verdict for _, verdict in runs]
    return found


def curate(planted: Planted, graph: ds2fast.KnnGraph, threads: int) -> tuple[Figures, Verdict]:
    """One planted pool: its figures, and the verdict."""
    scores = planted.scores
    estimate = ds2fast.estimate_transition_matrix(
        scores, graph, num_levels=NUM_LEVELS, threads=threads, progress=False
    )
    curation = ds2fast.curate_scores(scores, graph, estimate, threads=threads, progress=False)
    rarity = ds2fast.long_tail_scores(graph, k=10, threads=threads)
    n = int(TOP_SHARE * len(scores))
    keys = curation.keys_shrunk_to(scores, estimate.verdict.trust)
    alike = float(np.mean(planted.true == planted.true[graph.indices[:, 0]]))
    figures = {
        "rows": float(len(scores)),
        "alike": alike,
        "agree": estimate.agreement,
        "chance": estimate.chance_agreement,
        "T error": transition_error(estimate.transition_matrix, planted),
        "error given": mean_error(scores, planted.true),
        "curated": mean_error(curation.scores, planted.true),
        "top given": float(planted.true[ds2fast.dual_sort(scores, rarity, n)].mean()),
        "top ours": float(planted.true[ds2fast.dual_sort(keys, rarity, n)].mean()),
        "possible": float(np.sort(planted.true)[::-1][:n].mean()),
    }
    return figures, estimate.verdict


if __name__ == "__main__":
    main()
