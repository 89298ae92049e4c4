"""The part `overlap`: what a graph of lower recall costs the selection.

Run as a script it is one step of that: it plants scores, or makes one graph and selects by it.

- `exact`: the exact graph, which all else is compared with; its selections are kept.
- `rated again`: the exact graph, and other errors of the same rater: the yardstick.
- `approximate`: the graph of `knn_graph(method="approximate", recall=...)`.
- `dropped`: the exact graph without neighbours drawn at random, those behind them moved up.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ds2fast import KnnGraph, knn_graph, select
from ds2fast.io.atomic import atomic_file
from ds2fast.outcome import Selection
from ds2fast.results import DoubleArray, FloatArray, IdArray, IntArray
from ds2fast.stages import graph_width
from knn_cases import Measuring
from knn_processes import RunFailedError, figures_in
from knn_ways import peak_mib
from quality_noise import NUM_LEVELS
from scale_child import Child, failure
from scale_record import Entry, Record
from scale_rows import say

SHARES = (0.033, 0.1)
K = 10
NOISE = ("cluster", "ordinal", 0.3)


@dataclass(frozen=True)
class Step:
    """What a process is to do.

    Attributes
    ----------
    kind : str
        `"plant"`, `"exact"`, `"rated again"`, `"approximate"` or `"dropped"`.
    recall : float
        Asked of the graph.
    folder : str
        Of the planted scores and the exact graph.
    """

    kind: str
    recall: float
    vectors: str
    folder: str
    shared: str
    threads: int


def measure(record: Record, bench: OverlapBench) -> None:
    """Every graph but those on record."""
    wanted = [step for step in bench.steps() if record.find(**bench.key(step)) is None]
    if not wanted:
        return
    # What these write is needed by all others.
    first = [("plant", 1.0), ("exact", 1.0)]
    for kind, recall in [*first, *(step for step in wanted if step not in first)]:
        say(f"overlap: {kind}, recall {recall:g}")
        figures = bench.run(kind, recall)
        if kind != "plant" or figures.get("problem"):
            record.add(bench.key((kind, recall)), figures)
        if (kind, recall) in first and figures.get("problem"):
            return


@dataclass(frozen=True)
class OverlapBench:
    """What all steps over one file of vectors share."""

    vectors: Path
    rows: int
    shared: Path
    child: Child
    recalls: list[float]

    @property
    def folder(self) -> Path:
        """Of what steps leave to each other."""
        return self.vectors.with_suffix(".overlap")

    def key(self, step: tuple[str, float]) -> dict[str, Any]:
        """Of an entry."""
        kind, recall = step
        return {"rows": self.rows, "threads": self.child.threads, "kind": kind, "asked": recall}

    def steps(self) -> list[tuple[str, float]]:
        """Kind and recall of every graph."""
        kinds = ("approximate", "dropped")
        swept = [(kind, recall) for kind in kinds for recall in sorted(self.recalls)]
        return [("exact", 1.0), ("rated again", 1.0), *swept]

    def run(self, kind: str, recall: float) -> dict[str, Any]:
        """Figures of one step, a process of its own."""
        self.folder.mkdir(exist_ok=True)
        files = str(self.vectors), str(self.folder), str(self.shared)
        step = Step(kind, recall, *files, self.child.threads)
        try:
            return figures_in(self.child.run([sys.executable, __file__, json.dumps(asdict(step))]))
        except RunFailedError as error:
            return failure(error)


def main() -> None:
    step = Step(**json.loads(sys.argv[1]))
    vectors, folder = np.load(step.vectors, mmap_mode="r"), Path(step.folder)
    if step.kind == "plant":
        plant = Measuring.load(Path(step.shared)).plant
        true, scores, matrix = plant.plant(np.asarray(vectors), *NOISE, seed=0)
        again = rated_again(true, matrix)
        _keep(folder / "planted.npz", true=true, scores=scores, again=again)
        print("{}")
        return
    with np.load(folder / "planted.npz") as planted:
        true = planted["true"]
        scores = planted["again" if step.kind == "rated again" else "scores"]
    print(json.dumps(figures_of(step, vectors, folder, true, scores)))


def figures_of(
    step: Step, vectors: Any, folder: Path, true: IntArray, scores: IntArray
) -> dict[str, Any]:
    """Select by the graph of the step, and compare with the exact graph's selection."""
    graph = graph_of(step, vectors, folder)
    selection = select(
        scores=scores,
        graph=graph,
        fraction=SHARES[-1],
        num_levels=NUM_LEVELS,
        threads=step.threads,
        progress=False,
    )
    if step.kind == "exact":
        order, matrix = selection.top(None).indices, matrix_of(selection)
        similarities = graph.similarities
        _keep(folder / "exact.npz", similarities=similarities, order=order, matrix=matrix)
    with np.load(folder / "exact.npz") as exact:
        found = compare(selection, exact["order"], exact["matrix"], true)
        found["recall"] = recall_of(graph, exact["similarities"])
    return found | {"peak_mib": peak_mib(), "stages": dict(selection.timings)}


def _keep(path: Path, **arrays: Any) -> None:
    with atomic_file(path) as file:
        np.savez(file, **arrays)


def graph_of(step: Step, vectors: Any, folder: Path) -> KnnGraph:
    """The graph of a step, as wide as `select` makes it; the exact one is kept twice as wide."""
    width = graph_width(K, len(vectors), 1.0)
    if step.kind == "approximate":
        settings: dict[str, Any] = {"method": "approximate", "recall": step.recall}
        return knn_graph(vectors, width, threads=step.threads, progress=False, **settings)
    if step.kind == "exact":
        wide = knn_graph(vectors, 2 * width, threads=step.threads, progress=False)
        _keep(folder / "wide.npz", indices=wide.indices, similarities=wide.similarities)
    with np.load(folder / "wide.npz") as kept:
        indices, similarities = kept["indices"], kept["similarities"]
    if step.kind == "dropped":
        return dropped(indices, similarities, width, step.recall)
    return KnnGraph.from_arrays(indices[:, :width], similarities[:, :width])


def rated_again(true: IntArray, matrix: DoubleArray) -> IntArray:
    """Scores that a rater of this matrix gives another time."""
    drawn = np.random.default_rng(1).random((len(true), 1))
    levels = (matrix[true].cumsum(axis=1) > drawn).argmax(axis=1)
    return np.asarray(levels, dtype=np.int64)


def dropped(indices: IdArray, similarities: FloatArray, width: int, recall: float) -> KnnGraph:
    """The graph cut to a width after each neighbour was lost with probability 1 - recall.

    Where too many are lost, the nearest of the lost ones stay.
    """
    lost = np.random.default_rng(0).random(indices.shape) >= recall
    places = np.sort(np.argsort(lost, axis=1, kind="stable")[:, :width], axis=1)
    taken = (np.take_along_axis(array, places, axis=1) for array in (indices, similarities))
    return KnnGraph.from_arrays(*taken)


def recall_of(graph: KnnGraph, exact: FloatArray) -> float:
    """Share of the first k neighbours that reach the exact k-th similarity: ties count."""
    return float((graph.similarities[:, :K] >= exact[:, K - 1 : K]).mean())


def compare(
    selection: Selection, order: IntArray, matrix: DoubleArray, true: IntArray
) -> dict[str, Any]:
    """How far a selection is from the exact graph's order and T, at every share."""
    off = np.abs(matrix_of(selection) - matrix)
    own = selection.top(None).indices
    found: dict[str, Any] = {"t_largest": float(off.max()), "t_mean": float(off.mean())}
    found["shares"] = [compare_first(own, order, share, true) for share in SHARES]
    return found


def compare_first(own: IntArray, exact: IntArray, share: float, true: IntArray) -> dict[str, float]:
    """The best rows of either order: how many are in common, and their true mean."""
    count = int(share * len(true))
    common = len(np.intersect1d(own[:count], exact[:count]))
    return {
        "share": share,
        "overlap": common / count,
        "true_mean": float(true[own[:count]].mean()),
    }


def matrix_of(selection: Selection) -> DoubleArray:
    """T of a selection."""
    if selection.transition is None:
        raise SystemExit("overlap: the selection has no T")
    return selection.transition.transition_matrix


# --- What is said ---------------------------------------------------------------------------------


def rows_of(entries: list[Entry]) -> list[dict[str, Any]]:
    """A row for every graph and share."""
    names = ("recall", "t_largest", "t_mean")
    return [
        {**entry["key"], **share, **{name: entry[name] for name in names}}
        for entry in entries
        if entry["problem"] is None
        for share in entry["shares"]
    ]


def describe(entries: list[Entry]) -> str:
    """The table."""
    lines = [
        f"{'graph':<13}{'asked':>7}{'recall':>9}{'best':>8}{'in common':>11}{'true mean':>11}"
        f"{'T off most':>12}{'T off, mean':>13}"
    ]
    for row in rows_of(entries):
        lines.append(
            f"{row['kind']:<13}{row['asked']:>7g}{row['recall']:>9.4f}{row['share']:>8.1%}"
            f"{row['overlap']:>11.4f}{row['true_mean']:>11.3f}{row['t_largest']:>12.5f}"
            f"{row['t_mean']:>13.6f}"
        )
    for entry in entries:
        if entry["problem"] is not None:
            kind, asked = entry["key"]["kind"], entry["key"]["asked"]
            lines.append(f"{kind:<13}{asked:>7g}  {entry['problem']}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
