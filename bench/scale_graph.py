"""The parts `graph` and `wide`: k-NN graphs of all rows by ours and by rivals, swept by effort."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ds2fast.results import DoubleArray, IntArray
from knn_processes import RunFailedError
from knn_truth import Truth
from scale_child import Child, failure
from scale_recall import Point, Reading, read_at
from scale_record import Entry, Record
from scale_rows import say
from scale_ways import WAYS, Job, runs_of

SCRIPT = Path(__file__).with_name("scale_ways.py")
TARGETS = (0.95, 0.99)
ENOUGH = 0.992
"""Of the true ids: a way that finds so many is not swept further."""

# A float32 similarity is off its float64 value by half a unit in the last place at most.
_ROUNDED = 2.0**-24


@dataclass(frozen=True)
class GraphBench:
    """All that the runs over one file of vectors share."""

    pool: Path
    truth: Truth
    k: int
    child: Child
    rivals_python: str
    recalls: list[float]

    @property
    def key(self) -> dict[str, Any]:
        """What all entries of it have in their key."""
        rows, width = self.truth.pool.shape
        return {"rows": rows, "width": width, "k": self.k, "threads": self.child.threads}

    def measure(self, record: Record, way: str) -> None:
        """Run the way at all its efforts but those that are on record."""
        for build, efforts in runs_of(way, self.recalls):
            key = self.key | {"way": way, "build": build}
            if record.find(**key) is None:
                say(f"{way} {words_of(build)}: {self.key}")
                record.add(key, self.run(way, build, efforts))

    def run(self, way: str, build: dict[str, Any], efforts: list[float]) -> dict[str, Any]:
        """Figures of one process: those of every effort that it finished."""
        with tempfile.TemporaryDirectory(prefix="bench-scale-") as name:
            folder = Path(name)
            np.save(folder / "checked.npy", self.truth.checked)
            np.save(folder / "truth.npy", self.truth.ids)
            ended: dict[str, Any] = {"problem": None}
            try:
                self.child.run(self._command(way, build, efforts, folder))
            except RunFailedError as error:
                ended = failure(error)
            return {"efforts": list(self._finished(way, folder)), **ended}

    def _command(
        self, way: str, build: dict[str, Any], efforts: list[float], folder: Path
    ) -> list[str]:
        files = str(folder / "checked.npy"), str(folder / "truth.npy")
        job = Job(
            way,
            str(self.pool),
            self.k,
            self.child.threads,
            build,
            efforts,
            *files,
            ENOUGH,
            str(folder),
        )
        python = sys.executable if WAYS[way].ours else self.rivals_python
        return [python, str(SCRIPT), json.dumps(asdict(job))]

    def _finished(self, way: str, folder: Path) -> Iterator[dict[str, Any]]:
        path = folder / "efforts.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        for figures in map(json.loads, lines):
            ids = np.load(folder / f"ids-{figures.pop('number')}.npy")
            if WAYS[way].ours:
                similarities = np.load(folder / "similarities.npy")
                refuse_wrong(self.truth, ids, similarities, exact=way == "ours-exact")
            verdict = self.truth.judge_set(ids, slack=0.0)
            yield figures | {"recall": verdict.recall}


def refuse_wrong(truth: Truth, ids: IntArray, similarities: DoubleArray, *, exact: bool) -> None:
    """End all where ours is not what it says: no time of a wrong graph is told."""
    if exact:
        problem = truth.judge_ranking(ids).problem
        if problem is not None:
            raise SystemExit(f"ours: wrong ids: {problem}")
    own = truth.checked[:, None]
    if ((ids < 0) | (ids >= len(truth.pool)) | (ids == own)).any():
        raise SystemExit("ours: an id is no row, or the row itself")
    if (np.diff(np.sort(ids, axis=1), axis=1) == 0).any():
        raise SystemExit("ours: a neighbour is there twice")
    cosines = cosines_of(truth, ids)
    off = np.abs(similarities - cosines) > _ROUNDED + 1e-12
    if off.any():
        row, place = divmod(int(off.argmax()), ids.shape[1])
        raise SystemExit(
            f"ours: row {truth.checked[row]}, neighbour {place}: similarity "
            f"{similarities[row, place]!r}, float64 has {cosines[row, place]!r}"
        )


def cosines_of(truth: Truth, ids: IntArray) -> DoubleArray:
    """Float64 cosines of the checked rows with these."""
    queries = _unit(truth.pool[truth.checked])
    found = [_unit(truth.pool[row]) @ query for row, query in zip(ids, queries, strict=True)]
    return np.stack(found)


def _unit(rows: Any) -> DoubleArray:
    doubles = np.asarray(rows, dtype=np.float64)
    return np.asarray(doubles / np.linalg.norm(doubles, axis=1, keepdims=True))


# --- What is said ---------------------------------------------------------------------------------


def words_of(settings: dict[str, Any]) -> str:
    """Settings in a few words."""
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def points_of(entries: list[Entry]) -> list[Point]:
    """All graphs of a way."""
    return [
        Point(one["seconds"], one["recall"], label_of(entry, one))
        for entry in entries
        for one in entry.get("efforts", [])
    ]


def label_of(entry: Entry, effort: dict[str, Any]) -> str:
    """Its settings in words."""
    build, word = words_of(entry["key"]["build"]), WAYS[entry["key"]["way"]].effort
    return build if word is None else f"{build}, {word} {effort['effort']:g}"


def describe(record: Record, key: dict[str, Any]) -> str:
    """A line for every graph of a case."""
    head = (
        f"{'way':<13}{'settings':<38}{'seconds':>9}{'build':>9}{'recall':>9}  {'says':<22}"
        f"{'peak MiB':>9}{'added MiB':>10}"
    )
    lines = [line for entry in record.matching(**key) for line in _lines(entry)]
    return "\n".join([head, *lines])


def _lines(entry: Entry) -> Iterator[str]:
    way = entry["key"]["way"]
    for one in entry.get("efforts", []):
        added = one["peak_mib"] - one["held_mib"]
        yield (
            f"{way:<13}{label_of(entry, one):<38}{one['seconds']:>9.2f}"
            f"{one['build_seconds']:>9.2f}{one['recall']:>9.4f}  {_said(one):<22}"
            f"{one['peak_mib']:>9.0f}{added:>10.0f}"
        )
    if entry["problem"] is not None:
        yield f"{way:<13}{words_of(entry['key']['build']):<38}{'-':>9}  {entry['problem']}"


def _said(effort: dict[str, Any]) -> str:
    if effort.get("said_recall") is None:
        return ""
    if effort["method"] == "exact":
        return "exact"  # asked for or not: it may be the cheaper way to a high recall
    said = f"{effort['said_recall']:.4f}"
    interval = effort.get("said_interval")
    return said if interval is None else f"{said} ({interval[0]:.4f}..{interval[1]:.4f})"


def readings_of(record: Record, key: dict[str, Any], target: float) -> dict[str, Reading]:
    """What each way takes to a recall."""
    ways = dict.fromkeys(entry["key"]["way"] for entry in record.matching(**key))
    return {
        way: read_at(points_of(record.matching(**key, way=way)), target)
        for way in ways
        if way != "ours-exact"
    }


def ratios_at(record: Record, key: dict[str, Any], target: float) -> list[dict[str, Any]]:
    """Every rival against ours at one recall, as plain values.

    `ratio` has the rival's time read off between its points and ours that of a graph that was
    measured and reaches the recall; in `ratio_interpolated` both are read off.
    """
    readings = readings_of(record, key, target)
    ours = readings.pop("ours", Reading(None, None, "not measured"))
    found = [{"way": "ours", "recall": target, "seconds": ours.seconds, "how": ours.how}]
    if ours.cheapest is not None:
        found[0]["measured_seconds"] = ours.cheapest.seconds
        found[0]["measured_recall"] = ours.cheapest.recall
    for way, reading in readings.items():
        row = {"way": way, "recall": target, "seconds": reading.seconds, "how": reading.how}
        row |= {"ratio": None, "ratio_interpolated": None}
        if reading.seconds and ours.seconds and ours.cheapest is not None:
            row["ratio"] = reading.seconds / ours.cheapest.seconds
            row["ratio_interpolated"] = reading.seconds / ours.seconds
        found.append(row)
    return found


def describe_ratios(ratios: list[dict[str, Any]]) -> str:
    """The table of one recall."""
    lines = [f"{'at recall':<13}{'seconds':>9}{'ours is':>10}{'both read off':>15}  read"]
    for row in ratios:
        name = f"{row['way']}"
        seconds = "-" if row["seconds"] is None else f"{row['seconds']:.2f}"
        both = [row.get("ratio"), row.get("ratio_interpolated")]
        first, second = ("" if one is None else f"{one:.2f} x" for one in both)
        lines.append(f"{name:<13}{seconds:>9}{first:>10}{second:>15}  {row['how']}")
    lines[0] = lines[0].replace("at recall", f"at {ratios[0]['recall']:g}", 1)
    return "\n".join(lines)
