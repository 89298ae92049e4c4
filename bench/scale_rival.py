"""The script that a competent user writes instead: model2vec, faiss, cleanlab and a sort.

    RIVALS/bin/python bench/scale_rival.py pool.jsonl out.jsonl --model static --fraction 0.1

Reads JSON lines with `messages` and a `score`; embeds them by a static model (model2vec), finds ten
neighbours (faiss), takes their weighted votes as the label probabilities of each row, hands these
to cleanlab, and writes the best rows. It needs nothing of ds2fast, and prints one JSON object:
seconds by stage, and the `id`s that each ranking would select.

Rankings, the first of which is written:

- `expected`: by the mean of P(true | given, votes), cleanlab's noise matrix being P(given | true).
- `corrected`: what cleanlab names an issue gets its neighbours' level; ties by label quality.
- `dropped`: what cleanlab names an issue is left out; the rest by score, ties by label quality.
- `given`: by the score as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NEIGHBOURS = 10
SMOOTHING = 0.05
"""Of a uniform vote, added to each row's: no label is impossible."""

RANKINGS = ("expected", "corrected", "dropped", "given")


def main() -> None:
    arguments = parse_arguments()
    seconds: dict[str, float] = {}
    begun = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal begun
        now = time.perf_counter()
        seconds[stage], begun = now - begun, now

    lines = Path(arguments.pool).read_bytes().splitlines()
    rows = [json.loads(line) for line in lines]
    texts = ["\n".join(message["content"] for message in row["messages"]) for row in rows]
    labels = np.array([row["score"] for row in rows])
    lap("read")
    vectors = embed(texts, arguments.model)
    lap("embed")
    near = neighbours(vectors, arguments.neighbours, arguments.threads)
    lap("neighbours")
    keys = rank_keys(labels, *near, arguments.threads)
    lap("cleanlab")
    count = int(arguments.fraction * len(rows))
    best = {name: np.lexsort(keys[name][::-1])[:count] for name in RANKINGS}
    with Path(arguments.out).open("wb") as file:
        file.writelines(lines[place] + b"\n" for place in best[RANKINGS[0]])
    lap("sort and write")
    chosen = {name: [rows[place]["id"] for place in places] for name, places in best.items()}
    print(json.dumps({"stages": seconds, "peak_mib": peak_mib(), "selected": chosen}), flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("pool", help="JSON lines with id, messages and score (levels 0..K-1)")
    parser.add_argument("out", help="the selected rows, best first")
    parser.add_argument("--model", required=True, help="a static model that model2vec reads")
    parser.add_argument("--fraction", type=float, default=0.1)
    parser.add_argument("--neighbours", choices=["exact", "hnsw"], default="exact")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser.parse_args()


def embed(texts: list[str], model: str) -> Floats:
    """(N, d) unit rows."""
    from model2vec import StaticModel

    encoder = StaticModel.from_pretrained(model)
    vectors = np.ascontiguousarray(encoder.encode(texts), dtype=np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, np.finfo(np.float32).tiny))


def neighbours(vectors: Floats, how: str, threads: int) -> tuple[Ints, Floats]:
    """(N, k) ids and similarities of the nearest other rows."""
    import faiss

    faiss.omp_set_num_threads(threads)
    count = NEIGHBOURS + 1
    if how == "exact":
        metric = faiss.METRIC_INNER_PRODUCT
        similarities, ids = faiss.knn(vectors, vectors, count, metric=metric)
    else:
        index = faiss.IndexHNSWFlat(vectors.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 64
        index.hnsw.efSearch = 32
        index.add(vectors)
        similarities, ids = index.search(vectors, count)
    return without_self(ids, similarities)


def without_self(ids: Any, similarities: Any) -> tuple[Ints, Floats]:
    """All but the row itself; but the last where it is not among them."""
    own = ids == np.arange(len(ids))[:, None]
    own[~own.any(axis=1), -1] = True
    shape = (len(ids), ids.shape[1] - 1)
    return ids[~own].reshape(shape), similarities[~own].reshape(shape)


def votes(labels: Ints, ids: Ints, similarities: Floats, num_levels: int) -> Doubles:
    """(N, K) label probabilities out of sample: the neighbours' labels, near ones counting more."""
    found = np.full((len(labels), num_levels), SMOOTHING / num_levels)
    weights = np.maximum(similarities, 1e-6).astype(np.float64)
    weights[ids < 0] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    places = np.arange(len(labels))
    for column in range(ids.shape[1]):
        found[places, labels[ids[:, column]]] += weights[:, column]
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def rank_keys(
    labels: Ints, ids: Ints, similarities: Floats, threads: int
) -> dict[str, tuple[Doubles, ...]]:
    """By ranking, what rows are sorted by: ascending, the first key first."""
    from cleanlab.count import compute_confident_joint, estimate_latent
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    levels, codes = np.unique(labels, return_inverse=True)
    probabilities = votes(codes, ids, similarities, len(levels))
    joint = compute_confident_joint(codes, probabilities)
    issues = find_label_issues(codes, probabilities, confident_joint=joint, n_jobs=threads)
    quality = get_label_quality_scores(codes, probabilities)
    _, noise, _ = estimate_latent(joint, codes)  # noise[s, y] = P(given s | true y)
    posterior = probabilities * noise[codes]
    expected = posterior @ levels / posterior.sum(axis=1)
    corrected = np.where(issues, levels[probabilities.argmax(axis=1)], labels)
    return {
        "expected": (-expected, -quality),
        "corrected": (-corrected, -quality),
        "dropped": (issues.astype(np.float64), -labels, -quality),
        "given": (-labels.astype(np.float64),),
    }


def peak_mib() -> float:
    """The most that this process has held, where Linux tells it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main()
